/* witness: records what the kernel's tracepoints say during one run, in tracefs instances of its own.
 *
 * usage: witness record NAME KIB EVENT... [-- KIB BEGINNING EVENT...]
 *                                                     KIB: the buffer of each processor; after --: of programs held under
 *                                                     names that begin with BEGINNING (calls.h), `-` for none; with `=`
 *                                                     behind it, the tasks that start them are said later
 *        witness reuse NAME ...                      as record; its instances are kept at the end, for the next one
 *        witness record|reuse --symbols NAME ...     the runner reads /proc/kallsyms (recording.h)
 *        witness reuse --memo=FD NAME ...             what is said of the events is kept in this file for the next one (memo.h)
 *        witness await                                these words one a line on standard input, up to an empty one
 *        witness list                                 the names of all instances of ours, one a line
 *        witness remove NAME...                       remove these, each with what belongs to it (NAME.stacks)
 *
 *   EVENT: [+]group/name[=FILTER]                     + with the kernel's call stack after each, in the instance NAME.stacks
 *          [+]group/name~FIELD:FUNCTION,FUNCTION      only those whose field is the address of one of these functions
 *
 * `record` writes frames (frames.h) to standard output. On standard input a line `+NUMBER NUMBER...` adds tasks that run
 * already to those whose calls are recorded, a line `=NUMBER NUMBER...` says which tasks start the held programs (`=` that
 * nobody knows), and `-` that no further one will be held; at any other line, or at the end of it (the runner is gone), it
 * ends, its instances removed. Frames:
 *
 *   P  a page of a ring buffer: instance (1 byte: 0 NAME, 1 NAME.stacks), processor (3 bytes, big endian), the page
 *      (events/header_page)
 *   H  the text of events/header_page
 *   F  an event's group/name, NUL, the text of its format file; recorded
 *   M  the group/name of an event that this kernel does not have, or not with such a filter
 *   N  the group/name of an event whose filter the kernel did not take; recorded without it
 *   C  clocks (12 bytes each, big endian ns): CLOCK_REALTIME, CLOCK_MONOTONIC between two reads of it, and their distance;
 *      at the start and at the end
 *   R  all events are being recorded
 *   r  and all calls
 *   A  an address of a stack, in hexadecimal, a blank, the name of its function
 *   L  a timer's event as text, which names its function: one of each function
 *   S  statistics: instance and processor (as for P), the text of its per_cpu/cpuN/stats
 *   p  processor (4 bytes, big endian), a page of the programs' calls; likewise s, and as F and M: f, m
 *   t  a program's calls are being recorded: its number in the machine's PID namespace, a blank, the name it is held under
 *   T  the calls of these tasks, which ran already, are being recorded: numbers, with blanks between them
 *   E  the end: everything was written
 *   X  why it cannot be: text
 *
 * It needs no capability where tracefs is mounted for it, only its files' owner's rights. The trace clock is `mono`.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "witness/instance.h"
#include "witness/names.h"
#include "witness/recording.h"
#include "witness/report.h"
#include "witness/tracefs.h"

enum { MOST_WORDS = 500, TEXT = 1 << 15 };

static const char SYMBOLS[] = "--symbols", MEMO[] = "--memo=";

/* Read what is to be done from standard input, and nothing of what follows: how many words, 0 if nobody says any. */
static int hear(char **words)
{
	static char text[TEXT];
	int count = 0;
	size_t length = 0;
	for (char *word = text; length < sizeof text && read(0, text + length, 1) == 1; length++) {
		if (text[length] != '\n')
			continue;
		text[length] = 0;
		if (!*word)
			return count;
		if (count == MOST_WORDS)
			break;
		words[count++] = word;
		word = text + length + 1;
	}
	return 0;
}

static void print_name(const char *name)
{
	printf("%s\n", name);
}

static char **unwanted;
static bool has_removed;

static void remove_unwanted(const char *name)
{
	for (char **each = unwanted; *each; each++) {
		if (!belongs_to(name, *each))
			continue;
		if (!remove_instance(name))
			fail("remove an instance");
		has_removed = true;
	}
}

static bool takes_option(const char *word)
{
	if (!strcmp(word, SYMBOLS))
		return has_symbols = true;
	if (strncmp(word, MEMO, strlen(MEMO)))
		return false;
	memo_file = atoi(word + strlen(MEMO));
	return true;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* for the runner, which tells us */
	if (argc == 2 && !strcmp(argv[1], "await")) {
		static char *heard[1 + MOST_WORDS + 1];
		argc = 1 + hear(heard + 1);
		argv = heard;
		if (argc == 1)
			return 0;
	}
	find_tracefs();
	keeps_instances = argc >= 2 && !strcmp(argv[1], "reuse");
	bool records = keeps_instances || (argc >= 2 && !strcmp(argv[1], "record"));
	for (; records && argc >= 3 && takes_option(argv[2]); argc--)
		argv++;
	if (records && argc >= 5 && is_ours(argv[2])) {
		char **calls = split_calls(argv + 4);
		return record(argv[2], argv[3], argv + 4, calls);
	}
	if (argc == 2 && !strcmp(argv[1], "list")) {
		each_instance(print_name);
		return 0;
	}
	if (argc >= 3 && !strcmp(argv[1], "remove")) {
		unwanted = argv + 2;
		do { /* what is removed meanwhile may hide others from the reader of a directory */
			has_removed = false;
			each_instance(remove_unwanted);
		} while (has_removed);
		return 0;
	}
	fprintf(stderr, "usage: witness record|reuse [--symbols] [--memo=FD] NAME KIB EVENT... [-- KIB BEGINNING EVENT...] | list | remove NAME...\n");
	return 2;
}
