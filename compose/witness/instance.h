/* instance.h: an instance of tracefs: a ring buffer for each processor, and the events that go there. */

#ifndef WITNESS_INSTANCE_H
#define WITNESS_INSTANCE_H

#include <poll.h>
#include <stdbool.h>

#include "witness/tracefs.h"

enum { MAX_PROCESSORS = 1024 };

struct instance {
	unsigned char tag; /* in each of its pages: which of the recording's instances it is */
	char name[PATH_SIZE];
	int processor_count;
	int numbers[MAX_PROCESSORS];
	struct pollfd processors[MAX_PROCESSORS];
};

/* Make it, with the trace clock `mono` and `kib` for each processor. */
void make_instance(struct instance *made, unsigned char tag, const char *name, const char *kib);

/* Set one of its options; false if this kernel does not have it. */
bool set_option(const struct instance *its, const char *option, const char *value);

/* Enable one event, EVENT[=FILTER] or EVENT~FIELD:NAME,NAME (names.h), and send its format. What this kernel lacks is
 * told (frames M and N); false then. */
bool enable_event(const struct instance *its, char *event);

/* Open its processors' buffers. */
void open_processors(struct instance *its);

/* Pass on what one processor's buffer holds. */
void drain_processor(const struct instance *its, int which);

/* Take no further event. */
void stop_instance(const struct instance *its);

/* Send each processor's statistics. */
void send_statistics(const struct instance *its);

/* Close and remove it, if it was made; false if it stays. */
bool remove_made(struct instance *its);

#endif
