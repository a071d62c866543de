#include "actor/run.h"

#include "common/memory.h"

unsigned char *step_buffer;

void prepare_steps(const struct script *script)
{
	step_buffer = zeroed(script->buffer_size);
}

void run_step(const struct step *step, struct ending *end)
{
#define RUN(name, needs, may) [OP_##name] = run_##name,
	static void (*const RUNS[OPS_COUNT])(const struct step *, struct ending *) = {EVERY_STEP(RUN)};
#undef RUN
	RUNS[step->op->number](step, end);
}
