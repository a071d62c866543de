/* Any text as a script of the actor. */

#define _GNU_SOURCE /* strsep */
#include <stdlib.h>
#include <string.h>

#include "actor/script.h"
#include "common/memory.h"
#include "common/tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	struct script script;
	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	char *text = strndup((const char *)data, size), *rest = text, *line;
	begin_script(&script, nowhere);
	do
		line = strsep(&rest, "\n");
	while (script_line(&script, line ? copy_text(line) : NULL));
	free_script(&script);
	free(text);
	return 0;
}
