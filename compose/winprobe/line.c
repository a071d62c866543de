#include "winprobe/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void line_add(struct line *line, const char *format, ...)
{
	size_t left = sizeof line->text - line->used;
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(line->text + line->used, left, format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < left)
		line->used += (size_t)length;
	else
		line->text[line->used] = 0;
}

void line_text(struct line *line, const char *text)
{
	line_add(line, "\"");
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		line_add(line, *at < ' ' || *at == '"' || *at == '\\' || *at > '~' ? "\\u%04x" : "%c", *at);
	line_add(line, "\"");
}

void line_hex(struct line *line, const void *bytes, size_t length)
{
	line_add(line, "\"");
	for (size_t i = 0; i < length; i++)
		line_add(line, "%02x", ((const unsigned char *)bytes)[i]);
	line_add(line, "\"");
}
