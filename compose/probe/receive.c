/* Calls that take bytes from the kernel. */

#define _GNU_SOURCE
#include "probe/next.h"
#include "probe/transfer.h"

EXPORT ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	struct probe_record *record = call_socket(NAME("recv"), fd, CALLER);
	if (!record)
		return NEXT(recv)(fd, buffer, size, flags);
	data_enter(record, PROBE_IN, size, flags);
	ssize_t result = NEXT(recv)(fd, buffer, size, flags);
	log_return(record, result);
	data_end(record, buffer, size, result, flags);
	return result;
}

EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags)
{
	struct probe_record *record = call_socket(NAME("recv"), fd, CALLER);
	if (!record)
		return NEXT(__recv_chk)(fd, buffer, size, room, flags);
	data_enter(record, PROBE_IN, size, flags);
	ssize_t result = NEXT(__recv_chk)(fd, buffer, size, room, flags);
	log_return(record, result);
	data_end(record, buffer, size, result, flags);
	return result;
}

static void from_end(struct probe_record *record, void *buffer, size_t size, ssize_t result, int flags,
                     const void *address, const socklen_t *length)
{
	log_return(record, result);
	if (result >= 0 && address && length)
		put_address(record, address, *length);
	data_end(record, buffer, size, result, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict buffer, size_t size, int flags, __SOCKADDR_ARG address,
                        socklen_t *restrict length)
{
	struct probe_record *record = call_socket(NAME("recvfrom"), fd, CALLER);
	if (!record)
		return NEXT(recvfrom)(fd, buffer, size, flags, address, length);
	data_enter(record, PROBE_IN, size, flags);
	ssize_t result = NEXT(recvfrom)(fd, buffer, size, flags, address, length);
	from_end(record, buffer, size, result, flags, address.__sockaddr__, length);
	return result;
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags, __SOCKADDR_ARG address,
                              socklen_t *length)
{
	struct probe_record *record = call_socket(NAME("recvfrom"), fd, CALLER);
	if (!record)
		return NEXT(__recvfrom_chk)(fd, buffer, size, room, flags, address, length);
	data_enter(record, PROBE_IN, size, flags);
	ssize_t result = NEXT(__recvfrom_chk)(fd, buffer, size, room, flags, address, length);
	from_end(record, buffer, size, result, flags, address.__sockaddr__, length);
	return result;
}

EXPORT ssize_t read(int fd, void *buffer, size_t size)
{
	struct probe_record *record = call_any(NAME("read"), fd, CALLER);
	if (!record)
		return NEXT(read)(fd, buffer, size);
	data_enter(record, PROBE_IN, size, 0);
	ssize_t result = NEXT(read)(fd, buffer, size);
	log_return(record, result);
	data_end(record, buffer, size, result, 0);
	return result;
}

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
	struct probe_record *record = call_any(NAME("read"), fd, CALLER);
	if (!record)
		return NEXT(__read_chk)(fd, buffer, size, room);
	data_enter(record, PROBE_IN, size, 0);
	ssize_t result = NEXT(__read_chk)(fd, buffer, size, room);
	log_return(record, result);
	data_end(record, buffer, size, result, 0);
	return result;
}

EXPORT ssize_t readv(int fd, const struct iovec *parts, int count)
{
	struct probe_record *record = call_any(NAME("readv"), fd, CALLER);
	if (!record)
		return NEXT(readv)(fd, parts, count);
	parts_enter(record, PROBE_IN, parts, count);
	ssize_t result = NEXT(readv)(fd, parts, count);
	log_return(record, result);
	moved(record, parts, (size_t)count, result, 0);
	log_state(record, PROBE_RETURNED);
	return result;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct probe_record *record = call_socket(NAME("recvmsg"), fd, CALLER);
	if (!record)
		return NEXT(recvmsg)(fd, message, flags);
	record->marks |= PROBE_IN;
	message_args(record, message, flags, message_readable(message));
	log_enter(record);
	ssize_t result = NEXT(recvmsg)(fd, message, flags);
	log_return(record, result);
	if (result >= 0)
		message_received(record, message, result, flags);
	log_state(record, PROBE_RETURNED);
	return result;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	struct probe_record *record = call_socket(NAME("recvmmsg"), fd, CALLER);
	if (!record)
		return NEXT(recvmmsg)(fd, messages, count, flags, timeout);
	record->marks |= PROBE_IN;
	record->arg[1] = flags;
	record->arg[5] = count;
	log_enter(record);
	int result = NEXT(recvmmsg)(fd, messages, count, flags, timeout);
	log_return(record, result);
	for (int i = 0; i < result; i++) {
		struct probe_record *one = message_record(record, i, result);
		if (!one)
			break;
		struct msghdr *message = &messages[i].msg_hdr;
		message_args(one, message, flags, true);
		message_received(one, message, messages[i].msg_len, flags);
		if (i)
			log_state(one, PROBE_RETURNED);
	}
	log_state(record, PROBE_RETURNED);
	return result;
}
