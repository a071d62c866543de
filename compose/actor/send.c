#define _GNU_SOURCE /* memfd_create, IOV_MAX */
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "actor/pattern.h"
#include "actor/steps.h"

/* Gives `data` to the kernel in as many calls as it takes, one at least (an empty datagram is a datagram). */
static bool send_bytes(const struct step *step, struct ending *end, const unsigned char *data, uint64_t length)
{
	int fd = step->sock->fd;
	do {
		bool ok = step->addr_len
			? CALL(end, sendto, fd, data, length, step->flags, step_address(step), step->addr_len)
			: CALL(end, send, fd, data, length, step->flags);
		if (!ok)
			return false;
		data += end->result;
		length -= (uint64_t)end->result;
		end->bytes += (uint64_t)end->result;
		*step->sock->sent += (uint64_t)end->result;
	} while (length && !step->once);
	return !length;
}

void run_send(const struct step *step, struct ending *end)
{
	uint64_t left = step->size;
	end->moves_bytes = true;
	if (step->parts) {
		send_bytes(step, end, step->part->iov_base, step->part->iov_len);
		return;
	}
	do {
		uint64_t now = left < step->chunk ? left : step->chunk;
		fill_pattern(step_buffer, step->seed, *step->sock->sent, now);
		if (!send_bytes(step, end, step_buffer, now))
			return;
		left -= now;
	} while (left && !step->once);
}

/* Gives several buffers to the kernel, the rest again where it takes only a part. */
static void send_parts(const struct step *step, struct ending *end,
                       bool (*give)(const struct step *, struct ending *, struct iovec *, size_t))
{
	struct iovec rest[IOV_MAX], *part = rest;
	size_t parts = (size_t)step->parts;
	uint64_t left = 0;
	memcpy(rest, step->part, sizeof *rest * parts);
	for (size_t i = 0; i < parts; i++)
		left += rest[i].iov_len;
	end->moves_bytes = true;
	for (;;) {
		if (!give(step, end, part, parts))
			return;
		size_t taken = (size_t)end->result;
		end->bytes += taken;
		*step->sock->sent += taken;
		left -= taken;
		if (!left || step->once)
			return;
		for (; taken >= part->iov_len; parts--)
			taken -= part++->iov_len;
		part->iov_base = (char *)part->iov_base + taken;
		part->iov_len -= taken;
	}
}

static bool give_message(const struct step *step, struct ending *end, struct iovec *part, size_t parts)
{
	struct msghdr message = {
		.msg_name = step->addr_len ? (void *)step_address(step) : NULL, .msg_namelen = step->addr_len,
		.msg_iov = part, .msg_iovlen = parts,
		.msg_control = step->control, .msg_controllen = step->control_len,
	};
	return CALL(end, sendmsg, step->sock->fd, &message, step->flags);
}

static bool give_vector(const struct step *step, struct ending *end, struct iovec *part, size_t parts)
{
	return CALL(end, writev, step->sock->fd, part, (int)parts);
}

void run_sendmsg(const struct step *step, struct ending *end)
{
	send_parts(step, end, give_message);
}

void run_writev(const struct step *step, struct ending *end)
{
	send_parts(step, end, give_vector);
}

/* The pattern as a file in memory; it is made before the call and is no socket. */
static int pattern_file(const struct step *step)
{
	int file = memfd_create("pattern", MFD_CLOEXEC);
	for (uint64_t made = 0; file >= 0 && made < step->size;) {
		uint64_t now = step->size - made < FILE_CHUNK ? step->size - made : FILE_CHUNK;
		fill_pattern(step_buffer, step->seed, *step->sock->sent + made, now);
		ssize_t written = write(file, step_buffer, now);
		if (written < 0) {
			close(file);
			return -1;
		}
		made += (uint64_t)written;
	}
	return file;
}

void run_sendfile(const struct step *step, struct ending *end)
{
	int file = pattern_file(step);
	off_t at = 0;
	end->moves_bytes = true;
	end->call = "sendfile";
	if (file < 0) {
		end->error = errno;
		return;
	}
	while (end->bytes < step->size && CALL(end, sendfile, step->sock->fd, file, &at, step->size - end->bytes)) {
		if (!end->result)
			break;
		end->bytes += (uint64_t)end->result;
		*step->sock->sent += (uint64_t)end->result;
	}
	close(file);
}
