#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

void out_of_memory(void)
{
	fprintf(stderr, "actor: out of memory\n");
	exit(2);
}
