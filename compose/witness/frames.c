#include "witness/frames.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"

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

void put_frame_header(unsigned char to[FRAME_HEADER], char type, size_t size)
{
	to[0] = (unsigned char)type;
	put32(to + 1, (uint32_t)size);
}

void send_frame(char type, const void *first, size_t first_size, const void *second, size_t second_size)
{
	unsigned char header[FRAME_HEADER];
	put_frame_header(header, type, first_size + second_size);
	write_all(header, sizeof header);
	write_all(first, first_size);
	write_all(second, second_size);
}

void send_text(char type, const char *text)
{
	send_frame(type, text, strlen(text), "", 0);
}
