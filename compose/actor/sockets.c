#define _GNU_SOURCE /* asprintf */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "actor/events.h"
#include "actor/steps.h"
#include "actor/text.h"

void run_socket(const struct step *step, struct ending *end)
{
	CALL(end, socket, step->family, step->type | (step->nonblock ? SOCK_NONBLOCK : 0), 0);
	take_socket(step->as, end->result);
}

void run_setsockopt(const struct step *step, struct ending *end)
{
	const struct option *option = step->option;
	CALL(end, setsockopt, step->sock->fd, option->level, option->number, step->option_value, step->option_len);
}

void run_getsockopt(const struct step *step, struct ending *end)
{
	union {
		int number;
		struct linger linger;
		struct timeval time;
		unsigned char bytes[1024];
	} got = {.bytes = {0}};
	static const socklen_t SIZES[] = {
		[INT] = sizeof(int), [LINGER] = sizeof(struct linger), [MILLISECONDS] = sizeof(struct timeval),
		[TEXT] = sizeof got.bytes - 1, [BYTES] = sizeof got.bytes, [GROUP] = sizeof got.bytes,
		[INTERFACE] = sizeof got.bytes, [BLOB] = sizeof got.bytes,
	};
	const struct option *option = step->option;
	socklen_t length = SIZES[option->kind];
	int printed = 0;
	if (!CALL(end, getsockopt, step->sock->fd, option->level, option->number, &got, &length))
		return;
	switch (option->kind) {
	case INT: printed = asprintf(&end->value, "%d", got.number); break;
	case LINGER: printed = asprintf(&end->value, "%d,%d", got.linger.l_onoff, got.linger.l_linger); break;
	case MILLISECONDS:
		printed = asprintf(&end->value, "%lld", got.time.tv_sec * 1000LL + got.time.tv_usec / 1000);
		break;
	case TEXT: printed = asprintf(&end->value, "%s", got.bytes); break;
	case GROUP:
	case INTERFACE:
	case BLOB:
	case BYTES: end->value = to_hex(got.bytes, length); break;
	}
	if (printed < 0)
		exit(2);
}

void run_bind(const struct step *step, struct ending *end)
{
	if (!CALL(end, bind, step->sock->fd, step_address(step), step->addr_len))
		return;
	step->sock->port = step->port;
	if (step->type == SOCK_DGRAM)
		emit_listening(step, step->port);
}

void run_listen(const struct step *step, struct ending *end)
{
	if (CALL(end, listen, step->sock->fd, step->backlog))
		emit_listening(step, step->sock->port);
}

void run_accept(const struct step *step, struct ending *end)
{
	CALL(end, accept, step->sock->fd, NULL, NULL);
	take_socket(step->as, end->result);
}

void run_connect(const struct step *step, struct ending *end)
{
	CALL(end, connect, step->sock->fd, step_address(step), step->addr_len);
}

/* connect(2) to AF_UNSPEC dissolves the association: of TCP it ends the connection. */
void run_disconnect(const struct step *step, struct ending *end)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	CALL(end, connect, step->sock->fd, &none, sizeof none);
}

void run_dup(const struct step *step, struct ending *end)
{
	uint64_t *sent = step->sock->sent;
	CALL(end, dup, step->sock->fd);
	take_socket(step->as, end->result);
	step->as->sent = sent;
}

void run_shutdown(const struct step *step, struct ending *end)
{
	CALL(end, shutdown, step->sock->fd, step->how);
}

void run_close(const struct step *step, struct ending *end)
{
	int fd = step->sock->fd;
	step->sock->fd = -1;
	end->call = "close";
	end->result = close(fd); /* not again after EINTR: Linux has released the descriptor, close(2) */
	end->error = end->result < 0 ? errno : 0;
	if (step->sock->epoll)
		close(step->sock->epoll);
	step->sock->epoll = 0;
}
