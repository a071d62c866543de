/* system.h: the clock, descriptors, and how the agent ends when it cannot go on. */

#ifndef AGENT_SYSTEM_H
#define AGENT_SYSTEM_H

#include <stdint.h>

/* Say what failed, and errno, on standard error; exit status 70. */
_Noreturn void die(const char *what);

/* CLOCK_REALTIME. */
uint64_t now_ns(void);

/* Close a descriptor that is open and set it to -1. */
void close_fd(int *fd);

#endif
