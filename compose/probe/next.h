/* next.h: the real functions, by RTLD_NEXT. All are looked up at once, in the constructor, since dlsym is safe neither in a
 * signal handler nor in a child of vfork. */

#ifndef PROBE_NEXT_H
#define PROBE_NEXT_H

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* What programs compiled with _FORTIFY_SOURCE call; no header declares them otherwise. */
ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags, __SOCKADDR_ARG address,
                       socklen_t *address_length);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);

#define EVERY_FUNCTION(X)                                                                                             \
	X(socket) X(socketpair) X(bind) X(listen) X(accept) X(accept4) X(connect) X(getsockname) X(getpeername)       \
	X(setsockopt) X(getsockopt) X(shutdown) X(close) X(close_range) X(closefrom) X(fclose) X(dup) X(dup2) X(dup3) \
	X(fcntl) X(fcntl64) X(ioctl) X(send) X(sendto) X(sendmsg) X(sendmmsg) X(recv) X(recvfrom) X(recvmsg)          \
	X(recvmmsg) X(read) X(write) X(readv) X(writev) X(sendfile) X(sendfile64) X(splice) X(poll) X(ppoll)          \
	X(select) X(pselect) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) X(fork) X(_exit) X(_Exit) X(fdopen)         \
	X(execve) X(execv) X(execvp) X(execvpe) X(execl) X(execlp) X(execle) X(fexecve) X(execveat) X(__read_chk)     \
	X(__recv_chk) X(__recvfrom_chk) X(__poll_chk) X(__ppoll_chk) X(setrlimit) X(setrlimit64) X(prlimit) X(prlimit64)

#define DECLARE(function) __typeof__(function) *function;
extern struct next_table {
	bool found;
	EVERY_FUNCTION(DECLARE)
} next_table;
#undef DECLARE

/* Look all of them up. */
__attribute__((cold)) void next_find(void);

/* The next definition of a function, also before the constructor has run. */
#define NEXT(function) (__builtin_expect(!next_table.found, 0) ? next_find() : (void)0, next_table.function)

#endif
