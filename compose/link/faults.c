/* fate.h: what the plan has in store for a packet. Decided when it comes, by the seed and its number in its direction. */

#ifndef FATE_H
#define FATE_H

#include "hold.h"

/* One output of splitmix64 whose state was `x`. */
static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

enum purpose { P_LOSS, P_DUPLICATE, P_CORRUPT, P_PLACE, P_REORDER, P_JITTER };

/* A number for one packet and purpose: the same whenever seed and traffic are. */
static inline uint64_t drawn(uint64_t seed, int side, uint64_t n, enum purpose purpose)
{
	return mix(mix(mix(mix(seed) + (uint64_t)side) + n) + purpose);
}

static inline bool chance(double p, uint64_t seed, int side, uint64_t n, enum purpose purpose)
{
	return p > 0 && (double)(drawn(seed, side, n, purpose) >> 11) * 0x1p-53 < p;
}

/* Connections, where a fault looks at their sequence numbers --------------------------------------------------- */

enum { BUCKETS = 4096 };

struct connection {
	struct connection *next;
	uint8_t address[SIDES][16];
	uint16_t port[SIDES];
	uint32_t first[SIDES]; /* sequence number of the first payload byte */
	uint32_t following[SIDES];
	bool known[SIDES];
};

static struct connection *connections[BUCKETS];

static inline uint32_t taken(const struct packet *p)
{
	return (uint32_t)p->length + !!(p->flags & SYN) + !!(p->flags & FIN);
}

static inline struct connection *track(const struct packet *p, int side)
{
	const int other = 1 - side;
	struct connection **at = &connections[mix((uint64_t)(side ? p->dport : p->sport) << 16 |
	                                          (side ? p->sport : p->dport)) % BUCKETS];
	for (; *at; at = &(*at)->next)
		if ((*at)->port[side] == p->sport && (*at)->port[other] == p->dport &&
		    !memcmp((*at)->address[side], p->src, 16) && !memcmp((*at)->address[other], p->dst, 16))
			break;
	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (!*at)
			die("memory");
		(*at)->port[side] = p->sport;
		(*at)->port[other] = p->dport;
		memcpy((*at)->address[side], p->src, 16);
		memcpy((*at)->address[other], p->dst, 16);
	}
	struct connection *c = *at;
	const uint32_t end = p->seq + taken(p);
	if (p->flags & SYN) {
		c->first[side] = p->seq + 1;
		c->following[side] = end;
	} else if (!c->known[side]) {
		c->first[side] = p->seq;
		c->following[side] = end;
	} else if ((int32_t)(end - c->following[side]) > 0) {
		c->following[side] = end;
	}
	c->known[side] = true;
	return c;
}

/* Exact faults ---------------------------------------------------------------------------------------------------- */

static inline bool of_kind(enum kind kind, const struct packet *p)
{
	const bool tcp = p->protocol == TCP;
	switch (kind) {
	case K_SYN:
		return tcp && (p->flags & SYN) && !(p->flags & ACK);
	case K_SYNACK:
		return tcp && (p->flags & SYN) && (p->flags & ACK);
	case K_DATA:
		return (tcp || p->protocol == UDP) && p->length;
	case K_ACK:
		return tcp && p->flags == ACK && !p->length;
	case K_FIN:
		return tcp && (p->flags & FIN);
	case K_RST:
		return tcp && (p->flags & RST);
	case K_TCP:
		return tcp;
	case K_UDP:
		return p->protocol == UDP;
	case K_ICMP:
		return p->protocol == ICMP || p->protocol == ICMPV6;
	default:
		return true;
	}
}

enum { CE = 3 }; /* both bits of ECN; neither: the sender does not know ECN (RFC 3168 section 5) */

static inline uint8_t traffic_class(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

static inline bool holds_bytes(const struct fault *fault, const struct packet *p, const struct connection *c)
{
	if (!c || !p->length)
		return false;
	const uint64_t start = p->seq - c->first[fault->from] + !!(p->flags & SYN);
	return start <= fault->last_byte && start + p->length > fault->first_byte;
}

/* Say whether a fault meets a packet, and count those that it could have met. */
static inline bool meets(struct fault *fault, int side, const struct packet *p, const struct connection *c)
{
	if (!fault->open || fault->from != side || !of_kind(fault->kind, p))
		return false;
	if (fault->flags >= 0 && (p->protocol != TCP || p->flags != fault->flags))
		return false;
	if (fault->by_bytes && !holds_bytes(fault, p, c))
		return false;
	if (fault->payload.size &&
	    (p->captured <= p->payload ||
	     !memmem(p->bytes + p->payload, p->captured - p->payload, fault->payload.bytes, fault->payload.size)))
		return false;
	if (fault->action == MARK_IT && !(traffic_class(p->bytes) & CE))
		return false;
	fault->found++;
	return fault->found >= fault->nth && (!fault->count || fault->found < fault->nth + fault->count);
}

/* Packets that the link changes or makes ------------------------------------------------------------------------- */

static inline struct blob whole(const struct packet *p)
{
	struct blob blob = {malloc(p->captured), p->captured};
	if (!blob.bytes)
		die("memory");
	memcpy(blob.bytes, p->bytes, p->captured);
	return blob;
}

/* Flip one bit: of the payload, or of the checksum where there is none. `fix`: make the checksum fit again. */
static inline void corrupt(struct blob *blob, const struct packet *p, uint64_t place, bool fix)
{
	const int check = checksum_offset(p->protocol);
	if (p->length && p->payload < blob->size)
		blob->bytes[p->payload + place / 8 % (blob->size - p->payload)] ^= (uint8_t)(1 << place % 8);
	else if (check >= 0 && p->transport + (size_t)check < blob->size)
		blob->bytes[p->transport + (size_t)check] ^= (uint8_t)(1 << place % 8);
	if (fix)
		seal(blob->bytes, blob->size);
}

/* Set congestion experienced, as a router does whose queue grows (RFC 3168 section 5). */
static inline void mark(struct blob *blob)
{
	if (blob->bytes[0] >> 4 == 4)
		blob->bytes[1] |= CE;
	else
		blob->bytes[1] |= CE << 4;
	seal(blob->bytes, blob->size);
}

static inline void truncate_to(struct blob *blob, const struct packet *p, uint64_t size)
{
	if (p->length <= size || p->payload + size > blob->size)
		return;
	blob->size = p->payload + size;
	seal(blob->bytes, blob->size);
}

/* Fill in what only the wire knows, and seal. */
static inline struct blob forged(const struct fault *fault, const struct packet *p, const struct connection *c)
{
	const size_t quoted = p->captured < 128 ? p->captured : 128;
	struct blob blob = {malloc(fault->raw.size + quoted), fault->raw.size};
	if (!blob.bytes)
		die("memory");
	memcpy(blob.bytes, fault->raw.bytes, fault->raw.size);
	if (fault->quote) { /* RFC 792, RFC 4443: the packet that it is about */
		memcpy(blob.bytes + blob.size, p->bytes, quoted);
		blob.size += quoted;
	} else if (c) {
		const bool same = fault->as == fault->from;
		uint8_t *tcp = blob.bytes + (blob.bytes[0] >> 4 == 4 ? (blob.bytes[0] & 15) * 4u : 40);
		const uint32_t next = c->following[fault->from], answered = p->flags & ACK ? p->ack : 0;
		put16(tcp, same ? p->sport : p->dport);
		put16(tcp + 2, same ? p->dport : p->sport);
		put32(tcp + 4, (same ? next : answered) + (uint32_t)fault->offset);
		put32(tcp + 8, tcp[13] & ACK ? (same ? answered : next) : 0);
	}
	seal(blob.bytes, blob.size);
	return blob;
}

/* Tell the sender that its packet is too large (RFC 1191, RFC 8201). */
static inline struct blob too_big(const struct plan *plan, int side, const struct packet *p, uint64_t mtu)
{
	const size_t header = p->version == 4 ? 20 : 40, quoted = p->captured < 128 ? p->captured : 128;
	struct blob blob = {calloc(1, header + 8 + quoted), header + 8 + quoted};
	if (!blob.bytes)
		die("memory");
	uint8_t *ip = blob.bytes, *icmp = ip + header;
	if (p->version == 4) {
		ip[0] = 0x45;
		ip[8] = 64;
		ip[9] = ICMP;
		memcpy(ip + 12, plan->address[side], 4);
		memcpy(ip + 16, p->src, 4);
		icmp[0] = 3;
		icmp[1] = 4;
		put16(icmp + 6, (uint16_t)mtu);
	} else {
		ip[0] = 0x60;
		ip[6] = ICMPV6;
		ip[7] = 64;
		memcpy(ip + 8, plan->address[side], 16);
		memcpy(ip + 24, p->src, 16);
		icmp[0] = 2;
		put32(icmp + 4, (uint32_t)mtu);
	}
	memcpy(icmp + 8, p->bytes, quoted);
	seal(blob.bytes, blob.size);
	return blob;
}

#endif
