/* sentinel.h: a datagram sent after the last event. A capture is a queue: one that shows it is complete. */

#ifndef AGENT_SENTINEL_H
#define AGENT_SENTINEL_H

#include <stdint.h>

/* Bind the port to which the sentinel is sent. */
void open_sentinel(uint32_t id);

void send_sentinel(uint32_t id, const char *address, const char *text);

#endif
