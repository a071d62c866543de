#include "agent/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/frames.h"
#include "common/bytes.h"

static void write_all(struct iovec *part, int count)
{
	while (count) {
		ssize_t n = writev(STDOUT_FILENO, part, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			exit(0); /* the runner is gone; process 1 ends and the namespace with it */
		for (; count && (size_t)n >= part->iov_len; part++, count--)
			n -= (ssize_t)part->iov_len;
		if (count) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
}

void send_frame(char type, uint32_t id, const void *payload, size_t size)
{
	unsigned char header[HEADER];
	put_header(header, type, id, size);
	struct iovec parts[] = {{header, HEADER}, {(void *)payload, size}};
	write_all(parts, size ? 2 : 1);
}

void send_error(uint32_t id, int error, const char *what)
{
	unsigned char payload[256];
	size_t length = strlen(what);
	if (length > sizeof payload - 4)
		length = sizeof payload - 4;
	put32(payload, (uint32_t)error);
	memcpy(payload + 4, what, length);
	send_frame('n', id, payload, 4 + length);
}

struct gathered *gather(uint32_t id)
{
	static struct gathered gathered;
	gathered.id = id;
	gathered.length = 0;
	return &gathered;
}

static void send_part(struct gathered *gathered)
{
	if (gathered->length)
		send_frame('f', gathered->id, gathered->bytes, gathered->length);
	gathered->length = 0;
}

void add_part(struct gathered *gathered, const void *bytes, size_t size)
{
	for (const char *from = bytes; size;) {
		size_t fits = sizeof gathered->bytes - gathered->length;
		if (fits > size)
			fits = size;
		memcpy(gathered->bytes + gathered->length, from, fits);
		gathered->length += fits;
		from += fits;
		size -= fits;
		if (gathered->length == sizeof gathered->bytes)
			send_part(gathered);
	}
}

void send_gathered(struct gathered *gathered)
{
	send_part(gathered);
	send_frame('k', gathered->id, NULL, 0);
}

void send_stamped(char type, uint32_t id, uint32_t value, uint64_t ns)
{
	unsigned char payload[12];
	put32(payload, value);
	put32(payload + 4, (uint32_t)(ns >> 32));
	put32(payload + 8, (uint32_t)ns);
	send_frame(type, id, payload, sizeof payload);
}
