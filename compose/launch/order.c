#define _GNU_SOURCE /* strsep */
#include "launch/order.h"

#include <string.h>

/* How many words come before the one that may hold blanks; 0: none may. */
static int words_before_last(const char *name)
{
	if (!strcmp(name, "sysctl") || !strcmp(name, "place"))
		return 2;
	return strcmp(name, "own") ? 0 : 4;
}

void parse_order(struct order *order, char *line)
{
	char *at = line;
	*order = (struct order){.count = 0};
	while (at && order->count < MAX_WORDS) {
		if (order->count && order->count == words_before_last(order->word[0])) {
			order->word[order->count++] = at;
			break;
		}
		order->word[order->count++] = strsep(&at, " ");
	}
}

bool is_order(const struct order *order, const char *name, int count)
{
	return order->count == count && !strcmp(order->word[0], name);
}
