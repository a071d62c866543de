/* agents.h: the processes of a lab: each an agent, process 1 of its own PID namespace. */

#ifndef LAUNCH_AGENTS_H
#define LAUNCH_AGENTS_H

#include <stdbool.h>

/* Start an agent in the present network namespace, which is called `name`; `channel` becomes its standard input and output.
 * `tap`: with NET_ADMIN and NET_RAW; `in_user_namespace`: we are nobody already. */
void add_agent(const char *name, bool tap, int channel, bool in_user_namespace);

/* Wait until all of them run; print the answer to `ready`. */
void report_ready(void);

/* Kill them and wait until they are gone. */
void end_agents(void);

#endif
