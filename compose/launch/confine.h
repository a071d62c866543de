/* confine.h: what a process of the lab may ask of the kernel, and how much of the machine it may take. */

#ifndef LAUNCH_CONFINE_H
#define LAUNCH_CONFINE_H

#include <stddef.h>

#include <linux/filter.h>

enum { CONFINE_MAX = 128 };

/* Write the filter of system calls into `code`, which holds CONFINE_MAX instructions; return how many there are. */
size_t confine_filter(struct sock_filter *code);

/* For this process and all that come of it, for ever: no namespaces of its own, no mounts, no bpf, no keys, no perf, no
 * modules; at most 4096 processes of its user; the first to go where the machine runs out of memory. Needs no_new_privs.
 * Returns what failed, or NULL. A kernel without filters of system calls is no failure. */
const char *confine(void);

#endif
