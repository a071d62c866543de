#include "agent/frames.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"

enum taken take_frame(char *bytes, size_t size, struct frame *found)
{
	const unsigned char *header = (const unsigned char *)bytes;
	if (size < HEADER)
		return NO_FRAME;
	found->type = (char)header[0];
	found->id = get32(header + 1);
	found->size = get32(header + 5);
	found->payload = bytes + HEADER;
	if (found->size > MAX_FRAME)
		return FRAME_TOO_LARGE;
	return size - HEADER < found->size ? NO_FRAME : WHOLE_FRAME;
}

void put_header(unsigned char to[HEADER], char type, uint32_t id, size_t size)
{
	to[0] = (unsigned char)type;
	put32(to + 1, id);
	put32(to + 5, (uint32_t)size);
}

const char *part(const char *payload, size_t size, int n)
{
	const char *at = payload;
	while (n-- > 0 && at < payload + size)
		at += strlen(at) + 1;
	return at <= payload + size ? at : "";
}

static void add_text(char ***list, size_t *count, char *text)
{
	*list = grow(*list, (*count + 2) * sizeof **list);
	(*list)[(*count)++] = text;
}

void parse_start(struct start_request *request, char *payload, size_t size)
{
	*request = (struct start_request){.keep_input = false};
	for (char *at = payload; at < payload + size; at += strlen(at) + 1) {
		if (*at == 'a')
			add_text(&request->argv, &request->argc, at + 1);
		else if (*at == 'e')
			add_text(&request->envp, &request->envc, at + 1);
		else if (*at == 'd')
			request->directory = at + 1;
		else if (*at == 'i')
			request->keep_input = true;
	}
	request->argv = grow(request->argv, (request->argc + 1) * sizeof *request->argv);
	request->argv[request->argc] = NULL;
	request->envp = grow(request->envp, (request->envc + 1) * sizeof *request->envp);
	request->envp[request->envc] = NULL;
}

void free_start(struct start_request *request)
{
	free(request->argv);
	free(request->envp);
}
