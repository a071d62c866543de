#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "actor/events.h"
#include "actor/steps.h"

void run_sleep(const struct step *step, struct ending *end)
{
	struct timespec left = {.tv_sec = (time_t)(step->ms / 1000), .tv_nsec = (long)(step->ms % 1000 * 1000000)};
	end->call = "sleep";
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

void run_barrier(const struct step *step, struct ending *end)
{
	const char *name = step->value[K_NAME];
	end->call = "barrier";
	emit_barrier(step, name);
	if (!wait_released(step))
		exit(1);
}

/* Ends the program with its sockets open: what becomes of them is the kernel's work. Reported before, since nothing is after. */
void run_exit(const struct step *step, struct ending *end)
{
	end->call = "exit";
	emit_ending(step, end);
	exit(step->status);
}

void run_kill(const struct step *step, struct ending *end)
{
	end->call = "kill";
	emit_ending(step, end);
	signal(step->signal, SIG_DFL);
	raise(step->signal);
}
