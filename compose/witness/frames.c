#include "witness/frames.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"

enum { TOGETHER = 1 << 16 };

static char waiting[TOGETHER];
static size_t length;

static void write_all(const void *data, size_t size)
{
	const char *at = data;
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the runner is gone: the end of our input will say so */
		at += n;
		size -= (size_t)n;
	}
}

void flush_frames(void)
{
	write_all(waiting, length);
	length = 0;
}

static void add(const void *data, size_t size)
{
	if (size > sizeof waiting - length)
		flush_frames();
	if (size > sizeof waiting) {
		write_all(data, size);
		return;
	}
	memcpy(waiting + length, data, size);
	length += size;
}

void put_frame_header(unsigned char to[FRAME_HEADER], char type, size_t size)
{
	to[0] = (unsigned char)type;
	put32(to + 1, (uint32_t)size);
}

void send_frame(char type, const void *first, size_t first_size, const void *second, size_t second_size)
{
	unsigned char header[FRAME_HEADER];
	put_frame_header(header, type, first_size + second_size);
	add(header, sizeof header);
	add(first, first_size);
	add(second, second_size);
}

void send_frames(const void *frames, size_t size)
{
	add(frames, size);
}

void send_text(char type, const char *text)
{
	send_frame(type, text, strlen(text), "", 0);
}
