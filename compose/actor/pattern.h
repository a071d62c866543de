/* pattern.h: the bytes of `send size= seed=`: byte o of a socket's stream is byte o % 8, the lowest first, of
 * mix(mix(seed) + o / 8), where mix is one output of splitmix64 started at its argument. o counts every byte that
 * this socket has accepted, so the pattern goes on over the sends of one socket and a byte at a wrong offset shows. */

#ifndef ACTOR_PATTERN_H
#define ACTOR_PATTERN_H

#include <stdint.h>

void fill_pattern(unsigned char *to, uint64_t seed, uint64_t offset, uint64_t length);

#endif
