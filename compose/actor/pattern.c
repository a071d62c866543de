/* The pattern of `send size= seed=`: byte o of a socket's stream is byte o % 8, the lowest first, of
 * mix(mix(seed) + o / 8), where mix is one output of splitmix64 started at its argument. o counts every byte that
 * this socket has accepted, so the pattern goes on over the sends of one socket and a byte at a wrong offset shows. */
#ifndef ACTOR_PATTERN_H
#define ACTOR_PATTERN_H

#include <stdint.h>

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void fill_pattern(unsigned char *to, uint64_t seed, uint64_t offset, uint64_t length)
{
	uint64_t first = mix(seed), word = mix(first + offset / 8);
	for (uint64_t i = 0; i < length; i++, offset++) {
		if (offset % 8 == 0)
			word = mix(first + offset / 8);
		to[i] = (unsigned char)(word >> (8 * (offset % 8)));
	}
}

#endif
