/* Steps that wait for several sockets at once. */

#define _GNU_SOURCE /* open_memstream */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actor/steps.h"
#include "common/memory.h"

/* What is waited for: `fds` as poll takes them (descriptor -1: no longer), of epoll also the descriptor that watches. */
struct waiting {
	struct pollfd *fds;
	int count, epoll;
};

static bool begin_waiting(const struct step *step, struct ending *end, struct waiting *waiting)
{
	*waiting = (struct waiting){zeroed(sizeof *waiting->fds * (size_t)step->watched_count), step->watched_count, -1};
	for (int i = 0; i < waiting->count; i++)
		waiting->fds[i] = (struct pollfd){step->watched[i].sock->fd, step->watched[i].events, 0};
	if (step->by != BY_EPOLL && step->by != BY_EPOLL_EDGE)
		return true;
	if (!CALL(end, epoll_create1, 0))
		return false;
	waiting->epoll = (int)end->result;
	for (int i = 0; i < waiting->count; i++) { /* POLLIN and the others have the numbers of EPOLLIN and the others */
		struct epoll_event wanted = {
			.events = (uint32_t)waiting->fds[i].events | (step->by == BY_EPOLL_EDGE ? EPOLLET : 0U), .data.u32 = (uint32_t)i,
		};
		if (!CALL(end, epoll_ctl, waiting->epoll, EPOLL_CTL_ADD, waiting->fds[i].fd, &wanted))
			return false;
	}
	return true;
}

static void end_waiting(struct waiting *waiting)
{
	if (waiting->epoll >= 0)
		close(waiting->epoll);
	free(waiting->fds);
}

static int by_epoll(void *what, int timeout)
{
	struct waiting *waiting = what;
	struct epoll_event *found = zeroed(sizeof *found * (size_t)waiting->count);
	int result = epoll_wait(waiting->epoll, found, waiting->count, timeout);
	for (int i = 0; i < waiting->count; i++)
		waiting->fds[i].revents = 0;
	for (int i = 0; i < result; i++)
		waiting->fds[found[i].data.u32].revents = (short)found[i].events;
	free(found);
	return result;
}

/* What select reports, as poll says it. */
static int by_select(void *what, int timeout)
{
	struct waiting *waiting = what;
	fd_set in, out, pri;
	int highest = -1;
	struct timeval time = {.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000};
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&pri);
	for (int i = 0; i < waiting->count; i++) {
		struct pollfd *at = &waiting->fds[i];
		at->revents = 0;
		if (at->fd < 0 || at->fd >= FD_SETSIZE)
			continue;
		highest = at->fd > highest ? at->fd : highest;
		if (at->events & POLLIN)
			FD_SET(at->fd, &in);
		if (at->events & POLLOUT)
			FD_SET(at->fd, &out);
		if (at->events & POLLPRI)
			FD_SET(at->fd, &pri);
	}
	int result = select(highest + 1, &in, &out, &pri, timeout < 0 ? NULL : &time);
	for (int i = 0; result > 0 && i < waiting->count; i++) {
		struct pollfd *at = &waiting->fds[i];
		if (at->fd < 0 || at->fd >= FD_SETSIZE)
			continue;
		at->revents = (short)((FD_ISSET(at->fd, &in) ? POLLIN : 0) | (FD_ISSET(at->fd, &out) ? POLLOUT : 0) |
		                      (FD_ISSET(at->fd, &pri) ? POLLPRI : 0));
	}
	return result;
}

static int by_poll(void *what, int timeout)
{
	struct waiting *waiting = what;
	return poll(waiting->fds, (nfds_t)waiting->count, timeout);
}

static bool wait_for_any(const struct step *step, struct ending *end, struct waiting *waiting)
{
	int (*wait)(void *, int) = waiting->epoll >= 0 ? by_epoll : step->by == BY_SELECT ? by_select : by_poll;
	end->call = waiting->epoll >= 0 ? "epoll_wait" : step->by == BY_SELECT ? "select" : "poll";
	return wait_once_or_again(step, end, wait, waiting);
}

void run_wait_any(const struct step *step, struct ending *end)
{
	struct waiting waiting;
	if (begin_waiting(step, end, &waiting) && wait_for_any(step, end, &waiting)) {
		size_t size;
		FILE *text = open_memstream(&end->value, &size);
		if (!text)
			out_of_memory();
		for (int i = 0; i < waiting.count; i++) {
			char *names = event_names(waiting.fds[i].revents);
			if (*names)
				fprintf(text, "%s%s=%s", ftell(text) ? "," : "", step->watched[i].sock->name, names);
			free(names);
		}
		fclose(text);
	}
	end_waiting(&waiting);
}

/* Reads what one socket has; false after an error that ends the step. `over`: it has no more to give. */
static bool serve_one(const struct step *step, struct ending *end, int fd, bool *over)
{
	do {
		if (!CALL(end, recv, fd, step_buffer, step->size, step->mode == DRAIN ? MSG_DONTWAIT : 0)) {
			if (end->error != EAGAIN)
				return false;
			end->error = 0;
			return true;
		}
		size_t room = SHOWN - end->shown_len, now = (uint64_t)end->result < room ? (size_t)end->result : room;
		memcpy(end->shown + end->shown_len, step_buffer, now);
		end->shown_len += now;
		end->bytes += (uint64_t)end->result;
		*over = !end->result;
	} while (step->mode == DRAIN && end->result);
	return true;
}

/* Reads from whichever has something, as a server of many connections does: until each has come to its end, or once. */
void run_serve(const struct step *step, struct ending *end)
{
	struct waiting waiting;
	bool good = begin_waiting(step, end, &waiting);
	int left = waiting.count;
	end->moves_bytes = end->received = true;
	while (good && left) {
		good = wait_for_any(step, end, &waiting);
		for (int i = 0; good && i < waiting.count; i++) {
			bool over = false;
			if (waiting.fds[i].fd < 0 || !waiting.fds[i].revents)
				continue;
			good = serve_one(step, end, waiting.fds[i].fd, &over);
			if (!over)
				continue;
			if (waiting.epoll >= 0)
				epoll_ctl(waiting.epoll, EPOLL_CTL_DEL, waiting.fds[i].fd, NULL);
			waiting.fds[i].fd = -1;
			left--;
		}
		if (step->mode == ONCE)
			break;
	}
	end_waiting(&waiting);
}
