#include "actor/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

/* Not stdio: the program shall make no call and hold no byte that the script does not ask for. */
char *next_line(bool alone)
{
	static char *held;
	static size_t length, room;
	for (;;) {
		char *newline = length ? memchr(held, '\n', length) : NULL;
		if (newline) {
			size_t used = (size_t)(newline - held) + 1;
			char *line = copy_bytes(held, used);
			line[used - 1] = '\0';
			length -= used;
			memmove(held, newline + 1, length);
			return line;
		}
		if (length == room) {
			room = room ? room * 2 : 65536;
			held = grow(held, room);
		}
		ssize_t got = read(STDIN_FILENO, held + length, alone ? 1 : room - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return NULL;
		length += (size_t)got;
	}
}

void put_json(FILE *to, const char *text)
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

char *to_hex(const unsigned char *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char *text = grow(NULL, 2 * length + 1);
	for (size_t i = 0; i < length; i++) {
		text[2 * i] = digits[data[i] >> 4];
		text[2 * i + 1] = digits[data[i] & 15];
	}
	text[2 * length] = '\0';
	return text;
}
