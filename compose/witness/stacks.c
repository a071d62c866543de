#include "witness/stacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/splitmix.h"

static const char BEGIN[] = " => ";

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
