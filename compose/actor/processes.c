/* Steps that make processes, and those that pass descriptors between them. */

#define _GNU_SOURCE /* environ */
#include "actor/processes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor/events.h"
#include "actor/steps.h"
#include "common/memory.h"

static struct child {
	pid_t pid;
	const struct step *step; /* the fork that made it */
	struct child *next;
} *children;

void run_fork(const struct step *step, struct ending *end)
{
	fflush(stderr);
	if (!CALL(end, fork))
		return;
	if (end->result) {
		struct child *made = zeroed(sizeof *made);
		*made = (struct child){(pid_t)end->result, step, children};
		children = made;
		return;
	}
	while (children) { /* the parent's */
		struct child *other = children;
		children = other->next;
		free(other);
	}
}

void run_end_fork(const struct step *step, struct ending *end)
{
	(void)step;
	(void)end;
}

/* Did it end as its fork says? Neither status= nor signal=: in any way. */
static bool ended_well(const struct step *fork_step, int status)
{
	const char *name = fork_step->value[K_NAME];
	bool by_status = fork_step->value[K_STATUS], by_signal = fork_step->value[K_SIGNAL];
	if (!by_status && !by_signal)
		return true;
	if (by_status ? WIFEXITED(status) && WEXITSTATUS(status) == fork_step->status
	              : WIFSIGNALED(status) && WTERMSIG(status) == fork_step->signal)
		return true;
	fprintf(stderr, "step %" PRIu64 ": the child %s ended with %s %d, expected %s %d\n", fork_step->index, name,
	        WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
	        by_status ? "exit status" : "signal", by_status ? fork_step->status : fork_step->signal);
	return false;
}

bool collect_children(const char *name)
{
	bool good = true;
	for (struct child **at = &children, *child; (child = *at);) {
		if (name && strcmp(name, child->step->value[K_NAME])) {
			at = &child->next;
			continue;
		}
		int status = 0;
		while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
			;
		good = ended_well(child->step, status) && good;
		*at = child->next;
		free(child);
	}
	return good;
}

void run_waitpid(const struct step *step, struct ending *end)
{
	end->call = "waitpid";
	if (!collect_children(step->value[K_NAME]))
		exit(1); /* said on standard error */
}

/* Its descriptors are inherited, those of sockets too. What it prints is no event: it goes to standard error. */
void run_exec(const struct step *step, struct ending *end)
{
	char **argv = zeroed(sizeof *argv * ((size_t)step->parts + 1));
	for (int i = 0; i < step->parts; i++) {
		size_t length = step->part[i].iov_len;
		argv[i] = memcpy(zeroed(length + 1), step->part[i].iov_base, length);
	}
	int in = step->in ? step->in->fd : open("/dev/null", O_RDONLY), out = step->out ? step->out->fd : STDERR_FILENO;
	end->call = "execvp";
	emit_ending(step, end);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, STDIN_FILENO) == STDIN_FILENO && dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
		execvp(argv[0], argv);
	fprintf(stderr, "step %" PRIu64 ": cannot execute %s: %s\n", step->index, argv[0], strerror(errno));
	exit(127);
}

void run_socketpair(const struct step *step, struct ending *end)
{
	int fds[2] = {-1, -1};
	CALL(end, socketpair, AF_UNIX, SOCK_STREAM, 0, fds);
	take_socket(step->as, fds[0]);
	take_socket(step->and, fds[1]);
}

/* One byte, and a descriptor with it (unix(7)). */
union descriptor_message {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header;
};

void run_send_fd(const struct step *step, struct ending *end)
{
	char byte = 0;
	union descriptor_message control = {.bytes = {0}};
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes,
	};
	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &step->given->fd, sizeof(int));
	CALL(end, sendmsg, step->sock->fd, &message, 0);
}

void run_recv_fd(const struct step *step, struct ending *end)
{
	char byte;
	union descriptor_message control = {.bytes = {0}};
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes,
	};
	int fd = -1;
	if (CALL(end, recvmsg, step->sock->fd, &message, 0)) {
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd))
			memcpy(&fd, CMSG_DATA(header), sizeof fd);
		else
			end->error = NOT_ERRNO_EOF;
	}
	take_socket(step->as, fd);
}
