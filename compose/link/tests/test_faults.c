/* Which fault meets which packet, and what a forged packet is made of. */

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/tests/check.h"
#include "link/faults.h"
#include "link/forge.h"
#include "link/tests/packets.h"

static struct connections connections;
static uint8_t bytes[ROOM];

static struct packet segment(uint8_t flags, uint32_t seq, const char *payload)
{
	return as_read(bytes, make_tcp(bytes, 4, flags, seq, payload));
}

static struct fault fault_of(enum kind kind)
{
	return (struct fault){.action = DROP_IT, .kind = kind, .nth = 1, .count = 1, .flags = -1, .open = true};
}

static void kinds_are_told_apart_by_flags_and_payload(void)
{
	const struct {
		uint8_t flags;
		const char *payload;
		enum kind kind, other;
	} cases[] = {
		{SYN, "", K_SYN, K_SYNACK}, {SYN | ACK, "", K_SYNACK, K_SYN}, {ACK, "", K_ACK, K_DATA},
		{ACK | PSH, "x", K_DATA, K_ACK}, {FIN | ACK, "", K_FIN, K_ACK}, {RST, "", K_RST, K_FIN}, {ACK, "", K_TCP, K_UDP},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct packet p = segment(cases[i].flags, 1, cases[i].payload);
		struct fault is = fault_of(cases[i].kind), not = fault_of(cases[i].other);
		CHECK(meets(&is, CLIENT, &p, NULL));
		CHECK(!meets(&not, CLIENT, &p, NULL));
		CHECK(!meets(&is, SERVER, &p, NULL));
	}
}

static void the_nth_and_as_many_as_count_are_met(void)
{
	struct fault fault = fault_of(ANY);
	struct packet p = segment(ACK, 1, "x");
	fault.nth = 2;
	fault.count = 2;
	const bool expected[] = {false, true, true, false};
	for (int i = 0; i < 4; i++)
		CHECK(meets(&fault, CLIENT, &p, NULL) == expected[i]);
}

/* Bytes count from the first of the stream, across the wrap of sequence numbers. */
static void bytes_are_those_of_the_stream(void)
{
	struct packet p = segment(SYN, UINT32_MAX - 2, "");
	track(&connections, &p, CLIENT, 0);
	struct fault fault = fault_of(ANY);
	fault.by_bytes = true;
	fault.first_byte = fault.last_byte = 5;
	p = segment(ACK, UINT32_MAX - 1, "01234");
	CHECK(!meets(&fault, CLIENT, &p, track(&connections, &p, CLIENT, 0)));
	p = segment(ACK, 3, "56789");
	CHECK(meets(&fault, CLIENT, &p, track(&connections, &p, CLIENT, 0)));
}

static void payload_is_looked_for_in_what_is_here(void)
{
	struct fault fault = fault_of(ANY);
	struct packet p = segment(ACK, 1, "hello");
	fault.payload = (struct blob){(uint8_t *)"ell", 3};
	CHECK(meets(&fault, CLIENT, &p, NULL));
	p.captured -= 2;
	CHECK(!meets(&fault, CLIENT, &p, NULL));
}

/* A RST as if from the server, right after a segment of the client's. */
static void a_forged_segment_continues_the_connection(void)
{
	uint8_t raw[ROOM], copy[ROOM];
	struct fault fault = {.action = FORGE_IT, .from = CLIENT, .as = SERVER, .offset = 7};
	fault.raw[IPV4] = (struct blob){raw, make_tcp(raw, 4, RST | ACK, 0, "")};
	struct packet p = segment(ACK, 9000, "hello");
	struct blob blob = forge(&fault, &p, track(&connections, &p, CLIENT, 0));
	memcpy(copy, blob.bytes, blob.size);
	struct packet made = as_read(copy, blob.size);
	SAME(made.sport, p.dport);
	SAME(made.dport, p.sport);
	SAME(made.seq, p.ack + 7);
	SAME(made.ack, 9005);
	CHECK(checksum_fits(4, TCP, blob.bytes + 20, 20));
	free(blob.bytes);
}

/* Time stamps and SACK blocks are distances from what the connection has. */
static void a_forged_segment_has_stamps_and_blocks_of_its_own(void)
{
	uint8_t sent[ROOM], raw[ROOM] = {0};
	struct connections all = {0};
	struct packet p = as_read(sent, make_tcp(sent, 4, ACK, 9000, "hello"));
	struct connection *c = track(&all, &p, CLIENT, 0);
	c->first[SERVER] = 700;
	c->stamp[CLIENT] = 5000;
	c->stamp[SERVER] = 60;
	struct fault fault = {.action = FORGE_IT, .from = CLIENT, .as = CLIENT, .ack = -3, .stamp = 24, .value = -1000,
	                      .echo = 2, .sack = 36, .blocks = 1};
	size_t size = make_tcp(raw, 4, ACK, 0, "------------------------");
	raw[32] = 11 << 4;
	put32(raw + 20 + 36, 10);
	put32(raw + 20 + 40, 20);
	fault.raw[IPV4] = (struct blob){raw, size};
	struct blob blob = forge(&fault, &p, c);
	SAME(get32(blob.bytes + 20 + 4), 9005);
	SAME(get32(blob.bytes + 20 + 8), 497);
	SAME(get32(blob.bytes + 20 + 24), 4000);
	SAME(get32(blob.bytes + 20 + 28), 62);
	SAME(get32(blob.bytes + 20 + 36), 710);
	SAME(get32(blob.bytes + 20 + 40), 720);
	free(blob.bytes);
	free_connections(&all);
}

/* After a silence, until a SYN; the packet that ends the silence is the first that is met. */
static void a_connection_is_forgotten_after_a_silence(void)
{
	struct connections all = {0};
	struct fault fault = fault_of(ANY);
	struct packet p = segment(ACK, 1, "x");
	fault.action = FORGET_IT;
	fault.hold = 100;
	fault.count = 0;
	CHECK(!meets(&fault, CLIENT, &p, NULL));
	CHECK(!meets(&fault, CLIENT, &p, track(&all, &p, CLIENT, 1000)));
	CHECK(!meets(&fault, CLIENT, &p, track(&all, &p, CLIENT, 1099)));
	CHECK(meets(&fault, CLIENT, &p, track(&all, &p, CLIENT, 1199)));
	CHECK(meets(&fault, CLIENT, &p, track(&all, &p, CLIENT, 1200)));
	p = segment(SYN, 1, "");
	CHECK(!meets(&fault, CLIENT, &p, track(&all, &p, CLIENT, 2000)));
	free_connections(&all);
}

static void too_big_quotes_the_packet_and_names_the_mtu(void)
{
	struct plan plan = {.address = {[CLIENT] = {[IPV4] = {198, 18, 0, 4}}}};
	struct packet p = segment(ACK, 1, "hello");
	struct blob blob = packet_too_big(&plan, CLIENT, &p, 1280);
	SAME(blob.bytes[9], ICMP);
	SAME(get16(blob.bytes + 26), 1280);
	SAME_BYTES(blob.bytes + 16, p.src, 4);
	SAME_BYTES(blob.bytes + 28, p.bytes, p.captured);
	free(blob.bytes);
}

int main(void)
{
	RUN(kinds_are_told_apart_by_flags_and_payload);
	RUN(the_nth_and_as_many_as_count_are_met);
	RUN(bytes_are_those_of_the_stream);
	RUN(payload_is_looked_for_in_what_is_here);
	RUN(a_forged_segment_continues_the_connection);
	RUN(a_forged_segment_has_stamps_and_blocks_of_its_own);
	RUN(a_connection_is_forgotten_after_a_silence);
	RUN(too_big_quotes_the_packet_and_names_the_mtu);
	free_connections(&connections);
	return end_tests();
}
