#include "link/forge.h"

#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "link/checksum.h"

static size_t quoted_size(const struct packet *p)
{
	return p->captured < QUOTED_MOST ? p->captured : QUOTED_MOST;
}

/* The packet goes where the one that it follows came from, or where that went. */
static void fill_addresses(uint8_t *ip, const struct packet *p, bool quote, bool same)
{
	const size_t size = p->version == 4 ? 4 : 16;
	uint8_t *source = ip + (p->version == 4 ? 12 : 8), *target = source + size;
	if (!quote)
		memcpy(source, same ? p->src : p->dst, size);
	memcpy(target, quote || !same ? p->src : p->dst, size);
}

struct blob forge(const struct fault *fault, const struct packet *p, const struct connection *c)
{
	const size_t quoted = fault->quote ? quoted_size(p) : 0;
	const enum version wanted = p->version == 4 ? IPV4 : IPV6;
	const struct blob *raw = &fault->raw[fault->raw[wanted].size ? wanted : (enum version)!wanted];
	struct blob blob = {grow(NULL, raw->size + quoted), raw->size + quoted};
	memcpy(blob.bytes, raw->bytes, raw->size);
	if (blob.bytes[0] >> 4 == p->version)
		fill_addresses(blob.bytes, p, fault->quote, fault->as == fault->from);
	if (fault->quote) { /* RFC 792, RFC 4443: the packet that it is about */
		memcpy(blob.bytes + raw->size, p->bytes, quoted);
	} else if (c && p->protocol == TCP) {
		const bool same = fault->as == fault->from;
		uint8_t *tcp = blob.bytes + (blob.bytes[0] >> 4 == 4 ? (blob.bytes[0] & 15) * 4u : 40);
		const uint32_t next = c->following[fault->from], answered = p->flags & ACK ? p->ack : 0;
		put16(tcp, same ? p->sport : p->dport);
		put16(tcp + 2, same ? p->dport : p->sport);
		put32(tcp + 4, (same ? next : answered) + (uint32_t)fault->offset);
		put32(tcp + 8, tcp[13] & ACK ? (same ? answered : next) + (uint32_t)fault->ack : 0);
		if (fault->stamp) {
			put32(tcp + fault->stamp, c->stamp[fault->as] + (uint32_t)fault->value);
			put32(tcp + fault->stamp + 4, c->stamp[1 - fault->as] + (uint32_t)fault->echo);
		}
		for (uint64_t i = 0; i < 2 * fault->blocks; i++)
			put32(tcp + fault->sack + 4 * i, get32(tcp + fault->sack + 4 * i) + c->first[1 - fault->as]);
	}
	finish_packet(blob.bytes, blob.size);
	return blob;
}

struct blob packet_too_big(const struct plan *plan, int side, const struct packet *p, uint64_t mtu)
{
	const size_t header = p->version == 4 ? 20 : 40, quoted = quoted_size(p);
	struct blob blob = {zeroed(header + 8 + quoted), header + 8 + quoted};
	uint8_t *ip = blob.bytes, *icmp = ip + header;
	if (p->version == 4) {
		ip[0] = 0x45;
		ip[8] = 64;
		ip[9] = ICMP;
		memcpy(ip + 12, plan->address[side][IPV4], 4);
		memcpy(ip + 16, p->src, 4);
		icmp[0] = 3;
		icmp[1] = 4;
		put16(icmp + 6, (uint16_t)mtu);
	} else {
		ip[0] = 0x60;
		ip[6] = ICMPV6;
		ip[7] = 64;
		memcpy(ip + 8, plan->address[side][IPV6], 16);
		memcpy(ip + 24, p->src, 16);
		icmp[0] = 2;
		put32(icmp + 4, (uint32_t)mtu);
	}
	memcpy(icmp + 8, p->bytes, quoted);
	finish_packet(blob.bytes, blob.size);
	return blob;
}
