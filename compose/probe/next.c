#define _GNU_SOURCE
#include "probe/next.h"

#include <dlfcn.h>
#include <sys/types.h>

struct next_table next_table;

void next_find(void)
{
#define FIND(function) *(void **)&next_table.function = dlsym(RTLD_NEXT, #function);
	EVERY_FUNCTION(FIND)
#undef FIND
	dlerror(); /* an older C library lacks some: the program must not find our error pending */
	next_table.found = true;
}
