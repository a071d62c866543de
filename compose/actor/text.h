/* text.h: text in and out: lines of standard input, JSON strings, hex. */

#ifndef ACTOR_TEXT_H
#define ACTOR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The next line of standard input without its newline; NULL at the end of input. The caller frees it. With `alone` nothing
 * behind the newline is read: another process reads the next line. */
char *next_line(bool alone);

void put_json(FILE *to, const char *text);

/* The caller frees it. */
char *to_hex(const unsigned char *data, size_t length);

#endif
