#include "launch/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

void fail(const char *what)
{
	printf("error %d %s\n", errno, what);
	fflush(stdout);
	exit(1);
}

void fail_with(int error, const char *what)
{
	errno = error;
	fail(what);
}

void out_of_memory(void)
{
	fail("memory");
}
