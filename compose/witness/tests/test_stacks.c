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

int main(void)
{
	RUN(a_line_has_a_name_and_an_address);
	RUN(what_is_no_line_of_a_stack);
	RUN(each_address_is_learnt_once);
	return end_tests();
}
