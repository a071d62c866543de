/* recording.h: the recording of one run, in tracefs instances of its own. */

#ifndef WITNESS_RECORDING_H
#define WITNESS_RECORDING_H

#include <stdbool.h>

/* Whether the runner names functions by this kernel's list of symbols. Then only what is left at the end is named by the
 * trace's text: the kernel looks up a name for each line of it, which takes the time of the programs that run meanwhile. */
extern bool has_symbols;

/* The file that remembers what is said of the events (memo.h), -1 if there is none. */
extern int memo_file;

/* Record until the runner says that it is enough: `name` of the instance, `kib` for each processor, events (witness.c)
 * that end in NULL; `calls` is what begin_calls takes (calls.h), NULL where no calls are asked for. Its instances are kept
 * for the next recording of this name where keeps_instances says so and the runner, not its end, ended this one. Returns
 * the exit status. */
int record(const char *name, const char *kib, char **events, char **calls);

#endif
