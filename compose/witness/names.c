#include "witness/names.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "bothends-";

bool is_ours(const char *name)
{
	return !strncmp(name, PREFIX, strlen(PREFIX)) && !strchr(name, '/');
}

bool belongs_to(const char *name, const char *whose)
{
	size_t length = strlen(whose);
	return !strncmp(name, whose, length) && (!name[length] || (name[length] == '.' && !strchr(name + length + 1, '.')));
}

static char *split_at(char *argument, char at)
{
	char *rest = strchr(argument, at);
	if (rest)
		*rest++ = 0;
	return rest;
}

char *split_event(char *argument)
{
	return split_at(argument, '=');
}

char *split_functions(char *argument)
{
	/* a filter may have the character too, as an operator */
	return argument[strcspn(argument, "=~")] == '~' ? split_at(argument, '~') : NULL;
}

bool processor_number(const char *name, int *number)
{
	char *end;
	if (strncmp(name, "cpu", 3) || name[3] < '0' || name[3] > '9')
		return false;
	long value = strtol(name + 3, &end, 10);
	*number = (int)value;
	return !*end && value <= INT_MAX;
}

bool read_renamed(const char *line, struct renamed *found)
{
	const char *event = strstr(line, ": task_rename: ");
	return event && sscanf(event, ": task_rename: pid=%d oldcomm=%*s newcomm=%15s ", &found->pid, found->name) == 2 &&
	       found->pid > 0;
}

bool says_lost(const char *statistics)
{
	static const char *const counters[] = {"entries: ", "overrun: ", "commit overrun: ", "dropped events: "};
	for (const char *line = statistics; line; line = strchr(line, '\n'), line += line != NULL)
		for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
			if (!strncmp(line, counters[i], strlen(counters[i])) && strtoul(line + strlen(counters[i]), NULL, 10))
				return true;
	return false;
}

bool is_among(const char *event, char *const *events, char mark)
{
	for (; *events; events++)
		if (mark ? **events == mark && !strcmp(*events + 1, event) : !strcmp(*events, event))
			return true;
	return false;
}

bool are_numbers(const char *text)
{
	return *text && !text[strspn(text, "0123456789 ")];
}

char **split_calls(char **arguments)
{
	while (*arguments && strcmp(*arguments, "--"))
		arguments++;
	if (!*arguments)
		return NULL;
	*arguments = NULL;
	return arguments + 1;
}
