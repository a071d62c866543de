#include "link/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/report.h"

enum { JOURNAL_MOST = 512 << 20 };

static void set_flags(int add, int remove)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags < 0 || fcntl(STDOUT_FILENO, F_SETFL, (flags | add) & ~remove))
		die("standard output");
}

void open_journal(void)
{
	set_flags(O_NONBLOCK, 0);
}

void flush_journal(struct journal *journal)
{
	while (journal->start < journal->end) {
		ssize_t n = write(STDOUT_FILENO, journal->bytes + journal->start, journal->end - journal->start);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			exit(0); /* the agent is gone */
		journal->start += (size_t)n;
	}
	journal->start = journal->end = 0;
}

static char *room_for_line(struct journal *journal)
{
	if (journal->room - journal->end < LINE_MOST && journal->start) {
		memmove(journal->bytes, journal->bytes + journal->start, journal->end - journal->start);
		journal->end -= journal->start;
		journal->start = 0;
	}
	if (journal->room - journal->end < LINE_MOST) {
		journal->room = journal->room ? 2 * journal->room : 1 << 20;
		journal->bytes = journal->room > JOURNAL_MOST ? NULL : realloc(journal->bytes, journal->room);
		if (!journal->bytes) {
			errno = ENOMEM;
			die("the journal is not taken");
		}
	}
	return journal->bytes + journal->end;
}

void write_record(struct journal *journal, const struct record *record)
{
	char *to = room_for_line(journal);
	journal->end += format_record(to, record);
}

void write_event(struct journal *journal, const char *format, ...)
{
	char *to = room_for_line(journal);
	va_list arguments;
	va_start(arguments, format);
	size_t size = format_event(to, LINE_MOST, format, arguments);
	va_end(arguments);
	if (!size) {
		errno = EMSGSIZE;
		die("an event"); /* none of ours is that long; half a line would be read as something else */
	}
	journal->end += size;
	flush_journal(journal);
}

void close_journal(struct journal *journal)
{
	set_flags(0, O_NONBLOCK);
	flush_journal(journal);
}
