/* frames.h: frames as bytes, and what the runner's requests hold: see agent.c for what they are. Pure. */

#ifndef AGENT_FRAMES_H
#define AGENT_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEADER = 9, MAX_FRAME = 16 << 20 };

/* A frame in the reader's buffer. */
struct frame {
	char type;
	uint32_t id;
	char *payload;
	size_t size;
};

enum taken { NO_FRAME, WHOLE_FRAME, FRAME_TOO_LARGE };

/* Find the frame at the start of `size` bytes; NO_FRAME until all of it is there. */
enum taken take_frame(char *bytes, size_t size, struct frame *found);

/* Write a frame's header. */
void put_header(unsigned char to[HEADER], char type, uint32_t id, size_t size);

/* Return the n-th (from 0) of the texts in a payload, each ending in NUL; empty where there are fewer. A NUL must follow
 * the payload. */
const char *part(const char *payload, size_t size, int n);

/* What a request to start a program says; texts are the payload's own. */
struct start_request {
	char **argv, **envp; /* each ends in NULL */
	size_t argc, envc;
	bool keep_input;
	char *directory; /* where it starts; NULL: where we are */
};

/* Read such a request. A NUL must follow the payload. */
void parse_start(struct start_request *request, char *payload, size_t size);
void free_start(struct start_request *request);

#endif
