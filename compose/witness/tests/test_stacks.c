/* The lines of a call stack in a trace's text, and which addresses are known. */

#include <stdio.h>
#include <stdlib.h>

#include "common/tests/check.h"
#include "witness/stacks.h"

static void a_line_has_a_name_and_an_address(void)
{
	char plain[] = " => tcp_write_xmit <ffffffff820279cd>", module[] = " => veth_xmit [veth] <ffffffffc0001234>";
	const char *name;
	uint64_t address;
	CHECK(parse_stack_line(plain, &name, &address));
	SAME_TEXT(name, "tcp_write_xmit");
	CHECK(address == 0xffffffff820279cd);
	CHECK(parse_stack_line(module, &name, &address));
	SAME_TEXT(name, "veth_xmit");
	CHECK(address == 0xffffffffc0001234);
}

static void what_is_no_line_of_a_stack(void)
{
	const char *const others[] = {"", " => ", " => <ffffffff820279cd>", " => tcp_write_xmit", " => x <>", " => x <12",
	                              " => x <zz>", " => x <fffffffffffffffff>", "python3-1 [001] b.s2.  1.2: <stack trace>"};
	const char *name;
	uint64_t address;
	char line[80];
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		snprintf(line, sizeof line, "%s", others[i]);
		CHECK(!parse_stack_line(line, &name, &address));
	}
}

static void each_address_is_learnt_once(void)
{
	struct known_addresses known = {0};
	for (uint64_t address = 1; address < 5000; address++)
		CHECK(learn(&known, address << 4));
	for (uint64_t address = 1; address < 5000; address++)
		CHECK(!learn(&known, address << 4));
	CHECK(!learn(&known, 0));
	free(known.slots);
}

static void each_function_of_a_timer_is_told_once(void)
{
	struct known_timers known = {0};
	const char *const both[] = {
	    " <idle>-0 [000] ..s1. 12.5: timer_expire_entry: timer=ffff8881 function=tcp_write_timer now=429 baseclk=429",
	    " <idle>-0 [001] d.h1. 12.6: hrtimer_expire_entry: hrtimer=ffff8882 function=tcp_compressed_ack_kick now=430",
	};
	const char *const none[] = {"", " => tcp_write_timer <ffffffff82030000>", " x: tcp_probe: function=tcp_write_timer now=1",
	                            " x: timer_expire_entry: timer=1", " x: timer_expire_entry: function= now=1"};
	for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
		CHECK(learn_timer(&known, both[i]));
		CHECK(!learn_timer(&known, both[i]));
	}
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		CHECK(!learn_timer(&known, none[i]));
	CHECK(learn_timer(&known, " x: timer_expire_entry: timer=1 function=tcp_write now=1"));
}

int main(void)
{
	RUN(a_line_has_a_name_and_an_address);
	RUN(what_is_no_line_of_a_stack);
	RUN(each_address_is_learnt_once);
	RUN(each_function_of_a_timer_is_told_once);
	return end_tests();
}
