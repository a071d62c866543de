/* ops.h: what each step takes, as one table. Its function is run_<name> (run.h). */

#ifndef ACTOR_OPS_H
#define ACTOR_OPS_H

#include "actor/names.h"

#define ADDRESS (BIT(K_ADDR) | BIT(K_PORT))

/* X(name, keys that it needs, keys that it may have besides). Every step may have `expect`. */
#define EVERY_STEP(X) \
	X(socket, BIT(K_AS) | BIT(K_FAMILY) | BIT(K_TYPE), BIT(K_NONBLOCK)) \
	X(setsockopt, BIT(K_SOCK) | BIT(K_NAME) | BIT(K_VALUE), 0) \
	X(getsockopt, BIT(K_SOCK) | BIT(K_NAME), 0) \
	X(bind, BIT(K_SOCK) | ADDRESS, 0) \
	X(listen, BIT(K_SOCK) | BIT(K_BACKLOG), 0) \
	X(accept, BIT(K_SOCK) | BIT(K_AS), 0) \
	X(connect, BIT(K_SOCK) | ADDRESS, 0) \
	X(disconnect, BIT(K_SOCK), 0) \
	X(dup, BIT(K_SOCK) | BIT(K_AS), 0) \
	X(socketpair, BIT(K_AS) | BIT(K_AND), 0) \
	X(send_fd, BIT(K_SOCK) | BIT(K_FD), 0) \
	X(recv_fd, BIT(K_SOCK) | BIT(K_AS) | BIT(K_FAMILY) | BIT(K_TYPE), 0) \
	X(send, BIT(K_SOCK), BIT(K_HEX) | BIT(K_SIZE) | BIT(K_SEED) | BIT(K_CHUNK) | BIT(K_FLAGS) | BIT(K_ONCE) | ADDRESS) \
	X(sendmsg, BIT(K_SOCK) | BIT(K_PARTS), BIT(K_FLAGS) | BIT(K_ONCE) | BIT(K_FROM) | ADDRESS) \
	X(sendmmsg, BIT(K_SOCK) | BIT(K_PARTS), BIT(K_FLAGS) | BIT(K_ONCE) | ADDRESS) \
	X(writev, BIT(K_SOCK) | BIT(K_PARTS), 0) \
	X(sendfile, BIT(K_SOCK) | BIT(K_SIZE) | BIT(K_SEED), 0) \
	X(splice, BIT(K_SIZE), BIT(K_SOCK) | BIT(K_TO) | BIT(K_SEED)) \
	X(recv, BIT(K_SOCK) | BIT(K_SIZE), BIT(K_FLAGS)) \
	X(recvmsg, BIT(K_SOCK) | BIT(K_SIZES), BIT(K_FLAGS)) \
	X(recvmmsg, BIT(K_SOCK) | BIT(K_COUNT) | BIT(K_SIZE), BIT(K_FLAGS)) \
	X(readv, BIT(K_SOCK) | BIT(K_SIZES), 0) \
	X(recv_exact, BIT(K_SOCK) | BIT(K_SIZE), BIT(K_CHUNK)) \
	X(recv_all, BIT(K_SOCK), BIT(K_CHUNK)) \
	X(on_readable, BIT(K_SOCK) | BIT(K_MODE) | BIT(K_SIZE), BIT(K_TIMEOUT) | BIT(K_BY)) \
	X(wait, BIT(K_SOCK) | BIT(K_FOR), BIT(K_TIMEOUT)) \
	X(wait_any, BIT(K_SOCKS), BIT(K_TIMEOUT) | BIT(K_BY)) \
	X(serve, BIT(K_SOCKS) | BIT(K_MODE) | BIT(K_SIZE), BIT(K_TIMEOUT) | BIT(K_BY)) \
	X(shutdown, BIT(K_SOCK) | BIT(K_HOW), 0) \
	X(close, BIT(K_SOCK), 0) \
	X(sleep, BIT(K_MS), 0) \
	X(barrier, BIT(K_NAME), 0) \
	X(fork, BIT(K_NAME), BIT(K_STATUS) | BIT(K_SIGNAL)) \
	X(end_fork, 0, 0) \
	X(waitpid, BIT(K_NAME), 0) \
	X(exec, BIT(K_PARTS), BIT(K_STDIN) | BIT(K_STDOUT)) \
	X(exit, BIT(K_STATUS), 0) \
	X(kill, BIT(K_SIGNAL), 0)

#define NUMBER(name, needs, may) OP_##name,
enum op_number { EVERY_STEP(NUMBER) OPS_COUNT };
#undef NUMBER

struct op {
	const char *name;
	uint64_t needs, may;
	enum op_number number;
};

#endif
