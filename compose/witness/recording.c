#define _GNU_SOURCE
#include "witness/recording.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "witness/calls.h"
#include "witness/frames.h"
#include "witness/instance.h"
#include "witness/memo.h"
#include "witness/report.h"
#include "witness/stacks.h"
#include "witness/tracefs.h"

enum { EVENTS, STACKS, INSTANCES, TRIES = 200, TEXT = 1 << 16, ENOUGH = 2 << 20, ORDER = 4096 };

static const char WITH_STACK = '+', MORE_TASKS = '+', PARENTS = '=', NO_MORE = '-', NONE_HELD = '-';

static struct instance instances[INSTANCES];
static struct known_addresses named;
static struct known_timers timers;
static bool has_stacks, is_alone, read_before[INSTANCES][MAX_PROCESSORS];

bool has_symbols;
int memo_file = -1;

static bool remove_instances(void)
{
	bool done = true;
	for (int i = 0; i < INSTANCES; i++)
		done = remove_made(&instances[i]) && done;
	return remove_calls() && done;
}

static bool keep_instances(void)
{
	bool done = true;
	for (int i = 0; i < INSTANCES; i++)
		done = keep_made(&instances[i]) && done;
	return keep_calls() && done;
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

/* Send the name of a function in a stack, and a timer's line, the first time: whether this line has told something new. */
static bool tells(char *line)
{
	const char *name;
	uint64_t address;
	char said[TEXT];
	if (parse_stack_line(line, &name, &address)) {
		if (!learn(&named, address))
			return false;
		snprintf(said, sizeof said, "%llx %s", (unsigned long long)address, name);
		send_text('A', said);
		return true;
	}
	if (!learn_timer(&timers, line))
		return false;
	send_text('L', line);
	return true;
}

/* Send what the text of a buffer tells. It ends where a long text has told nothing new. */
static void send_names(const char *path)
{
	char *line = NULL;
	size_t size = 0, since = 0;
	FILE *text = fopen(path, "re");
	for (ssize_t n; text && since < ENOUGH && (n = getline(&line, &size, text)) > 0; since += (size_t)n) {
		line[strcspn(line, "\n")] = 0;
		if (tells(line))
			since = 0;
	}
	free(line);
	if (text)
		fclose(text);
}

static bool is_kept(const char *name, const char *part)
{
	return !access(path_of("instances/%s%s", name, part), F_OK);
}

/* Are all instances there? */
static bool are_kept(const char *name, char *const *calls)
{
	return keeps_instances && is_kept(name, "") && (!has_stacks || is_kept(name, ".stacks")) &&
	       (!calls || (is_kept(name, ".calls") && (*calls[1] == NONE_HELD || is_kept(name, ".held"))));
}

static void ask_for_stacks(const struct instance *its)
{
	static const char FORMAT[] = "ftrace/kernel_stack";
	if (set_option(its, "stacktrace", "1"))
		send_format(FORMAT);
	else
		send_definition('M', FORMAT, strlen(FORMAT), "");
	set_option(its, "sym-addr", "1");
}

static void begin(const char *name, const char *kib, char **events)
{
	char second[PATH_SIZE];
	const char *text = has_memo ? "" : read_text(path_of("events/header_page"));
	if (!text)
		fail("read events/header_page of tracefs");
	if (!has_memo)
		send_definition('H', text, strlen(text), "");
	make_instance(&instances[EVENTS], EVENTS, name, kib);
	if (!has_memo)
		set_option(&instances[EVENTS], "hash-ptr", "0"); /* Linux 5.17: a timer's address as its record has it */
	if (has_stacks) {
		if (snprintf(second, sizeof second, "%s.stacks", name) >= PATH_SIZE) {
			errno = ENAMETOOLONG;
			fail(name);
		}
		make_instance(&instances[STACKS], STACKS, second, kib);
		if (!has_memo)
			ask_for_stacks(&instances[STACKS]);
	}
	for (int i = 0; i < INSTANCES; i++)
		if (*instances[i].name)
			open_processors(&instances[i]);
	send_clocks();
	for (char **event = events; *event; event++)
		if (**event == WITH_STACK)
			enable_event(&instances[STACKS], *event + 1);
		else
			enable_event(&instances[EVENTS], *event);
	for (int i = 0; i < INSTANCES; i++)
		if (*instances[i].name) {
			disable_others(&instances[i], events, i == STACKS ? WITH_STACK : 0);
			start_instance(&instances[i]);
		}
}

/* Take what the runner says, line by line; false when it says that it is enough, or is gone. */
static bool take_orders(void)
{
	static char order[ORDER];
	static size_t length;
	ssize_t n = read(0, order + length, sizeof order - 1 - length);
	if (n <= 0) {
		is_alone = true;
		return false;
	}
	length += (size_t)n;
	order[length] = 0;
	char *line = order;
	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (*line == PARENTS)
			set_parents(line + 1);
		else if (*line == MORE_TASKS)
			add_tasks(line + 1);
		else if (*line == NO_MORE)
			await_no_program();
		else
			return false;
	}
	length -= (size_t)(line - order);
	memmove(order, line, length);
	return length < sizeof order - 1;
}

/* Record the programs' calls too, if asked for; false if the runner has said before that it is enough, or is gone. */
static bool begin_last(const char *name, char **calls)
{
	if (calls)
		begin_calls(name, calls);
	while (awaits_parents())
		if (!take_orders())
			return false;
	write_memo();
	send_text('r', "");
	return true;
}

/* Read on until the runner says that it is enough, or is gone. */
static void watch(void)
{
	static struct pollfd all[1 + INSTANCES * MAX_PROCESSORS + MAX_CALL_SOURCES];
	nfds_t count = 1;
	bool enough = false;
	all[0] = (struct pollfd){.fd = 0, .events = POLLIN};
	for (int i = 0; i < INSTANCES; i++) {
		memcpy(all + count, instances[i].processors, (size_t)instances[i].processor_count * sizeof *all);
		count += (nfds_t)instances[i].processor_count;
	}
	struct pollfd *calls = all + count;
	while (!enough) {
		nfds_t more = (nfds_t)call_sources(calls);
		flush_frames();
		if (poll(all, count + more, -1) < 0 && errno != EINTR)
			fail("poll");
		const struct pollfd *next = all + 1;
		for (int i = 0; i < INSTANCES; i++)
			for (int k = 0; k < instances[i].processor_count; k++, next++) {
				if (!(next->revents & POLLIN))
					continue;
				if (!has_symbols && !read_before[i][k]) {
					read_before[i][k] = true; /* what is passed on is no longer in the text */
					send_names(path_of("instances/%s/per_cpu/cpu%d/trace", instances[i].name,
					                   instances[i].numbers[k]));
				}
				drain_processor(&instances[i], k);
			}
		take_calls(calls);
		enough = (all[0].revents & (POLLIN | POLLHUP | POLLERR)) && !take_orders();
	}
}

static void finish(void)
{
	for (int i = 0; i < INSTANCES; i++)
		if (*instances[i].name)
			stop_instance(&instances[i]);
	stop_calls();
	send_clocks();
	finish_calls();
	for (int i = 0; i < INSTANCES; i++) {
		if (*instances[i].name)
			send_names(path_of("instances/%s/trace", instances[i].name));
		for (int k = 0; k < instances[i].processor_count; k++)
			drain_processor(&instances[i], k);
		send_statistics(&instances[i], 'S');
	}
	send_text('E', "");
	flush_frames();
}

int record(const char *name, const char *kib, char **events, char **calls)
{
	undo = remove_what_was_made;
	for (char **event = events; *event; event++)
		has_stacks = has_stacks || **event == WITH_STACK;
	take_memo(memo_file, kib, events, calls, are_kept(name, calls));
	begin(name, kib, events);
	send_text('R', "");
	flush_frames(); /* whoever waits for it has other things to do meanwhile */
	if (begin_last(name, calls))
		watch();
	finish();
	return (keeps_instances && !is_alone ? keep_instances() : remove_instances()) ? 0 : 1;
}
