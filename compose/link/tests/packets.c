#include "link/tests/packets.h"

#include <string.h>

#include "common/bytes.h"
#include "common/tests/check.h"
#include "link/checksum.h"

static const uint8_t CLIENT6[16] = {0xfd, [15] = 1}, SERVER6[16] = {0xfd, [15] = 2};
static const uint8_t CLIENT4[4] = {198, 18, 0, 2}, SERVER4[4] = {198, 18, 1, 2};

static size_t make_ip4(uint8_t *to, uint8_t protocol, struct place place, const uint8_t *data, size_t size)
{
	memset(to, 0, 20);
	to[0] = 0x45;
	put16(to + 4, 77);
	put16(to + 6, (uint16_t)((place.more ? 0x2000 : 0) | place.offset / 8));
	to[8] = 64;
	to[9] = protocol;
	memcpy(to + 12, CLIENT4, 4);
	memcpy(to + 16, SERVER4, 4);
	memcpy(to + 20, data, size);
	finish_ip_header(to, 20 + size);
	return 20 + size;
}

static size_t make_ip6(uint8_t *to, uint8_t protocol, struct place place, const uint8_t *data, size_t size)
{
	size_t header = 40;
	memset(to, 0, 48);
	to[0] = 0x60;
	to[6] = protocol;
	to[7] = 64;
	memcpy(to + 8, CLIENT6, 16);
	memcpy(to + 24, SERVER6, 16);
	if (place.offset || place.more) {
		to[6] = 44;
		to[40] = protocol;
		put16(to + 42, (uint16_t)(place.offset | place.more));
		put32(to + 44, 0xabcd);
		header = 48;
	}
	memcpy(to + header, data, size);
	finish_ip_header(to, header + size);
	return header + size;
}

size_t make_ip(uint8_t *to, int version, uint8_t protocol, struct place place, const uint8_t *data, size_t size)
{
	return version == 4 ? make_ip4(to, protocol, place, data, size) : make_ip6(to, protocol, place, data, size);
}

static uint32_t pseudo_header(int version, uint8_t protocol, size_t size)
{
	uint32_t sum = version == 4 ? ones_sum(SERVER4, 4, ones_sum(CLIENT4, 4, 0)) : ones_sum(SERVER6, 16, ones_sum(CLIENT6, 16, 0));
	return sum + protocol + (uint32_t)size;
}

bool checksum_fits(int version, uint8_t protocol, const uint8_t *data, size_t size)
{
	return ones_sum(data, size, pseudo_header(version, protocol, size)) == 0xffff;
}

size_t make_tcp(uint8_t *to, int version, uint8_t flags, uint32_t seq, const char *payload)
{
	uint8_t data[ROOM] = {0};
	const size_t size = 20 + strlen(payload);
	put16(data, 40000);
	put16(data + 2, 10011);
	put32(data + 4, seq);
	put32(data + 8, 500);
	data[12] = 5 << 4;
	data[13] = flags;
	put16(data + 14, 1000);
	memcpy(data + 20, payload, strlen(payload));
	put16(data + 16, (uint16_t)~ones_sum(data, size, pseudo_header(version, TCP, size)));
	return make_ip(to, version, TCP, (struct place){0, false}, data, size);
}

size_t make_udp(uint8_t *to, int version, const uint8_t *payload, size_t size)
{
	memset(to, 0, 8);
	put16(to, 40000);
	put16(to + 2, 10011);
	put16(to + 4, (uint16_t)(8 + size));
	memcpy(to + 8, payload, size);
	put16(to + 6, (uint16_t)~ones_sum(to, 8 + size, pseudo_header(version, UDP, 8 + size)));
	return 8 + size;
}

struct packet as_read(const uint8_t *bytes, size_t size)
{
	struct packet p;
	CHECK(read_packet(&p, bytes, size, size));
	return p;
}
