/* calls: the system calls of the programs of one run, in a tracefs instance that takes nothing but them.
 *
 * A program is found by its name: it is held (compose/hold/hold.c) under one that begins with the run's own, so that
 * nobody needs to know its number in the machine's PID namespace. Tasks that run already are given by number. From then
 * on their calls are recorded, and those of whatever they start. */

#ifndef WITNESS_CALLS_H
#define WITNESS_CALLS_H

#include <poll.h>
#include <stdbool.h>

#include "witness/instance.h"

enum { MAX_CALL_SOURCES = 1 + MAX_PROCESSORS };

/* Make the instances of the run `name`: KIB for each processor, the beginning of the programs' names (`-`: none is held),
 * EVENTs. With `=` behind the beginning set_parents is to follow. Sends a frame `f` or `m` for each event. Nothing is
 * recorded yet. */
void begin_calls(const char *name, char **arguments);

/* Whether set_parents has yet to come. */
bool awaits_parents(void);

/* Record all that these tasks, whose children the programs are, start, so that no program waits until it is recorded (the
 * kernel takes its time to add one): their numbers in the machine's PID namespace, with blanks between; none where they
 * are not known, and each program is then added while it is held. */
void set_parents(const char *numbers);

/* Put what is to be watched into `sources` (MAX_CALL_SOURCES); returns how many. None where no calls were asked for. */
int call_sources(struct pollfd *sources);

/* Pass on what came: record the programs that are held now (a frame `t` for each), send full buffers (`p`). */
void take_calls(const struct pollfd *sources);

/* Record tasks that run already, from now on: their numbers in the machine's PID namespace, with blanks between. Sends
 * the numbers back (`T`). */
void add_tasks(const char *numbers);

/* No further program will be held: remove what waits for one, unless it is kept, which takes the kernel a while. The
 * sources are others then. */
void await_no_program(void);

/* Stop recording. */
void stop_calls(void);

/* Send what is left, and statistics (`s`). */
void finish_calls(void);

/* Remove its instances, or keep them (keep_made); false if that fails. */
bool remove_calls(void);
bool keep_calls(void);

#endif
