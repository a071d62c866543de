/* memory.h: memory that is always given: without it the program ends. */

#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include <stddef.h>

/* Each program says in its own way that there is no memory: this is what it defines. */
_Noreturn void out_of_memory(void);

/* realloc(3) that never returns NULL, also for size 0. */
void *grow(void *old, size_t size);

/* New memory, all zero. */
void *zeroed(size_t size);

/* strdup(3) that never returns NULL. */
char *copy_text(const char *text);

/* New memory that holds these bytes. */
void *copy_bytes(const void *bytes, size_t size);

#endif
