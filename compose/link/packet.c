#include "link/packet.h"

#include <string.h>

#include "common/bytes.h"

enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };
enum { OFFSET4 = 0x1fff, MORE4 = 0x2000, OFFSET6 = 0xfff8, MORE6 = 1 };

static enum fragment fragment_of(bool offset, bool more)
{
	return offset ? LATER_FRAGMENT : more ? FIRST_FRAGMENT : WHOLE_DATAGRAM;
}

/* The IPv6 extension headers that may stand before the transport header (RFC 8200 section 4). In a later fragment no
 * header follows the fragment header: its `next header` names the first header of the datagram's first fragment. */
static void skip_extensions(const uint8_t *bytes, size_t size, struct transport *found)
{
	size_t at = 40;
	while (at + 8 <= size && found->fragment != LATER_FRAGMENT) {
		const uint8_t kind = found->protocol;
		if (kind != HOP_BY_HOP && kind != ROUTING && kind != FRAGMENT && kind != DESTINATION)
			break;
		found->protocol = bytes[at];
		if (kind == FRAGMENT) {
			const uint16_t place = get16(bytes + at + 2);
			found->fragment = fragment_of(place & OFFSET6, place & MORE6);
			at += 8;
		} else {
			at += 8 + 8u * bytes[at + 1];
		}
	}
	found->offset = at;
}

bool find_transport(const uint8_t *bytes, size_t size, struct transport *found)
{
	if (size < 20)
		return false;
	*found = (struct transport){.version = bytes[0] >> 4};
	if (found->version == 4) {
		const uint16_t place = get16(bytes + 6);
		found->protocol = bytes[9];
		found->fragment = fragment_of(place & OFFSET4, place & MORE4);
		found->offset = (bytes[0] & 15) * 4u;
		return found->offset >= 20 && found->offset <= size;
	}
	if (found->version != 6 || size < 40)
		return false;
	found->protocol = bytes[6];
	skip_extensions(bytes, size, found);
	return true;
}

static void read_transport(struct packet *p)
{
	const uint8_t *at = p->bytes + p->transport;
	const size_t here = p->captured > p->transport ? p->captured - p->transport : 0;
	if (p->protocol == TCP && here >= 20) {
		p->sport = get16(at);
		p->dport = get16(at + 2);
		p->seq = get32(at + 4);
		p->ack = get32(at + 8);
		p->flags = at[13];
		p->payload += (at[12] >> 4) * 4u;
	} else if (p->protocol == UDP && here >= 8) {
		p->sport = get16(at);
		p->dport = get16(at + 2);
		p->payload += 8;
	} else if (p->protocol == ICMP || p->protocol == ICMPV6) {
		p->payload += 8;
	}
	p->length = p->total > p->payload ? p->total - p->payload : 0;
}

bool read_packet(struct packet *p, const uint8_t *bytes, size_t captured, size_t total)
{
	struct transport found;
	memset(p, 0, sizeof *p);
	if (!find_transport(bytes, captured, &found))
		return false;
	p->bytes = bytes;
	p->captured = captured;
	p->total = total;
	p->version = found.version;
	p->protocol = found.protocol;
	p->fragment = found.fragment;
	p->transport = p->payload = found.offset;
	if (p->version == 4) {
		p->id = get16(bytes + 4);
		memcpy(p->src, bytes + 12, 4);
		memcpy(p->dst, bytes + 16, 4);
	} else {
		memcpy(p->src, bytes + 8, 16);
		memcpy(p->dst, bytes + 24, 16);
	}
	if (p->fragment != LATER_FRAGMENT)
		read_transport(p);
	return true;
}

bool time_stamp(const struct packet *p, uint32_t *value)
{
	enum { END_OF_OPTIONS = 0, NO_OPERATION = 1, TIME_STAMPS = 8 };
	if (p->protocol != TCP)
		return false;
	const size_t end = p->payload < p->captured ? p->payload : p->captured;
	for (size_t at = p->transport + 20; at < end && p->bytes[at] != END_OF_OPTIONS;) {
		if (p->bytes[at] == NO_OPERATION) {
			at++;
			continue;
		}
		if (at + 2 > end || p->bytes[at + 1] < 2)
			return false;
		if (p->bytes[at] == TIME_STAMPS && p->bytes[at + 1] == 10 && at + 10 <= end) {
			*value = get32(p->bytes + at + 2);
			return true;
		}
		at += p->bytes[at + 1];
	}
	return false;
}

bool is_sentinel(const struct packet *p)
{
	static const char mark[] = "BOTHENDS-SENTINEL";
	return p->protocol == UDP && p->dport == SENTINEL_PORT && p->captured >= p->payload + sizeof mark - 1 &&
	       memcmp(p->bytes + p->payload, mark, sizeof mark - 1) == 0;
}
