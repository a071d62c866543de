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
 *      environment), i (keep standard input open;       x  ended: wait status (4), realtime ns (8)
 *      else it is /dev/null)
 *                                                       n  not started: errno (4), what was tried
 *   I  bytes for the standard input of program `id`     (none)
 *   E  end of its standard input                        (none)
 *   K  signal (4 bytes) to program `id`'s process       (none)
 *      group; id 0: to every process of the namespace
 *   F  read the file named                              f  chunks of it, then k; or n
 *   D  list the directory named                         f  names, each ending in NUL, then k; or n
 *   O  bind the sentinel's port (UDP 9)                 k; or n
 *   U  address NUL text: send the sentinel              k; or n
 *   H  (nothing)                                        h  protocol version (4), realtime ns (8)
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { VERSION = 1, HEADER = 9, MAX_PROGRAMS = 32, CHUNK = 256 * 1024, MAX_FRAME = 16 << 20, PIPE_SIZE = 1 << 20 };
enum { SENTINEL_PORT = 9 }; /* discard */

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
static int sentinel4 = -1, sentinel6 = -1;

static void die(const char *what)
{
	fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
	exit(70);
}

static void *grow(void *old, size_t size)
{
	void *block = realloc(old, size);
	if (!block)
		die("realloc");
	return block;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put32(unsigned char *to, uint32_t value)
{
	value = htonl(value);
	memcpy(to, &value, 4);
}

static uint32_t get32(const unsigned char *from)
{
	uint32_t value;
	memcpy(&value, from, 4);
	return ntohl(value);
}

static void write_all(const void *data, size_t size)
{
	const char *at = data;
	while (size) {
		ssize_t n = write(STDOUT_FILENO, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			exit(0); /* the runner is gone; process 1 ends and the namespace with it */
		at += n;
		size -= (size_t)n;
	}
}

static void send_frame(char type, uint32_t id, const void *payload, size_t size)
{
	unsigned char header[HEADER];
	header[0] = (unsigned char)type;
	put32(header + 1, id);
	put32(header + 5, (uint32_t)size);
	write_all(header, HEADER);
	write_all(payload, size);
}

static void send_error(uint32_t id, int error, const char *what)
{
	unsigned char payload[256];
	size_t length = strlen(what);
	if (length > sizeof payload - 4)
		length = sizeof payload - 4;
	put32(payload, (uint32_t)error);
	memcpy(payload + 4, what, length);
	send_frame('n', id, payload, 4 + length);
}

static void send_stamped(char type, uint32_t id, uint32_t value, uint64_t ns)
{
	unsigned char payload[12];
	put32(payload, value);
	put32(payload + 4, (uint32_t)(ns >> 32));
	put32(payload + 8, (uint32_t)ns);
	send_frame(type, id, payload, sizeof payload);
}

static struct program *find(uint32_t id)
{
	for (int i = 0; i < MAX_PROGRAMS; i++)
		if (programs[i].pid && programs[i].id == id)
			return &programs[i];
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Programs ---------------------------------------------------------------------------------------------------- */

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

/* Files --------------------------------------------------------------------------------------------------------- */

static void read_file(uint32_t id, const char *path)
{
	static char buffer[CHUNK];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0)
		send_frame('f', id, buffer, (size_t)n);
	if (fd < 0 || n < 0)
		send_error(id, errno, path);
	else
		send_frame('k', id, NULL, 0);
	close_fd(&fd);
}

static void list_directory(uint32_t id, const char *path)
{
	DIR *directory = opendir(path);
	if (!directory) {
		send_error(id, errno, path);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			send_frame('f', id, entry->d_name, strlen(entry->d_name) + 1);
	closedir(directory);
	send_frame('k', id, NULL, 0);
}

/* Sentinel: a datagram after the last event; both taps must show it -------------------------------------------- */

static void open_sentinel(uint32_t id)
{
	struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(SENTINEL_PORT)};
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(SENTINEL_PORT)};
	int one = 1;

	close_fd(&sentinel4);
	close_fd(&sentinel6);
	sentinel4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sentinel4 < 0 || bind(sentinel4, (struct sockaddr *)&any4, sizeof any4)) {
		send_error(id, errno, "bind UDP port 9");
		return;
	}
	sentinel6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sentinel6 >= 0 && (setsockopt(sentinel6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) ||
	                       bind(sentinel6, (struct sockaddr *)&any6, sizeof any6)))
		close_fd(&sentinel6); /* no IPv6 in this host: only asked for where there is */
	send_frame('k', id, NULL, 0);
}

static void send_sentinel(uint32_t id, const char *address, const char *text)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(SENTINEL_PORT)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(SENTINEL_PORT)};
	ssize_t n = -1;

	errno = EINVAL;
	if (inet_pton(AF_INET, address, &to4.sin_addr) == 1)
		n = sendto(sentinel4, text, strlen(text), 0, (struct sockaddr *)&to4, sizeof to4);
	else if (inet_pton(AF_INET6, address, &to6.sin6_addr) == 1)
		n = sendto(sentinel6, text, strlen(text), 0, (struct sockaddr *)&to6, sizeof to6);
	if (n < 0)
		send_error(id, errno, "send the sentinel");
	else
		send_frame('k', id, NULL, 0);
}

/* Commands ------------------------------------------------------------------------------------------------------ */

static void obey(char type, uint32_t id, char *payload, size_t size)
{
	struct program *p = find(id);
	switch (type) {
	case 'S':
		start(id, payload, size);
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
		read_file(id, payload);
		break;
	case 'D':
		list_directory(id, payload);
		break;
	case 'O':
		open_sentinel(id);
		break;
	case 'U': {
		size_t length = strlen(payload);
		send_sentinel(id, payload, length < size ? payload + length + 1 : "");
		break;
	}
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
	while (used - at >= HEADER) {
		unsigned char *header = (unsigned char *)buffer + at;
		size_t size = get32(header + 5);
		if (size > MAX_FRAME) {
			errno = EMSGSIZE;
			die("frame");
		}
		if (used - at < HEADER + size)
			break;
		char *payload = buffer + at + HEADER;
		char after = payload[size]; /* NUL-terminate in place; the buffer has one spare byte */
		payload[size] = 0;
		obey((char)header[0], get32(header + 1), payload, size);
		payload[size] = after;
		at += HEADER + size;
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
		fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = signals, .events = POLLIN};
		for (int i = 0; i < MAX_PROGRAMS; i++) { /* poll passes over negative descriptors */
			struct program *p = &programs[i];
			fds[2 + 3 * i] = (struct pollfd){.fd = p->pid ? p->out : -1, .events = POLLIN};
			fds[3 + 3 * i] = (struct pollfd){.fd = p->pid ? p->err : -1, .events = POLLIN};
			fds[4 + 3 * i] = (struct pollfd){.fd = p->pid && p->pending_size ? p->in : -1, .events = POLLOUT};
		}
		if (poll(fds, 2 + 3 * MAX_PROGRAMS, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("poll");
		}
		for (int i = 0; i < MAX_PROGRAMS; i++) {
			struct program *p = &programs[i];
			if (fds[2 + 3 * i].revents)
				pass_output(p, &p->out, '1', 1);
			if (fds[3 + 3 * i].revents)
				pass_output(p, &p->err, '2', 1);
			if (fds[4 + 3 * i].revents)
				feed(p);
			if (p->pid)
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
