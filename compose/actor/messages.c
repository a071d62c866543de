/* Steps whose one call moves several buffers or messages, and splice. */

#define _GNU_SOURCE /* sendmmsg, splice, IOV_MAX */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "actor/pattern.h"
#include "actor/steps.h"
#include "common/memory.h"

/* The buffers of a step one behind the other in the common one. */
static size_t place_buffers(const struct step *step, struct iovec *parts)
{
	unsigned char *at = step_buffer;
	for (int i = 0; i < step->sizes_count; at += step->sizes[i++])
		parts[i] = (struct iovec){at, step->sizes[i]};
	return (size_t)step->sizes_count;
}

static void show(struct ending *end, const unsigned char *data, uint64_t length)
{
	size_t room = SHOWN - end->shown_len, now = length < room ? (size_t)length : room;
	memcpy(end->shown + end->shown_len, data, now);
	end->shown_len += now;
}

void run_readv(const struct step *step, struct ending *end)
{
	struct iovec parts[IOV_MAX];
	size_t count = place_buffers(step, parts);
	end->moves_bytes = end->received = true;
	if (!CALL(end, readv, step->sock->fd, parts, (int)count))
		return;
	end->bytes = (uint64_t)end->result;
	show(end, step_buffer, end->bytes);
}

void run_recvmsg(const struct step *step, struct ending *end)
{
	struct iovec parts[IOV_MAX];
	_Alignas(struct cmsghdr) unsigned char control[512]; /* what came beside the bytes: a GRO segment's size, a time, an error */
	size_t count = place_buffers(step, parts);
	uint64_t room = 0;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count, .msg_control = control, .msg_controllen = sizeof control};
	end->moves_bytes = end->received = true;
	if (!CALL(end, recvmsg, step->sock->fd, &message, step->flags))
		return;
	end->has_packet_info = find_packet_info(&message, false, &end->packet_info);
	for (size_t i = 0; i < count; i++)
		room += parts[i].iov_len;
	end->bytes = (uint64_t)end->result;
	show(end, step_buffer, end->bytes < room ? end->bytes : room);
}

void run_recvmmsg(const struct step *step, struct ending *end)
{
	struct mmsghdr *messages = zeroed(sizeof *messages * (size_t)step->count);
	struct iovec *parts = zeroed(sizeof *parts * (size_t)step->count);
	for (int i = 0; i < step->count; i++) {
		parts[i] = (struct iovec){step_buffer + step->size * (uint64_t)i, step->size};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	end->moves_bytes = end->received = true;
	if (CALL(end, recvmmsg, step->sock->fd, messages, (unsigned)step->count, step->flags, NULL))
		for (int i = 0; i < end->result; i++) {
			end->bytes += messages[i].msg_len;
			show(end, parts[i].iov_base, messages[i].msg_len < step->size ? messages[i].msg_len : step->size);
		}
	free(messages);
	free(parts);
}

/* Messages of one buffer each; those that the kernel did not take are given to it again, unless there is to be one call. */
void run_sendmmsg(const struct step *step, struct ending *end)
{
	struct mmsghdr *messages = zeroed(sizeof *messages * (size_t)step->parts);
	for (int i = 0; i < step->parts; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = step->addr_len ? (void *)step_address(step) : NULL, .msg_namelen = step->addr_len,
			.msg_iov = &step->part[i], .msg_iovlen = 1,
		};
	end->moves_bytes = true;
	for (int given = 0; given < step->parts;) {
		if (!CALL(end, sendmmsg, step->sock->fd, messages + given, (unsigned)(step->parts - given), step->flags))
			break;
		for (int i = 0; i < end->result; i++) {
			end->bytes += messages[given + i].msg_len;
			*step->sock->sent += messages[given + i].msg_len;
		}
		given += (int)end->result;
		if (step->once)
			break;
	}
	free(messages);
}

/* Fill a pipe with the pattern; false with the error noted. */
static bool fill_pipe(const struct step *step, struct ending *end, int pipe_end, uint64_t size)
{
	fill_pattern(step_buffer, step->seed, *step->to->sent, size);
	for (uint64_t done = 0; done < size;) {
		ssize_t written = write(pipe_end, step_buffer + done, size - done);
		if (written < 0) {
			end->error = errno;
			return false;
		}
		done += (uint64_t)written;
	}
	return true;
}

/* Take a pipe's bytes, which were spliced from a socket and go nowhere. */
static void empty_pipe(struct ending *end, int pipe_end, uint64_t size)
{
	for (uint64_t done = 0; done < size;) {
		ssize_t got = read(pipe_end, step_buffer, size - done < FILE_CHUNK ? size - done : FILE_CHUNK);
		if (got <= 0)
			return;
		show(end, step_buffer, (uint64_t)got);
		done += (uint64_t)got;
	}
}

/* Bytes go through a pipe without being copied to the program: from a socket or the pattern, to a socket or nowhere. */
void run_splice(const struct step *step, struct ending *end)
{
	int ends[2];
	end->moves_bytes = true;
	end->received = step->sock && !step->to;
	end->call = "splice";
	if (pipe(ends) < 0) {
		end->error = errno;
		return;
	}
	while (end->bytes < step->size) {
		uint64_t now = step->size - end->bytes < FILE_CHUNK ? step->size - end->bytes : FILE_CHUNK;
		if (step->sock) {
			if (!CALL(end, splice, step->sock->fd, NULL, ends[1], NULL, now, SPLICE_F_MOVE) || !end->result)
				break;
			now = (uint64_t)end->result;
		} else if (!fill_pipe(step, end, ends[1], now)) {
			break;
		}
		if (!step->to) {
			empty_pipe(end, ends[0], now);
			end->bytes += now;
			continue;
		}
		for (uint64_t given = 0; given < now;) {
			if (!CALL(end, splice, ends[0], NULL, step->to->fd, NULL, now - given, SPLICE_F_MOVE))
				goto out;
			given += (uint64_t)end->result;
			end->bytes += (uint64_t)end->result;
			*step->to->sent += (uint64_t)end->result;
		}
	}
out:
	close(ends[0]);
	close(ends[1]);
}
