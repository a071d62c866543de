/*
 * actor: makes the socket calls that a script on standard input names, and no others.
 *
 * The grammar and the events are docs/protocols.md, "Actor script". The whole script is read and checked before
 * its first step runs. What each key may hold is one switch (parse_value in values.c), what each step takes is one table
 * (ops.h), the option and flag names are two more (names.c).
 *
 * Exit status: 0 done, 1 a step did not end as expected (an event says how), 2 the script cannot be run.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "actor/run.h"
#include "actor/steps.h"
#include "actor/text.h"

int main(void)
{
	struct script script;
	begin_script(&script, stderr);
	while (script_line(&script, next_line(false)))
		;
	if (script.bad)
		exit(2);
	prepare_steps(&script);
	signal(SIGPIPE, SIG_IGN); /* a send on a broken connection shall give EPIPE, to be seen as an error */
	return run_script(&script);
}
