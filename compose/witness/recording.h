/* recording.h: the recording of one run, in tracefs instances of its own. */

#ifndef WITNESS_RECORDING_H
#define WITNESS_RECORDING_H

/* Record until the runner says that it is enough: `name` of the instance, `kib` for each processor, events (witness.c)
 * that end in NULL; `calls` is what begin_calls takes (calls.h), NULL where no calls are asked for. Its instances are kept
 * for the next recording of this name where keeps_instances says so and the runner, not its end, ended this one. Returns
 * the exit status. */
int record(const char *name, const char *kib, char **events, char **calls);

#endif
