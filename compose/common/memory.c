#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

void *grow(void *old, size_t size)
{
	void *block = realloc(old, size ? size : 1);
	if (!block)
		out_of_memory();
	return block;
}

void *zeroed(size_t size)
{
	return memset(grow(NULL, size), 0, size);
}

char *copy_text(const char *text)
{
	return copy_bytes(text, strlen(text) + 1);
}

void *copy_bytes(const void *bytes, size_t size)
{
	void *block = grow(NULL, size);
	if (size)
		memcpy(block, bytes, size);
	return block;
}
