#include "witness/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "witness/frames.h"

void (*undo)(void);

void fail(const char *what)
{
	char text[640];
	snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
	void (*first)(void) = undo;
	undo = NULL; /* it may fail too */
	if (first)
		first();
	send_text('X', text);
	flush_frames();
	fprintf(stderr, "witness: %s\n", text);
	exit(1);
}

void out_of_memory(void)
{
	fail("memory");
}
