/* files.h: files and directories of the host, for the runner to read. */

#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stdint.h>

/* Send a file, or the `length` bytes of it that start at `offset` (fewer where it ends before). Numbers are decimal;
 * empty: from the start, to the end. */
void read_file(uint32_t id, const char *path, const char *offset, const char *length);

void list_directory(uint32_t id, const char *path);

#endif
