#include "actor/pattern.h"

#include "common/splitmix.h"

void fill_pattern(unsigned char *to, uint64_t seed, uint64_t offset, uint64_t length)
{
	uint64_t first = mix(seed), word = mix(first + offset / 8);
	for (uint64_t i = 0; i < length; i++, offset++) {
		if (offset % 8 == 0)
			word = mix(first + offset / 8);
		to[i] = (unsigned char)(word >> (8 * (offset % 8)));
	}
}
