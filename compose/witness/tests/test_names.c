/* Names of instances, events and processors, and the frames that carry what they record. */

#include "common/tests/check.h"
#include "witness/frames.h"
#include "witness/names.h"

static void only_instances_of_ours_are_touched(void)
{
	CHECK(is_ours("bothends-1-2.3"));
	CHECK(!is_ours("other"));
	CHECK(!is_ours("bothends"));
	CHECK(!is_ours("bothends-/../other"));
}

static void what_was_made_beside_an_instance_goes_with_it(void)
{
	CHECK(belongs_to("bothends-1-boot.2.3", "bothends-1-boot.2.3"));
	CHECK(belongs_to("bothends-1-boot.2.3.stacks", "bothends-1-boot.2.3"));
	CHECK(!belongs_to("bothends-1-boot.2.34", "bothends-1-boot.2.3"));
	CHECK(!belongs_to("bothends-1-boot.2.3", "bothends-1-boot"));
	CHECK(!belongs_to("bothends-1", "bothends-1-boot.2.3"));
}

static void an_event_may_have_a_filter(void)
{
	char plain[] = "tcp/tcp_probe", filtered[] = "tcp/tcp_probe=sport==1";
	CHECK(!split_event(plain));
	SAME_TEXT(split_event(filtered), "sport==1");
	SAME_TEXT(filtered, "tcp/tcp_probe");
}

static void an_event_may_be_of_some_functions_only(void)
{
	char some[] = "timer/timer_expire_entry~function:a,b", filtered[] = "net/netif_rx=name~\"eth0*\"", plain[] = "a/b";
	SAME_TEXT(split_functions(some), "function:a,b");
	SAME_TEXT(some, "timer/timer_expire_entry");
	CHECK(!split_functions(filtered));
	SAME_TEXT(filtered, "net/netif_rx=name~\"eth0*\"");
	CHECK(!split_functions(plain));
}

static void a_processor_has_a_number_and_nothing_else(void)
{
	int number = -1;
	CHECK(processor_number("cpu0", &number));
	SAME(number, 0);
	CHECK(processor_number("cpu127", &number));
	SAME(number, 127);
	const char *const others[] = {".", "cpu", "cpux", "cpu1x", "cpu-1", "cpu 1", "cpu99999999999", "stats"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		CHECK(!processor_number(others[i], &number));
}

static void a_new_name_is_read_from_the_traces_text(void)
{
	struct renamed found;
	CHECK(read_renamed("  hold-77  [001] .....  12.5: task_rename: pid=77 oldcomm=hold newcomm=h0badcafe-c oom_score_adj=0", &found));
	SAME(found.pid, 77);
	SAME_TEXT(found.name, "h0badcafe-c");
	const char *const others[] = {"", "CPU:1 [LOST 3 EVENTS]", "a: task_rename: pid=0 oldcomm=a newcomm=b oom", "a: task_rename: pid=7 old"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		CHECK(!read_renamed(others[i], &found));
}

static void calls_are_asked_for_behind_a_mark(void)
{
	char *with[] = {"tcp/tcp_probe", "--", "1024", NULL}, *without[] = {"tcp/tcp_probe", NULL};
	CHECK(split_calls(with) == with + 2);
	CHECK(!with[1]);
	CHECK(!split_calls(without));
}

static void tasks_are_given_by_number(void)
{
	CHECK(are_numbers("1"));
	CHECK(are_numbers("12 345 6"));
	const char *const others[] = {"", "-1", "1,2", "1\n2", "0x1"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		CHECK(!are_numbers(others[i]));
}

static void statistics_tell_what_was_lost_or_not_read(void)
{
	CHECK(!says_lost("entries: 0\noverrun: 0\ncommit overrun: 0\nbytes: 4711\ndropped events: 0\nread events: 12\n"));
	CHECK(says_lost("entries: 3\noverrun: 0\n"));
	CHECK(says_lost("entries: 0\noverrun: 0\ncommit overrun: 1\n"));
	CHECK(says_lost("entries: 0\noverrun: 10\n"));
	CHECK(says_lost("entries: 0\ndropped events: 2"));
	CHECK(!says_lost(""));
}

static void an_event_is_found_by_its_mark(void)
{
	char one[] = "a/b", two[] = "+c/d";
	char *events[] = {one, two, NULL};
	CHECK(is_among("a/b", events, 0));
	CHECK(!is_among("a/b", events, '+'));
	CHECK(is_among("c/d", events, '+'));
	CHECK(!is_among("c/d", events, 0));
	CHECK(!is_among("a", events, 0));
}

static void a_frame_begins_with_type_and_size(void)
{
	unsigned char header[FRAME_HEADER];
	put_frame_header(header, 'P', 0x010203);
	SAME_BYTES(header, "P\0\1\2\3", FRAME_HEADER);
}

int main(void)
{
	RUN(only_instances_of_ours_are_touched);
	RUN(what_was_made_beside_an_instance_goes_with_it);
	RUN(an_event_may_have_a_filter);
	RUN(an_event_may_be_of_some_functions_only);
	RUN(a_processor_has_a_number_and_nothing_else);
	RUN(a_new_name_is_read_from_the_traces_text);
	RUN(calls_are_asked_for_behind_a_mark);
	RUN(tasks_are_given_by_number);
	RUN(statistics_tell_what_was_lost_or_not_read);
	RUN(an_event_is_found_by_its_mark);
	RUN(a_frame_begins_with_type_and_size);
	return end_tests();
}
