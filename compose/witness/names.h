/* names.h: instances, events and processors by name. Pure. */

#ifndef WITNESS_NAMES_H
#define WITNESS_NAMES_H

#include <stdbool.h>

/* Is this the name of an instance of ours? It may hold no slash: it becomes a part of a path. */
bool is_ours(const char *name);

/* Is this an instance of that name, or one that was made beside it (NAME.stacks)? */
bool belongs_to(const char *name, const char *whose);

/* Cut EVENT=FILTER in two; returns the filter, NULL where there is none. */
char *split_event(char *argument);

/* Cut EVENT~FIELD:NAME,NAME in two: only those whose field is the address of one of these functions. Returns FIELD:...,
 * NULL where it is not of this form. */
char *split_functions(char *argument);

/* Read the number of a processor from its directory's name, cpuN. */
bool processor_number(const char *name, int *number);

/* What a line of the trace says of a task's new name: its number in the machine's PID namespace, and the name. */
struct renamed {
	int pid;
	char name[16];
};
bool read_renamed(const char *line, struct renamed *found);

/* Does the text of per_cpu/cpuN/stats say that events were lost, or are still to be read? */
bool says_lost(const char *statistics);

/* Is this event, group/name, one of those, each of which has the `mark` before it, or none (0)? */
bool is_among(const char *event, char *const *events, char mark);

/* Are these numbers of tasks, with blanks between them? */
bool are_numbers(const char *text);

/* Cut the arguments in two at `--`; returns what is behind it, NULL where there is none. */
char **split_calls(char **arguments);

#endif
