/* plan_values.h: words of the plan's lines and of those that follow it: `key=value` pairs, numbers, names, bytes. */

#ifndef LINK_PLAN_VALUES_H
#define LINK_PLAN_VALUES_H

#include "link/plan.h"

/* Say on `plan->errors` what is wrong with the present line, and remember that the plan failed. */
__attribute__((format(printf, 2, 3))) void report_error(struct plan *plan, const char *format, ...);

bool is(const char *key, const char *name);

/* Split `key=value` off a line; false at its end. */
bool next_pair(struct plan *plan, char **rest, char **key, char **value);

uint64_t parse_number(struct plan *plan, const char *key, const char *text, uint64_t most);
double parse_probability(struct plan *plan, const char *key, const char *text);

/* The place of a word among `words`; 0 (and an error reported) if it is not among them. */
int parse_word(struct plan *plan, const char *key, const char *text, const char *const *words, int count);

/* TCP flags as tcpdump prints them. */
int parse_flags(struct plan *plan, const char *text);

/* Bytes in small hex digits; nothing (and an error reported) if the text is none. */
struct blob parse_hex(struct plan *plan, const char *key, const char *text);

#endif
