/* log.h: the log of this process: a file mapped shared, so that what was logged survives any death of the process.
 *
 * Every function keeps errno, takes no lock on the way of a call (growing the file apart) and calls no malloc. */

#ifndef PROBE_LOG_H
#define PROBE_LOG_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "probe/format.h"
#include "probe/interpose.h"

extern struct call_log {
	struct probe_header *header; /* NULL: nothing is logged */
	struct probe_record *records;
	_Atomic uint64_t capacity;   /* records that the file has room for now */
	size_t size;
	size_t space;                /* of the address space that the file may grow into */
	_Atomic bool full;
	_Atomic bool growing;
	pid_t pid;
	unsigned generation;         /* another number in each process of a chain of forks, never 0 */
	volatile unsigned char *alive;  /* 0 in a forked child (MADV_WIPEONFORK) until it has a log of its own */
	char directory[PATH_MAX];
	char path[PATH_MAX + 48];
	char program[sizeof(((struct probe_header *)0)->program)];
} call_log;

/* CLOCK_REALTIME, ns. */
uint64_t now(void);

/* Open the first log of this process, in a directory. Also registers what a forked child does. */
void log_start(const char *directory);

/* The program is about to limit its address space: keep little of it. */
void log_give_space(void);

/* May this thread write to this process's log? Not in a child of vfork or posix_spawn, which borrows the memory. */
bool log_here(void);

/* `count` neighbouring slots, or NULL when the log is full. */
struct probe_record *log_slots(uint64_t count);

/* A record for a call that is about to be made, not yet visible. NULL: do not log. */
struct probe_record *log_record(const char name[16], int fd, uint64_t cookie, const void *caller);

void log_state(struct probe_record *record, enum probe_state state);

/* The call begins now. */
void log_enter(struct probe_record *record);

/* The call has returned now; log_state(PROBE_RETURNED) follows once all is filled in. */
void log_return(struct probe_record *record, int64_t result);

#endif
