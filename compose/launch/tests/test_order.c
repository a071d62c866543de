/* Orders as words. */

#include "common/tests/check.h"
#include "launch/order.h"

static void words_are_parted_by_blanks(void)
{
	char line[] = "veth client eth0 server eth1";
	struct order order;
	parse_order(&order, line);
	CHECK(is_order(&order, "veth", 5) && !is_order(&order, "veth", 4) && !is_order(&order, "up", 5));
	SAME_TEXT(order.word[4], "eth1");
}

static void a_sysctls_value_may_hold_blanks(void)
{
	char line[] = "sysctl net.ipv4.tcp_rmem 4096 131072 6291456", other[] = "bind a b c";
	struct order order;
	parse_order(&order, line);
	CHECK(is_order(&order, "sysctl", 3));
	SAME_TEXT(order.word[2], "4096 131072 6291456");
	parse_order(&order, other);
	CHECK(is_order(&order, "bind", 4));
}

static void a_path_of_the_users_own_may_hold_blanks(void)
{
	char own[] = "own server 444 12 /app/a file", place[] = "place server /my app";
	struct order order;
	parse_order(&order, own);
	CHECK(is_order(&order, "own", 5));
	SAME_TEXT(order.word[4], "/app/a file");
	parse_order(&order, place);
	CHECK(is_order(&order, "place", 3));
	SAME_TEXT(order.word[2], "/my app");
}

static void any_line_has_a_first_word(void)
{
	char nothing[] = "", many[] = "a b c d e f g h";
	struct order order;
	parse_order(&order, nothing);
	CHECK(is_order(&order, "", 1));
	parse_order(&order, many);
	SAME(order.count, MAX_WORDS);
	SAME_TEXT(order.word[MAX_WORDS - 1], "f");
}

int main(void)
{
	RUN(words_are_parted_by_blanks);
	RUN(a_sysctls_value_may_hold_blanks);
	RUN(a_path_of_the_users_own_may_hold_blanks);
	RUN(any_line_has_a_first_word);
	return end_tests();
}
