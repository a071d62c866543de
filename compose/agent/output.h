/* output.h: frames to the runner, on standard output. */

#ifndef AGENT_OUTPUT_H
#define AGENT_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

enum { CHUNK = 256 * 1024 };

void send_frame(char type, uint32_t id, const void *payload, size_t size);

/* `n`: an errno and what was tried. */
void send_error(uint32_t id, int error, const char *what);

/* A frame that holds a number and a time. */
void send_stamped(char type, uint32_t id, uint32_t value, uint64_t ns);

#endif
