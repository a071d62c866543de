/* hashes.h: the hashes that testbed/pairing makes of rows and of captured bytes, to the bit. */

#ifndef COLUMNS_HASHES_H
#define COLUMNS_HASHES_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 of captured bytes, 0 of none. */
uint64_t digest_of(const uint8_t *bytes, size_t length);
/* What testbed/pairing/row_hash.py makes of one row of columns: begin with HASH_START, add the columns one by one, end. */
enum { HASH_COLUMNS = 12 };
extern const uint64_t HASH_FACTORS[HASH_COLUMNS];
static const uint64_t HASH_START = UINT64_C(0x9E3779B97F4A7C15), HASH_FOLD = UINT64_C(0xD6E8FEB86659FD93);

static inline uint64_t hash_spread(uint64_t value, int column)
{
	return (value + (HASH_FACTORS[column] >> 32)) * HASH_FACTORS[column];
}

static inline uint64_t hash_more(uint64_t sum, uint64_t value, int column)
{
	return sum + (hash_spread(value, column) ^ hash_spread(value, column) >> 29);
}

static inline uint64_t hash_folded(uint64_t sum)
{
	return (sum ^ sum >> 32) * HASH_FOLD;
}

static inline uint64_t hash_end(uint64_t sum)
{
	return hash_folded(sum) ^ hash_folded(sum) >> 32;
}

uint64_t hash_pair(uint64_t first, uint64_t second);
uint64_t hash_triple(uint64_t first, uint64_t second, uint64_t third);

#endif
