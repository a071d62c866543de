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
	bool is_old, has_lost; /* of an earlier recording; events of it were lost */
	int processor_count;
	int numbers[MAX_PROCESSORS];
	struct pollfd processors[MAX_PROCESSORS];
};

/* Whether instances of the same names are kept from one recording to the next: to make and remove one takes the kernel
 * many waits in which no other can be made. */
extern bool keeps_instances;

/* Make it, with the trace clock `mono` and `kib` for each processor; or take the one that was kept. */
void make_instance(struct instance *made, unsigned char tag, const char *name, const char *kib);

/* Set one of its options; false if this kernel does not have it. */
bool set_option(const struct instance *its, const char *option, const char *value);

/* Enable or disable one, group/name; false if the kernel does not take it. */
bool switch_event(const struct instance *its, const char *event, bool on);

/* Enable one event, EVENT[=FILTER] or EVENT~FIELD:NAME,NAME (names.h), and send its format. What this kernel lacks is
 * told (frames M and N); false then. */
bool enable_event(const struct instance *its, char *event);

/* Open its processors' buffers. */
void open_processors(struct instance *its);

/* Pass on what one processor's buffer holds. */
void drain_processor(const struct instance *its, int which);

/* Disable the events of an earlier recording that are not among those that were asked for now: group/name, those of this
 * instance behind `mark`, those of others with another first character; they end in NULL. */
void disable_others(const struct instance *its, char *const *events, char mark);

/* Take events; it takes none before, where it is of an earlier recording. */
void start_instance(const struct instance *its);

/* Take no further event. */
void stop_instance(const struct instance *its);

/* Send each processor's statistics in frames of this type. */
void send_statistics(struct instance *its, char type);

/* Close it, if it was made, and keep it for the next recording: it was stopped, and all of it was read. Its events stay
 * enabled: the kernel waits long where one is enabled or disabled. */
bool keep_made(struct instance *its);

/* Close and remove it, if it was made; false if it stays. */
bool remove_made(struct instance *its);

#endif
