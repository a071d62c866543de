/* agent: process 1 of every container of a lab.
 *
 * It starts programs, passes their streams, ends them, reads files and sends the sentinel, on request of the runner at
 * the other end of its standard input and output. When its input ends (the runner is gone) it kills everything in its
 * PID namespace and exits. It holds no state that outlives it and needs no privilege.
 *
 * Frames, both ways: type (1 byte), id (4 bytes, big endian), length (4 bytes, big endian), payload.
 *
 *   from the runner                                     answers
 *   S  start program `id`; entries, each ending in      s  started: pid (4), realtime ns (8)
 *      NUL: aARG, eKEY=VALUE (added to our own          1  standard output bytes      2  standard error bytes
 *      environment), dDIRECTORY (where it starts), i    x  ended: wait status (4), realtime ns (8)
 *      (keep standard input open; else it is /dev/null)
 *                                                       n  not started: errno (4), what was tried
 *   I  bytes for the standard input of program `id`     (none)
 *   E  end of its standard input                        (none)
 *   K  signal (4 bytes) to program `id`'s process       (none)
 *      group; id 0: to every process of the namespace
 *   F  read the file named; or PATH NUL OFFSET NUL      f  chunks of it, then k; or n
 *      LENGTH in decimal: that part of it
 *   D  list the directory named                         f  names, each ending in NUL, then k; or n
 *   R  directories, each ending in NUL, an empty         f  of each regular file below them that can be read: its path,
 *      one, and names of directories to pass over          NUL, its content, NUL; then k; or n
 *   O  bind the sentinel's port (UDP 9)                 k; or n
 *   U  address NUL text: send the sentinel              k; or n
 *   T  interface: turn its offloads off                k; or n
 *   G  interface                                        f  its features, NAME=on or NAME=off, each ending in NUL,
 *                                                       then k; or n
 *   H  (nothing)                                        h  protocol version (4), realtime ns (8)
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/frames.h"
#include "agent/offloads.h"
#include "agent/output.h"
#include "agent/programs.h"
#include "agent/sentinel.h"
#include "agent/system.h"
#include "common/bytes.h"
#include "common/memory.h"

enum { VERSION = 1 };

static void obey(const struct frame *frame)
{
	const uint32_t id = frame->id;
	char *payload = frame->payload;
	const size_t size = frame->size;
	struct program *p = find_program(id);
	switch (frame->type) {
	case 'S':
		start_program(id, payload, size);
		break;
	case 'I':
		if (p)
			add_input(p, payload, size);
		break;
	case 'E':
		if (p) {
			p->end_input = true;
			feed(p);
		}
		break;
	case 'K':
		if (size == 4)
			send_signal(id, (int)get32((unsigned char *)payload));
		break;
	case 'F':
		read_file(id, payload, part(payload, size, 1), part(payload, size, 2));
		break;
	case 'D':
		list_directory(id, payload);
		break;
	case 'R':
		read_trees(id, payload, size);
		break;
	case 'O':
		open_sentinel(id);
		break;
	case 'U':
		send_sentinel(id, payload, part(payload, size, 1));
		break;
	case 'T':
		turn_off_offloads(id, payload);
		break;
	case 'G':
		list_offloads(id, payload);
		break;
	case 'H':
		send_stamped('h', id, VERSION, now_ns());
		break;
	default:
		send_error(id, ENOSYS, "unknown request");
	}
}

/* Take what the runner sent; false at the end of it. */
static bool take_commands(void)
{
	static char *buffer;
	static size_t used, room;

	if (room - used < CHUNK) {
		room = used + 2 * CHUNK;
		buffer = grow(buffer, room + 1);
	}
	ssize_t n = read(STDIN_FILENO, buffer + used, room - used);
	if (n < 0)
		return errno == EINTR;
	if (n == 0)
		return false;
	used += (size_t)n;
	size_t at = 0;
	struct frame frame;
	for (enum taken taken; (taken = take_frame(buffer + at, used - at, &frame)) != NO_FRAME;) {
		if (taken == FRAME_TOO_LARGE) {
			errno = EMSGSIZE;
			die("frame");
		}
		char after = frame.payload[frame.size]; /* NUL-terminate in place; the buffer has one spare byte */
		frame.payload[frame.size] = 0;
		obey(&frame);
		frame.payload[frame.size] = after;
		at += HEADER + frame.size;
	}
	memmove(buffer, buffer + at, used - at);
	used -= at;
	return true;
}

int main(void)
{
	sigset_t watched;
	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	if (sigprocmask(SIG_BLOCK, &watched, NULL))
		die("sigprocmask");
	signal(SIGPIPE, SIG_IGN);
	int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		die("signalfd");

	for (bool running = true; running;) {
		struct pollfd fds[2 + 3 * MAX_PROGRAMS];
		struct program *watched_programs[MAX_PROGRAMS];
		nfds_t count = 0, program_count = 0;
		fds[count++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
		fds[count++] = (struct pollfd){.fd = signals, .events = POLLIN};
		for (int i = 0; i < MAX_PROGRAMS; i++) {
			struct program *p = &programs[i];
			if (!p->pid)
				continue; /* poll refuses more entries than a process may have descriptors */
			watched_programs[program_count++] = p;
			fds[count++] = (struct pollfd){.fd = p->out, .events = POLLIN}; /* poll passes over negative ones */
			fds[count++] = (struct pollfd){.fd = p->err, .events = POLLIN};
			fds[count++] = (struct pollfd){.fd = p->pending_size ? p->in : -1, .events = POLLOUT};
		}
		if (poll(fds, count, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("poll");
		}
		for (nfds_t i = 0; i < program_count; i++) {
			struct program *p = watched_programs[i];
			struct pollfd *own = fds + 2 + 3 * i;
			if (own[0].revents)
				pass_output(p, &p->out, '1', 1);
			if (own[1].revents)
				pass_output(p, &p->err, '2', 1);
			if (own[2].revents)
				feed(p);
			free_if_over(p);
		}
		if (fds[1].revents) {
			struct signalfd_siginfo info;
			while (read(signals, &info, sizeof info) == sizeof info)
				if (info.ssi_signo != SIGCHLD)
					running = false;
			reap();
		}
		if (fds[0].revents && !take_commands())
			running = false;
	}
	if (getpid() == 1)
		kill(-1, SIGKILL);
	return 0;
}
