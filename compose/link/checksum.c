#include "link/checksum.h"

#include <stdbool.h>

#include "common/bytes.h"
#include "link/packet.h"

uint32_t ones_sum(const uint8_t *bytes, size_t size, uint32_t start)
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

int checksum_offset(uint8_t protocol)
{
	return protocol == TCP ? 16 : protocol == UDP ? 6 : protocol == ICMP || protocol == ICMPV6 ? 2 : -1;
}

void finish_ip_header(uint8_t *bytes, size_t size)
{
	if (bytes[0] >> 4 != 4) {
		put16(bytes + 4, (uint16_t)(size - 40));
		return;
	}
	put16(bytes + 2, (uint16_t)size);
	put16(bytes + 10, 0);
	put16(bytes + 10, (uint16_t)~ones_sum(bytes, (bytes[0] & 15) * 4u, 0));
}

/* Where the transport checksum stands in a packet, 0 if it holds none. */
static size_t find_checksum(const uint8_t *bytes, size_t size, struct transport *found)
{
	if (!find_transport(bytes, size, found) || found->fragment == LATER_FRAGMENT)
		return 0;
	const int at = checksum_offset(found->protocol);
	return at >= 0 && found->offset + (size_t)at + 2 <= size ? found->offset + (size_t)at : 0;
}

/* RFC 768: a UDP checksum that comes out as 0 is sent as ones, since 0 says that there is none. */
static void put_checksum(uint8_t *to, uint8_t protocol, uint16_t checksum)
{
	put16(to, protocol == UDP && checksum == 0 ? 0xffff : checksum);
}

void finish_packet(uint8_t *bytes, size_t size)
{
	struct transport found;
	const size_t field = find_checksum(bytes, size, &found);
	finish_ip_header(bytes, size);
	if (!field || found.fragment != WHOLE_DATAGRAM)
		return;
	uint8_t *header = bytes + found.offset;
	const size_t length = size - found.offset;
	uint32_t pseudo = 0;
	if (found.protocol == UDP)
		put16(header + 4, (uint16_t)length);
	if (found.protocol != ICMP) {
		pseudo = found.version == 4 ? ones_sum(bytes + 12, 8, 0) : ones_sum(bytes + 8, 32, 0);
		pseudo += found.protocol + (uint32_t)length;
	}
	put16(bytes + field, 0);
	put_checksum(bytes + field, found.protocol, (uint16_t)~ones_sum(header, length, pseudo));
}

void refit_checksum(uint8_t *bytes, size_t size, size_t at, uint8_t before)
{
	struct transport found;
	const size_t field = find_checksum(bytes, size, &found);
	if (!field || at < found.offset || at >= size)
		return;
	if (found.fragment == WHOLE_DATAGRAM) {
		finish_packet(bytes, size);
		return;
	}
	const bool high = (at - found.offset) % 2 == 0;
	if (at == field || at == field + 1) { /* the checksum itself: what it covers is as it was */
		bytes[at] = before;
		return;
	}
	const uint16_t checksum = get16(bytes + field);
	if (found.protocol == UDP && checksum == 0)
		return;
	/* HC' = ~(~HC + ~m + m'), RFC 1624 equation 3; the word's other byte is the same in m and m'. */
	const uint16_t was = (uint16_t)(high ? before << 8 : before), is = (uint16_t)(high ? bytes[at] << 8 : bytes[at]);
	uint32_t sum = (uint16_t)~checksum + (uint32_t)(uint16_t)~was + is;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put_checksum(bytes + field, found.protocol, (uint16_t)~sum);
}
