/* tracefs.h: the kernel's tracefs: where it is, and files in it. */

#ifndef WITNESS_TRACEFS_H
#define WITNESS_TRACEFS_H

#include <stdbool.h>

enum { PATH_SIZE = 512 };

/* Find tracefs; where it is mounted nowhere, mount it for this process alone, which takes CAP_SYS_ADMIN. */
void find_tracefs(void);

/* A path below tracefs, in memory that is used again each time. */
const char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool write_text(const char *path, const char *text);
bool append_text(const char *path, const char *text);

/* Read a whole small file into memory that is used again each time; NULL if it cannot be read. */
const char *read_text(const char *path);

/* Send an event's group/name with the text of its format file (frame F). */
void send_format(const char *event);

/* Call `each` with the name of every instance of ours. */
void each_instance(void (*each)(const char *name));

/* Remove an instance; it may be busy for a moment after its files were closed. */
bool remove_instance(const char *name);

#endif
