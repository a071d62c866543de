/* Programs: started in process groups of their own, fed, listened to, reaped. */

#ifndef AGENT_PROGRAMS_H
#define AGENT_PROGRAMS_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "agent_frames.h"

enum { MAX_PROGRAMS = 32, PIPE_SIZE = 1 << 20 };

struct program {
	uint32_t id;
	pid_t pid; /* 0: free slot */
	bool ended;
	int in, out, err; /* our ends of its pipes, -1 when closed */
	char *pending;    /* input that its pipe did not take yet */
	size_t pending_size;
	bool end_input;
};

static struct program programs[MAX_PROGRAMS];

static struct program *find(uint32_t id)
{
	for (int i = 0; i < MAX_PROGRAMS; i++)
		if (programs[i].pid && programs[i].id == id)
			return &programs[i];
	return NULL;
}

static void run_child(char **argv, char **envp, int in, int out, int err, int report)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (setpgid(0, 0) == 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2) {
		for (; *envp; envp++)
			putenv(*envp);
		execvp(argv[0], argv);
	}
	int error = errno;
	if (write(report, &error, sizeof error) != sizeof error)
		_exit(126);
	_exit(127);
}

static void start(uint32_t id, char *payload, size_t size)
{
	char **argv = NULL, **envp = NULL;
	size_t argc = 0, envc = 0;
	bool keep_input = false;
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
	struct program *slot = NULL;

	for (char *at = payload; at < payload + size; at += strlen(at) + 1) { /* the caller NUL-terminates */
		if (*at == 'a') {
			argv = grow(argv, (argc + 2) * sizeof *argv);
			argv[argc++] = at + 1;
		} else if (*at == 'e') {
			envp = grow(envp, (envc + 2) * sizeof *envp);
			envp[envc++] = at + 1;
		} else if (*at == 'i') {
			keep_input = true;
		}
	}
	for (int i = 0; i < MAX_PROGRAMS && !slot; i++)
		if (!programs[i].pid)
			slot = &programs[i];
	if (!argc || !slot) {
		send_error(id, argc ? EAGAIN : EINVAL, "start");
		goto done;
	}
	argv[argc] = NULL;
	envp = grow(envp, (envc + 1) * sizeof *envp);
	envp[envc] = NULL;

	if (keep_input ? pipe2(in, O_CLOEXEC) : (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) {
		send_error(id, errno, "standard input");
		goto done;
	}
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(report, O_CLOEXEC)) {
		send_error(id, errno, "pipe");
		goto done;
	}
	fcntl(out[1], F_SETPIPE_SZ, PIPE_SIZE); /* a larger pipe is a comfort, not a need */

	uint64_t started = now_ns();
	pid_t pid = fork();
	if (pid == 0)
		run_child(argv, envp, in[0], out[1], err[1], report[1]);
	if (pid < 0) {
		send_error(id, errno, "fork");
		goto done;
	}
	close_fd(&report[1]);
	int error = 0;
	ssize_t n;
	while ((n = read(report[0], &error, sizeof error)) < 0 && errno == EINTR)
		;
	if (n == sizeof error) {
		waitpid(pid, NULL, 0);
		send_error(id, error, argv[0]);
		goto done;
	}
	*slot = (struct program){.id = id, .pid = pid, .in = in[1], .out = out[0], .err = err[0]};
	in[1] = out[0] = err[0] = -1;
	if (slot->in >= 0)
		fcntl(slot->in, F_SETFL, O_NONBLOCK);
	fcntl(slot->out, F_SETFL, O_NONBLOCK);
	fcntl(slot->err, F_SETFL, O_NONBLOCK);
	send_stamped('s', id, (uint32_t)pid, started);
done:
	for (int i = 0; i < 2; i++) {
		close_fd(&in[i]);
		close_fd(&out[i]);
		close_fd(&err[i]);
		close_fd(&report[i]);
	}
	free(argv);
	free(envp);
}

static void feed(struct program *p)
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

static void add_input(struct program *p, const void *data, size_t size)
{
	p->pending = grow(p->pending, p->pending_size + size + 1);
	memcpy(p->pending + p->pending_size, data, size);
	p->pending_size += size;
	feed(p);
}

/* Pass on at most `rounds` chunks of a program's output; close the pipe at its end. */
static void pass_output(struct program *p, int *fd, char type, int rounds)
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

static void free_if_over(struct program *p)
{
	if (p->ended && p->out < 0 && p->err < 0) {
		close_fd(&p->in);
		free(p->pending);
		*p = (struct program){0};
	}
}

static void reap(void)
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

static void send_signal(uint32_t id, int number)
{
	if (id == 0) {
		if (getpid() == 1) /* anywhere else this would reach strangers */
			kill(-1, number);
		return;
	}
	struct program *p = find(id);
	if (p)
		kill(-p->pid, number);
}

#endif
