/* Records, usual packets, conversations, hashes and labels. Equality with NumPy is held by tests/native/test_columns.py. */

#include <stdlib.h>
#include <string.h>

#include "columns/conversations.h"
#include "columns/hashes.h"
#include "columns/csv_rows.h"
#include "columns/join.h"
#include "columns/labels.h"
#include "columns/packets.h"
#include "columns/records.h"
#include "common/tests/check.h"

enum { FILE_HEADER = 24, RECORD = 16, FRAME = 14 + 20 + 32 + 3 };

/* A TCP segment of three bytes with timestamps, from 10.0.0.1:1025 to 10.0.0.2:80. */
static const uint8_t SEGMENT[FRAME] = {
	[12] = 8, [14] = 0x45, [17] = 55, [19] = 7, [20] = 0x40, [22] = 64, [23] = 6,
	[26] = 10, [29] = 1, [30] = 10, [33] = 2,
	[34] = 4, [35] = 1, [37] = 80, [41] = 9, [45] = 8, [46] = 0x80, [47] = 0x18, [48] = 1,
	[54] = 1, [55] = 1, [56] = 8, [57] = 10, [61] = 5, [65] = 6, [66] = 'a', [67] = 'b', [68] = 'c',
};

static void write_record(uint8_t *at, uint32_t second, const uint8_t *frame, uint8_t length)
{
	memset(at, 0, RECORD);
	at[0] = (uint8_t)second;
	at[4] = 3;
	at[8] = at[12] = length;
	memcpy(at + RECORD, frame, length);
}

static void a_walk_finds_whole_records_and_stops_at_one_that_is_cut(void)
{
	uint8_t file[FILE_HEADER + 2 * (RECORD + FRAME) + 7] = {0};
	write_record(file + FILE_HEADER, 1, SEGMENT, FRAME);
	write_record(file + FILE_HEADER + RECORD + FRAME, 2, SEGMENT, FRAME);
	int64_t offset[4], captured[4], wire[4], time[4];
	struct records found = {offset, captured, wire, time};
	struct walk walk = {file, sizeof file, FILE_HEADER, sizeof file, 4, 0};
	SAME(walk_pcap(&walk, 1000, 1000, &found), 2);
	SAME(walk.position, FILE_HEADER + 2 * (RECORD + FRAME));
	SAME(offset[1], FILE_HEADER + RECORD + FRAME + RECORD);
	SAME(captured[1], FRAME);
	SAME(wire[0], FRAME);
	SAME(time[1], 2000003000);
	walk.position = FILE_HEADER;
	SAME(walk_pcap(&walk, FRAME - 1, 1000, &found), 0); /* longer than any may be */
	walk.room = 1;
	SAME(walk_pcap(&walk, FRAME, 1000, &found), 1);
}

static void a_walk_of_blocks_stops_at_one_of_another_type(void)
{
	uint8_t file[32 + 32 + 12] = {[0] = 6, [4] = 32, [28] = 32, [32] = 6, [36] = 32, [60] = 32, [64] = 5, [68] = 12, [72] = 12};
	int64_t blocks[3];
	struct walk walk = {file, sizeof file, 0, sizeof file, 3, 0};
	SAME(walk_pcapng(&walk, blocks), 2);
	SAME(blocks[1], 32);
	SAME(walk.position, 64);
	file[60] = 36; /* both lengths differ */
	walk.position = 0;
	SAME(walk_pcapng(&walk, blocks), 1);
}

/* Room for one row of everything. */
struct one_row {
	int32_t frame, conversation, length, framed, captured;
	int64_t time, payload_at;
	uint8_t side, protocol, decoded, ttl, tos, dont_fragment, header;
	uint32_t seq, ack, ip_id, options, tsval, tsecr;
	uint16_t flags, window, urgent, checksum;
	uint64_t payload, icmp;
	int16_t wscale, vlan;
};

static int64_t read_one(const uint8_t *data, int64_t size, int32_t link, struct one_row *r, int64_t *left)
{
	int64_t zero = 0, frame = -1;
	int32_t interface = 0;
	uint8_t blocks;
	uint32_t edges[1][4][2];
	struct frames frames = {data, size, &zero, &size, &size, &zero, &interface, &link, 1, 1, 41};
	struct rows rows = {&r->frame, &r->time, &r->conversation, &r->side, &r->protocol, &r->decoded, &r->seq, &r->ack,
	                    &r->flags, &r->window, &r->urgent, &r->checksum, &r->ttl, &r->tos, &r->ip_id, &r->dont_fragment,
	                    &r->length, &r->framed, &r->captured, &r->payload_at, &r->header, &r->payload, &r->options,
	                    &r->icmp, &r->tsval, &r->tsecr, &r->wscale, &r->vlan};
	struct sacks sacks = {&frame, &blocks, edges, 0};
	struct conversations *all = new_conversations();
	int64_t count = usual_packets(&frames, all, &rows, &sacks, left);
	free_conversations(all);
	return count;
}

static void a_usual_segment_is_a_row(void)
{
	struct one_row r;
	int64_t left;
	SAME(read_one(SEGMENT, FRAME, 1, &r, &left), 1);
	SAME(r.frame, 41);
	SAME(r.ttl, 64);
	SAME(r.ip_id, 7);
	SAME(r.dont_fragment, 1);
	SAME(r.seq, 9);
	SAME(r.ack, 8);
	SAME(r.flags, 0x18);
	SAME(r.window, 256);
	SAME(r.header, 32);
	SAME(r.length, 3);
	SAME(r.captured, 3);
	SAME(r.payload_at, FRAME - 3);
	SAME(r.payload, digest_of((const uint8_t *)"abc", 3));
	SAME(r.tsval, 5);
	SAME(r.tsecr, 6);
	SAME(r.wscale, -1);
}

static void a_frame_that_is_not_usual_is_left(void)
{
	struct one_row r;
	int64_t left = -1;
	SAME(read_one(SEGMENT, FRAME, 147, &r, &left), 0); /* a link type that is not known */
	SAME(left, 0);
	uint8_t *copy = malloc(FRAME);
	for (int64_t size = 0; size < 14 + 40; size++) {
		memcpy(copy, SEGMENT, (size_t)size);
		SAME(read_one(copy, size, 1, &r, &left), 0);
	}
	free(copy);
	copy = malloc(FRAME);
	memcpy(copy, SEGMENT, FRAME);
	copy[20] = 0x20; /* more fragments */
	SAME(read_one(copy, FRAME, 1, &r, &left), 0);
	free(copy);
}

static void a_cut_frame_has_what_was_captured_of_it(void)
{
	struct one_row r;
	int64_t left;
	SAME(read_one(SEGMENT, FRAME - 1, 1, &r, &left), 1);
	SAME(r.length, 3);
	SAME(r.captured, 2);
	SAME(read_one(SEGMENT, FRAME - 8, 1, &r, &left), 1); /* within the options */
	SAME(r.captured, 0);
	SAME(r.tsval, 0);
}

static void conversations_are_numbered_as_they_come(void)
{
	struct conversations *all = new_conversations();
	static struct ends got[5000];
	struct ends some = {.version = 4, .protocol = 6};
	for (uint64_t key = 0; key < 5000; key++)
		SAME(number_conversation(all, key * 2048, NULL), key); /* all in one slot */
	SAME(number_conversation(all, 2048, &some), 1);
	SAME(count_conversations(all), 5000);
	conversation_ends(all, got);
	SAME(got[1].protocol, 6);
	SAME(got[2].version, 0);
	uint64_t keys[] = {4096, UINT64_MAX};
	int32_t numbers[2];
	CHECK(number_conversations(all, keys, 2, numbers));
	SAME(numbers[0], 2);
	SAME(numbers[1], 5000);
	free_conversations(all);
}

static void both_directions_are_one_conversation_and_another_port_is_another(void)
{
	struct conversations *all = new_conversations();
	struct ends forth = {{0, 5, 0, 9}, {1025, 80}, 6, 4, 0, 0}, back = {{0, 9, 0, 5}, {80, 1025}, 6, 4, 0, 0};
	struct ends other = {{0, 5, 0, 9}, {80, 1025}, 6, 4, 0, 0}; /* has the same mix of ends */
	for (int turn = 0; turn < 3; turn++) {
		forth.turned = back.turned = 2;
		SAME(conversation_between(all, &forth), 0);
		SAME(conversation_between(all, &back), 0);
		SAME(forth.turned + back.turned, 1);
		SAME(conversation_between(all, &other), 1);
	}
	struct ends datagram = forth;
	datagram.protocol = 17;
	SAME(conversation_between(all, &datagram), 2);
	SAME(count_conversations(all), 3);
	free_conversations(all);
}

/* A hole of the second segment, which comes after three duplicate ACKs. */
static void a_hole_and_its_repair_are_labelled(void)
{
	enum { COUNT = 8 };
	int64_t time[COUNT];
	int32_t conversation[COUNT] = {0}, length[COUNT] = {100, 0, 100, 0, 0, 0, 100, 0}, streams[COUNT];
	uint8_t side[COUNT] = {0, 1, 0, 1, 1, 1, 0, 1};
	uint32_t seq[COUNT] = {1000, 500, 1200, 500, 500, 500, 1100, 500}, ack[COUNT] = {500, 1100, 500, 1100, 1100, 1100, 500, 1300};
	uint16_t flags[COUNT], window[COUNT], labels[COUNT];
	int16_t wscale[COUNT];
	for (int k = 0; k < COUNT; k++) {
		time[k] = 1000000000 + k * 1000000;
		flags[k] = 16;
		window[k] = 900;
		wscale[k] = -1;
	}
	struct segments all = {COUNT, time, conversation, side, seq, ack, flags, window, length, wscale, 1, 0, NULL, NULL, NULL};
	struct label_rules rules = {1, 1, 1, 1, 1};
	CHECK(label_segments(&all, &rules, labels, streams));
	SAME(labels[2], 1 << 2);      /* lost_segment */
	SAME(labels[5], 1 << 8);      /* duplicate_ack */
	SAME(labels[6], 1 << 11);     /* fast_retransmission */
	SAME(labels[7], 0);
	SAME(streams[7], 0);
}

static void equal_keys_are_paired_in_order(void)
{
	uint64_t a[] = {0x1000, 0x2000, 0x1000, 0x3000, 0x5001}, b[] = {0x3000, 0x1000, 0x4000, 0x3000, 0x5002};
	int64_t x[5], y[5];
	uint8_t several[5];
	SAME(join_keys(a, 5, b, 5, ~UINT64_C(7), x, y, several), 2);
	SAME(x[0], 0);
	SAME(y[0], 1);
	CHECK(several[0]); /* twice in a */
	SAME(x[1], 3);
	SAME(y[1], 0);
	CHECK(several[1]); /* twice in b */
	SAME(join_keys(a, 5, b, 0, ~UINT64_C(7), x, y, several), 0);
	SAME(join_keys(a, 0, b, 5, ~UINT64_C(7), x, y, several), 0);
}

static void columns_are_rows_of_csv(void)
{
	int64_t numbers[] = {0, INT64_MIN + 1, INT64_MIN}, which[] = {2, 0, 1}, ends[] = {0, 0, 3, 7};
	struct csv_column columns[] = {{numbers, NULL, NULL}, {which, (const uint8_t *)"yeslost", ends}};
	static const char WANTED[] = "0,lost\n-9223372036854775807,\n,yes\n";
	uint8_t out[3 * 21 + 3 * 5];
	SAME(csv_rows(columns, 2, 3, out), (int64_t)sizeof WANTED - 1);
	CHECK(!memcmp(out, WANTED, sizeof WANTED - 1));
}

int main(void)
{
	RUN(a_walk_finds_whole_records_and_stops_at_one_that_is_cut);
	RUN(a_walk_of_blocks_stops_at_one_of_another_type);
	RUN(a_usual_segment_is_a_row);
	RUN(a_frame_that_is_not_usual_is_left);
	RUN(a_cut_frame_has_what_was_captured_of_it);
	RUN(conversations_are_numbered_as_they_come);
	RUN(both_directions_are_one_conversation_and_another_port_is_another);
	RUN(a_hole_and_its_repair_are_labelled);
	RUN(equal_keys_are_paired_in_order);
	RUN(columns_are_rows_of_csv);
	return end_tests();
}
