/* checksum.h: lengths and checksums of packets that the link changes or makes. Pure. */

#ifndef LINK_CHECKSUM_H
#define LINK_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The ones' complement sum of 16-bit words (RFC 1071), added to `start`; not yet complemented. */
uint32_t ones_sum(const uint8_t *bytes, size_t size, uint32_t start);

/* Where the checksum of a transport protocol stands, from the start of its header; -1 if it has none. */
int checksum_offset(uint8_t protocol);

/* Write the IP header's length and checksum anew, nothing else: `bytes` hold a whole IP header. */
void finish_ip_header(uint8_t *bytes, size_t size);

/* Write all lengths and checksums of a packet anew. Of a fragment only those of the IP header: the transport's cover
 * the whole datagram, of which the rest is in other packets. */
void finish_packet(uint8_t *bytes, size_t size);

/* Make the transport checksum fit after the byte at `at` was changed from `before`. A first fragment's is adjusted by
 * the difference (RFC 1624), since most of what it covers is elsewhere; a later fragment has none to adjust. */
void refit_checksum(uint8_t *bytes, size_t size, size_t at, uint8_t before);

#endif
