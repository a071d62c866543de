/* run.h: running the steps: one function for each, which makes its socket calls and notes how they ended. */

#ifndef ACTOR_RUN_H
#define ACTOR_RUN_H

#include <errno.h>

#include "actor/script.h"

#define DECLARE(name, needs, may) void run_##name(const struct step *step, struct ending *end);
EVERY_STEP(DECLARE)
#undef DECLARE

/* Make the buffer that steps send from and receive into. */
void prepare_steps(const struct script *script);

/* Run one step by its function. */
void run_step(const struct step *step, struct ending *end);

extern unsigned char *step_buffer;

/* Makes one call, again after EINTR, and notes how it ended. True when it succeeded. */
#define CALL(end, function, ...) \
	({ \
		(end)->call = #function; \
		do { \
			(end)->calls++; \
			(end)->result = function(__VA_ARGS__); \
		} while ((end)->result < 0 && errno == EINTR); \
		(end)->error = (end)->result < 0 ? errno : 0; \
		(end)->result >= 0; \
	})

static inline const struct sockaddr *step_address(const struct step *step)
{
	return (const struct sockaddr *)&step->addr;
}

#endif
