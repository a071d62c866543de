#define _GNU_SOURCE
#include "witness/instance.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "witness/frames.h"
#include "witness/memo.h"
#include "witness/names.h"
#include "witness/report.h"

enum { PAGE = 1 << 20, FILTER_SIZE = 1024 };

static const char NO_FILTER[] = "0";

bool keeps_instances;

void make_instance(struct instance *made, unsigned char tag, const char *name, const char *kib)
{
	if (strlen(name) >= sizeof made->name) {
		errno = ENAMETOOLONG;
		fail(name);
	}
	bool is_new = !mkdir(path_of("instances/%s", name), 0700);
	made->is_old = !is_new && errno == EEXIST && keeps_instances;
	if (!is_new && !made->is_old)
		fail("make an instance of tracefs");
	strcpy(made->name, name);
	made->tag = tag;
	if (made->is_old || !kib)
		return;
	if (!write_text(path_of("instances/%s/trace_clock", name), "mono"))
		fail("trace_clock mono");
	if (!write_text(path_of("instances/%s/buffer_size_kb", name), kib))
		fail("buffer_size_kb");
	write_text(path_of("instances/%s/buffer_percent", name), "50"); /* Linux 5.0; before it we wake up more often */
}

bool set_option(const struct instance *its, const char *option, const char *value)
{
	return write_text(path_of("instances/%s/options/%s", its->name, option), value);
}

bool switch_event(const struct instance *its, const char *event, bool on)
{
	const char *state = its->is_old ? read_text(path_of("instances/%s/events/%s/enable", its->name, event)) : NULL;
	if (state && *state == (on ? '1' : '0'))
		return true;
	return write_text(path_of("instances/%s/events/%s/enable", its->name, event), on ? "1" : "0");
}

static bool set_filter(const struct instance *its, const char *event, const char *filter)
{
	return write_text(path_of("instances/%s/events/%s/filter", its->name, event), filter);
}

/* Let pass only those of some functions that this kernel has; false if it has none, or no such filters (Linux 6.3). */
static bool filter_functions(const struct instance *its, const char *event, char *functions)
{
	char one[FILTER_SIZE], all[FILTER_SIZE] = "";
	const char *field = functions;
	char *names = strchr(functions, ':');
	if (!names)
		return false;
	*names++ = 0;
	for (char *rest, *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		snprintf(one, sizeof one, "%s.function == %s", field, name);
		if (!set_filter(its, event, one))
			continue;
		if (strlen(all) + strlen(one) + sizeof " || " > sizeof all)
			break;
		if (*all)
			strcat(all, " || ");
		strcat(all, one);
	}
	return *all && set_filter(its, event, all);
}

bool enable_event(const struct instance *its, char *event)
{
	char *functions = split_functions(event);
	char *filter = functions ? NULL : split_event(event);
	if (has_memo) {
		if (filter) /* it holds the names of this run's interfaces */
			set_filter(its, event, filter);
		return true;
	}
	if (access(path_of("instances/%s/events/%s/enable", its->name, event), F_OK) ||
	    (functions && !filter_functions(its, event, functions))) {
		send_definition('M', event, strlen(event), "");
		return false;
	}
	if (its->is_old && !filter && !functions)
		set_filter(its, event, NO_FILTER); /* that of an earlier recording */
	if (filter && !set_filter(its, event, filter))
		send_definition('N', event, strlen(event), "");
	if (!switch_event(its, event, true))
		fail(event);
	send_format(event);
	return true;
}

void open_processors(struct instance *its)
{
	DIR *directory = opendir(path_of("instances/%s/per_cpu", its->name));
	if (!directory)
		fail("per_cpu");
	for (struct dirent *entry; (entry = readdir(directory)) && its->processor_count < MAX_PROCESSORS;) {
		int number;
		if (!processor_number(entry->d_name, &number))
			continue;
		int fd = open(path_of("instances/%s/per_cpu/cpu%d/trace_pipe_raw", its->name, number),
		              O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			fail("trace_pipe_raw");
		its->numbers[its->processor_count] = number;
		its->processors[its->processor_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	closedir(directory);
}

static uint32_t tagged(const struct instance *its, int which)
{
	return htonl((uint32_t)its->tag << 24 | (uint32_t)its->numbers[which]);
}

void drain_processor(const struct instance *its, int which)
{
	static char page[PAGE]; /* each read gives one page of the ring buffer */
	uint32_t number = tagged(its, which);
	ssize_t n;
	while ((n = read(its->processors[which].fd, page, sizeof page)) > 0)
		send_frame('P', &number, sizeof number, page, (size_t)n);
}

void disable_others(const struct instance *its, char *const *events, char mark)
{
	const char *enabled = its->is_old && !has_memo ? read_text(path_of("instances/%s/set_event", its->name)) : NULL;
	char *text = enabled ? strdup(enabled) : NULL, *rest = text, *line;
	while ((line = strsep(&rest, "\n"))) { /* group:name */
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '/';
		if (!is_among(line, events, mark) && !switch_event(its, line, false))
			fail(line);
	}
	free(text);
}

void start_instance(const struct instance *its)
{
	if (its->is_old && !write_text(path_of("instances/%s/tracing_on", its->name), "1"))
		fail("tracing_on");
}

void stop_instance(const struct instance *its)
{
	write_text(path_of("instances/%s/tracing_on", its->name), "0");
}

void send_statistics(struct instance *its, char type)
{
	for (int i = 0; i < its->processor_count; i++) {
		uint32_t number = tagged(its, i);
		const char *text = read_text(path_of("instances/%s/per_cpu/cpu%d/stats", its->name, its->numbers[i]));
		if (!text)
			continue;
		send_frame(type, &number, sizeof number, text, strlen(text));
		its->has_lost = its->has_lost || says_lost(text);
	}
}

static void close_processors(struct instance *its)
{
	for (int i = 0; i < its->processor_count; i++)
		close(its->processors[i].fd);
	its->processor_count = 0;
}

bool keep_made(struct instance *its)
{
	if (its->has_lost) /* its statistics would say so of the next recording too */
		return remove_made(its);
	close_processors(its);
	*its->name = 0;
	return true;
}

bool remove_made(struct instance *its)
{
	close_processors(its);
	if (!*its->name)
		return true;
	bool done = remove_instance(its->name);
	*its->name = 0;
	return done;
}
