/* calls.h: the functions that stand in the place of Winsock's, each of which logs its call. */

#ifndef WINPROBE_CALLS_H
#define WINPROBE_CALLS_H

#include "winprobe/hooks.h"

extern const struct hook calls[];
extern const size_t calls_count;

#endif
