#define _GNU_SOURCE /* pipe2 */
#include "agent/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/frames.h"
#include "agent/output.h"
#include "agent/system.h"
#include "common/memory.h"

enum { PIPE_SIZE = 1 << 20 };

struct program programs[MAX_PROGRAMS];

struct program *find_program(uint32_t id)
{
	for (int i = 0; i < MAX_PROGRAMS; i++)
		if (programs[i].pid && programs[i].id == id)
			return &programs[i];
	return NULL;
}

static struct program *free_slot(void)
{
	for (int i = 0; i < MAX_PROGRAMS; i++)
		if (!programs[i].pid)
			return &programs[i];
	return NULL;
}

/* Both ends of what a program reads and writes, and a pipe on which the child reports that it could not be executed. */
struct pipes {
	int in[2], out[2], err[2], report[2];
};

static void close_pipes(struct pipes *pipes)
{
	for (int i = 0; i < 2; i++) {
		close_fd(&pipes->in[i]);
		close_fd(&pipes->out[i]);
		close_fd(&pipes->err[i]);
		close_fd(&pipes->report[i]);
	}
}

/* Returns NULL, or what failed. */
static const char *open_pipes(struct pipes *pipes, bool keep_input)
{
	if (keep_input ? pipe2(pipes->in, O_CLOEXEC) : (pipes->in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		return "standard input";
	if (pipe2(pipes->out, O_CLOEXEC) || pipe2(pipes->err, O_CLOEXEC) || pipe2(pipes->report, O_CLOEXEC))
		return "pipe";
	fcntl(pipes->out[1], F_SETPIPE_SZ, PIPE_SIZE); /* a larger pipe is a comfort, not a need */
	return NULL;
}

/* What the child reports where it could not become the program. */
struct failure {
	int error;
	bool in_directory; /* it is the directory that cannot be entered */
};

static void run_child(const struct start_request *request, int in, int out, int err, int report)
{
	struct failure failure = {.in_directory = false};

	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (setpgid(0, 0) == 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2) {
		for (char **entry = request->envp; *entry; entry++)
			putenv(*entry);
		failure.in_directory = request->directory && chdir(request->directory);
		if (!failure.in_directory)
			execvp(request->argv[0], request->argv);
	}
	failure.error = errno;
	if (write(report, &failure, sizeof failure) != sizeof failure)
		_exit(126);
	_exit(127);
}

/* Start a child and wait until it runs the program; returns its process, or -1 with errno and what failed. */
static pid_t spawn(const struct start_request *request, struct pipes *pipes, const char **what)
{
	*what = "fork";
	pid_t pid = fork();
	if (pid == 0)
		run_child(request, pipes->in[0], pipes->out[1], pipes->err[1], pipes->report[1]);
	if (pid < 0)
		return -1;
	close_fd(&pipes->report[1]);
	struct failure failure;
	ssize_t n;
	while ((n = read(pipes->report[0], &failure, sizeof failure)) < 0 && errno == EINTR)
		;
	if (n != sizeof failure)
		return pid;
	waitpid(pid, NULL, 0);
	*what = failure.in_directory ? request->directory : request->argv[0];
	errno = failure.error;
	return -1;
}

/* Take over our ends of the pipes. */
static void fill_slot(struct program *slot, uint32_t id, pid_t pid, struct pipes *pipes)
{
	*slot = (struct program){.id = id, .pid = pid, .in = pipes->in[1], .out = pipes->out[0], .err = pipes->err[0]};
	pipes->in[1] = pipes->out[0] = pipes->err[0] = -1;
	if (slot->in >= 0)
		fcntl(slot->in, F_SETFL, O_NONBLOCK);
	fcntl(slot->out, F_SETFL, O_NONBLOCK);
	fcntl(slot->err, F_SETFL, O_NONBLOCK);
}

void start_program(uint32_t id, char *payload, size_t size)
{
	struct start_request request;
	struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	struct program *slot = free_slot();
	const char *what = "start";

	parse_start(&request, payload, size);
	if (!request.argc || !slot) {
		send_error(id, request.argc ? EAGAIN : EINVAL, what);
	} else if ((what = open_pipes(&pipes, request.keep_input))) {
		send_error(id, errno, what);
	} else {
		uint64_t started = now_ns();
		pid_t pid = spawn(&request, &pipes, &what);
		if (pid < 0) {
			send_error(id, errno, what);
		} else {
			fill_slot(slot, id, pid, &pipes);
			send_stamped('s', id, (uint32_t)pid, started);
		}
	}
	close_pipes(&pipes);
	free_start(&request);
}

void feed(struct program *p)
{
	while (p->in >= 0 && p->pending_size) {
		ssize_t n = write(p->in, p->pending, p->pending_size);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) { /* it closed its input; what it did not want is dropped */
			p->pending_size = 0;
			close_fd(&p->in);
			return;
		}
		memmove(p->pending, p->pending + n, p->pending_size - (size_t)n);
		p->pending_size -= (size_t)n;
	}
	if (p->end_input)
		close_fd(&p->in);
}

void add_input(struct program *p, const void *data, size_t size)
{
	p->pending = grow(p->pending, p->pending_size + size + 1);
	memcpy(p->pending + p->pending_size, data, size);
	p->pending_size += size;
	feed(p);
}

void pass_output(struct program *p, int *fd, char type, int rounds)
{
	static char buffer[CHUNK];
	while (*fd >= 0 && rounds--) {
		ssize_t n = read(*fd, buffer, sizeof buffer);
		if (n > 0) {
			send_frame(type, p->id, buffer, (size_t)n);
		} else if (n == 0) {
			close_fd(fd);
		} else if (errno != EINTR) {
			return;
		}
	}
}

void free_if_over(struct program *p)
{
	if (p->ended && p->out < 0 && p->err < 0) {
		close_fd(&p->in);
		free(p->pending);
		*p = (struct program){0};
	}
}

void reap(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < MAX_PROGRAMS; i++) {
			struct program *p = &programs[i];
			if (p->pid != pid || p->ended)
				continue;
			uint64_t ended = now_ns();
			pass_output(p, &p->out, '1', 8); /* what it printed comes before its end */
			pass_output(p, &p->err, '2', 8);
			send_stamped('x', p->id, (uint32_t)status, ended);
			p->ended = true;
			free_if_over(p);
		}
	}
}

void send_signal(uint32_t id, int number)
{
	if (id == 0) {
		if (getpid() == 1) /* anywhere else this would reach strangers */
			kill(-1, number);
		return;
	}
	struct program *p = find_program(id);
	if (p)
		kill(-p->pid, number);
}
