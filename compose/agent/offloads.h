/* offloads.h: what a network interface computes for the kernel (ethtool(8)'s features), read and switched off by ioctl. */

#ifndef AGENT_OFFLOADS_H
#define AGENT_OFFLOADS_H

#include <stdint.h>

/* Have an interface send and take segments as they are on a wire, with checksums computed by the kernel. */
void turn_off_offloads(uint32_t id, const char *interface);

/* Send all features: NAME=on or NAME=off, each ending in NUL. */
void list_offloads(uint32_t id, const char *interface);

#endif
