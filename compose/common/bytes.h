/* bytes.h: numbers in network byte order, at any address. */

#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdint.h>

/* In the header because a checksum calls get16 for every two bytes of a packet. */
static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

void put16(uint8_t *at, uint16_t value);
void put32(uint8_t *at, uint32_t value);

#endif
