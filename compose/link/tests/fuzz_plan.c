/* Any text as the link's plan. */

#define _GNU_SOURCE /* strsep */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/tests/fuzz.h"
#include "link/faults.h"
#include "link/plan_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	static struct plan plan;
	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	char *text = strndup((const char *)data, size), *rest = text;
	begin_plan(&plan, nowhere);
	for (char *line; (line = strsep(&rest, "\n"));) {
		plan.line++;
		char *what = strsep(&line, " ");
		if (!plan_line(&plan, what, line))
			pass_barrier(&plan, what);
		plan.failed = false; /* or only the first wrong line would be of use */
	}
	plan_complete(&plan);
	free_plan(&plan);
	free(text);
	return 0;
}
