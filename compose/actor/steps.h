/* steps.h: what the steps are made of: a function for each, which makes its socket calls and notes how they ended; their
 * sockets and barriers, which all processes of a script share. */

#ifndef ACTOR_STEPS_H
#define ACTOR_STEPS_H

#include <errno.h>

#include "actor/script.h"

#define DECLARE(name, needs, may) void run_##name(const struct step *step, struct ending *end);
EVERY_STEP(DECLARE)
#undef DECLARE

/* Make the buffer that steps send from and receive into, and what the processes of a script share. */
void prepare_steps(const struct script *script);

/* A name is a socket's from here on: -1 after a failed call. */
void take_socket(struct sock *sock, long long fd);

/* Waits until standard input released a barrier, in whichever process reads there; false: report_input has said why not. */
bool wait_released(const struct step *step);

/* Waits up to the step's timeout (ms, negative: for ever) by `wait`, which returns as poll does; true when something is
 * ready. Not CALL: after EINTR only the rest of the time is waited. */
bool wait_once_or_again(const struct step *step, struct ending *end, int (*wait)(void *what, int timeout), void *what);

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
