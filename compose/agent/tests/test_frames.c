/* Frames, and what requests hold. */

#include <string.h>

#include "agent/frames.h"
#include "common/tests/check.h"

static void a_frame_is_there_when_all_of_it_is(void)
{
	unsigned char bytes[HEADER + 6];
	struct frame frame;
	put_header(bytes, 'F', 0x01020304, 6);
	memcpy(bytes + HEADER, "/a/b/c", 6);
	SAME_BYTES(bytes, "F\1\2\3\4\0\0\0\6", HEADER);
	for (size_t size = 0; size < sizeof bytes; size++)
		SAME(take_frame((char *)bytes, size, &frame), NO_FRAME);
	SAME(take_frame((char *)bytes, sizeof bytes, &frame), WHOLE_FRAME);
	SAME(frame.type, 'F');
	SAME(frame.id, 0x01020304);
	SAME(frame.size, 6);
	SAME_BYTES(frame.payload, "/a/b/c", 6);
}

static void a_frame_that_says_it_is_huge_is_refused(void)
{
	unsigned char bytes[HEADER];
	struct frame frame;
	put_header(bytes, 'I', 1, MAX_FRAME);
	SAME(take_frame((char *)bytes, sizeof bytes, &frame), NO_FRAME);
	put_header(bytes, 'I', 1, (size_t)MAX_FRAME + 1);
	SAME(take_frame((char *)bytes, sizeof bytes, &frame), FRAME_TOO_LARGE);
}

static void parts_end_in_nul_and_what_is_not_there_is_empty(void)
{
	static const char payload[] = "one\0two\0three"; /* the last without its own NUL */
	SAME_TEXT(part(payload, 13, 0), "one");
	SAME_TEXT(part(payload, 13, 1), "two");
	SAME_TEXT(part(payload, 13, 2), "three");
	SAME_TEXT(part(payload, 13, 3), "");
	SAME_TEXT(part("", 0, 1), "");
}

static void a_start_names_arguments_environment_and_input(void)
{
	char payload[] = "ash\0eA=b\0a-c\0d/app\0i\0?";
	struct start_request request;
	parse_start(&request, payload, sizeof payload - 1);
	SAME(request.argc, 2);
	SAME_TEXT(request.argv[0], "sh");
	SAME_TEXT(request.argv[1], "-c");
	CHECK(!request.argv[2]);
	SAME_TEXT(request.envp[0], "A=b");
	CHECK(!request.envp[1]);
	CHECK(request.keep_input);
	SAME_TEXT(request.directory, "/app");
	free_start(&request);
}

static void a_start_of_nothing_is_empty(void)
{
	char payload[1] = "";
	struct start_request request;
	parse_start(&request, payload, 0);
	CHECK(!request.argc && !request.argv[0] && !request.envp[0] && !request.keep_input);
	free_start(&request);
}

int main(void)
{
	RUN(a_frame_is_there_when_all_of_it_is);
	RUN(a_frame_that_says_it_is_huge_is_refused);
	RUN(parts_end_in_nul_and_what_is_not_there_is_empty);
	RUN(a_start_names_arguments_environment_and_input);
	RUN(a_start_of_nothing_is_empty);
	return end_tests();
}
