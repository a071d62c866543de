/* files.h: files and directories of the host, for the runner to read. */

#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stddef.h>
#include <stdint.h>

/* Send a file, or the `length` bytes of it that start at `offset` (fewer where it ends before). Numbers are decimal;
 * empty: from the start, to the end. */
void read_file(uint32_t id, const char *path, const char *offset, const char *length);

void list_directory(uint32_t id, const char *path);

/* Send the regular files below directories, those that can be read: agent.c has the layout of `names`. Links are not
 * followed, names that begin with a dot are passed over, and a file's first 4096 bytes are all that is sent of it. */
void read_trees(uint32_t id, const char *names, size_t size);

#endif
