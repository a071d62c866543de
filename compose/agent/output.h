/* output.h: frames to the runner, on standard output. */

#ifndef AGENT_OUTPUT_H
#define AGENT_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

enum { CHUNK = 256 * 1024 };

void send_frame(char type, uint32_t id, const void *payload, size_t size);

/* `n`: an errno and what was tried. */
void send_error(uint32_t id, int error, const char *what);

/* An answer of many parts, which wait in one buffer: each frame of its own would wake the runner. */
struct gathered {
	uint32_t id;
	size_t length;
	char bytes[CHUNK];
};

/* The one that there is, empty. */
struct gathered *gather(uint32_t id);

/* Add to it; sends what is full as a frame `f`. */
void add_part(struct gathered *gathered, const void *bytes, size_t size);

/* Send the rest, and `k`: that was all. */
void send_gathered(struct gathered *gathered);

/* A frame that holds a number and a time. */
void send_stamped(char type, uint32_t id, uint32_t value, uint64_t ns);

#endif
