#include "witness/stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/splitmix.h"

static const char BEGIN[] = " => ", EXPIRES[] = "timer_expire_entry: ", FUNCTION[] = " function=";

static bool put(struct known_addresses *known, uint64_t address)
{
	size_t at = (size_t)mix(address) & (known->size - 1);
	for (; known->slots[at]; at = (at + 1) & (known->size - 1))
		if (known->slots[at] == address)
			return false;
	known->slots[at] = address;
	known->count++;
	return true;
}

static void make_room(struct known_addresses *known)
{
	struct known_addresses larger = {.size = known->size ? known->size * 2 : 1024};
	larger.slots = zeroed(larger.size * sizeof *larger.slots);
	for (size_t i = 0; i < known->size; i++)
		if (known->slots[i])
			put(&larger, known->slots[i]);
	free(known->slots);
	*known = larger;
}

bool learn(struct known_addresses *known, uint64_t address)
{
	if (!address)
		return false;
	if (known->count * 2 >= known->size)
		make_room(known);
	return put(known, address);
}

bool parse_stack_line(char *line, const char **name, uint64_t *address)
{
	char *open = strrchr(line, '<'), *end;
	if (strncmp(line, BEGIN, strlen(BEGIN)) || !open || open - line <= (ptrdiff_t)strlen(BEGIN))
		return false;
	errno = 0;
	*address = strtoull(open + 1, &end, 16);
	if (errno || end == open + 1 || *end != '>')
		return false;
	*name = line + strlen(BEGIN);
	line[strlen(BEGIN) + strcspn(*name, " <")] = 0;
	return **name != 0;
}

bool learn_timer(struct known_timers *known, const char *line)
{
	const char *function = strstr(line, EXPIRES) ? strstr(line, FUNCTION) : NULL;
	if (!function)
		return false;
	function += strlen(FUNCTION);
	size_t length = strcspn(function, " ");
	if (!length || length >= FUNCTION_SIZE)
		return false;
	for (size_t i = 0; i < known->count; i++)
		if (strlen(known->names[i]) == length && !memcmp(known->names[i], function, length))
			return false;
	if (known->count == MAX_TIMERS)
		return false;
	memcpy(known->names[known->count++], function, length); /* zeros are behind it */
	return true;
}
