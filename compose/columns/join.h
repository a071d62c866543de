/* join.h: equal keys of two captures, the first with the first, the second with the second, and so on. */

#ifndef COLUMNS_JOIN_H
#define COLUMNS_JOIN_H

#include <stdint.h>

/* Pair the keys of `a` and `b` of which the bits of `mask` are equal, as testbed/pairing/equal_keys.py does. Writes for each pair
 * its places in both, ascending in `a`, and whether a key that is like it is there more than once; there is room for `count_a` of
 * each. Returns how many pairs there are, -1 without memory. */
int64_t join_keys(const uint64_t *a, int64_t count_a, const uint64_t *b, int64_t count_b, uint64_t mask, int64_t *x, int64_t *y,
                  uint8_t *several);

#endif
