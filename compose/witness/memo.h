/* memo.h: what a recording says of its events (frames H, F, M, N, f, m), remembered for the next one in the same instances.
 *
 * If that one asks for the same events, they are as they were left, and what the kernel says of them is the same: to go
 * through all of them again would take longer than all else that a recorder does. Only filters are set anew, which hold
 * the names of a run's interfaces. The memo is in a file of the runner's. */

#ifndef WITNESS_MEMO_H
#define WITNESS_MEMO_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the instances' events are those of the memo. */
extern bool has_memo;

/* Keep the memo of this recording in the file `fd` (-1: in none): `kib` for each processor, events, and what begin_calls
 * takes, all as record has them (recording.h), still uncut. If what is there is of the same ones, and the instances are
 * kept, its frames are sent. */
void take_memo(int fd, const char *kib, char *const *events, char *const *calls, bool are_kept);

/* Send a frame that belongs into the memo. */
void send_definition(char type, const char *name, size_t size, const char *text);

/* All of them were sent: write the memo, if there was none. */
void write_memo(void);

#endif
