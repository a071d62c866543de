/* What the link reads in a packet. */

#include <string.h>

#include "common/bytes.h"
#include "common/tests/check.h"
#include "link/tests/packets.h"

static void a_segment_is_read_in_both_versions(void)
{
	for (int version = 4; version <= 6; version += 2) {
		uint8_t bytes[ROOM];
		struct packet p = as_read(bytes, make_tcp(bytes, version, ACK | PSH, 1000, "hello"));
		SAME(p.version, version);
		SAME(p.protocol, TCP);
		SAME(p.flags, ACK | PSH);
		SAME(p.sport, 40000);
		SAME(p.dport, 10011);
		SAME(p.seq, 1000);
		SAME(p.ack, 500);
		SAME(p.length, 5);
		SAME(p.fragment, WHOLE_DATAGRAM);
		SAME_BYTES(p.bytes + p.payload, "hello", 5);
	}
}

static void only_a_fragment_with_an_offset_has_no_transport_header(void)
{
	const struct {
		struct place place;
		enum fragment fragment;
		uint16_t port;
	} cases[] = {{{0, true}, FIRST_FRAGMENT, 0x4141}, {{8, true}, LATER_FRAGMENT, 0}, {{16, false}, LATER_FRAGMENT, 0}};
	uint8_t data[24], bytes[ROOM];
	memset(data, 'A', sizeof data);
	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i < 3; i++) {
			struct packet p = as_read(bytes, make_ip(bytes, version, UDP, cases[i].place, data, sizeof data));
			SAME(p.fragment, cases[i].fragment);
			SAME(p.sport, cases[i].port);
			SAME(p.protocol, UDP);
			SAME(p.transport, version == 4 ? 20 : 48);
		}
}

/* The data of a later fragment are no extension header, whatever they look like. */
static void a_later_fragment_is_not_read_beyond_its_header(void)
{
	uint8_t data[24] = {6, 1}, bytes[ROOM];
	struct packet p = as_read(bytes, make_ip(bytes, 6, 60, (struct place){8, false}, data, sizeof data));
	SAME(p.protocol, 60);
	SAME(p.transport, 48);
}

static void extension_headers_are_passed_over(void)
{
	uint8_t bytes[ROOM], udp[ROOM] = {UDP, 0}, payload[4] = "abc";
	size_t size = 8 + make_udp(udp + 8, 6, payload, 4);
	struct packet p = as_read(bytes, make_ip(bytes, 6, 0, (struct place){0, false}, udp, size));
	SAME(p.protocol, UDP);
	SAME(p.transport, 48);
	SAME(p.length, 4);
}

static void what_is_no_whole_ip_header_is_refused(void)
{
	uint8_t bytes[ROOM];
	struct packet p;
	size_t size = make_tcp(bytes, 4, SYN, 1, "");
	CHECK(!read_packet(&p, bytes, 19, 19));
	bytes[0] = 0x44; /* a header of 16 bytes */
	CHECK(!read_packet(&p, bytes, size, size));
	bytes[0] = 0x4f; /* one of 60 */
	CHECK(!read_packet(&p, bytes, 59, 59));
	make_tcp(bytes, 6, SYN, 1, "");
	CHECK(!read_packet(&p, bytes, 39, 39));
	bytes[0] = 0x50;
	CHECK(!read_packet(&p, bytes, size, size));
}

static void of_a_packet_that_is_cut_the_length_is_the_whole_ones(void)
{
	uint8_t bytes[ROOM];
	struct packet p;
	make_tcp(bytes, 4, ACK, 1, "hello");
	CHECK(read_packet(&p, bytes, 40, 1500));
	SAME(p.length, 1460);
}

static void the_sentinel_is_known_by_port_and_text(void)
{
	static const char text[] = "BOTHENDS-SENTINEL 1234";
	uint8_t udp[ROOM], bytes[ROOM];
	size_t size = make_udp(udp, 4, (const uint8_t *)text, sizeof text);
	for (int port = 9; port <= 10; port++) {
		put16(udp + 2, (uint16_t)port);
		struct packet p = as_read(bytes, make_ip(bytes, 4, UDP, (struct place){0, false}, udp, size));
		CHECK(is_sentinel(&p) == (port == 9));
		p.captured = 40;
		CHECK(!is_sentinel(&p));
	}
}

int main(void)
{
	RUN(a_segment_is_read_in_both_versions);
	RUN(only_a_fragment_with_an_offset_has_no_transport_header);
	RUN(a_later_fragment_is_not_read_beyond_its_header);
	RUN(extension_headers_are_passed_over);
	RUN(what_is_no_whole_ip_header_is_refused);
	RUN(of_a_packet_that_is_cut_the_length_is_the_whole_ones);
	RUN(the_sentinel_is_known_by_port_and_text);
	return end_tests();
}
