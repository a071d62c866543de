/* link: the middle of a routed lab. It stands between the two hosts and does to their packets what its plan says.
 *
 * The kernel forwards; each packet that it forwards comes here through NFQUEUE (queue 0: sent by the client, 1: by the
 * server) and waits in the kernel for our verdict. What the link makes itself, copies and forged packets, goes out
 * through a raw socket. Needs NET_ADMIN (NFQUEUE) and NET_RAW in its own network namespace.
 *
 * The plan is standard input (plan.h), the journal standard output (record.h). The lab's sentinels are not counted, not
 * impaired and not in the journal; they leave behind everything that waits. Ends when its input ends.
 */

#define _GNU_SOURCE /* ppoll */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "link/control.h"
#include "link/report.h"
#include "link/traffic.h"

static struct link all; /* too large for the stack */

/* Wait until the next packet is due, or something comes, or the journal's reader takes more. */
static void wait_for_events(struct link *link, struct pollfd fds[3])
{
	const struct holding *holding = &link->holding;
	struct timespec left, *timeout = NULL;
	fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = link->running ? link->queue.socket : -1, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = link->journal.end > link->journal.start ? STDOUT_FILENO : -1, .events = POLLOUT};
	if (holding->used) {
		look_at_clock(link);
		uint64_t wait = holding->heap[0]->due > link->now ? holding->heap[0]->due - link->now : 0;
		left = (struct timespec){(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
		timeout = &left;
	}
	if (ppoll(fds, 3, timeout, NULL) < 0) {
		if (errno != EINTR)
			die("ppoll");
		for (int i = 0; i < 3; i++)
			fds[i].revents = 0;
	}
}

int main(void)
{
	struct link *link = &all;
	link->raw4 = link->raw6 = -1;
	begin_plan(&link->plan, stderr);
	link->line.plan = &link->plan;
	signal(SIGPIPE, SIG_IGN);
	open_journal();
	if (prctl(PR_SET_TIMERSLACK, 1)) /* a delay shall end when it ends, not up to 50 us later */
		die("timer slack");

	for (;;) {
		struct pollfd fds[3];
		wait_for_events(link, fds);
		if (fds[1].revents)
			take_packets(link);
		if (fds[0].revents)
			take_lines(link);
		look_at_clock(link);
		release(link, link->now);
		flush_journal(&link->journal);
	}
}
