/* Text in and out: lines of standard input, JSON strings, hex. */
#ifndef ACTOR_TEXT_H
#define ACTOR_TEXT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "actor_memory.h"

/* The next line of standard input without its newline; NULL at the end of input. Not stdio: nothing is hidden. */
static char *next_line(void)
{
	static char *held;
	static size_t length, room;
	for (;;) {
		char *newline = length ? memchr(held, '\n', length) : NULL;
		if (newline) {
			size_t used = (size_t)(newline - held) + 1;
			char *line = grow(NULL, used);
			memcpy(line, held, used);
			line[used - 1] = '\0';
			length -= used;
			memmove(held, newline + 1, length);
			return line;
		}
		if (length == room) {
			room = room ? room * 2 : 65536;
			held = grow(held, room);
		}
		ssize_t got = read(STDIN_FILENO, held + length, room - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return NULL;
		length += (size_t)got;
	}
}

static void put_json(FILE *to, const char *text)
{
	fputc('"', to);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(to, "\\%c", *c);
		else if (*c < 0x20 || *c >= 0x7f) /* a byte above 7e stands for the code point of its number */
			fprintf(to, "\\u%04x", *c);
		else
			fputc(*c, to);
	}
	fputc('"', to);
}

static char *to_hex(const unsigned char *data, size_t length)
{
	char *text = grow(NULL, 2 * length + 1);
	for (size_t i = 0; i < length; i++)
		sprintf(text + 2 * i, "%02x", data[i]);
	text[2 * length] = '\0';
	return text;
}

#endif
