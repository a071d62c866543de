#define _GNU_SOURCE
#include "witness/calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "witness/frames.h"
#include "witness/names.h"
#include "witness/report.h"
#include "witness/tracefs.h"

enum { LINES = 4096, PAGE = 1 << 16 };

static const char RENAMED[] = "task/task_rename";
static const char HELD_KIB[] = "8";

static char calling[PATH_SIZE], holding[PATH_SIZE]; /* instances of this run */
static struct pollfd watched[MAX_CALL_SOURCES];     /* the first is the text of what is held, then each processor */
static int numbers[MAX_CALL_SOURCES];
static int count;

static void make(char *made, const char *name, const char *what, const char *kib, const char *percent)
{
	char whole[PATH_SIZE];
	if (snprintf(whole, sizeof whole, "%s.%s", name, what) >= PATH_SIZE) {
		errno = ENAMETOOLONG;
		fail(name);
	}
	if (mkdir(path_of("instances/%s", whole), 0700))
		fail("make an instance of tracefs");
	memcpy(made, whole, sizeof whole);
	if (!write_text(path_of("instances/%s/trace_clock", made), "mono"))
		fail("trace_clock mono");
	if (!write_text(path_of("instances/%s/buffer_size_kb", made), kib))
		fail("buffer_size_kb");
	write_text(path_of("instances/%s/buffer_percent", made), percent); /* Linux 5.0; before it we wake up more often */
}

/* Say what an event's records look like, or that this kernel does not have it. */
static void enable_call(const char *event)
{
	if (access(path_of("instances/%s/events/%s/enable", calling, event), F_OK)) {
		send_text('m', event);
		return;
	}
	if (!write_text(path_of("instances/%s/events/%s/enable", calling, event), "1"))
		fail(event);
	const char *text = read_text(path_of("events/%s/format", event));
	if (!text)
		fail(event);
	send_frame('f', event, strlen(event) + 1, text, strlen(text));
}

static void watch_file(const char *path, int number)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fail(path);
	numbers[count] = number;
	watched[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void await_programs(const char *beginning)
{
	char filter[64];
	if (snprintf(filter, sizeof filter, "newcomm ~ \"%s*\"", beginning) >= (int)sizeof filter) {
		errno = ENAMETOOLONG;
		fail(beginning);
	}
	if (!write_text(path_of("instances/%s/events/%s/filter", holding, RENAMED), filter) ||
	    !write_text(path_of("instances/%s/events/%s/enable", holding, RENAMED), "1"))
		fail(RENAMED);
	watch_file(path_of("instances/%s/trace_pipe", holding), -1);
}

void begin_calls(const char *name, char **arguments)
{
	make(calling, name, "calls", arguments[0], "50");
	if (!write_text(path_of("instances/%s/tracing_on", calling), "0"))
		fail("tracing_on");
	if (!write_text(path_of("instances/%s/options/event-fork", calling), "1"))
		fail("event-fork");
	for (char **event = arguments + 2; *event; event++)
		enable_call(*event);
	make(holding, name, "held", HELD_KIB, "0"); /* each event wakes us */
	await_programs(arguments[1]);
	for (int number = 0; count < MAX_CALL_SOURCES; number++) {
		const char *path = path_of("instances/%s/per_cpu/cpu%d/trace_pipe_raw", calling, number);
		if (access(path, F_OK))
			break;
		watch_file(path, number);
	}
}

int call_sources(struct pollfd *sources)
{
	memcpy(sources, watched, (size_t)count * sizeof *watched);
	return count;
}

static void take_program(const char *line)
{
	char text[64], number[16];
	struct renamed found;
	if (!read_renamed(line, &found))
		return;
	snprintf(number, sizeof number, "%d", found.pid);
	if (!append_text(path_of("instances/%s/set_event_pid", calling), number) ||
	    !write_text(path_of("instances/%s/tracing_on", calling), "1"))
		fail("set_event_pid");
	snprintf(text, sizeof text, "%d %s", found.pid, found.name);
	send_text('t', text);
}

static void take_programs(void)
{
	char text[LINES];
	ssize_t n;
	while ((n = read(watched[0].fd, text, sizeof text - 1)) > 0) { /* whole lines */
		text[n] = 0;
		for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
			take_program(line);
	}
}

static void drain(int i)
{
	static char page[PAGE];
	uint32_t number = htonl((uint32_t)numbers[i]);
	ssize_t n;
	while ((n = read(watched[i].fd, page, sizeof page)) > 0)
		send_frame('p', &number, sizeof number, page, (size_t)n);
}

void take_calls(const struct pollfd *sources)
{
	for (int i = 0; i < count; i++)
		if (sources[i].revents & POLLIN) {
			if (i)
				drain(i);
			else
				take_programs();
		}
}

void stop_calls(void)
{
	if (*calling)
		write_text(path_of("instances/%s/tracing_on", calling), "0");
}

void finish_calls(void)
{
	for (int i = 1; i < count; i++) {
		drain(i);
		uint32_t number = htonl((uint32_t)numbers[i]);
		const char *text = read_text(path_of("instances/%s/per_cpu/cpu%d/stats", calling, numbers[i]));
		if (text)
			send_frame('s', &number, sizeof number, text, strlen(text));
	}
}

bool remove_calls(void)
{
	bool done = true;
	while (count)
		close(watched[--count].fd);
	if (*holding)
		done = remove_instance(holding);
	if (*calling)
		done = remove_instance(calling) && done;
	return done;
}
