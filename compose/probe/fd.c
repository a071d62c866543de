#define _GNU_SOURCE
#include "probe/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe/log.h"
#include "probe/next.h"
#include "probe/payload.h"

static struct {
	_Atomic unsigned kind;
	_Atomic uint64_t cookie;
} fd_table[FD_TABLE];

static _Atomic int fd_highest; /* no entry above it was ever set: bounds a search */

static void fd_set_known(int fd, struct fd_known known)
{
	if (fd < 0 || fd >= FD_TABLE)
		return;
	int highest = atomic_load_explicit(&fd_highest, memory_order_relaxed);
	while (known.kind && fd > highest && !atomic_compare_exchange_weak(&fd_highest, &highest, fd))
		;
	atomic_store_explicit(&fd_table[fd].cookie, known.cookie, memory_order_relaxed);
	atomic_store_explicit(&fd_table[fd].kind, known.kind, memory_order_release);
}

int fd_highest_known(void)
{
	return atomic_load(&fd_highest);
}

unsigned fd_remembered(int fd)
{
	return fd >= 0 && fd < FD_TABLE ? atomic_load_explicit(&fd_table[fd].kind, memory_order_acquire) : 0;
}

void fd_forget(int fd)
{
	fd_set_known(fd, (struct fd_known){0, 0});
}

static bool has_port(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ((const struct sockaddr_in *)address)->sin_port != 0;
	if (address->ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)address)->sin6_port != 0;
	return true;
}

struct fd_known fd_learn(int fd, uint64_t when, const void *peer, socklen_t peer_length)
{
	int saved = errno;
	struct fd_known known = {0, 0};
	int type = 0, family = 0, protocol = 0;
	socklen_t size = sizeof type;
	if (!log_here())
		goto out;
	if (NEXT(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &size)) {
		known.kind = errno == ENOTSOCK ? FD_KNOWN : 0;
		fd_set_known(fd, known);
		goto out;
	}
	known.kind = FD_KNOWN | FD_SOCKET | (type == SOCK_STREAM ? FD_STREAM : 0);
	size = sizeof family;
	if (NEXT(getsockopt)(fd, SOL_SOCKET, SO_DOMAIN, &family, &size))
		family = AF_UNSPEC;
	size = sizeof protocol;
	if (NEXT(getsockopt)(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size))
		protocol = 0;
	size = sizeof known.cookie;
	if (NEXT(getsockopt)(fd, SOL_SOCKET, SO_COOKIE, &known.cookie, &size))
		known.cookie = 0;

	struct sockaddr_storage local = {.ss_family = AF_UNSPEC};
	socklen_t local_length = sizeof local;
	bool named = !NEXT(getsockname)(fd, (struct sockaddr *)&local, &local_length);
	if (!named || has_port(&local))
		known.kind |= FD_NAMED;
	struct sockaddr_storage other;
	socklen_t other_length = sizeof other;
	bool connected = !NEXT(getpeername)(fd, (struct sockaddr *)&other, &other_length);
	if (connected && known.kind & FD_STREAM && is_local((struct sockaddr *)&other, other_length))
		known.kind |= FD_LOCAL;
	fd_set_known(fd, known);

	struct probe_record *record = log_record(NAME("#socket"), fd, known.cookie, NULL);
	if (!record)
		goto out;
	record->arg[0] = family;
	record->arg[1] = type;
	record->arg[2] = protocol;
	if (named)
		record->address_length = copy_address(record->address, sizeof record->address, &local, local_length);
	if (connected)
		record->kept = copy_address(record->blob, sizeof record->blob, &other, other_length);
	else if (peer)
		record->kept = copy_address(record->blob, sizeof record->blob, peer, peer_length);
	record->start = when;
	log_state(record, PROBE_RETURNED);
out:
	errno = saved;
	return known;
}

struct fd_known fd_look(int fd)
{
	struct fd_known known = {0, 0};
	if (fd < 0 || !call_log.header)
		return known;
	if (fd < FD_TABLE) {
		known.kind = atomic_load_explicit(&fd_table[fd].kind, memory_order_acquire);
		known.cookie = atomic_load_explicit(&fd_table[fd].cookie, memory_order_relaxed);
	}
	return known.kind & FD_KNOWN ? known : fd_learn(fd, now(), NULL, 0);
}

struct directory_entry { /* getdents64(2) */
	uint64_t inode;
	int64_t next;
	unsigned short length;
	unsigned char type;
	char name[];
};

void fd_inherited(uint64_t when)
{
	int saved = errno;
	_Alignas(struct directory_entry) char room[2048];
	int list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long size;
	while (list >= 0 && (size = syscall(SYS_getdents64, list, room, sizeof room)) > 0)
		for (long at = 0; at < size; at += ((struct directory_entry *)(room + at))->length) {
			const char *name = ((struct directory_entry *)(room + at))->name;
			int fd = *name >= '0' && *name <= '9' ? atoi(name) : list;
			if (fd != list && !(fd_learn(fd, when, NULL, 0).kind & FD_SOCKET))
				fd_forget(fd); /* a descriptor may be closed and opened unseen: only sockets are remembered */
		}
	if (list >= 0)
		syscall(SYS_close, list);
	errno = saved;
}

void fd_same(int from, int to)
{
	fd_set_known(to, fd_look(from));
}
