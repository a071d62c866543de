/* stacks.h: the names of the functions in call stacks, from the text of a trace whose option `sym-addr` is set, and those of
 * timers. It names them where /proc/kallsyms hides its addresses. */

#ifndef WITNESS_STACKS_H
#define WITNESS_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Addresses whose names were read already; all zero: none. */
struct known_addresses {
	uint64_t *slots;
	size_t size, count;
};

/* Remember an address; false if it was known. */
bool learn(struct known_addresses *known, uint64_t address);

/* Read a line ` => NAME <ADDRESS>` of a stack, that ends in NUL. NAME may have blanks (` [module]`), which are cut. */
bool parse_stack_line(char *line, const char **name, uint64_t *address);

enum { MAX_TIMERS = 16, FUNCTION_SIZE = 64 };

/* Functions of timers that were read already; all zero: none. */
struct known_timers {
	char names[MAX_TIMERS][FUNCTION_SIZE];
	size_t count;
};

/* Read a line of timer_expire_entry or hrtimer_expire_entry and remember its function; false if it was known, or is none. */
bool learn_timer(struct known_timers *known, const char *line);

#endif
