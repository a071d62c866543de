/* In which order packets leave. */

#include <stdlib.h>

#include "common/tests/check.h"
#include "link/hold.h"

static struct holding holding;

static struct held *add(uint64_t due, uint64_t behind)
{
	struct held *one = hold_new(&holding, CLIENT, due);
	one->behind = behind;
	hold_add(&holding, one);
	return one;
}

/* Take what may leave, return its number among those that were made. */
static uint64_t take(uint64_t now)
{
	struct held *one = hold_take(&holding, now);
	uint64_t order = one ? one->order : UINT64_MAX;
	free(one);
	return order;
}

static void they_leave_by_time_and_among_equals_as_they_came(void)
{
	free_holding(&holding);
	add(30, 0);
	add(10, 0);
	add(20, 0);
	add(10, 0);
	SAME(take(9), UINT64_MAX);
	SAME(holding.of[CLIENT].waiting, 4);
	const uint64_t expected[] = {1, 3, 2, 0, UINT64_MAX};
	for (int i = 0; i < 5; i++)
		SAME(take(100), expected[i]);
	SAME(holding.of[CLIENT].waiting, 0);
}

static void many_leave_in_order(void)
{
	free_holding(&holding);
	for (uint64_t i = 0; i < 5000; i++)
		add(i * 7919 % 5000, 0);
	for (uint64_t due = 0; due < 5000; due++) {
		struct held *one = hold_take(&holding, 5000);
		SAME(one->due, due);
		free(one);
	}
}

static void one_that_waits_aside_leaves_when_enough_have_passed(void)
{
	free_holding(&holding);
	struct held *aside = add(1000, 2);
	add(10, 0);
	for (int passed = 1; passed <= 2; passed++) {
		CHECK(!take_passed(&holding, CLIENT));
		count_passed(&holding, CLIENT, aside->order + 1);
	}
	CHECK(take_passed(&holding, CLIENT) == aside);
	CHECK(!take_passed(&holding, CLIENT));
	SAME(take(2000), 1);
	SAME(take(2000), UINT64_MAX); /* and not again when it is due */
}

static void the_ring_knows_the_first_in_the_kernel(void)
{
	struct ring ring = {NULL, 0, 0, 0};
	for (uint64_t i = 0; i < 3000; i++)
		SAME(ring_add(&ring), i);
	CHECK(!ring_remove(&ring, 1));
	CHECK(ring_remove(&ring, 0));
	CHECK(ring_remove(&ring, 2));
	SAME(ring.head, 3);
	free(ring.left);
}

int main(void)
{
	RUN(they_leave_by_time_and_among_equals_as_they_came);
	RUN(many_leave_in_order);
	RUN(one_that_waits_aside_leaves_when_enough_have_passed);
	RUN(the_ring_knows_the_first_in_the_kernel);
	free_holding(&holding);
	return end_tests();
}
