/* Packets that the link changes: what changes, what stays, and that the checksum of a whole datagram fits afterwards. */

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/tests/check.h"
#include "link/alter.h"
#include "link/checksum.h"
#include "link/tests/packets.h"

enum { FIRST = 104, ALL = 8 + 200 }; /* bytes of a UDP datagram in its first fragment, and in all */

static uint8_t datagram[ROOM];

/* The parts of one UDP datagram, as packets. */
static size_t make_fragment(uint8_t *to, int version, bool later)
{
	uint8_t payload[200];
	for (size_t i = 0; i < sizeof payload; i++)
		payload[i] = (uint8_t)(i * 7 + 3);
	make_udp(datagram, version, payload, sizeof payload);
	return later ? make_ip(to, version, UDP, (struct place){FIRST, false}, datagram + FIRST, ALL - FIRST)
	             : make_ip(to, version, UDP, (struct place){0, true}, datagram, FIRST);
}

/* How many bytes differ, but for those of the IP header; the last one's offset behind it. */
static size_t differences(const struct packet *p, const struct blob *blob, size_t *where)
{
	size_t count = 0;
	for (size_t i = p->transport; i < blob->size; i++)
		if (blob->bytes[i] != p->bytes[i]) {
			*where = i - p->transport;
			count++;
		}
	return count;
}

static void ip_header_fits(const struct blob *blob)
{
	if (blob->bytes[0] >> 4 == 6)
		SAME(get16(blob->bytes + 4), blob->size - 40);
	else
		SAME(ones_sum(blob->bytes, 20, 0), 0xffff);
}

static void a_mark_changes_the_ip_header_only(void)
{
	for (int version = 4; version <= 6; version += 2)
		for (int part = 0; part < 3; part++) {
			uint8_t bytes[ROOM];
			size_t where;
			size_t size = part == 2 ? make_tcp(bytes, version, ACK, 1, "hello") : make_fragment(bytes, version, part);
			struct packet p = as_read(bytes, size);
			struct blob blob = copy_packet(&p);
			mark(&blob);
			SAME(differences(&p, &blob, &where), 0);
			SAME(version == 4 ? blob.bytes[1] & 3 : blob.bytes[1] >> 4 & 3, 3);
			ip_header_fits(&blob);
			free(blob.bytes);
		}
}

static void a_corrupt_byte_of_a_later_fragment_is_the_only_one(void)
{
	for (int version = 4; version <= 6; version += 2)
		for (int fix = 0; fix < 2; fix++)
			for (uint64_t place = 0; place < 8 * (ALL - FIRST); place += 5) {
				uint8_t bytes[ROOM];
				size_t where = 0;
				struct packet p = as_read(bytes, make_fragment(bytes, version, true));
				struct blob blob = copy_packet(&p);
				corrupt(&blob, &p, place, fix);
				SAME(differences(&p, &blob, &where), 1);
				SAME(where, place / 8);
				free(blob.bytes);
			}
}

/* With the rest of the datagram, which is in another packet, as it was. */
static void a_fixed_first_fragment_fits_its_datagram(void)
{
	for (int version = 4; version <= 6; version += 2)
		for (uint64_t place = 0; place < 8 * (FIRST - 8); place++) {
			uint8_t bytes[ROOM];
			struct packet p = as_read(bytes, make_fragment(bytes, version, false));
			struct blob blob = copy_packet(&p);
			CHECK(checksum_fits(version, UDP, datagram, ALL));
			corrupt(&blob, &p, place, true);
			CHECK(memcmp(datagram + 8, blob.bytes + p.payload, FIRST - 8) != 0);
			memcpy(datagram, blob.bytes + p.transport, FIRST);
			CHECK(checksum_fits(version, UDP, datagram, ALL));
			SAME(get16(datagram + 4), ALL); /* the length is the datagram's, too */
			free(blob.bytes);
		}
}

static void no_checksum_of_a_first_fragment_stays_none(void)
{
	uint8_t bytes[ROOM];
	size_t size = make_fragment(bytes, 4, false);
	put16(bytes + 20 + 6, 0);
	struct packet p = as_read(bytes, size);
	struct blob blob = copy_packet(&p);
	corrupt(&blob, &p, 100, true);
	SAME(get16(blob.bytes + 20 + 6), 0);
	free(blob.bytes);
}

static void a_whole_segment_fits_if_it_is_to(void)
{
	for (int version = 4; version <= 6; version += 2)
		for (uint64_t place = 0; place < 40; place++)
			for (int fix = 0; fix < 2; fix++) {
				uint8_t bytes[ROOM];
				struct packet p = as_read(bytes, make_tcp(bytes, version, ACK, 1, "hello"));
				struct blob blob = copy_packet(&p);
				corrupt(&blob, &p, place, fix);
				CHECK(checksum_fits(version, TCP, blob.bytes + p.transport, 25) == fix);
				free(blob.bytes);
			}
}

static void without_payload_the_checksum_is_corrupt(void)
{
	uint8_t bytes[ROOM];
	size_t where = 0;
	struct packet p = as_read(bytes, make_tcp(bytes, 4, SYN, 1, ""));
	struct blob blob = copy_packet(&p);
	corrupt(&blob, &p, 3, false);
	SAME(differences(&p, &blob, &where), 1);
	SAME(where, 16);
	free(blob.bytes);
}

static void a_truncated_segment_fits(void)
{
	for (int version = 4; version <= 6; version += 2) {
		uint8_t bytes[ROOM];
		struct packet p = as_read(bytes, make_tcp(bytes, version, ACK, 1, "hello"));
		struct blob blob = copy_packet(&p);
		truncate_to(&blob, &p, 7);
		SAME(blob.size, p.captured);
		truncate_to(&blob, &p, 2);
		SAME(blob.size, p.payload + 2);
		CHECK(checksum_fits(version, TCP, blob.bytes + p.transport, 22));
		ip_header_fits(&blob);
		free(blob.bytes);
	}
}

static void a_truncated_fragment_keeps_its_transport_header(void)
{
	for (int version = 4; version <= 6; version += 2) {
		uint8_t bytes[ROOM];
		size_t where;
		struct packet p = as_read(bytes, make_fragment(bytes, version, false));
		struct blob blob = copy_packet(&p);
		truncate_to(&blob, &p, 40);
		SAME(blob.size, p.payload + 40);
		SAME(differences(&p, &blob, &where), 0);
		ip_header_fits(&blob);
		free(blob.bytes);
	}
}

/* A SYN with a NOP, an MSS of 1460 and the end of options. */
static size_t make_syn(uint8_t *to, int version)
{
	uint8_t segment[28] = {0};
	put16(segment, 40000);
	put16(segment + 2, 10011);
	segment[12] = 7 << 4;
	segment[13] = SYN;
	segment[20] = 1;
	segment[21] = 2;
	segment[22] = 4;
	put16(segment + 23, 1460);
	size_t size = make_ip(to, version, TCP, (struct place){0, false}, segment, sizeof segment);
	finish_packet(to, size);
	return size;
}

static void a_rewritten_syn_fits(void)
{
	for (int version = 4; version <= 6; version += 2) {
		uint8_t bytes[ROOM];
		struct packet p = as_read(bytes, make_syn(bytes, version));
		struct blob blob = copy_packet(&p);
		rewrite(&blob, &p, 200, 1300);
		SAME(blob.bytes[version == 4 ? 8 : 7], 200);
		SAME(get16(blob.bytes + p.transport + 23), 1300);
		CHECK(checksum_fits(version, TCP, blob.bytes + p.transport, 28));
		ip_header_fits(&blob);
		free(blob.bytes);
	}
}

static void an_mss_is_only_lowered_and_only_that_of_a_syn(void)
{
	for (int version = 4; version <= 6; version += 2) {
		uint8_t bytes[ROOM];
		size_t where;
		struct packet p = as_read(bytes, make_syn(bytes, version));
		struct blob blob = copy_packet(&p);
		rewrite(&blob, &p, 0, 1500);
		CHECK(!memcmp(bytes, blob.bytes, blob.size));
		free(blob.bytes);
		p = as_read(bytes, make_tcp(bytes, version, ACK, 1, "hello"));
		blob = copy_packet(&p);
		rewrite(&blob, &p, 3, 100);
		SAME(differences(&p, &blob, &where), 0);
		ip_header_fits(&blob);
		free(blob.bytes);
	}
}

static void options_that_are_cut_off_have_no_mss(void)
{
	for (uint8_t length = 0; length < 6; length++) {
		uint8_t bytes[ROOM];
		size_t size = make_syn(bytes, 4);
		bytes[20 + 22] = length;
		struct packet p = as_read(bytes, size);
		struct blob blob = copy_packet(&p);
		rewrite(&blob, &p, 0, 1300);
		SAME(get16(blob.bytes + 20 + 23), length == 4 ? 1300 : 1460);
		free(blob.bytes);
	}
}

int main(void)
{
	RUN(a_rewritten_syn_fits);
	RUN(an_mss_is_only_lowered_and_only_that_of_a_syn);
	RUN(options_that_are_cut_off_have_no_mss);
	RUN(a_mark_changes_the_ip_header_only);
	RUN(a_corrupt_byte_of_a_later_fragment_is_the_only_one);
	RUN(a_fixed_first_fragment_fits_its_datagram);
	RUN(no_checksum_of_a_first_fragment_stays_none);
	RUN(a_whole_segment_fits_if_it_is_to);
	RUN(without_payload_the_checksum_is_corrupt);
	RUN(a_truncated_segment_fits);
	RUN(a_truncated_fragment_keeps_its_transport_header);
	return end_tests();
}
