#include "actor/run.h"

#include <stdlib.h>

#include "actor/events.h"
#include "actor/processes.h"
#include "actor/steps.h"

static void run_step(const struct step *step, struct ending *end)
{
#define RUN(name, needs, may) [OP_##name] = run_##name,
	static void (*const RUNS[OPS_COUNT])(const struct step *, struct ending *) = {EVERY_STEP(RUN)};
#undef RUN
	RUNS[step->op->number](step, end);
}

int run_script(const struct script *script)
{
	bool child = false;
	for (size_t i = 0; i < script->count; i++) {
		const struct step *step = &script->steps[i];
		struct ending end = {.call = ""};
		if (step->op->number == OP_end_fork)
			break; /* only a child comes here: its parent goes on behind it */
		run_step(step, &end);
		bool forked = step->op->number == OP_fork && end.result == 0 && !end.error;
		if (forked) {
			child = true;
			continue; /* its parent says that it was made */
		}
		bool as_expected = emit_ending(step, &end);
		free(end.value);
		if (!as_expected)
			return 1;
		if (step->op->number == OP_fork)
			i = step->after;
	}
	if (!collect_children(NULL))
		return 1;
	if (!child)
		emit_done();
	return 0;
}
