/* witness: records what the kernel's tracepoints say during one run, in a tracefs instance of its own.
 *
 * usage: witness record NAME KIB EVENT[=FILTER]...    EVENT: group/name; KIB: the buffer of each processor
 *        witness list                                 the names of all instances of ours, one a line
 *        witness remove NAME                          remove one of them
 *
 * `record` writes frames (frames.h) to standard output and ends, its instance removed, at a line on standard input or
 * at the end of it (the runner is gone):
 *
 *   P  a page of the ring buffer: processor (4 bytes, big endian), the page (events/header_page)
 *   H  the text of events/header_page
 *   F  an event's group/name, NUL, the text of its format file; recorded
 *   M  the group/name of an event that this kernel does not have
 *   N  the group/name of an event whose filter the kernel did not take; recorded without it
 *   C  clocks (12 bytes each, big endian ns): CLOCK_REALTIME, CLOCK_MONOTONIC between two reads of it, and their distance;
 *      at the start and at the end
 *   R  all events are being recorded
 *   S  statistics: processor (4 bytes, big endian), the text of its per_cpu/cpuN/stats
 *   L  kfree_skb events as text, from a second instance: they name the place in the kernel
 *   E  the end: everything was written
 *   X  why it cannot be: text
 *
 * It needs no capability where tracefs is mounted for it, only its files' owner's rights. The trace clock is `mono`.
 */

#define _GNU_SOURCE
#include <endian.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "tracefs.h"

enum { MAX_PROCESSORS = 1024, PAGE = 1 << 20, TRIES = 200 };

static const char DROPS[] = "skb/kfree_skb";
static const char DROPS_KIB[] = "1024";

static char recording[PATH_SIZE], naming[PATH_SIZE]; /* instances of this run */
static struct pollfd processors[MAX_PROCESSORS + 1]; /* the first is standard input */
static int numbers[MAX_PROCESSORS + 1];
static int processor_count;
static char page[PAGE];

static void close_all(void)
{
	for (int i = 1; i <= processor_count; i++)
		close(processors[i].fd);
	processor_count = 0;
}

static bool remove_all(void)
{
	close_all();
	bool done = true;
	if (*recording)
		done = remove_instance(recording);
	if (*naming)
		done = remove_instance(naming) && done;
	return done;
}

static void fail(const char *what)
{
	char text[PATH_SIZE + 128];
	snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
	remove_all();
	frame_text('X', text);
	fprintf(stderr, "witness: %s\n", text);
	exit(1);
}

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Say how the trace's clock stands to the captures': the narrowest of many brackets. */
static void tell_clocks(void)
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
	frame('C', best, sizeof best, "", 0);
}

static void make_instance(const char *name, const char *kib, char *made)
{
	if (mkdir(path_of("instances/%s", name), 0700))
		fail("make an instance of tracefs");
	strcpy(made, name);
	if (!put(path_of("instances/%s/trace_clock", name), "mono"))
		fail("trace_clock mono");
	if (!put(path_of("instances/%s/buffer_size_kb", name), kib))
		fail("buffer_size_kb");
	put(path_of("instances/%s/buffer_percent", name), "50"); /* Linux 5.0; before it we wake up more often */
}

/* Enable one event, EVENT[=FILTER]; false if this kernel does not have it. */
static bool enable(const char *instance, const char *event, const char *filter)
{
	if (access(path_of("instances/%s/events/%s/enable", instance, event), F_OK))
		return false;
	if (filter && !put(path_of("instances/%s/events/%s/filter", instance, event), filter))
		frame_text('N', event);
	if (!put(path_of("instances/%s/events/%s/enable", instance, event), "1"))
		fail(event);
	return true;
}

static void begin(char **events)
{
	const char *text = get(path_of("events/header_page"));
	if (!text)
		fail("events/header_page");
	frame_text('H', text);
	for (char **event = events; *event; event++) {
		char *filter = strchr(*event, '=');
		if (filter)
			*filter++ = 0;
		if (!enable(recording, *event, filter)) {
			frame_text('M', *event);
			continue;
		}
		if (!strcmp(*event, DROPS))
			enable(naming, *event, filter);
		if (!(text = get(path_of("events/%s/format", *event))))
			fail(*event);
		frame('F', *event, strlen(*event) + 1, text, strlen(text));
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
		if (sscanf(entry->d_name, "cpu%d", &number) != 1)
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
		frame('P', &number, sizeof number, page, (size_t)n);
}

/* Read on until the runner says that it is enough, or is gone. */
static void watch(void)
{
	char line[64];
	while (!(processors[0].revents & (POLLIN | POLLHUP | POLLERR))) {
		if (poll(processors, (nfds_t)processor_count + 1, -1) < 0 && errno != EINTR)
			fail("poll");
		for (int i = 1; i <= processor_count; i++)
			if (processors[i].revents & POLLIN)
				drain(i);
	}
	if (read(0, line, sizeof line) < 0)
		line[0] = 0;
}

static void finish(void)
{
	put(path_of("instances/%s/tracing_on", recording), "0");
	put(path_of("instances/%s/tracing_on", naming), "0");
	tell_clocks();
	for (int i = 1; i <= processor_count; i++) {
		drain(i);
		uint32_t number = htonl((uint32_t)numbers[i]);
		const char *text = get(path_of("instances/%s/per_cpu/cpu%d/stats", recording, numbers[i]));
		if (text)
			frame('S', &number, sizeof number, text, strlen(text));
	}
	int fd = open(path_of("instances/%s/trace", naming), O_RDONLY | O_CLOEXEC);
	for (ssize_t n; fd >= 0 && (n = read(fd, page, sizeof page)) > 0;)
		frame('L', page, (size_t)n, "", 0);
	if (fd >= 0)
		close(fd);
	frame_text('E', "");
}

static void say(const char *name)
{
	printf("%s\n", name);
}

static int record(const char *name, const char *kib, char **events)
{
	char second[PATH_SIZE];
	snprintf(second, sizeof second, "%s.names", name);
	make_instance(name, kib, recording);
	make_instance(second, DROPS_KIB, naming);
	open_processors();
	tell_clocks();
	begin(events);
	frame_text('R', "");
	watch();
	finish();
	return remove_all() ? 0 : 1;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* for the runner, which tells us */
	find_tracefs();
	if (argc >= 5 && !strcmp(argv[1], "record") && !strncmp(argv[2], PREFIX, strlen(PREFIX)))
		return record(argv[2], argv[3], argv + 4);
	if (argc == 2 && !strcmp(argv[1], "list")) {
		each_instance(say);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "remove") && !strncmp(argv[2], PREFIX, strlen(PREFIX)) && !strchr(argv[2], '/')) {
		if (!remove_instance(argv[2]))
			fail("remove an instance");
		return 0;
	}
	fprintf(stderr, "usage: witness record NAME KIB EVENT[=FILTER]... | list | remove NAME\n");
	return 2;
}
