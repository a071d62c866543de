/* The plan's lines as values, and what is said of wrong ones. (tests/native/test_link_plan.py has every message.) */

#define _GNU_SOURCE /* fmemopen, strsep */
#include <stdlib.h>
#include <string.h>

#include "common/tests/check.h"
#include "link/faults.h"
#include "link/plan_values.h"

static char said[4096];

/* Read lines, each ending in a newline; what is reported is in `said`. */
static struct plan *read_plan(const char *lines)
{
	struct plan *plan = malloc(sizeof *plan);
	char *text = strdup(lines), *rest = text;
	FILE *errors = fmemopen(said, sizeof said, "w");
	memset(said, 0, sizeof said);
	begin_plan(plan, errors);
	for (char *line; (line = strsep(&rest, "\n")) && rest;) {
		plan->line++;
		char *what = strsep(&line, " ");
		CHECK(plan_line(plan, what, line));
	}
	plan_complete(plan);
	fclose(errors);
	free(text);
	return plan;
}

static void end(struct plan *plan)
{
	free_plan(plan);
	free(plan);
}

#define HEAD "link seed=7 copy=payload\nend from=client address=198.18.0.4\n"

static void settings_are_values_and_the_rest_is_off(void)
{
	struct plan *plan = read_plan(HEAD "set from=server delay=5 jitter=2 loss=0.25 rate=1000\n");
	SAME_TEXT(said, "");
	SAME(plan->seed, 7);
	SAME(plan->set[SERVER].delay, 5);
	SAME(plan->set[SERVER].jitter, 2);
	CHECK(plan->set[SERVER].loss > 0.24 && plan->set[SERVER].loss < 0.26);
	SAME(plan->set[SERVER].rate, 1000);
	SAME(plan->set[SERVER].queue, 10000);
	SAME(plan->set[CLIENT].delay, 0);
	end(plan);
}

static void a_fault_is_open_between_its_barriers(void)
{
	struct plan *plan = read_plan(HEAD "fault do=drop from=client after=a until=b\nfault do=drop from=client\n");
	CHECK(!plan->faults[0].open && plan->faults[1].open);
	pass_barrier(plan, "a");
	CHECK(plan->faults[0].open);
	pass_barrier(plan, "b");
	CHECK(!plan->faults[0].open && plan->faults[1].open);
	end(plan);
}

/* The last value of a key counts, and none is leaked. */
static void a_key_may_be_given_again(void)
{
	struct plan *plan = read_plan(HEAD "fault do=drop from=client payload=00 payload=6162 after=x after=y\n");
	SAME(plan->faults[0].payload.size, 2);
	SAME_BYTES(plan->faults[0].payload.bytes, "ab", 2);
	SAME_TEXT(plan->faults[0].after, "y");
	end(plan);
}

/* A header that says it is longer than the packet would be written behind its end. */
static void a_raw_packet_has_room_for_what_is_filled_in(void)
{
	static const struct {
		const char *first, *fill;
		int size;
		bool fine;
	} cases[] = {
		{"45", "tcp", 40, true}, {"45", "tcp", 39, false}, {"4f", "tcp", 40, false}, {"60", "tcp", 40, false},
		{"60", "tcp", 60, true}, {"45", "quote", 28, true}, {"60", "quote", 40, false}, {"60", "quote", 48, true},
		{"50", "tcp", 60, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char line[512], zeros[256] = "";
		for (int byte = 1; byte < cases[i].size; byte++)
			strcat(zeros, "00");
		snprintf(line, sizeof line, HEAD "fault do=forge from=client as=client raw=%s%s fill=%s\n", cases[i].first, zeros,
		         cases[i].fill);
		struct plan *plan = read_plan(line);
		SAME_TEXT(said, cases[i].fine ? "" : "line 3: forge needs as and a raw packet\n");
		end(plan);
	}
}

static void no_address_is_reported(void)
{
	struct plan *plan = read_plan("link seed=1 copy=headers\n");
	CHECK(plan->failed);
	SAME_TEXT(said, "line 1: no address of the link\n");
	end(plan);
}

int main(void)
{
	RUN(settings_are_values_and_the_rest_is_off);
	RUN(a_fault_is_open_between_its_barriers);
	RUN(a_key_may_be_given_again);
	RUN(a_raw_packet_has_room_for_what_is_filled_in);
	RUN(no_address_is_reported);
	return end_tests();
}
