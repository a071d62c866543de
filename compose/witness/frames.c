/* Frames to the runner, on standard output: type (1 byte), length (4 bytes, big endian), payload. */

#ifndef FRAMES_H
#define FRAMES_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static void write_all(const void *data, size_t size)
{
	const char *at = data;
	while (size > 0) {
		ssize_t n = write(1, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the runner is gone: the end of our input will say so */
		at += n;
		size -= (size_t)n;
	}
}

/* Write one frame whose payload has two parts. */
static void frame(char type, const void *first, size_t first_size, const void *second, size_t second_size)
{
	char header[5] = {type};
	uint32_t size = htonl((uint32_t)(first_size + second_size));
	memcpy(header + 1, &size, sizeof size);
	write_all(header, sizeof header);
	write_all(first, first_size);
	write_all(second, second_size);
}

static void frame_text(char type, const char *text)
{
	frame(type, text, strlen(text), "", 0);
}

#endif
