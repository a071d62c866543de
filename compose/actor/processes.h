/* processes.h: the children that the steps of a process made. */

#ifndef ACTOR_PROCESSES_H
#define ACTOR_PROCESSES_H

#include <stdbool.h>

/* Collects the children of this process that have `name`, all with NULL; false where one ended in another way than its
 * fork said. */
bool collect_children(const char *name);

#endif
