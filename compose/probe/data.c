/* Calls that move bytes. */
#ifndef PROBE_DATA_H
#define PROBE_DATA_H

/* ---------------------------------------------------------------- one buffer */

static void data_enter(struct probe_record *record, enum probe_mark direction, size_t size, int flags)
{
	record->marks |= (uint16_t)direction;
	record->arg[0] = (int64_t)size;
	record->arg[1] = flags;
	log_enter(record);
}

static void data_end(struct probe_record *record, const void *buffer, size_t size, ssize_t result, int flags)
{
	moved(record, &(struct iovec){(void *)buffer, size}, 1, result, flags);
	log_state(record, PROBE_RETURNED);
}

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

/* ---------------------------------------------------------------- several buffers */

static void parts_enter(struct probe_record *record, enum probe_mark direction, const struct iovec *parts, int count)
{
	record->marks |= (uint16_t)direction;
	record->arg[2] = count;
	if (count > 0 && readable(parts, (size_t)count * sizeof *parts))
		record->arg[0] = (int64_t)total(parts, (size_t)count);
	log_enter(record);
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
	if (result >= 0)
		moved(record, message->msg_iov, message->msg_iovlen, result, flags);
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

/* ---------------------------------------------------------------- several messages: a record for each that moved */

/* The record of message `i`: the one that was entered for the first, a further one with the same times for others. */
static struct probe_record *message_record(struct probe_record *first, int i, int of)
{
	struct probe_record *record = first;
	if (i) {
		record = log_record(first->name, first->fd, first->cookie, (void *)(uintptr_t)first->caller);
		if (!record)
			return NULL;
		record->marks = first->marks & (PROBE_IN | PROBE_OUT | PROBE_STREAM);
		record->start = first->start;
		record->end = first->end;
		record->result = first->result;
	}
	record->arg[4] = i;
	record->arg[5] = of;
	return record;
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
		const struct msghdr *message = &messages[i].msg_hdr;
		message_args(one, message, flags, true);
		put_address(one, message->msg_name, message->msg_namelen);
		moved(one, message->msg_iov, message->msg_iovlen, messages[i].msg_len, flags);
		if (i)
			log_state(one, PROBE_RETURNED);
	}
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

/* ---------------------------------------------------------------- bytes that the program does not see */

static void unseen_end(struct probe_record *record, ssize_t result)
{
	log_return(record, result);
	if (result > 0)
		record->length = (uint64_t)result;
	log_state(record, PROBE_RETURNED);
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

#endif
