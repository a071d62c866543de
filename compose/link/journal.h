/* journal.h: the lines of record.h and the answers to the plan's lines, on standard output. It never blocks the link: what
 * the reader has not taken yet waits in memory. */

#ifndef LINK_JOURNAL_H
#define LINK_JOURNAL_H

#include "link/record.h"

struct journal {
	char *bytes;
	size_t start, end, room; /* what is not written yet is from `start` to `end` */
};

void open_journal(void);

void write_record(struct journal *journal, const struct record *record);
__attribute__((format(printf, 2, 3))) void write_event(struct journal *journal, const char *format, ...);

/* Write what the reader takes now. */
void flush_journal(struct journal *journal);

/* Write the rest, waiting for the reader. */
void close_journal(struct journal *journal);

#endif
