/*
 * actor: makes the socket calls that a script on standard input names, and no others.
 *
 * The grammar and the events are docs/architecture.md, "Actor script". The whole script is read and checked before
 * its first step runs. What each key may hold is one switch (parse_value in actor_values.h), what each step takes and
 * does is one table (OPS in actor_script.h), the option and flag names are two more (actor_names.h).
 *
 * Exit status: 0 done, 1 a step did not end as expected (an event says how), 2 the script cannot be run.
 *
 *     cc -std=gnu11 -O2 -g -Wall -Wextra -Werror -o actor actor.c
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "actor_calls.h"
#include "actor_events.h"
#include "actor_memory.h"
#include "actor_script.h"
#include "actor_step.h"

int main(void)
{
	size_t count;
	struct step *steps = read_script(&count);
	buffer = zeroed(buffer_size);
	signal(SIGPIPE, SIG_IGN); /* a send on a broken connection shall give EPIPE, to be seen as an error */
	for (size_t i = 0; i < count; i++) {
		struct ending end = {.call = ""};
		steps[i].op->run(&steps[i], &end);
		bool as_expected = emit_ending(&steps[i], &end);
		free(end.value);
		if (!as_expected)
			return 1;
	}
	fputs("{\"event\":\"done\"", stdout);
	end_line();
	return 0;
}
