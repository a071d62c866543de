/* Calls that make and name sockets. */

#define _GNU_SOURCE
#include <errno.h>

#include "probe/calls.h"
#include "probe/next.h"
#include "probe/readable.h"

/* ---------------------------------------------------------------- making */

EXPORT int socket(int domain, int type, int protocol)
{
	struct probe_record *record = call_begin(NAME("socket"), -1, (struct fd_known){0, 0}, CALLER);
	if (record) {
		record->arg[0] = domain;
		record->arg[1] = type;
		record->arg[2] = protocol;
		log_enter(record);
	}
	int fd = NEXT(socket)(domain, type, protocol);
	fd_forget(fd);
	if (record) {
		log_return(record, fd);
		record->fd = fd;
		if (fd >= 0)
			record->cookie = fd_learn(fd, record->start, NULL, 0).cookie;
		log_state(record, PROBE_RETURNED);
	}
	return fd;
}

EXPORT int socketpair(int domain, int type, int protocol, int fds[2])
{
	struct probe_record *record = call_begin(NAME("socketpair"), -1, (struct fd_known){0, 0}, CALLER);
	if (record) {
		record->arg[0] = domain;
		record->arg[1] = type;
		record->arg[2] = protocol;
		log_enter(record);
	}
	int result = NEXT(socketpair)(domain, type, protocol, fds);
	if (!result) {
		fd_forget(fds[0]);
		fd_forget(fds[1]);
	}
	if (record) {
		log_return(record, result);
		if (!result) {
			record->fd = fds[0];
			record->cookie = fd_learn(fds[0], record->start, NULL, 0).cookie;
			fd_learn(fds[1], record->start, NULL, 0);
			record->arg[3] = fds[0];
			record->arg[4] = fds[1];
		}
		log_state(record, PROBE_RETURNED);
	}
	return result;
}

/* The peer's address as accept gives it. A connection that was reset before has none that getpeername would tell. */
struct accepting {
	struct sockaddr_storage own; /* where the program asks for no address */
	struct sockaddr *address;
	socklen_t room, length;
	socklen_t *told;
};

static void accept_begin(struct accepting *a, struct sockaddr *address, socklen_t *length, struct probe_record *record)
{
	a->length = sizeof a->own;
	bool own = record && !address;
	a->address = own ? (struct sockaddr *)&a->own : address;
	a->told = own ? &a->length : length;
	a->room = own ? a->length : address && record && length && readable(length, sizeof *length) ? *length : 0;
}

static int accepted(struct probe_record *record, const struct accepting *a, int fd)
{
	fd_forget(fd);
	if (record) {
		log_return(record, fd);
		if (fd >= 0) {
			socklen_t length = a->room && *a->told < a->room ? *a->told : a->room;
			record->arg[1] = (int64_t)fd_learn(fd, record->start, length ? a->address : NULL, length).cookie;
		}
		log_state(record, PROBE_RETURNED);
	}
	return fd;
}

EXPORT int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	struct probe_record *record = call_socket(NAME("accept"), fd, CALLER);
	struct accepting a;
	accept_begin(&a, address.__sockaddr__, length, record);
	if (record)
		log_enter(record);
	return accepted(record, &a, NEXT(accept)(fd, a.address, a.told));
}

EXPORT int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags)
{
	struct probe_record *record = call_socket(NAME("accept4"), fd, CALLER);
	struct accepting a;
	accept_begin(&a, address.__sockaddr__, length, record);
	if (record) {
		record->arg[0] = flags;
		log_enter(record);
	}
	return accepted(record, &a, NEXT(accept4)(fd, a.address, a.told, flags));
}

/* ---------------------------------------------------------------- naming */

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	struct probe_record *record = call_socket(NAME("bind"), fd, CALLER);
	if (record) {
		put_address(record, address.__sockaddr__, length);
		log_enter(record);
	}
	int result = NEXT(bind)(fd, address, length);
	if (record) {
		log_return(record, result);
		if (!result)
			fd_learn(fd, record->start, NULL, 0);
		log_state(record, PROBE_RETURNED);
	}
	return result;
}

EXPORT int listen(int fd, int backlog)
{
	struct probe_record *record = call_socket(NAME("listen"), fd, CALLER);
	if (record) {
		record->arg[0] = backlog;
		log_enter(record);
	}
	int result = NEXT(listen)(fd, backlog);
	if (record) {
		log_return(record, result);
		if (!result)
			fd_learn(fd, record->start, NULL, 0);
		log_state(record, PROBE_RETURNED);
	}
	return result;
}

/* Did this error of connect leave the socket's earlier names as they were? */
static bool connect_refused_early(int error)
{
	return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EISCONN || error == EALREADY;
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	struct probe_record *record = call_socket(NAME("connect"), fd, CALLER);
	if (record) {
		put_address(record, address.__sockaddr__, length);
		log_enter(record);
	}
	int result = NEXT(connect)(fd, address, length);
	if (record) {
		log_return(record, result);
		if (!result || !connect_refused_early(errno))
			fd_learn(fd, record->start, record->address, record->address_length);
		log_state(record, PROBE_RETURNED);
	}
	return result;
}

EXPORT int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	struct probe_record *record = call_socket(NAME("getsockname"), fd, CALLER);
	if (record)
		log_enter(record);
	int result = NEXT(getsockname)(fd, address, length);
	if (record) {
		log_return(record, result);
		if (!result)
			put_address(record, address.__sockaddr__, *length);
		log_state(record, PROBE_RETURNED);
	}
	return result;
}

EXPORT int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
	struct probe_record *record = call_socket(NAME("getpeername"), fd, CALLER);
	if (record)
		log_enter(record);
	int result = NEXT(getpeername)(fd, address, length);
	if (record) {
		log_return(record, result);
		if (!result)
			put_address(record, address.__sockaddr__, *length);
		log_state(record, PROBE_RETURNED);
	}
	return result;
}
