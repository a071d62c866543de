#include "link/chance.h"

#include "common/splitmix.h"

uint64_t draw(uint64_t seed, int side, uint64_t n, enum purpose purpose)
{
	return mix(mix(mix(mix(seed) + (uint64_t)side) + n) + purpose);
}

bool chance(double p, uint64_t seed, int side, uint64_t n, enum purpose purpose)
{
	return p > 0 && (double)(draw(seed, side, n, purpose) >> 11) * 0x1p-53 < p;
}
