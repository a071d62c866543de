/* run.h: runs the steps of a script. */

#ifndef ACTOR_RUN_H
#define ACTOR_RUN_H

#include "actor/script.h"

/* Run the steps to their end; the exit status of this process, which may be a child that a step made. */
int run_script(const struct script *script);

#endif
