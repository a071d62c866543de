/* Hashes of rows (testbed/pairing/row_hash.py) and of bytes. */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "columns/hashes.h"

const uint64_t HASH_FACTORS[HASH_COLUMNS] = {
	UINT64_C(0x6A09E667F3BCC909), UINT64_C(0xBB67AE8584CAA73B), UINT64_C(0x3C6EF372FE94F82B), UINT64_C(0xA54FF53A5F1D36F1),
	UINT64_C(0x510E527FADE682D1), UINT64_C(0x9B05688C2B3E6C1F), UINT64_C(0x1F83D9ABFB41BD6B), UINT64_C(0x5BE0CD19137E2179),
	UINT64_C(0xCBBB9D5DC1059ED9), UINT64_C(0x629A292A367CD507), UINT64_C(0x9159015A3070DD17), UINT64_C(0x152FECD8F70E5939),
};

uint64_t digest_of(const uint8_t *bytes, size_t length)
{
	return length ? XXH3_64bits(bytes, length) : 0;
}

uint64_t hash_pair(uint64_t first, uint64_t second)
{
	return hash_end(hash_more(hash_more(HASH_START, first, 0), second, 1));
}

uint64_t hash_triple(uint64_t first, uint64_t second, uint64_t third)
{
	return hash_end(hash_more(hash_more(hash_more(HASH_START, first, 0), second, 1), third, 2));
}
