/* packet.h: what the link reads in a packet. IPv4 and IPv6; TCP, UDP and the rest. Pure. */

#ifndef LINK_PACKET_H
#define LINK_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TCP = 6, UDP = 17, ICMP = 1, ICMPV6 = 58, SENTINEL_PORT = 9 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

/* What of a datagram a packet holds. Only a later fragment has no transport header. */
enum fragment { WHOLE_DATAGRAM, FIRST_FRAGMENT, LATER_FRAGMENT };

/* Where the transport header is, or where a later fragment's data begin: maybe beyond the bytes that are here. */
struct transport {
	uint8_t version, protocol;
	enum fragment fragment;
	size_t offset;
};

struct packet {
	const uint8_t *bytes;
	size_t captured; /* bytes that are here, at most `total` */
	size_t total;    /* length of the packet, IP header included */
	uint8_t version, protocol, flags;
	enum fragment fragment;
	uint16_t id, sport, dport;
	uint32_t seq, ack;
	size_t transport, payload; /* offsets */
	size_t length;             /* payload bytes, 0 where there is no transport header that we read */
	uint8_t src[16], dst[16];
};

/* A packet, or a part of one, in memory of its own. */
struct blob {
	uint8_t *bytes;
	size_t size;
};

/* Find the transport header; false if the bytes do not hold a whole IP header of version 4 or 6. */
bool find_transport(const uint8_t *bytes, size_t size, struct transport *found);

/* Read a packet; false if it is no IP packet that we understand. */
bool read_packet(struct packet *p, const uint8_t *bytes, size_t captured, size_t total);

/* The time stamp of a segment that has one (RFC 7323). */
bool time_stamp(const struct packet *p, uint32_t *value);

/* Is it the datagram that ends a lab's captures (agent/sentinel.h)? */
bool is_sentinel(const struct packet *p);

#endif
