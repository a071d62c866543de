/* What becomes of a packet: time is passed in, chance repeats. */

#include <stdlib.h>
#include <string.h>

#include "common/tests/check.h"
#include "link/decision.h"
#include "link/tests/packets.h"

static struct plan plan;
static struct line line;

static void begin(void)
{
	free_plan(&plan);
	free_connections(&line.connections);
	begin_plan(&plan, stderr);
	plan.seed = 1;
	plan.payload = true;
	line = (struct line){.plan = &plan};
}

static void add_fault(struct fault fault)
{
	fault.open = true;
	fault.flags = -1;
	fault.nth = fault.nth ? fault.nth : 1;
	fault.count = 1;
	plan.faults[plan.faults_used++] = fault;
}

/* Decide on a segment of the client's with 5 bytes. */
static struct decision send_at(uint64_t came, uint64_t waiting)
{
	static uint8_t bytes[ROOM];
	struct packet p = as_read(bytes, make_tcp(bytes, 4, ACK, 1, "hello"));
	struct circumstances at = {came, 0, waiting};
	struct decision d;
	decide(&line, &p, CLIENT, &at, &d);
	return d;
}

static void without_settings_it_leaves_at_once(void)
{
	begin();
	struct decision d = send_at(100, 0);
	CHECK(d.lost < 0 && !d.changed.bytes && !d.copied && !d.forging);
	SAME(d.due, 100);
	SAME(d.record.acts, 0);
	SAME(d.record.n, 1);
	SAME(send_at(200, 0).record.n, 2);
}

/* 45 bytes at 45,000 bytes a second take a millisecond. */
static void rate_and_delay_add_up_and_order_is_kept(void)
{
	begin();
	plan.set[CLIENT].rate = 360000;
	plan.set[CLIENT].delay = 5000;
	SAME(send_at(1000, 0).due, 1000 + 1000000 + 5000);
	SAME(send_at(1000, 0).due, 1000 + 2000000 + 5000);
	plan.set[CLIENT].delay = 0;
	SAME(send_at(1000, 0).due, 1000 + 3000000);
	plan.set[CLIENT].rate = 0;
	SAME(send_at(1000, 0).due, 1000 + 3000000); /* not before the one before it */
}

static void each_reason_to_drop_is_named(void)
{
	begin();
	plan.set[CLIENT].queue = 2;
	SAME(send_at(1, 1).lost, -1);
	SAME(send_at(1, 2).lost, A_OVERFLOW);
	plan.set[CLIENT].mtu = 44;
	SAME(send_at(1, 0).lost, A_BIG);
	plan.set[CLIENT].loss = 1;
	SAME(send_at(1, 0).lost, A_LOSS);
	add_fault((struct fault){.action = DROP_IT, .from = CLIENT});
	struct decision d = send_at(1, 0);
	SAME(d.lost, A_DROP);
	SAME(d.record.faults_used, 1);
	line.lanes[CLIENT].down_until = 50;
	SAME(send_at(49, 0).lost, A_DOWN);
	SAME(send_at(50, 0).lost, A_LOSS);
}

static void down_begins_with_the_first_packet(void)
{
	begin();
	plan.set[CLIENT].down_after = 10;
	plan.set[CLIENT].down_for = 5;
	SAME(send_at(100, 0).lost, -1);
	SAME(send_at(110, 0).lost, A_DOWN);
	SAME(send_at(114, 0).lost, A_DOWN);
	SAME(send_at(115, 0).lost, -1);
}

static void a_held_packet_does_not_hold_up_the_next(void)
{
	begin();
	add_fault((struct fault){.action = HOLD_IT, .from = CLIENT, .hold = 1000, .behind = 3});
	struct decision d = send_at(10, 0);
	SAME(d.due, 1010);
	SAME(d.behind, 3);
	SAME(d.record.acts, 1u << A_HOLD);
	SAME(send_at(11, 0).due, 11);
}

/* What the kernel did not hand over whole can neither be changed nor be sent again. */
static void a_packet_that_is_not_here_whole_stays_as_it_is(void)
{
	static uint8_t bytes[ROOM];
	struct packet p;
	struct decision d;
	struct circumstances at = {1, 0, 0};
	begin();
	plan.set[CLIENT].corrupt = plan.set[CLIENT].duplicate = 1;
	const size_t size = make_tcp(bytes, 4, ACK, 1, "hello");
	read_packet(&p, bytes, size, size + 4);
	decide(&line, &p, CLIENT, &at, &d);
	CHECK(!d.changed.bytes && !d.copied);
	SAME(d.record.acts, 0);
	read_packet(&p, bytes, size, size);
	decide(&line, &p, CLIENT, &at, &d);
	CHECK(d.changed.bytes && d.copied);
	SAME(d.record.acts, 1u << A_CORRUPT | 1u << A_DUPLICATE);
	free(d.changed.bytes);
}

static void chance_repeats_with_the_seed(void)
{
	uint64_t drops[2] = {0, 0};
	for (int turn = 0; turn < 2; turn++) {
		begin();
		plan.set[CLIENT].loss = 0.5;
		for (int i = 0; i < 64; i++)
			drops[turn] = drops[turn] << 1 | (send_at(1, 0).lost >= 0);
	}
	SAME(drops[0], drops[1]);
	CHECK(__builtin_popcountll(drops[0]) > 16 && __builtin_popcountll(drops[0]) < 48);
}

int main(void)
{
	RUN(without_settings_it_leaves_at_once);
	RUN(rate_and_delay_add_up_and_order_is_kept);
	RUN(each_reason_to_drop_is_named);
	RUN(down_begins_with_the_first_packet);
	RUN(a_held_packet_does_not_hold_up_the_next);
	RUN(a_packet_that_is_not_here_whole_stays_as_it_is);
	RUN(chance_repeats_with_the_seed);
	begin();
	return end_tests();
}
