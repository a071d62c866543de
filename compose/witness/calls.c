#define _GNU_SOURCE
#include "witness/calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "witness/frames.h"
#include "witness/instance.h"
#include "witness/memo.h"
#include "witness/names.h"
#include "witness/report.h"
#include "witness/tracefs.h"

enum { LINES = 4096, PAGE = 1 << 16 };

static const char RENAMED[] = "task/task_rename";
static const char NONE_HELD[] = "-";

static struct instance calling, holding;
static int held = -1; /* the text of what is held */
static bool has_parents;   /* whose children are recorded in any case */
static bool lacks_parents; /* the runner has yet to say which */

/* Make an instance NAME.WHAT. */
static void make(struct instance *made, const char *name, const char *what, const char *kib)
{
	char whole[PATH_SIZE];
	if (snprintf(whole, sizeof whole, "%s.%s", name, what) >= PATH_SIZE) {
		errno = ENAMETOOLONG;
		fail(name);
	}
	make_instance(made, 0, whole, kib);
}

/* Say what an event's records look like, or that this kernel does not have it. */
static void enable_call(const char *event)
{
	if (has_memo)
		return;
	if (access(path_of("instances/%s/events/%s/enable", calling.name, event), F_OK)) {
		send_definition('m', event, strlen(event), "");
		return;
	}
	if (!switch_event(&calling, event, true))
		fail(event);
	const char *text = read_text(path_of("events/%s/format", event));
	if (!text)
		fail(event);
	send_definition('f', event, strlen(event) + 1, text);
}

static void add_to_recorded(const char *numbers)
{
	if (!append_text(path_of("instances/%s/set_event_pid", calling.name), numbers))
		fail("set_event_pid");
}

static void await_programs(const char *beginning)
{
	char filter[64];
	if (snprintf(filter, sizeof filter, "newcomm ~ \"%s*\"", beginning) >= (int)sizeof filter) {
		errno = ENAMETOOLONG;
		fail(beginning);
	}
	if (!write_text(path_of("instances/%s/events/%s/filter", holding.name, RENAMED), filter) ||
	    !switch_event(&holding, RENAMED, true))
		fail(RENAMED);
	start_instance(&holding);
	write_text(path_of("instances/%s/buffer_percent", holding.name), "0"); /* each event wakes us */
	held = open(path_of("instances/%s/trace_pipe", holding.name), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (held < 0)
		fail("trace_pipe");
}

void begin_calls(const char *name, char **arguments)
{
	const char *parents = split_event(arguments[1]);
	make(&calling, name, "calls", arguments[0]);
	stop_instance(&calling); /* until there is a program */
	if (!has_memo && !set_option(&calling, "event-fork", "1"))
		fail("event-fork");
	for (char **event = arguments + 2; *event; event++)
		enable_call(*event);
	open_processors(&calling);
	has_parents = lacks_parents = parents;
	if (strcmp(arguments[1], NONE_HELD)) {
		make(&holding, name, "held", NULL);
		await_programs(arguments[1]);
	}
}

bool awaits_parents(void)
{
	return lacks_parents;
}

void set_parents(const char *numbers)
{
	bool are_known = *numbers;
	if (!lacks_parents || (are_known && !are_numbers(numbers))) {
		errno = EINVAL;
		fail("tasks that start programs");
	}
	if (are_known)
		add_to_recorded(numbers);
	has_parents = are_known;
	lacks_parents = false;
}

int call_sources(struct pollfd *sources)
{
	if (!*calling.name)
		return 0;
	sources[0] = (struct pollfd){.fd = held, .events = POLLIN}; /* poll(2) leaves out a negative one */
	memcpy(sources + 1, calling.processors, (size_t)calling.processor_count * sizeof *sources);
	return 1 + calling.processor_count;
}

/* Record, from now on, these tasks as well, if any. */
static void record_tasks(const char *numbers)
{
	if (numbers)
		add_to_recorded(numbers);
	if (!write_text(path_of("instances/%s/tracing_on", calling.name), "1"))
		fail("tracing_on");
}

void add_tasks(const char *numbers)
{
	if (!*calling.name || !are_numbers(numbers)) {
		errno = EINVAL;
		fail("tasks to be recorded");
	}
	record_tasks(numbers);
	send_text('T', numbers);
}

static void take_program(const char *line)
{
	char text[64], number[16];
	struct renamed found;
	if (!read_renamed(line, &found))
		return;
	snprintf(number, sizeof number, "%d", found.pid);
	record_tasks(has_parents ? NULL : number);
	snprintf(text, sizeof text, "%d %s", found.pid, found.name);
	send_text('t', text);
}

void await_no_program(void)
{
	if (held < 0 || keeps_instances)
		return;
	close(held);
	held = -1;
	remove_made(&holding);
}

static void take_programs(void)
{
	char text[LINES];
	ssize_t n;
	while ((n = read(held, text, sizeof text - 1)) > 0) { /* whole lines */
		text[n] = 0;
		for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
			take_program(line);
	}
}

static void drain(int which)
{
	static char page[PAGE]; /* each read gives one page of the ring buffer */
	uint32_t number = htonl((uint32_t)calling.numbers[which]);
	ssize_t n;
	while ((n = read(calling.processors[which].fd, page, sizeof page)) > 0)
		send_frame('p', &number, sizeof number, page, (size_t)n);
}

void take_calls(const struct pollfd *sources)
{
	if (!*calling.name)
		return;
	if (sources[0].revents & POLLIN)
		take_programs();
	for (int i = 0; i < calling.processor_count; i++)
		if (sources[1 + i].revents & POLLIN)
			drain(i);
}

void stop_calls(void)
{
	if (*calling.name)
		stop_instance(&calling);
}

void finish_calls(void)
{
	for (int i = 0; i < calling.processor_count; i++)
		drain(i);
	send_statistics(&calling, 's');
}

/* What it has read of the programs that are held is of this recording alone. */
static void forget_held(void)
{
	char text[LINES];
	stop_instance(&holding);
	while (read(held, text, sizeof text) > 0)
		;
	close(held);
	held = -1;
}

bool keep_calls(void)
{
	if (held >= 0)
		forget_held();
	bool done = keep_made(&holding);
	return keep_made(&calling) && done;
}

bool remove_calls(void)
{
	if (held >= 0)
		close(held);
	held = -1;
	bool done = remove_made(&holding);
	return remove_made(&calling) && done;
}
