/* text.h: text in and out: lines of standard input, JSON strings, hex. */

#ifndef ACTOR_TEXT_H
#define ACTOR_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* The next line of standard input without its newline; NULL at the end of input. The caller frees it. */
char *next_line(void);

void put_json(FILE *to, const char *text);

/* The caller frees it. */
char *to_hex(const unsigned char *data, size_t length);

#endif
