/* A hash table of the keys of one side; keys are hashes already. */

#include <stdlib.h>

#include "columns/join.h"

enum { AHEAD = 16 }; /* keys whose slots are fetched before they are needed */

/* A key of b, by the first place that has it: `next` place with it, the `last` one, the next to be paired, and how often
 * a has it, up to 2. */
struct chain {
	int32_t next, last, turn;
	uint8_t often, in_a;
};

static inline uint64_t place_of(uint64_t key, int shift)
{
	return key >> shift; /* the upper bits: the lower ones may be masked */
}

static int32_t *find(int32_t *slots, uint64_t room, int shift, const uint64_t *keys, uint64_t key, uint64_t mask)
{
	uint64_t at = place_of(key, shift);
	while (slots[at] >= 0 && (keys[slots[at]] & mask) != (key & mask))
		at = (at + 1) & (room - 1);
	return slots + at;
}

static void put_all(int32_t *slots, uint64_t room, int shift, const uint64_t *b, int64_t count, uint64_t mask, struct chain *chains)
{
	for (int64_t k = 0; k < count; k++) {
		if (k + AHEAD < count)
			__builtin_prefetch(slots + place_of(b[k + AHEAD], shift));
		int32_t *slot = find(slots, room, shift, b, b[k], mask);
		chains[k] = (struct chain){-1, (int32_t)k, (int32_t)k, 0, 0};
		if (*slot < 0) {
			*slot = (int32_t)k;
			continue;
		}
		struct chain *chain = chains + *slot;
		chains[chain->last].next = (int32_t)k;
		chain->last = (int32_t)k;
		chain->often = 1;
	}
}

int64_t join_keys(const uint64_t *a, int64_t count_a, const uint64_t *b, int64_t count_b, uint64_t mask, int64_t *x, int64_t *y,
                  uint8_t *several)
{
	if (count_a > INT32_MAX || count_b > INT32_MAX / 2)
		return -1;
	int bits = 4;
	while ((int64_t)1 << bits < count_b * 2)
		bits++;
	uint64_t room = UINT64_C(1) << bits;
	int32_t *slots = malloc(room * sizeof *slots), *heads = malloc(((size_t)count_a + 1) * sizeof *heads);
	struct chain *chains = malloc(((size_t)count_b + 1) * sizeof *chains);
	int64_t found = slots && heads && chains ? 0 : -1, kept = 0;
	if (!found) {
		for (uint64_t k = 0; k < room; k++)
			slots[k] = -1;
		put_all(slots, room, 64 - bits, b, count_b, mask, chains);
		for (int64_t k = 0; k < count_a; k++) {
			if (k + AHEAD < count_a)
				__builtin_prefetch(slots + place_of(a[k + AHEAD], 64 - bits));
			int32_t head = *find(slots, room, 64 - bits, b, a[k], mask);
			if (head < 0)
				continue;
			struct chain *chain = chains + head;
			chain->in_a += chain->in_a < 2;
			if (chain->turn < 0)
				continue;
			heads[found] = head;
			x[found] = k;
			y[found++] = chain->turn;
			chain->turn = chains[chain->turn].next;
		}
		for (int64_t k = 0; k < found; k++) {
			const struct chain *chain = chains + heads[k];
			if (a[x[k]] != b[y[k]])
				continue;
			x[kept] = x[k];
			y[kept] = y[k];
			several[kept++] = chain->often || chain->in_a > 1;
		}
		found = kept;
	}
	free(slots);
	free(heads);
	free(chains);
	return found;
}
