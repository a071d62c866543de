/* order.h: one line of orders as words. Pure. */

#ifndef LAUNCH_ORDER_H
#define LAUNCH_ORDER_H

#include <stdbool.h>

enum { MAX_WORDS = 6 };

struct order {
	char *word[MAX_WORDS]; /* parts of the line */
	int count;
};

/* Split a line, without its newline. The last word may hold blanks only in `sysctl`, `own` and `place`. */
void parse_order(struct order *order, char *line);

/* Is it this order, with that many words? */
bool is_order(const struct order *order, const char *name, int count);

#endif
