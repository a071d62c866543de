/* Calls that wait for several descriptors. blob holds what was asked and found: for poll and select struct pollfd (8 bytes
 * each), for epoll an event mask and its 8 data bytes (12 bytes each), as many as fit. arg = number, timeout in ns (-1:
 * none), entries in the blob. */

#define _GNU_SOURCE
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "probe/calls.h"
#include "probe/next.h"

#define POLL_KEPT (sizeof(((struct probe_record *)0)->blob) / sizeof(struct pollfd))
#define EVENT_SIZE 12
#define EVENTS_KEPT (sizeof(((struct probe_record *)0)->blob) / EVENT_SIZE)

static int64_t milliseconds(int timeout)
{
	return timeout < 0 ? -1 : (int64_t)timeout * 1000000;
}

static int64_t timespec_ns(const struct timespec *t)
{
	return t && readable(t, sizeof *t) ? (int64_t)t->tv_sec * 1000000000 + t->tv_nsec : -1;
}

/* ---------------------------------------------------------------- poll */

static void poll_keep(struct probe_record *record, const struct pollfd *fds, size_t count)
{
	size_t kept = count < POLL_KEPT ? count : POLL_KEPT;
	memcpy(record->blob, fds, kept * sizeof *fds);
	record->kept = (uint16_t)(kept * sizeof *fds);
}

/* Logged when a socket is among the descriptors. The record bears the descriptor when it is the only one.
 * (`fds` is not const because glibc declares poll's as write-only.) */
static struct probe_record *poll_begin(const char name[16], struct pollfd *fds, size_t count, int64_t timeout,
                                       const void *caller)
{
	if (!call_log.header || !count || !readable(fds, count * sizeof *fds))
		return NULL;
	struct fd_known known = {0, 0};
	for (size_t i = 0; i < count && !(known.kind & FD_SOCKET); i++)
		known = fd_look(fds[i].fd);
	if (!(known.kind & FD_SOCKET))
		return NULL;
	struct fd_known several = {0, 0};
	struct probe_record *record =
		call_begin(name, count == 1 ? fds[0].fd : -1, count == 1 ? known : several, caller);
	if (!record)
		return NULL;
	record->arg[0] = (int64_t)count;
	record->arg[1] = timeout;
	poll_keep(record, fds, count);
	return record;
}

static void poll_end(struct probe_record *record, const struct pollfd *fds, size_t count, int result)
{
	log_return(record, result);
	if (result >= 0)
		poll_keep(record, fds, count);
	log_state(record, PROBE_RETURNED);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	struct probe_record *record = poll_begin(NAME("poll"), fds, count, milliseconds(timeout), CALLER);
	if (!record)
		return NEXT(poll)(fds, count, timeout);
	log_enter(record);
	int result = NEXT(poll)(fds, count, timeout);
	poll_end(record, fds, count, result);
	return result;
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
	struct probe_record *record = poll_begin(NAME("poll"), fds, count, milliseconds(timeout), CALLER);
	if (!record)
		return NEXT(__poll_chk)(fds, count, timeout, room);
	log_enter(record);
	int result = NEXT(__poll_chk)(fds, count, timeout, room);
	poll_end(record, fds, count, result);
	return result;
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	struct probe_record *record = poll_begin(NAME("ppoll"), fds, count, timespec_ns(timeout), CALLER);
	if (!record)
		return NEXT(ppoll)(fds, count, timeout, mask);
	log_enter(record);
	int result = NEXT(ppoll)(fds, count, timeout, mask);
	poll_end(record, fds, count, result);
	return result;
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t room)
{
	struct probe_record *record = poll_begin(NAME("ppoll"), fds, count, timespec_ns(timeout), CALLER);
	if (!record)
		return NEXT(__ppoll_chk)(fds, count, timeout, mask, room);
	log_enter(record);
	int result = NEXT(__ppoll_chk)(fds, count, timeout, mask, room);
	poll_end(record, fds, count, result);
	return result;
}

/* ---------------------------------------------------------------- select */

/* A set is as long as the first argument says, which may be more than FD_SETSIZE. */
static bool in_set(const fd_set *set, int fd)
{
	const unsigned long *words = (const unsigned long *)set;
	return set && words[(size_t)fd / (8 * sizeof *words)] >> ((size_t)fd % (8 * sizeof *words)) & 1;
}

static short select_mask(int fd, const fd_set *in, const fd_set *out, const fd_set *except)
{
	return (short)((in_set(in, fd) ? POLLIN : 0) | (in_set(out, fd) ? POLLOUT : 0) |
	               (in_set(except, fd) ? POLLPRI : 0));
}

static struct probe_record *select_begin(const char name[16], int count, const fd_set *in, const fd_set *out,
                                         const fd_set *except, int64_t timeout, const void *caller)
{
	size_t size = count > 0 ? ((size_t)count + 63) / 64 * 8 : 0;
	uintptr_t page = NO_PAGE;
	if (!call_log.header || !size || (in && !readable_beside(in, size, &page)) ||
	    (out && !readable_beside(out, size, &page)) || (except && !readable_beside(except, size, &page)))
		return NULL;
	struct pollfd asked[POLL_KEPT];
	size_t number = 0;
	struct fd_known known = {0, 0};
	for (int fd = 0; fd < count; fd++) {
		short mask = select_mask(fd, in, out, except);
		if (!mask)
			continue;
		if (!(known.kind & FD_SOCKET))
			known = fd_look(fd);
		if (number < POLL_KEPT)
			asked[number] = (struct pollfd){.fd = fd, .events = mask};
		number++;
	}
	if (!(known.kind & FD_SOCKET))
		return NULL;
	struct fd_known several = {0, 0};
	struct probe_record *record =
		call_begin(name, number == 1 ? asked[0].fd : -1, number == 1 ? known : several, caller);
	if (!record)
		return NULL;
	record->arg[0] = (int64_t)number;
	record->arg[1] = timeout;
	poll_keep(record, asked, number);
	log_enter(record);
	return record;
}

static void select_end(struct probe_record *record, const fd_set *in, const fd_set *out, const fd_set *except,
                       int result)
{
	log_return(record, result);
	struct pollfd found;
	for (size_t at = 0; result >= 0 && at < record->kept; at += sizeof found) {
		memcpy(&found, record->blob + at, sizeof found);
		found.revents = select_mask(found.fd, in, out, except);
		memcpy(record->blob + at, &found, sizeof found);
	}
	log_state(record, PROBE_RETURNED);
}

EXPORT int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                  struct timeval *restrict timeout)
{
	int64_t ns = -1;
	if (timeout && readable(timeout, sizeof *timeout))
		ns = (int64_t)timeout->tv_sec * 1000000000 + (int64_t)timeout->tv_usec * 1000;
	struct probe_record *record = select_begin(NAME("select"), count, in, out, except, ns, CALLER);
	int result = NEXT(select)(count, in, out, except, timeout);
	if (record)
		select_end(record, in, out, except, result);
	return result;
}

EXPORT int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
                   const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	struct probe_record *record =
		select_begin(NAME("pselect"), count, in, out, except, timespec_ns(timeout), CALLER);
	int result = NEXT(pselect)(count, in, out, except, timeout, mask);
	if (record)
		select_end(record, in, out, except, result);
	return result;
}

/* ---------------------------------------------------------------- epoll: always logged, its members are not known */

static struct probe_record *epoll_begin(const char name[16], int fd, int count, int64_t timeout, const void *caller)
{
	struct probe_record *record = call_begin(name, fd, (struct fd_known){0, 0}, caller);
	if (!record)
		return NULL;
	record->arg[0] = count;
	record->arg[1] = timeout;
	log_enter(record);
	return record;
}

static int epoll_end(struct probe_record *record, const struct epoll_event *events, int result)
{
	if (!record)
		return result;
	log_return(record, result);
	for (int i = 0; i < result && (size_t)i < EVENTS_KEPT; i++) {
		memcpy(record->blob + i * EVENT_SIZE, &events[i].events, 4);
		memcpy(record->blob + i * EVENT_SIZE + 4, &events[i].data, 8);
		record->kept = (uint16_t)((i + 1) * EVENT_SIZE);
	}
	log_state(record, PROBE_RETURNED);
	return result;
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
	struct probe_record *record = epoll_begin(NAME("epoll_wait"), fd, count, milliseconds(timeout), CALLER);
	return epoll_end(record, events, NEXT(epoll_wait)(fd, events, count, timeout));
}

EXPORT int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
	struct probe_record *record = epoll_begin(NAME("epoll_pwait"), fd, count, milliseconds(timeout), CALLER);
	return epoll_end(record, events, NEXT(epoll_pwait)(fd, events, count, timeout, mask));
}

EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask)
{
	struct probe_record *record = epoll_begin(NAME("epoll_pwait2"), fd, count, timespec_ns(timeout), CALLER);
	return epoll_end(record, events, NEXT(epoll_pwait2)(fd, events, count, timeout, mask));
}
