/* What the wrappers share: beginning and ending the record of a call, and the bytes that it moved.
 *
 * The program's memory is read only where the kernel has just read or written it without EFAULT, or after readable():
 * a bad pointer must give EFAULT as it does without the probe. */
#ifndef PROBE_CALLS_H
#define PROBE_CALLS_H

#include "probe_digest.h"
#include "probe_fd.h"
#include "probe_log.h"
#include "probe_modules.h"

#define NO_PAGE UINTPTR_MAX

/* Are these bytes readable? rt_sigprocmask copies 8 bytes in before it refuses its first argument. `page` is one that
 * was found readable just before; it is kept up. */
static bool readable_beside(const void *memory, size_t size, uintptr_t *page)
{
	int saved = errno;
	uintptr_t from = (uintptr_t)memory & ~(uintptr_t)7, last = (uintptr_t)memory + (size ? size - 1 : 0);
	bool fault = !from || last < (uintptr_t)memory;
	for (uintptr_t at = from; !fault && at <= last; at = (at | 4095) + 1) {
		if (at >> 12 == *page)
			continue;
		fault = syscall(SYS_rt_sigprocmask, ~0, at, NULL, 8) && errno == EFAULT;
		*page = fault ? NO_PAGE : at >> 12;
	}
	errno = saved;
	return !fault;
}

static bool readable(const void *memory, size_t size)
{
	uintptr_t none = NO_PAGE;
	return readable_beside(memory, size, &none);
}

/* A record for a call on any descriptor that the caller has looked up; NULL when nothing is to be logged. */
static struct probe_record *call_begin(const char name[16], int fd, struct fd_known known, const void *caller)
{
	if (!log_here())
		return NULL;
	module_note(caller);
	struct probe_record *record = log_record(name, fd, known.cookie, caller);
	if (record && known.kind & FD_STREAM)
		record->marks = PROBE_STREAM;
	return record;
}

/* For functions that exist for sockets only: logged whatever the descriptor is. */
static struct probe_record *call_socket(const char name[16], int fd, const void *caller)
{
	return call_begin(name, fd, fd_look(fd), caller);
}

/* For functions of all descriptors: logged only on sockets. */
static struct probe_record *call_any(const char name[16], int fd, const void *caller)
{
	struct fd_known known = fd_look(fd);
	return known.kind & FD_SOCKET ? call_begin(name, fd, known, caller) : NULL;
}

static void call_end(struct probe_record *record, int64_t result)
{
	log_return(record, result);
	log_state(record, PROBE_RETURNED);
}

/* The first call that gives a socket its local port tells it. */
static void learn_name(int fd, const struct probe_record *record)
{
	if (record->cookie && !(fd_look(fd).kind & FD_NAMED))
		fd_learn(fd, record->start, NULL, 0);
}

/* Safe for any address: the length that the kernel reports may be more than the program gave room for. */
static void put_address(struct probe_record *record, const void *address, socklen_t length)
{
	if (length > sizeof record->address)
		length = sizeof record->address;
	if (length && readable(address, length))
		record->address_length = fd_copy_address(record->address, sizeof record->address, address, length);
}

/* ---------------------------------------------------------------- bytes */

static size_t total(const struct iovec *parts, size_t count)
{
	size_t sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += parts[i].iov_len;
	return sum;
}

static uint16_t prefix(unsigned char *to, const struct iovec *parts, size_t length)
{
	size_t kept = 0, want = length < PROBE_PREFIX ? length : PROBE_PREFIX;
	for (; kept < want; parts++) {
		size_t size = parts->iov_len < want - kept ? parts->iov_len : want - kept;
		memcpy(to + kept, parts->iov_base, size);
		kept += size;
	}
	return (uint16_t)kept;
}

/* Note the `result` bytes that a returned call moved. Peeking moves none, nor does the error queue. With MSG_TRUNC a
 * stream drops bytes that the buffer does not show, and a datagram's length may be more than was copied. */
static void moved(struct probe_record *record, const struct iovec *parts, size_t count, int64_t result, int flags)
{
	if (result <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return;
	size_t length = (size_t)result;
	if (record->marks & PROBE_IN && flags & MSG_TRUNC) {
		if (record->marks & PROBE_STREAM) {
			record->length = length;
			return;
		}
		size_t room = total(parts, count);
		length = length < room ? length : room;
	}
	record->length = length;
	record->digest = digest(parts, length);
	record->kept = prefix(record->blob, parts, length);
	record->marks |= PROBE_DIGEST;
}

/* ---------------------------------------------------------------- msghdr
 * arg = size, flags, parts, control length, index and number of messages (sendmmsg, recvmmsg), flags received */

static bool message_readable(const struct msghdr *message)
{
	return readable(message, sizeof *message) && message->msg_iovlen <= IOV_MAX &&
	       (!message->msg_iovlen || readable(message->msg_iov, message->msg_iovlen * sizeof *message->msg_iov));
}

static void message_args(struct probe_record *record, const struct msghdr *message, int flags, bool known)
{
	record->arg[1] = flags;
	if (!known)
		return;
	record->arg[0] = (int64_t)total(message->msg_iov, message->msg_iovlen);
	record->arg[2] = (int64_t)message->msg_iovlen;
	record->arg[3] = (int64_t)message->msg_controllen;
}

/* Descriptors that arrive with a message may have numbers of which something else is remembered. */
static void message_descriptors(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
			fd_forget(fd);
		}
	}
}

/* What a message that was received brought; `flags` are those of the call. */
static void message_received(struct probe_record *record, struct msghdr *message, int64_t result, int flags)
{
	put_address(record, message->msg_name, message->msg_namelen);
	message_descriptors(message);
	record->arg[3] = (int64_t)message->msg_controllen;
	record->arg[6] = message->msg_flags;
	moved(record, message->msg_iov, message->msg_iovlen, result, flags);
}

#endif
