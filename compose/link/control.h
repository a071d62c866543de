/* control.h: the lines on standard input, the plan and what follows it. */

#ifndef LINK_CONTROL_H
#define LINK_CONTROL_H

#include "link/state.h"

/* Read what is there and obey each whole line. */
void take_lines(struct link *link);

#endif
