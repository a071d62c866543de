#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "actor/steps.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "actor/events.h"
#include "actor/text.h"
#include "common/memory.h"

unsigned char *step_buffer;

/* What the processes of a script share. Of those that wait at barriers one reads standard input, for all of them. */
static struct shared {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool reading;
	_Atomic size_t positions; /* those given away */
	size_t most;
	uint64_t *position;  /* of sockets' streams */
	unsigned released[]; /* by the barrier's number: releases that nobody has taken yet */
} *shared;
static const char *const *barriers;
static size_t barrier_count;
static uint64_t no_position; /* of a name without a socket */

static void *shared_memory(size_t size)
{
	void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		out_of_memory();
	return made;
}

void prepare_steps(const struct script *script)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	step_buffer = zeroed(script->buffer_size);
	barriers = script->barriers;
	barrier_count = script->barrier_count;
	shared = shared_memory(sizeof *shared + barrier_count * sizeof *shared->released);
	shared->most = 2 * script->count; /* a step makes two sockets at most */
	shared->position = shared_memory((shared->most + 1) * sizeof *shared->position);
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->changed, &cond);
	for (struct sock *sock = script->sockets; sock; sock = sock->next)
		sock->sent = &no_position;
}

void take_socket(struct sock *sock, long long fd)
{
	size_t at = shared->positions++;
	sock->fd = (int)fd;
	sock->sent = at < shared->most ? &shared->position[at] : &no_position;
	*sock->sent = 0;
}

static void report_input(const struct step *step, const char *line)
{
	fprintf(stderr, "step %llu: at barrier %s standard input ", (unsigned long long)step->index, step->value[K_NAME]);
	if (line) {
		fputs("said ", stderr);
		put_json(stderr, line);
		fputc('\n', stderr);
	} else {
		fputs("ended\n", stderr);
	}
}

/* Read one line for whichever process it is for. */
static bool read_release(const struct step *step)
{
	char *line = next_line(true);
	size_t slot = barrier_count;
	if (line && !strncmp(line, "go ", 3))
		for (slot = 0; slot < barrier_count && strcmp(barriers[slot], line + 3);)
			slot++;
	if (slot == barrier_count)
		report_input(step, line);
	free(line);
	pthread_mutex_lock(&shared->lock);
	shared->reading = false;
	if (slot < barrier_count)
		shared->released[slot]++;
	pthread_cond_broadcast(&shared->changed);
	return slot < barrier_count;
}

bool wait_released(const struct step *step)
{
	bool good = true;
	pthread_mutex_lock(&shared->lock);
	while (good && !shared->released[step->slot]) {
		if (shared->reading) {
			pthread_cond_wait(&shared->changed, &shared->lock);
			continue;
		}
		shared->reading = true;
		pthread_mutex_unlock(&shared->lock);
		good = read_release(step);
	}
	if (good)
		shared->released[step->slot]--;
	pthread_mutex_unlock(&shared->lock);
	return good;
}

static int64_t milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool wait_once_or_again(const struct step *step, struct ending *end, int (*wait)(void *what, int timeout), void *what)
{
	int64_t deadline = milliseconds() + step->timeout;
	int timeout = step->timeout;
	for (;;) {
		end->calls++;
		end->result = wait(what, timeout);
		if (end->result >= 0 || errno != EINTR)
			break;
		int64_t left = deadline - milliseconds();
		if (step->timeout >= 0)
			timeout = left > 0 ? (int)left : 0;
	}
	end->error = end->result < 0 ? errno : end->result == 0 ? NOT_ERRNO_TIMEOUT : 0;
	return !end->error;
}
