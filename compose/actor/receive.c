#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

/* What is waited for, and what was found. */
struct wanted {
	struct pollfd fd;
	int epoll; /* which watches it; of poll unused */
};

static int by_poll(void *what, int timeout)
{
	struct wanted *wanted = what;
	return poll(&wanted->fd, 1, timeout);
}

static int by_epoll(void *what, int timeout)
{
	struct wanted *wanted = what;
	struct epoll_event event;
	return epoll_wait(wanted->epoll, &event, 1, timeout);
}

/* Waits for a socket; what was found is left in `found`. */
static bool wait_for(const struct step *step, struct ending *end, short events, short *found)
{
	if (!watch(step, end))
		return false;
	struct wanted wanted = {{.fd = step->sock->fd, .events = events}, step->sock->epoll};
	end->call = step->by == BY_POLL ? "poll" : "epoll_wait";
	bool ready = wait_once_or_again(step, end, step->by == BY_POLL ? by_poll : by_epoll, &wanted);
	*found = wanted.fd.revents;
	return ready;
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
