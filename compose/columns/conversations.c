/* A hash table with open addressing; keys are hashes already. */

#include <stdlib.h>
#include <string.h>

#include "columns/conversations.h"
#include "columns/hashes.h"

enum { FIRST_ROOM = 1024, RECENT_BITS = 15 };

struct conversations {
	uint64_t *keys; /* by number */
	struct ends *ends;
	int32_t *slots; /* number + 1, 0: free; twice the room */
	int64_t count, room;
	int32_t recent[1 << RECENT_BITS]; /* number + 1 of the one asked for last, by a mix of its ends; 0: none */
};

static int make_room(struct conversations *all, int64_t room)
{
	uint64_t *keys = realloc(all->keys, (size_t)room * sizeof *keys);
	if (keys)
		all->keys = keys;
	struct ends *ends = keys ? realloc(all->ends, (size_t)room * sizeof *ends) : NULL;
	if (ends)
		all->ends = ends;
	int32_t *slots = ends ? calloc((size_t)room * 2, sizeof *slots) : NULL;
	if (!slots)
		return 0;
	free(all->slots);
	all->slots = slots;
	all->room = room;
	for (int64_t k = 0; k < all->count; k++) {
		uint64_t at = all->keys[k] & (uint64_t)(room * 2 - 1);
		while (slots[at])
			at = (at + 1) & (uint64_t)(room * 2 - 1);
		slots[at] = (int32_t)(k + 1);
	}
	return 1;
}

struct conversations *new_conversations(void)
{
	struct conversations *all = calloc(1, sizeof *all);
	if (all && !make_room(all, FIRST_ROOM)) {
		free_conversations(all);
		return NULL;
	}
	return all;
}

void free_conversations(struct conversations *all)
{
	if (!all)
		return;
	free(all->keys);
	free(all->ends);
	free(all->slots);
	free(all);
}

int64_t count_conversations(const struct conversations *all)
{
	return all->count;
}

void conversation_keys(const struct conversations *all, uint64_t *keys)
{
	memcpy(keys, all->keys, (size_t)all->count * sizeof *keys);
}

int32_t number_conversation(struct conversations *all, uint64_t key, const struct ends *ends)
{
	uint64_t at = key & (uint64_t)(all->room * 2 - 1);
	for (; all->slots[at]; at = (at + 1) & (uint64_t)(all->room * 2 - 1)) {
		int32_t number = all->slots[at] - 1;
		if (all->keys[number] == key) {
			if (ends && !all->ends[number].version)
				all->ends[number] = *ends;
			return number;
		}
	}
	if (all->count == all->room) {
		if (all->room > INT32_MAX / 4 || !make_room(all, all->room * 2))
			return -1;
		return number_conversation(all, key, ends);
	}
	all->keys[all->count] = key;
	all->ends[all->count] = ends ? *ends : (struct ends){.version = 0};
	all->slots[at] = (int32_t)(all->count + 1);
	return (int32_t)all->count++;
}

/* A packet's key, the same in both directions; says which of its ends is the source. */
static uint64_t key_of(struct ends *ends)
{
	const uint64_t *a = ends->address;
	uint64_t one = hash_triple(a[0], a[1], ends->port[0]), two = hash_triple(a[2], a[3], ends->port[1]);
	ends->turned = one > two;
	return hash_triple(one > two ? two : one, one > two ? one : two, ends->protocol);
}

static inline int same_ends(const struct ends *known, const struct ends *ends, int source)
{
	const uint64_t *a = known->address + 2 * source, *b = known->address + 2 * !source;
	return a[0] == ends->address[0] && a[1] == ends->address[1] && b[0] == ends->address[2] && b[1] == ends->address[3] &&
	       known->port[source] == ends->port[0] && known->port[!source] == ends->port[1];
}

int32_t conversation_between(struct conversations *all, struct ends *ends)
{
	const uint64_t *a = ends->address; /* the same mix in both directions */
	uint64_t mix = (a[0] ^ a[2]) + ((a[1] ^ a[3]) << 16) + (ends->port[0] ^ ends->port[1]);
	int32_t *recent = all->recent + (mix * HASH_START >> (64 - RECENT_BITS));
	if (*recent) {
		const struct ends *known = all->ends + *recent - 1;
		for (int source = 0; source < 2 && known->version && known->protocol == ends->protocol; source++)
			if (same_ends(known, ends, source)) {
				ends->turned = known->turned ^ source;
				return *recent - 1;
			}
	}
	int32_t number = number_conversation(all, key_of(ends), ends);
	*recent = number + 1;
	return number;
}

void conversation_ends(const struct conversations *all, struct ends *ends)
{
	memcpy(ends, all->ends, (size_t)all->count * sizeof *ends);
}

int number_conversations(struct conversations *all, const uint64_t *keys, int64_t count, int32_t *numbers)
{
	for (int64_t k = 0; k < count; k++)
		if ((numbers[k] = number_conversation(all, keys[k], NULL)) < 0)
			return 0;
	return 1;
}
