/* Calls that give bytes to the kernel. (splice is here for both directions: one of its two descriptors is a pipe.) */

#define _GNU_SOURCE
#include <fcntl.h>

#include "probe/next.h"
#include "probe/transfer.h"

EXPORT ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
	struct probe_record *record = call_socket(NAME("send"), fd, CALLER);
	if (!record)
		return NEXT(send)(fd, buffer, size, flags);
	data_enter(record, PROBE_OUT, size, flags);
	ssize_t result = NEXT(send)(fd, buffer, size, flags);
	log_return(record, result);
	data_end(record, buffer, size, result, flags);
	return result;
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t size, int flags, __CONST_SOCKADDR_ARG address,
                      socklen_t length)
{
	struct probe_record *record = call_socket(NAME("sendto"), fd, CALLER);
	if (!record)
		return NEXT(sendto)(fd, buffer, size, flags, address, length);
	put_address(record, address.__sockaddr__, length);
	data_enter(record, PROBE_OUT, size, flags);
	ssize_t result = NEXT(sendto)(fd, buffer, size, flags, address, length);
	log_return(record, result);
	learn_name(fd, record);
	data_end(record, buffer, size, result, flags);
	return result;
}

EXPORT ssize_t write(int fd, const void *buffer, size_t size)
{
	struct probe_record *record = call_any(NAME("write"), fd, CALLER);
	if (!record)
		return NEXT(write)(fd, buffer, size);
	data_enter(record, PROBE_OUT, size, 0);
	ssize_t result = NEXT(write)(fd, buffer, size);
	log_return(record, result);
	data_end(record, buffer, size, result, 0);
	return result;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
	struct probe_record *record = call_any(NAME("writev"), fd, CALLER);
	if (!record)
		return NEXT(writev)(fd, parts, count);
	parts_enter(record, PROBE_OUT, parts, count);
	ssize_t result = NEXT(writev)(fd, parts, count);
	log_return(record, result);
	moved(record, parts, (size_t)count, result, 0);
	log_state(record, PROBE_RETURNED);
	return result;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct probe_record *record = call_socket(NAME("sendmsg"), fd, CALLER);
	if (!record)
		return NEXT(sendmsg)(fd, message, flags);
	record->marks |= PROBE_OUT;
	bool known = message_readable(message);
	message_args(record, message, flags, known);
	if (known)
		put_address(record, message->msg_name, message->msg_namelen);
	log_enter(record);
	ssize_t result = NEXT(sendmsg)(fd, message, flags);
	log_return(record, result);
	learn_name(fd, record);
	if (result >= 0) {
		message_packet_info(record, (struct msghdr *)message);
		moved(record, message->msg_iov, message->msg_iovlen, result, flags);
	}
	log_state(record, PROBE_RETURNED);
	return result;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	struct probe_record *record = call_socket(NAME("sendmmsg"), fd, CALLER);
	if (!record)
		return NEXT(sendmmsg)(fd, messages, count, flags);
	record->marks |= PROBE_OUT;
	record->arg[1] = flags;
	record->arg[5] = count;
	log_enter(record);
	int result = NEXT(sendmmsg)(fd, messages, count, flags);
	log_return(record, result);
	learn_name(fd, record);
	for (int i = 0; i < result; i++) {
		struct probe_record *one = message_record(record, i, result);
		if (!one)
			break;
		struct msghdr *message = &messages[i].msg_hdr;
		message_args(one, message, flags, true);
		message_packet_info(one, message);
		put_address(one, message->msg_name, message->msg_namelen);
		moved(one, message->msg_iov, message->msg_iovlen, messages[i].msg_len, flags);
		if (i)
			log_state(one, PROBE_RETURNED);
	}
	log_state(record, PROBE_RETURNED);
	return result;
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
	struct probe_record *record = call_any(NAME("sendfile"), out, CALLER);
	if (!record)
		return NEXT(sendfile)(out, in, offset, count);
	data_enter(record, PROBE_OUT, count, 0);
	ssize_t result = NEXT(sendfile)(out, in, offset, count);
	unseen_end(record, result);
	return result;
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
{
	struct probe_record *record = call_any(NAME("sendfile"), out, CALLER);
	if (!record)
		return NEXT(sendfile64)(out, in, offset, count);
	data_enter(record, PROBE_OUT, count, 0);
	ssize_t result = NEXT(sendfile64)(out, in, offset, count);
	unseen_end(record, result);
	return result;
}

EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t count, unsigned flags)
{
	enum probe_mark direction = PROBE_OUT; /* one of the two is a pipe */
	struct probe_record *record = call_any(NAME("splice"), out, CALLER);
	if (!record) {
		direction = PROBE_IN;
		record = call_any(NAME("splice"), in, CALLER);
	}
	if (!record)
		return NEXT(splice)(in, in_offset, out, out_offset, count, flags);
	data_enter(record, direction, count, (int)flags);
	ssize_t result = NEXT(splice)(in, in_offset, out, out_offset, count, flags);
	unseen_end(record, result);
	return result;
}
