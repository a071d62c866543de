/* root.h: the files that a process of the lab sees: a small root of its own, made of read-only parts of the machine's. */

#ifndef LAUNCH_ROOT_H
#define LAUNCH_ROOT_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define TOOLS_DIRECTORY "/opt/bothends"

void begin_root(void);
void bind_into_root(const char *source, const char *target);
void link_in_root(const char *text, const char *path);

/* A file of `size` bytes that come from `from`. */
void file_in_root(const char *path, mode_t mode, size_t size, FILE *from);

/* The same, for the processes of the namespace `name` only, and where they see it: the path itself, or a directory above it. */
void own_file_in_root(const char *name, const char *path, mode_t mode, size_t size, FILE *from);
void place_in_root(const char *name, const char *path);

void scratch_in_root(const char *path, const char *options);
void enter_root(void);

/* In a process of the lab, in the namespace `name`: what it does not share with the others; NULL, or what failed. */
const char *mount_own_parts(const char *name);

#endif
