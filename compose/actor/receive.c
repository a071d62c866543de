#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "actor/steps.h"
#include "actor/text.h"

/* One recv into the buffer, its first bytes kept for the event. */
static bool receive(const struct step *step, struct ending *end, uint64_t size, int flags)
{
	end->moves_bytes = end->received = true;
	if (!CALL(end, recv, step->sock->fd, step_buffer, size, flags))
		return false;
	end->bytes += (uint64_t)end->result;
	/* With MSG_TRUNC the result counts bytes that were not copied: those of a datagram beyond `size`, all of a stream. */
	uint64_t copied = (uint64_t)end->result < size ? (uint64_t)end->result : size;
	if (flags & MSG_TRUNC && step->type == SOCK_STREAM)
		copied = 0;
	size_t room = SHOWN - end->shown_len, now = copied < room ? copied : room;
	memcpy(end->shown + end->shown_len, step_buffer, now);
	end->shown_len += now;
	return true;
}

void run_recv(const struct step *step, struct ending *end)
{
	receive(step, end, step->size, step->flags);
}

void run_recv_exact(const struct step *step, struct ending *end)
{
	do {
		uint64_t left = step->size - end->bytes;
		if (!receive(step, end, left < step->chunk ? left : step->chunk, 0))
			return;
		if (!end->result && left) {
			end->error = NOT_ERRNO_EOF;
			return;
		}
	} while (end->bytes < step->size);
}

void run_recv_all(const struct step *step, struct ending *end)
{
	while (receive(step, end, step->chunk, 0) && end->result)
		;
}

static int64_t milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The descriptor that watches a socket, made by its first use. */
static bool watch(const struct step *step, struct ending *end)
{
	struct sock *sock = step->sock;
	if (step->by == BY_POLL || sock->epoll)
		return true;
	struct epoll_event wanted = {.events = EPOLLIN | (step->by == BY_EPOLL_EDGE ? EPOLLET : 0U)};
	if (!CALL(end, epoll_create1, 0))
		return false;
	sock->epoll = (int)end->result;
	return CALL(end, epoll_ctl, sock->epoll, EPOLL_CTL_ADD, sock->fd, &wanted);
}

/* Waits for a socket; what was found is left in `found`. Not CALL: after EINTR only the rest of the time is waited. */
static bool wait_for(const struct step *step, struct ending *end, short events, short *found)
{
	struct pollfd wanted = {.fd = step->sock->fd, .events = events};
	struct epoll_event event = {0};
	int64_t deadline = milliseconds() + step->timeout;
	int timeout = step->timeout;
	if (!watch(step, end))
		return false;
	end->call = step->by == BY_POLL ? "poll" : "epoll_wait";
	for (;;) {
		end->calls++;
		end->result = step->by == BY_POLL ? poll(&wanted, 1, timeout) : epoll_wait(step->sock->epoll, &event, 1, timeout);
		if (end->result >= 0 || errno != EINTR)
			break;
		int64_t left = deadline - milliseconds();
		if (step->timeout >= 0)
			timeout = left > 0 ? (int)left : 0;
	}
	end->error = end->result < 0 ? errno : end->result == 0 ? NOT_ERRNO_TIMEOUT : 0;
	*found = wanted.revents;
	return !end->error;
}

void run_wait(const struct step *step, struct ending *end)
{
	short found = 0;
	if (wait_for(step, end, (short)step->events, &found))
		end->value = event_names(found);
}

void run_on_readable(const struct step *step, struct ending *end)
{
	end->moves_bytes = end->received = true;
	short found;
	/* poll ignores the descriptor of a closed socket, -1, and would wait for ever; recv says EBADF. */
	while (step->sock->fd < 0 || wait_for(step, end, POLLIN, &found)) {
		if (step->mode != DRAIN) {
			if (!receive(step, end, step->size, 0) || step->mode == ONCE || !end->result)
				return;
			continue;
		}
		/* MSG_DONTWAIT: an accepted socket blocks unless told otherwise. */
		while (receive(step, end, step->size, MSG_DONTWAIT) && end->result)
			;
		if (end->error != EAGAIN)
			return;
	}
}
