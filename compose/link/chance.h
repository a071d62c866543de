/* chance.h: random draws that repeat: the same whenever seed and traffic are. No clock, no state. */

#ifndef LINK_CHANCE_H
#define LINK_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

enum purpose { P_LOSS, P_DUPLICATE, P_CORRUPT, P_PLACE, P_REORDER, P_JITTER };

/* A number for packet `n` of a side and one purpose. */
uint64_t draw(uint64_t seed, int side, uint64_t n, enum purpose purpose);

/* True with probability `p`. */
bool chance(double p, uint64_t seed, int side, uint64_t n, enum purpose purpose);

#endif
