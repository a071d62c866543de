/* Any bytes as the runner's frames: found, and taken apart as each kind of request is. */

#include <stdlib.h>
#include <string.h>

#include "agent/frames.h"
#include "common/memory.h"
#include "common/tests/fuzz.h"

static volatile size_t read_bytes; /* so that no compiler leaves out what reads them */

static void take_apart(const struct frame *frame)
{
	struct start_request request;
	size_t length = 0;
	char after = frame->payload[frame->size];
	frame->payload[frame->size] = 0;
	parse_start(&request, frame->payload, frame->size);
	for (size_t i = 0; i < request.argc; i++)
		length += strlen(request.argv[i]);
	free_start(&request);
	for (int i = 0; i < 4; i++)
		length += strlen(part(frame->payload, frame->size, i));
	frame->payload[frame->size] = after;
	read_bytes += length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame frame;
	char *bytes = grow(NULL, size + 1); /* as the agent's buffer, one to spare */
	if (size)
		memcpy(bytes, data, size);
	bytes[size] = 'x';
	for (size_t at = 0; take_frame(bytes + at, size - at, &frame) == WHOLE_FRAME; at += HEADER + frame.size)
		take_apart(&frame);
	frame = (struct frame){.payload = bytes, .size = size}; /* and all of it as the payload of one */
	take_apart(&frame);
	free(bytes);
	return 0;
}
