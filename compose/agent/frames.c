/* Frames to the runner, on standard output: see agent.c for what they are. */

#ifndef AGENT_FRAMES_H
#define AGENT_FRAMES_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 9, CHUNK = 256 * 1024 };

/* Return the n-th (from 0) of the texts in a payload, each ending in NUL; empty where there are fewer. */
static const char *part(const char *payload, size_t size, int n)
{
	const char *at = payload;
	while (n-- > 0 && at < payload + size)
		at += strlen(at) + 1;
	return at <= payload + size ? at : "";
}

static void die(const char *what)
{
	fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
	exit(70);
}

static void *grow(void *old, size_t size)
{
	void *block = realloc(old, size);
	if (!block)
		die("realloc");
	return block;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put32(unsigned char *to, uint32_t value)
{
	value = htonl(value);
	memcpy(to, &value, 4);
}

static uint32_t get32(const unsigned char *from)
{
	uint32_t value;
	memcpy(&value, from, 4);
	return ntohl(value);
}

static void write_all(const void *data, size_t size)
{
	const char *at = data;
	while (size) {
		ssize_t n = write(STDOUT_FILENO, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			exit(0); /* the runner is gone; process 1 ends and the namespace with it */
		at += n;
		size -= (size_t)n;
	}
}

static void send_frame(char type, uint32_t id, const void *payload, size_t size)
{
	unsigned char header[HEADER];
	header[0] = (unsigned char)type;
	put32(header + 1, id);
	put32(header + 5, (uint32_t)size);
	write_all(header, HEADER);
	write_all(payload, size);
}

static void send_error(uint32_t id, int error, const char *what)
{
	unsigned char payload[256];
	size_t length = strlen(what);
	if (length > sizeof payload - 4)
		length = sizeof payload - 4;
	put32(payload, (uint32_t)error);
	memcpy(payload + 4, what, length);
	send_frame('n', id, payload, 4 + length);
}

static void send_stamped(char type, uint32_t id, uint32_t value, uint64_t ns)
{
	unsigned char payload[12];
	put32(payload, value);
	put32(payload + 4, (uint32_t)(ns >> 32));
	put32(payload + 8, (uint32_t)ns);
	send_frame(type, id, payload, sizeof payload);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#endif
