/* enter.h: run a command as one more process of a lab, on the terminal and with the environment that we were given.
 *
 * usage: launch enter PID COMMAND...        PID is an agent's, as `ready` gave it
 */

#ifndef LAUNCH_ENTER_H
#define LAUNCH_ENTER_H

/* `argv` is PID COMMAND...; returns the exit status. */
int enter(char **argv);

#endif
