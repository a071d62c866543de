/* Running the steps: one function for each, which makes its socket calls and notes how they ended. */
#ifndef ACTOR_CALLS_H
#define ACTOR_CALLS_H

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "actor_events.h"
#include "actor_names.h"
#include "actor_pattern.h"
#include "actor_step.h"
#include "actor_text.h"

#define FILE_CHUNK 65536 /* how much of a file is written at once */

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

static const struct sockaddr *address(const struct step *step)
{
	return (const struct sockaddr *)&step->addr;
}

static void run_socket(const struct step *step, struct ending *end)
{
	CALL(end, socket, step->family, step->type | (step->nonblock ? SOCK_NONBLOCK : 0), 0);
	step->as->fd = (int)end->result;
	step->as->sent = 0;
}

static void run_setsockopt(const struct step *step, struct ending *end)
{
	const struct option *option = step->option;
	CALL(end, setsockopt, step->sock->fd, option->level, option->number, step->option_value, step->option_len);
}

static void run_getsockopt(const struct step *step, struct ending *end)
{
	union {
		int number;
		struct linger linger;
		struct timeval time;
		unsigned char bytes[1024];
	} got = {.bytes = {0}};
	static const socklen_t SIZES[] = {
		[INT] = sizeof(int), [LINGER] = sizeof(struct linger), [MILLISECONDS] = sizeof(struct timeval),
		[TEXT] = sizeof got.bytes - 1, [BYTES] = sizeof got.bytes,
	};
	const struct option *option = step->option;
	socklen_t length = SIZES[option->kind];
	int printed = 0;
	if (!CALL(end, getsockopt, step->sock->fd, option->level, option->number, &got, &length))
		return;
	switch (option->kind) {
	case INT: printed = asprintf(&end->value, "%d", got.number); break;
	case LINGER: printed = asprintf(&end->value, "%d,%d", got.linger.l_onoff, got.linger.l_linger); break;
	case MILLISECONDS:
		printed = asprintf(&end->value, "%lld", got.time.tv_sec * 1000LL + got.time.tv_usec / 1000);
		break;
	case TEXT: printed = asprintf(&end->value, "%s", got.bytes); break;
	case BYTES: end->value = to_hex(got.bytes, length); break;
	}
	if (printed < 0)
		exit(2);
}

static void run_bind(const struct step *step, struct ending *end)
{
	if (!CALL(end, bind, step->sock->fd, address(step), step->addr_len))
		return;
	step->sock->port = step->port;
	if (step->type == SOCK_DGRAM)
		emit_listening(step, step->port);
}

static void run_listen(const struct step *step, struct ending *end)
{
	if (CALL(end, listen, step->sock->fd, step->backlog))
		emit_listening(step, step->sock->port);
}

static void run_accept(const struct step *step, struct ending *end)
{
	CALL(end, accept, step->sock->fd, NULL, NULL);
	step->as->fd = (int)end->result;
	step->as->sent = 0;
}

static void run_connect(const struct step *step, struct ending *end)
{
	CALL(end, connect, step->sock->fd, address(step), step->addr_len);
}

/* Gives `data` to the kernel in as many calls as it takes, one at least (an empty datagram is a datagram). */
static bool send_bytes(const struct step *step, struct ending *end, const unsigned char *data, uint64_t length)
{
	int fd = step->sock->fd;
	do {
		bool ok = step->addr_len
			? CALL(end, sendto, fd, data, length, step->flags, address(step), step->addr_len)
			: CALL(end, send, fd, data, length, step->flags);
		if (!ok)
			return false;
		data += end->result;
		length -= (uint64_t)end->result;
		end->bytes += (uint64_t)end->result;
		step->sock->sent += (uint64_t)end->result;
	} while (length);
	return true;
}

static void run_send(const struct step *step, struct ending *end)
{
	uint64_t left = step->size;
	end->moves_bytes = true;
	if (step->parts) {
		send_bytes(step, end, step->part->iov_base, step->part->iov_len);
		return;
	}
	do {
		uint64_t now = left < step->chunk ? left : step->chunk;
		fill_pattern(buffer, step->seed, step->sock->sent, now);
		if (!send_bytes(step, end, buffer, now))
			return;
		left -= now;
	} while (left);
}

/* Gives several buffers to the kernel, the rest again where it takes only a part. */
static void send_parts(const struct step *step, struct ending *end,
                       bool (*give)(const struct step *, struct ending *, struct iovec *, size_t))
{
	struct iovec rest[IOV_MAX], *part = rest;
	size_t parts = (size_t)step->parts;
	uint64_t left = 0;
	memcpy(rest, step->part, sizeof *rest * parts);
	for (size_t i = 0; i < parts; i++)
		left += rest[i].iov_len;
	end->moves_bytes = true;
	for (;;) {
		if (!give(step, end, part, parts))
			return;
		size_t taken = (size_t)end->result;
		end->bytes += taken;
		step->sock->sent += taken;
		left -= taken;
		if (!left)
			return;
		for (; taken >= part->iov_len; parts--)
			taken -= part++->iov_len;
		part->iov_base = (char *)part->iov_base + taken;
		part->iov_len -= taken;
	}
}

static bool give_message(const struct step *step, struct ending *end, struct iovec *part, size_t parts)
{
	struct msghdr message = {
		.msg_name = step->addr_len ? (void *)address(step) : NULL, .msg_namelen = step->addr_len,
		.msg_iov = part, .msg_iovlen = parts,
	};
	return CALL(end, sendmsg, step->sock->fd, &message, step->flags);
}

static bool give_vector(const struct step *step, struct ending *end, struct iovec *part, size_t parts)
{
	return CALL(end, writev, step->sock->fd, part, (int)parts);
}

static void run_sendmsg(const struct step *step, struct ending *end)
{
	send_parts(step, end, give_message);
}

static void run_writev(const struct step *step, struct ending *end)
{
	send_parts(step, end, give_vector);
}

/* The pattern as a file in memory; it is made before the call and is no socket. */
static int pattern_file(const struct step *step)
{
	int file = memfd_create("pattern", MFD_CLOEXEC);
	for (uint64_t made = 0; file >= 0 && made < step->size;) {
		uint64_t now = step->size - made < FILE_CHUNK ? step->size - made : FILE_CHUNK;
		fill_pattern(buffer, step->seed, step->sock->sent + made, now);
		ssize_t written = write(file, buffer, now);
		if (written < 0) {
			close(file);
			return -1;
		}
		made += (uint64_t)written;
	}
	return file;
}

static void run_sendfile(const struct step *step, struct ending *end)
{
	int file = pattern_file(step);
	off_t at = 0;
	end->moves_bytes = true;
	end->call = "sendfile";
	if (file < 0) {
		end->error = errno;
		return;
	}
	while (end->bytes < step->size && CALL(end, sendfile, step->sock->fd, file, &at, step->size - end->bytes)) {
		if (!end->result)
			break;
		end->bytes += (uint64_t)end->result;
		step->sock->sent += (uint64_t)end->result;
	}
	close(file);
}

/* One recv into the buffer, its first bytes kept for the event. */
static bool receive(const struct step *step, struct ending *end, uint64_t size, int flags)
{
	end->moves_bytes = end->received = true;
	if (!CALL(end, recv, step->sock->fd, buffer, size, flags))
		return false;
	end->bytes += (uint64_t)end->result;
	/* With MSG_TRUNC the result counts bytes that were not copied: those of a datagram beyond `size`, all of a stream. */
	uint64_t copied = (uint64_t)end->result < size ? (uint64_t)end->result : size;
	if (flags & MSG_TRUNC && step->type == SOCK_STREAM)
		copied = 0;
	size_t room = SHOWN - end->shown_len, now = copied < room ? copied : room;
	memcpy(end->shown + end->shown_len, buffer, now);
	end->shown_len += now;
	return true;
}

static void run_recv(const struct step *step, struct ending *end)
{
	receive(step, end, step->size, step->flags);
}

static void run_recv_exact(const struct step *step, struct ending *end)
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

static void run_recv_all(const struct step *step, struct ending *end)
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

static void run_wait(const struct step *step, struct ending *end)
{
	char text[128] = "";
	short found = 0;
	if (!wait_for(step, end, (short)step->events, &found))
		return;
	for (size_t i = 0; i < COUNT(EVENTS); i++)
		if (found & EVENTS[i].number)
			sprintf(text + strlen(text), "%s%s", *text ? "|" : "", EVENTS[i].name);
	end->value = strdup(text);
}

static void run_on_readable(const struct step *step, struct ending *end)
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

static void run_shutdown(const struct step *step, struct ending *end)
{
	CALL(end, shutdown, step->sock->fd, step->how);
}

static void run_close(const struct step *step, struct ending *end)
{
	int fd = step->sock->fd;
	step->sock->fd = -1;
	end->call = "close";
	end->result = close(fd); /* not again after EINTR: Linux has released the descriptor, close(2) */
	end->error = end->result < 0 ? errno : 0;
	if (step->sock->epoll)
		close(step->sock->epoll);
	step->sock->epoll = 0;
}

static void run_sleep(const struct step *step, struct ending *end)
{
	struct timespec left = {.tv_sec = (time_t)(step->ms / 1000), .tv_nsec = (long)(step->ms % 1000 * 1000000)};
	end->call = "sleep";
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void run_barrier(const struct step *step, struct ending *end)
{
	const char *name = step->value[K_NAME];
	end->call = "barrier";
	printf("{\"event\":\"barrier\",\"step\":%" PRIu64 ",\"name\":", step->index);
	put_json(stdout, name);
	end_line();
	char *line = next_line();
	if (line && !strncmp(line, "go ", 3) && !strcmp(line + 3, name)) {
		free(line);
		return;
	}
	fprintf(stderr, "step %" PRIu64 ": at barrier %s standard input ", step->index, name);
	if (line) {
		fputs("said ", stderr);
		put_json(stderr, line);
		fputc('\n', stderr);
	} else {
		fputs("ended\n", stderr);
	}
	exit(1);
}

/* Ends the program with its sockets open: what becomes of them is the kernel's work. Told before, since nothing is after. */
static void run_exit(const struct step *step, struct ending *end)
{
	end->call = "exit";
	emit_ending(step, end);
	exit(step->status);
}

static void run_kill(const struct step *step, struct ending *end)
{
	end->call = "kill";
	emit_ending(step, end);
	signal(step->signal, SIG_DFL);
	raise(step->signal);
}

#endif
