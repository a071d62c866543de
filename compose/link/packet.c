/* packet.h: what the link reads in a packet, and how it writes one. IPv4 and IPv6; TCP, UDP and the rest. */

#ifndef PACKET_H
#define PACKET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TCP = 6, UDP = 17, ICMP = 1, ICMPV6 = 58, SENTINEL_PORT = 9 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct packet {
	const uint8_t *bytes;
	size_t captured; /* bytes that are here, at most `total` */
	size_t total;    /* length of the packet, IP header included */
	uint8_t version, protocol, flags;
	bool first_fragment; /* false: a later fragment, without a transport header */
	uint16_t id, sport, dport;
	uint32_t seq, ack;
	size_t transport, payload; /* offsets */
	size_t length;             /* payload bytes, 0 where there is no transport header that we read */
	uint8_t src[16], dst[16];
};

static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

/* The IPv6 extension headers that may stand before the transport header (RFC 8200 section 4). */
static inline size_t skip_extensions(const uint8_t *bytes, size_t captured, uint8_t *next, bool *first)
{
	size_t at = 40;
	while ((*next == 0 || *next == 43 || *next == 44 || *next == 60) && at + 8 <= captured) {
		uint8_t kind = *next;
		*next = bytes[at];
		if (kind == 44) {
			*first = (get16(bytes + at + 2) & 0xfff8) == 0;
			at += 8;
		} else {
			at += 8 + 8u * bytes[at + 1];
		}
	}
	return at;
}

/* Read a packet; false if it is no IP packet that we understand. */
static inline bool read_packet(struct packet *p, const uint8_t *bytes, size_t captured, size_t total)
{
	memset(p, 0, sizeof *p);
	p->bytes = bytes;
	p->captured = captured;
	p->total = total;
	p->first_fragment = true;
	if (captured < 20)
		return false;
	p->version = bytes[0] >> 4;
	if (p->version == 4) {
		p->protocol = bytes[9];
		p->id = get16(bytes + 4);
		p->first_fragment = (get16(bytes + 6) & 0x1fff) == 0;
		memcpy(p->src, bytes + 12, 4);
		memcpy(p->dst, bytes + 16, 4);
		p->transport = (bytes[0] & 15) * 4u;
	} else if (p->version == 6 && captured >= 40) {
		p->protocol = bytes[6];
		memcpy(p->src, bytes + 8, 16);
		memcpy(p->dst, bytes + 24, 16);
		p->transport = skip_extensions(bytes, captured, &p->protocol, &p->first_fragment);
	} else {
		return false;
	}
	p->payload = p->transport;
	if (!p->first_fragment)
		return true;
	const uint8_t *at = bytes + p->transport;
	if (p->protocol == TCP && captured >= p->transport + 20) {
		p->sport = get16(at);
		p->dport = get16(at + 2);
		p->seq = get32(at + 4);
		p->ack = get32(at + 8);
		p->flags = at[13];
		p->payload = p->transport + (at[12] >> 4) * 4u;
	} else if (p->protocol == UDP && captured >= p->transport + 8) {
		p->sport = get16(at);
		p->dport = get16(at + 2);
		p->payload = p->transport + 8;
	} else if (p->protocol == ICMP || p->protocol == ICMPV6) {
		p->payload = p->transport + 8;
	}
	p->length = total > p->payload ? total - p->payload : 0;
	return true;
}

static inline bool is_sentinel(const struct packet *p)
{
	static const char mark[] = "BOTHENDS-SENTINEL";
	return p->protocol == UDP && p->dport == SENTINEL_PORT && p->captured >= p->payload + sizeof mark - 1 &&
	       memcmp(p->bytes + p->payload, mark, sizeof mark - 1) == 0;
}

/* The internet checksum (RFC 1071) ------------------------------------------------------------------------------ */

static inline uint32_t sum(const uint8_t *bytes, size_t size, uint32_t start)
{
	uint64_t total = start;
	for (; size > 1; bytes += 2, size -= 2)
		total += get16(bytes);
	if (size)
		total += (uint32_t)bytes[0] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

/* Where the checksum of a transport protocol stands, from the start of its header; -1 if it has none. */
static inline int checksum_offset(uint8_t protocol)
{
	return protocol == TCP ? 16 : protocol == UDP ? 6 : protocol == ICMP || protocol == ICMPV6 ? 2 : -1;
}

/* Write the lengths and checksums of a whole packet anew. */
static inline void seal(uint8_t *bytes, size_t size)
{
	uint8_t version = bytes[0] >> 4, protocol;
	size_t transport;
	bool first = true;
	if (version == 4) {
		transport = (bytes[0] & 15) * 4u;
		protocol = bytes[9];
		put16(bytes + 2, (uint16_t)size);
		put16(bytes + 10, 0);
		put16(bytes + 10, (uint16_t)~sum(bytes, transport, 0));
	} else {
		put16(bytes + 4, (uint16_t)(size - 40));
		protocol = bytes[6];
		transport = skip_extensions(bytes, size, &protocol, &first);
	}
	int at = checksum_offset(protocol);
	if (at < 0 || transport + (size_t)at + 2 > size)
		return;
	uint8_t *header = bytes + transport;
	size_t length = size - transport;
	uint32_t pseudo = 0;
	if (protocol == UDP)
		put16(header + 4, (uint16_t)length);
	if (protocol != ICMP) {
		pseudo = version == 4 ? sum(bytes + 12, 8, 0) : sum(bytes + 8, 32, 0);
		pseudo += protocol + (uint32_t)length;
	}
	put16(header + at, 0);
	uint16_t check = (uint16_t)~sum(header, length, pseudo);
	put16(header + at, protocol == UDP && check == 0 ? 0xffff : check);
}

#endif
