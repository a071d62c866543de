/* Hashes of rows (testbed/pairing/row_hash.py) and of bytes. */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "columns/hashes.h"

static const uint64_t FACTORS[] = {UINT64_C(0x6A09E667F3BCC909), UINT64_C(0xBB67AE8584CAA73B), UINT64_C(0x3C6EF372FE94F82B)};
static const uint64_t START = UINT64_C(0x9E3779B97F4A7C15), FOLD = UINT64_C(0xD6E8FEB86659FD93);

static inline uint64_t folded(uint64_t value, uint64_t factor)
{
	value = (value + (factor >> 32)) * factor;
	return value ^ value >> 29;
}

static inline uint64_t finished(uint64_t sum)
{
	sum = (sum ^ sum >> 32) * FOLD;
	return sum ^ sum >> 32;
}

uint64_t digest_of(const uint8_t *bytes, size_t length)
{
	return length ? XXH3_64bits(bytes, length) : 0;
}

uint64_t hash_pair(uint64_t first, uint64_t second)
{
	return finished(START + folded(first, FACTORS[0]) + folded(second, FACTORS[1]));
}

uint64_t hash_triple(uint64_t first, uint64_t second, uint64_t third)
{
	return finished(START + folded(first, FACTORS[0]) + folded(second, FACTORS[1]) + folded(third, FACTORS[2]));
}
