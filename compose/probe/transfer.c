#define _GNU_SOURCE
#include "probe/transfer.h"

#include <limits.h>
#include <string.h>

#include "probe/digest.h"
#include "common/packet_info.h"
#include "probe/payload.h"

void moved(struct probe_record *record, const struct iovec *parts, size_t count, int64_t result, int flags)
{
	if (result <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return;
	size_t length = (size_t)result;
	if (record->marks & PROBE_IN && flags & MSG_TRUNC) {
		if (record->marks & PROBE_STREAM) {
			record->length = length;
			return;
		}
		size_t room = total_length(parts, count);
		length = length < room ? length : room;
	}
	record->length = length;
	record->kept = copy_prefix(record->blob, parts, length);
	/* No capture sees what stays within a host: there is nothing that a digest would be compared with, and over the
	 * loopback it is what a long transfer waits for. */
	if (record->marks & PROBE_LOCAL && length > PROBE_LOCAL_DIGEST)
		return;
	record->digest = digest(parts, length);
	record->marks |= PROBE_DIGEST;
}

void data_enter(struct probe_record *record, enum probe_mark direction, size_t size, int flags)
{
	record->marks |= (uint16_t)direction;
	record->arg[0] = (int64_t)size;
	record->arg[1] = flags;
	log_enter(record);
}

void data_end(struct probe_record *record, const void *buffer, size_t size, ssize_t result, int flags)
{
	moved(record, &(struct iovec){(void *)buffer, size}, 1, result, flags);
	log_state(record, PROBE_RETURNED);
}

void parts_enter(struct probe_record *record, enum probe_mark direction, const struct iovec *parts, int count)
{
	record->marks |= (uint16_t)direction;
	record->arg[2] = count;
	if (count > 0 && readable(parts, (size_t)count * sizeof *parts))
		record->arg[0] = (int64_t)total_length(parts, (size_t)count);
	log_enter(record);
}

void unseen_end(struct probe_record *record, ssize_t result)
{
	log_return(record, result);
	if (result > 0)
		record->length = (uint64_t)result;
	log_state(record, PROBE_RETURNED);
}

bool message_readable(const struct msghdr *message)
{
	return readable(message, sizeof *message) && message->msg_iovlen <= IOV_MAX &&
	       (!message->msg_iovlen || readable(message->msg_iov, message->msg_iovlen * sizeof *message->msg_iov));
}

void message_args(struct probe_record *record, const struct msghdr *message, int flags, bool known)
{
	record->arg[1] = flags;
	if (!known)
		return;
	record->arg[0] = (int64_t)total_length(message->msg_iov, message->msg_iovlen);
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

void message_packet_info(const struct probe_record *record, struct msghdr *message)
{
	struct packet_info info;
	if (!message->msg_controllen || !find_packet_info(message, record->marks & PROBE_OUT, &info))
		return;
	struct probe_record *beside = log_record(NAME("#pktinfo"), record->fd, record->cookie, NULL);
	if (!beside)
		return;
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = info.address};
	beside->start = beside->end = record->start;
	beside->arg[0] = record->arg[4];
	beside->arg[1] = info.interface;
	beside->address_length = copy_address(beside->address, sizeof beside->address, &address, sizeof address);
	log_state(beside, PROBE_RETURNED);
}

void message_received(struct probe_record *record, struct msghdr *message, int64_t result, int flags)
{
	put_address(record, message->msg_name, message->msg_namelen);
	message_descriptors(message);
	message_packet_info(record, message);
	record->arg[3] = (int64_t)message->msg_controllen;
	record->arg[6] = message->msg_flags;
	moved(record, message->msg_iov, message->msg_iovlen, result, flags);
}

struct probe_record *message_record(struct probe_record *first, int i, int of)
{
	struct probe_record *record = first;
	if (i) {
		record = log_record(first->name, first->fd, first->cookie, (void *)(uintptr_t)first->caller);
		if (!record)
			return NULL;
		record->marks = first->marks & (PROBE_IN | PROBE_OUT | PROBE_STREAM | PROBE_LOCAL);
		record->start = first->start;
		record->end = first->end;
		record->result = first->result;
	}
	record->arg[4] = i;
	record->arg[5] = of;
	return record;
}
