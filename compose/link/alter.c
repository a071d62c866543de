#include "link/alter.h"

#include "common/bytes.h"
#include "common/memory.h"
#include "link/checksum.h"

enum { CE = 3 }; /* both bits of ECN */

struct blob copy_packet(const struct packet *p)
{
	return (struct blob){copy_bytes(p->bytes, p->captured), p->captured};
}

/* Where a bit is to be flipped, 0: nowhere. */
static size_t choose_byte(const struct blob *blob, const struct packet *p, uint64_t place)
{
	const bool data = p->length || p->fragment == LATER_FRAGMENT;
	const int check = checksum_offset(p->protocol);
	if (data && p->payload < blob->size)
		return p->payload + place / 8 % (blob->size - p->payload);
	if (p->fragment != LATER_FRAGMENT && check >= 0 && p->transport + (size_t)check < blob->size)
		return p->transport + (size_t)check;
	return 0;
}

void corrupt(struct blob *blob, const struct packet *p, uint64_t place, bool fix)
{
	const size_t at = choose_byte(blob, p, place);
	if (!at)
		return;
	const uint8_t before = blob->bytes[at];
	blob->bytes[at] ^= (uint8_t)(1 << place % 8);
	if (fix)
		refit_checksum(blob->bytes, blob->size, at, before);
}

/* The transport's checksum does not cover these bits. */
void mark(struct blob *blob)
{
	if (blob->bytes[0] >> 4 == 4)
		blob->bytes[1] |= CE;
	else
		blob->bytes[1] |= CE << 4;
	finish_ip_header(blob->bytes, blob->size);
}

/* Where the MSS is in the options of a SYN (RFC 9293 section 3.7.1), 0 if it announces none. */
static size_t find_mss(const struct packet *p)
{
	enum { END_OF_OPTIONS = 0, NO_OPERATION = 1, MAXIMUM_SEGMENT_SIZE = 2 };
	const size_t end = p->payload < p->captured ? p->payload : p->captured;
	if (p->protocol != TCP || !(p->flags & SYN) || p->fragment != WHOLE_DATAGRAM)
		return 0;
	for (size_t at = p->transport + 20; at + 2 <= end && p->bytes[at] != END_OF_OPTIONS;) {
		if (p->bytes[at] == NO_OPERATION) {
			at++;
			continue;
		}
		if (p->bytes[at] == MAXIMUM_SEGMENT_SIZE && p->bytes[at + 1] == 4 && at + 4 <= end)
			return at + 2;
		if (p->bytes[at + 1] < 2)
			return 0;
		at += p->bytes[at + 1];
	}
	return 0;
}

void rewrite(struct blob *blob, const struct packet *p, uint64_t ttl, uint64_t mss)
{
	const size_t at = mss ? find_mss(p) : 0;
	if (ttl)
		blob->bytes[p->version == 4 ? 8 : 7] = (uint8_t)ttl;
	finish_ip_header(blob->bytes, blob->size);
	if (!at || get16(blob->bytes + at) <= mss)
		return;
	put16(blob->bytes + at, (uint16_t)mss);
	finish_packet(blob->bytes, blob->size);
}

void truncate_to(struct blob *blob, const struct packet *p, uint64_t size)
{
	if (p->length <= size || p->payload + size > blob->size)
		return;
	blob->size = p->payload + size;
	finish_packet(blob->bytes, blob->size);
}
