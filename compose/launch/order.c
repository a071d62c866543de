#define _GNU_SOURCE /* strsep */
#include "launch/order.h"

#include <string.h>

void parse_order(struct order *order, char *line)
{
	char *at = line;
	*order = (struct order){.count = 0};
	while (at && order->count < MAX_WORDS) {
		if (order->count == 2 && !strcmp(order->word[0], "sysctl")) {
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
