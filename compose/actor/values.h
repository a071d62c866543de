/* values.h: what each key of a step may hold, and what is said where a line is wrong. */

#ifndef ACTOR_VALUES_H
#define ACTOR_VALUES_H

#include "actor/script.h"

#define CHUNK_MAX ((uint64_t)64 << 20) /* the largest buffer of one call */

/* Says what is wrong with the present line; returns false for the caller to pass on. */
bool report_error(struct script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool report_value(struct script *script, enum key key, const char *text, const char *wanted);

/* The number of one of the words, `length` bytes of text. */
bool parse_word(const struct word *words, const char *text, size_t length, int *number);

/* A decimal number up to `most`, nothing before or after it. */
bool parse_number(const char *text, uint64_t most, uint64_t *number);

/* One key by itself. */
bool parse_value(struct script *script, struct step *step, enum key key, const char *text);

/* What depends on the socket's family: addr= and port=. */
bool parse_address(struct script *script, struct step *step);

/* from= of a message that is sent: a control message. */
bool parse_from(struct script *script, struct step *step);

/* name= and value= of a socket option. */
bool parse_option(struct script *script, struct step *step);

#endif
