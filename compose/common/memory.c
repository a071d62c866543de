/* Memory that is always given: without it the program ends. Little is freed, since a script runs once. */
#ifndef ACTOR_MEMORY_H
#define ACTOR_MEMORY_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *old, size_t size)
{
	void *new = realloc(old, size ? size : 1);
	if (!new) {
		fprintf(stderr, "actor: out of memory\n");
		exit(2);
	}
	return new;
}

static void *zeroed(size_t size)
{
	return memset(grow(NULL, size), 0, size);
}

#endif
