/* transfer.h: what the wrappers of calls that move bytes share. */

#ifndef PROBE_TRANSFER_H
#define PROBE_TRANSFER_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "probe/calls.h"

/* Note the `result` bytes that a returned call moved. Peeking moves none, nor does the error queue. With MSG_TRUNC a
 * stream drops bytes that the buffer does not show, and a datagram's length may be more than was copied. */
void moved(struct probe_record *record, const struct iovec *parts, size_t count, int64_t result, int flags);

/* One buffer. */
void data_enter(struct probe_record *record, enum probe_mark direction, size_t size, int flags);
void data_end(struct probe_record *record, const void *buffer, size_t size, ssize_t result, int flags);

/* Several buffers. */
void parts_enter(struct probe_record *record, enum probe_mark direction, const struct iovec *parts, int count);

/* Bytes that the program does not see: their number. */
void unseen_end(struct probe_record *record, ssize_t result);

/* A message. arg = size, flags, parts, control length, index and number of messages (sendmmsg, recvmmsg), flags received. */
bool message_readable(const struct msghdr *message);
void message_args(struct probe_record *record, const struct msghdr *message, int flags, bool known);

/* What a message that was received brought; `flags` are those of the call. */
void message_received(struct probe_record *record, struct msghdr *message, int64_t result, int flags);

/* Note to which address a message came, or from which one it leaves, if it says so; the kernel has just read or written it. */
void message_packet_info(const struct probe_record *record, struct msghdr *message);

/* The record of message `i`: the one that was entered for the first, a further one with the same times for others. */
struct probe_record *message_record(struct probe_record *first, int i, int of);

#endif
