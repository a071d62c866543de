/* Numbers in network byte order, memory, and the generator. */

#include <stdlib.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "common/splitmix.h"
#include "common/tests/check.h"

static void numbers_are_big_endian_at_any_address(void)
{
	uint8_t bytes[7] = {0};
	put32(bytes + 1, 0x01020304);
	put16(bytes + 5, 0xfffe);
	SAME_BYTES(bytes, "\0\1\2\3\4\xff\xfe", 7);
	SAME(get32(bytes + 1), 0x01020304);
	SAME(get16(bytes + 5), 0xfffe);
}

static void memory_of_no_size_is_memory(void)
{
	char *none = grow(NULL, 0), *copy = copy_bytes(NULL, 0), *text = copy_text("text");
	CHECK(none && copy);
	SAME_TEXT(text, "text");
	free(none);
	free(copy);
	free(text);
}

/* The first outputs of splitmix64 from state 0, as its authors publish them. */
static void the_generator_is_splitmix64(void)
{
	SAME(mix(0), UINT64_C(0xe220a8397b1dcdaf));
	SAME(mix(UINT64_C(0x9e3779b97f4a7c15)), UINT64_C(0x6e789e6aa1b965f4));
}

int main(void)
{
	RUN(numbers_are_big_endian_at_any_address);
	RUN(memory_of_no_size_is_memory);
	RUN(the_generator_is_splitmix64);
	return end_tests();
}
