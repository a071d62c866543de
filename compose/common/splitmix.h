/* splitmix.h: the generator splitmix64 (Steele, Lea, Flood 2014) as a function: the same numbers on every machine. */

#ifndef COMMON_SPLITMIX_H
#define COMMON_SPLITMIX_H

#include <stdint.h>

/* One output of splitmix64 whose state was `x`. */
uint64_t mix(uint64_t x);

#endif
