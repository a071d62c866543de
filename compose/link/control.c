#define _GNU_SOURCE /* strsep */
#include "link/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"
#include "link/faults.h"
#include "link/plan_values.h"
#include "link/report.h"
#include "link/traffic.h"

static void start(struct link *link)
{
	if (!plan_complete(&link->plan))
		exit(2);
	link->raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	link->raw6 = link->plan.speaks[IPV6] ? socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW) : -1;
	if (link->raw4 < 0 || (link->plan.speaks[IPV6] && link->raw6 < 0))
		die("raw socket");
	open_queue(&link->queue, link->plan.payload);
	link->running = true;
	write_event(&link->journal, "{\"event\":\"ready\"}\n");
}

static void stop(struct link *link)
{
	look_at_clock(link);
	release(link, UINT64_MAX);
	finish_verdicts(&link->queue.verdicts);
	write_event(&link->journal, "{\"event\":\"end\",\"client\":%llu,\"server\":%llu,\"overflow\":%llu,\"refused\":%llu}\n",
	            (unsigned long long)link->line.lanes[CLIENT].count, (unsigned long long)link->line.lanes[SERVER].count,
	            (unsigned long long)link->kernel_lost, (unsigned long long)link->refused);
	close_journal(&link->journal);
	exit(0);
}

static void count(struct link *link)
{
	const struct direction *of = link->holding.of;
	const struct lane *lanes = link->line.lanes;
	write_event(&link->journal, "{\"event\":\"count\",\"waiting\":%llu,\"packets\":%llu}\n",
	            (unsigned long long)(of[CLIENT].waiting + of[SERVER].waiting),
	            (unsigned long long)(lanes[CLIENT].count + lanes[SERVER].count));
}

static void take_down(struct link *link, char *rest)
{
	struct plan *plan = &link->plan;
	int from = -1;
	uint64_t length = 0;
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "from"))
			from = parse_word(plan, key, value, side_names, SIDES);
		else if (is(key, "for"))
			length = parse_number(plan, key, value, LONGEST_SPAN);
		else
			report_error(plan, "unknown key %s", key);
	}
	if (from < 0)
		report_error(plan, "from is missing");
	else
		link->line.lanes[from].down_until = link->now + length;
}

static void change(struct link *link, const char *what, char *rest)
{
	struct plan *plan = &link->plan;
	char *key, *value;
	if (is(what, "set")) {
		parse_set(plan, rest);
	} else if (is(what, "down")) {
		take_down(link, rest);
	} else if (is(what, "barrier")) {
		if (next_pair(plan, &rest, &key, &value) && is(key, "name"))
			pass_barrier(plan, value);
		else
			report_error(plan, "name is missing");
	} else if (is(what, "count")) {
		count(link);
		return;
	} else if (is(what, "stop")) {
		stop(link);
	} else {
		report_error(plan, "unknown line %s", what);
	}
	if (plan->failed)
		exit(2);
	write_event(&link->journal, "{\"event\":\"%s\",\"time\":%llu}\n", what,
	            (unsigned long long)(link->now + link->epoch));
}

static void obey(struct link *link, char *line)
{
	link->plan.line++;
	if (!*line)
		return;
	char *rest = line, *what = strsep(&rest, " ");
	if (link->running)
		change(link, what, rest);
	else if (is(what, "start"))
		start(link);
	else if (!plan_line(&link->plan, what, rest))
		report_error(&link->plan, "unknown line %s", what);
}

void take_lines(struct link *link)
{
	static char *buffer;
	static size_t used, room;
	if (room - used < 4096)
		buffer = grow(buffer, room = 2 * room + 65536);
	ssize_t n = read(STDIN_FILENO, buffer + used, room - used);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		exit(link->running ? 0 : 2); /* the agent is gone */
	used += (size_t)n;
	look_at_clock(link);
	char *at = buffer, *end;
	while ((end = memchr(at, '\n', used - (size_t)(at - buffer)))) {
		*end = 0;
		obey(link, at);
		at = end + 1;
	}
	used -= (size_t)(at - buffer);
	memmove(buffer, at, used);
}
