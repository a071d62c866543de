#define _GNU_SOURCE
#include "witness/recording.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "witness/calls.h"
#include "witness/frames.h"
#include "witness/names.h"
#include "witness/report.h"
#include "witness/tracefs.h"

enum { MAX_PROCESSORS = 1024, PAGE = 1 << 20, TRIES = 200 };

static const char DROPS[] = "skb/kfree_skb";
static const char DROPS_KIB[] = "1024";

static char recording[PATH_SIZE], naming[PATH_SIZE]; /* instances of this run */
static struct pollfd processors[MAX_PROCESSORS + 1 + MAX_CALL_SOURCES]; /* the first is standard input */
static int numbers[MAX_PROCESSORS + 1];
static int processor_count;
static char page[PAGE];

static void close_all(void)
{
	for (int i = 1; i <= processor_count; i++)
		close(processors[i].fd);
	processor_count = 0;
}

static bool remove_instances(void)
{
	close_all();
	bool done = true;
	if (*recording)
		done = remove_instance(recording);
	if (*naming)
		done = remove_instance(naming) && done;
	return remove_calls() && done;
}

static void remove_what_was_made(void)
{
	remove_instances();
}

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Say how the trace's clock stands to the captures': the narrowest of many brackets. */
static void send_clocks(void)
{
	uint64_t best[3] = {0, 0, UINT64_MAX};
	for (int i = 0; i < TRIES; i++) {
		uint64_t before = read_clock(CLOCK_REALTIME), middle = read_clock(CLOCK_MONOTONIC);
		uint64_t width = read_clock(CLOCK_REALTIME) - before;
		if (width < best[2]) {
			best[0] = before;
			best[1] = middle;
			best[2] = width;
		}
	}
	for (int i = 0; i < 3; i++)
		best[i] = htobe64(best[i]);
	send_frame('C', best, sizeof best, "", 0);
}

static void make_instance(const char *name, const char *kib, char *made)
{
	if (mkdir(path_of("instances/%s", name), 0700))
		fail("make an instance of tracefs");
	if (snprintf(made, PATH_SIZE, "%s", name) >= PATH_SIZE) {
		errno = ENAMETOOLONG;
		fail(name);
	}
	if (!write_text(path_of("instances/%s/trace_clock", name), "mono"))
		fail("trace_clock mono");
	if (!write_text(path_of("instances/%s/buffer_size_kb", name), kib))
		fail("buffer_size_kb");
	write_text(path_of("instances/%s/buffer_percent", name), "50"); /* Linux 5.0; before it we wake up more often */
}

/* Enable one event, EVENT[=FILTER]; false if this kernel does not have it. */
static bool enable(const char *instance, const char *event, const char *filter)
{
	if (access(path_of("instances/%s/events/%s/enable", instance, event), F_OK))
		return false;
	if (filter && !write_text(path_of("instances/%s/events/%s/filter", instance, event), filter))
		send_text('N', event);
	if (!write_text(path_of("instances/%s/events/%s/enable", instance, event), "1"))
		fail(event);
	return true;
}

static void begin(char **events)
{
	const char *text = read_text(path_of("events/header_page"));
	if (!text)
		fail("events/header_page");
	send_text('H', text);
	for (char **event = events; *event; event++) {
		char *filter = split_event(*event);
		if (!enable(recording, *event, filter)) {
			send_text('M', *event);
			continue;
		}
		if (!strcmp(*event, DROPS))
			enable(naming, *event, filter);
		if (!(text = read_text(path_of("events/%s/format", *event))))
			fail(*event);
		send_frame('F', *event, strlen(*event) + 1, text, strlen(text));
	}
}

static void open_processors(void)
{
	DIR *directory = opendir(path_of("instances/%s/per_cpu", recording));
	if (!directory)
		fail("per_cpu");
	processors[0] = (struct pollfd){.fd = 0, .events = POLLIN};
	for (struct dirent *entry; (entry = readdir(directory)) && processor_count < MAX_PROCESSORS;) {
		int number;
		if (!processor_number(entry->d_name, &number))
			continue;
		int fd = open(path_of("instances/%s/per_cpu/cpu%d/trace_pipe_raw", recording, number),
		              O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			fail("trace_pipe_raw");
		numbers[++processor_count] = number;
		processors[processor_count] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	closedir(directory);
}

/* Pass on what one processor's buffer holds. Each read gives one page. */
static void drain(int i)
{
	uint32_t number = htonl((uint32_t)numbers[i]);
	ssize_t n;
	while ((n = read(processors[i].fd, page, sizeof page)) > 0)
		send_frame('P', &number, sizeof number, page, (size_t)n);
}

/* Read on until the runner says that it is enough, or is gone. */
static void watch(void)
{
	char line[64];
	struct pollfd *calls = processors + processor_count + 1;
	int call_count = call_sources(calls);
	while (!(processors[0].revents & (POLLIN | POLLHUP | POLLERR))) {
		if (poll(processors, (nfds_t)(processor_count + 1 + call_count), -1) < 0 && errno != EINTR)
			fail("poll");
		for (int i = 1; i <= processor_count; i++)
			if (processors[i].revents & POLLIN)
				drain(i);
		take_calls(calls);
	}
	if (read(0, line, sizeof line) < 0)
		line[0] = 0;
}

static void finish(void)
{
	write_text(path_of("instances/%s/tracing_on", recording), "0");
	write_text(path_of("instances/%s/tracing_on", naming), "0");
	stop_calls();
	send_clocks();
	finish_calls();
	for (int i = 1; i <= processor_count; i++) {
		drain(i);
		uint32_t number = htonl((uint32_t)numbers[i]);
		const char *text = read_text(path_of("instances/%s/per_cpu/cpu%d/stats", recording, numbers[i]));
		if (text)
			send_frame('S', &number, sizeof number, text, strlen(text));
	}
	int fd = open(path_of("instances/%s/trace", naming), O_RDONLY | O_CLOEXEC);
	for (ssize_t n; fd >= 0 && (n = read(fd, page, sizeof page)) > 0;)
		send_frame('L', page, (size_t)n, "", 0);
	if (fd >= 0)
		close(fd);
	send_text('E', "");
}

int record(const char *name, const char *kib, char **events, char **calls)
{
	char second[PATH_SIZE];
	if (snprintf(second, sizeof second, "%s.names", name) >= PATH_SIZE) {
		errno = ENAMETOOLONG;
		fail(name);
	}
	undo = remove_what_was_made;
	make_instance(name, kib, recording);
	make_instance(second, DROPS_KIB, naming);
	open_processors();
	send_clocks();
	begin(events);
	if (calls)
		begin_calls(name, calls);
	send_text('R', "");
	watch();
	finish();
	return remove_instances() ? 0 : 1;
}
