/* hashes.h: the hashes that testbed/pairing makes of rows and of captured bytes, to the bit. */

#ifndef COLUMNS_HASHES_H
#define COLUMNS_HASHES_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 of captured bytes, 0 of none. */
uint64_t digest_of(const uint8_t *bytes, size_t length);
/* What testbed/pairing/row_hash.py makes of one row of columns. */
uint64_t hash_pair(uint64_t first, uint64_t second);
uint64_t hash_triple(uint64_t first, uint64_t second, uint64_t third);

#endif
