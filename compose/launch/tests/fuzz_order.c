/* Any text as an order of launch. */

#define _GNU_SOURCE /* strndup */
#include <stdlib.h>
#include <string.h>

#include "common/tests/fuzz.h"
#include "launch/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct order order;
	size_t length = 0;
	char *line = strndup((const char *)data, size);
	parse_order(&order, line);
	for (int i = 0; i < order.count; i++)
		length += strlen(order.word[i]);
	free(line);
	return length > size ? abort(), 0 : 0;
}
