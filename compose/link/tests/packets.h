/* packets.h: packets for the tests of the link. */

#ifndef LINK_TESTS_PACKETS_H
#define LINK_TESTS_PACKETS_H

#include "link/packet.h"

enum { ROOM = 512 };

/* Where a fragment lies in its datagram; {0, false}: the datagram is whole. */
struct place {
	uint16_t offset; /* bytes, a multiple of 8 */
	bool more;
};

/* Write a packet of IP version 4 or 6 (with a fragment header where it is a fragment, 6 only) with these bytes after the
 * IP headers, its IP checksum right; returns its size. */
size_t make_ip(uint8_t *to, int version, uint8_t protocol, struct place place, const uint8_t *data, size_t size);

/* The same with a TCP header and payload, all checksums right. */
size_t make_tcp(uint8_t *to, int version, uint8_t flags, uint32_t seq, const char *payload);

/* A UDP datagram with payload, its checksum right, without IP headers; returns its size. */
size_t make_udp(uint8_t *to, int version, const uint8_t *payload, size_t size);

/* Does the transport checksum fit the whole datagram `data` between the addresses of make_ip? */
bool checksum_fits(int version, uint8_t protocol, const uint8_t *data, size_t size);

/* The packet as it is read; `bytes` stay where they are. */
struct packet as_read(const uint8_t *bytes, size_t size);

#endif
