#define _GNU_SOURCE /* strtok_r */
#include "actor/script.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "actor/values.h"
#include "common/memory.h"

#define CHUNK_DEFAULT 65536 /* what recv_exact and recv_all ask for in one call */

#define ROW(name, needs, may) {#name, needs, may, OP_##name},
static const struct op OPS[OPS_COUNT] = {EVERY_STEP(ROW)};
#undef ROW

static struct sock *find_sock(struct script *script, const char *name, bool make)
{
	struct sock *at = script->sockets;
	while (at && strcmp(at->name, name))
		at = at->next;
	if (at || !make)
		return at;
	at = zeroed(sizeof *at);
	*at = (struct sock){.name = copy_text(name), .fd = -1, .next = script->sockets};
	return script->sockets = at;
}

static bool known_sock(struct script *script, const struct step *step, enum key key, struct sock **sock)
{
	const char *name = step->value[key];
	*sock = name ? find_sock(script, name, false) : NULL;
	return !name || *sock || report_value(script, key, name, "the name that an earlier step gave a socket");
}

static bool new_sock(struct script *script, const struct step *step, enum key key, struct sock **sock)
{
	const char *name = step->value[key];
	if (!name)
		return true;
	*sock = find_sock(script, name, true);
	if ((*sock)->made)
		return report_value(script, key, name, "a name that no open socket has");
	(*sock)->made = true;
	(*sock)->family = step->family;
	(*sock)->type = step->type;
	return true;
}

/* socks=a:in,b:out; without a condition: readable. */
static bool watched_socks(struct script *script, struct step *step)
{
	const char *text = step->value[K_SOCKS];
	for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		size_t length = strcspn(at, ":,");
		char *name = copy_bytes(at, length + 1);
		name[length] = '\0';
		struct sock *sock = find_sock(script, name, false);
		free(name);
		int events = POLLIN;
		bool good = sock && (at[length] != ':' ||
		                     parse_word(READINESS, at + length + 1, strcspn(at + length + 1, ","), &events));
		if (!good)
			return report_value(script, K_SOCKS, text, "names of sockets, each with :in, :out, :pri or :error");
		step->watched = grow(step->watched, sizeof *step->watched * (size_t)(step->watched_count + 1));
		step->watched[step->watched_count++] = (struct watched){sock, (short)events};
	}
	return true;
}

/* The names of sockets, followed down the script. */
static bool check_names(struct script *script, struct step *step)
{
	if (!known_sock(script, step, K_SOCK, &step->sock) || !known_sock(script, step, K_TO, &step->to) ||
	    !known_sock(script, step, K_FD, &step->given) || !known_sock(script, step, K_STDIN, &step->in) ||
	    !known_sock(script, step, K_STDOUT, &step->out) || !watched_socks(script, step))
		return false;
	if (step->sock && step->op->number != OP_recv_fd) {
		step->family = step->sock->family;
		step->type = step->sock->type;
	}
	if (step->op->number == OP_close)
		step->sock->made = false;
	if (step->op->number == OP_socketpair) {
		step->family = AF_UNIX;
		step->type = SOCK_STREAM;
	}
	return new_sock(script, step, K_AS, &step->as) && new_sock(script, step, K_AND, &step->and);
}

/* A fork that has begun: what the names of sockets meant before it, since the child's steps change nothing for its parent. */
struct fork_begun {
	size_t at;
	struct fork_begun *outer;
	size_t count;
	struct sock before[];
};

static void begin_fork(struct script *script)
{
	size_t count = 0;
	for (struct sock *sock = script->sockets; sock; sock = sock->next)
		count++;
	struct fork_begun *begun = zeroed(sizeof *begun + count * sizeof *begun->before);
	*begun = (struct fork_begun){script->count - 1, script->forks, count};
	for (struct sock *sock = script->sockets; sock; sock = sock->next)
		begun->before[--count] = *sock;
	script->forks = begun;
}

/* New names are first in the list, those of before are its last `count`, in the reverse of their order in `before`. */
static bool end_fork(struct script *script, struct step *step)
{
	struct fork_begun *begun = script->forks;
	size_t names = 0;
	if (!begun)
		return report_error(script, "end_fork: no fork has begun");
	for (struct sock *sock = script->sockets; sock; sock = sock->next)
		names++;
	for (struct sock *sock = script->sockets; sock; sock = sock->next, names--) {
		if (names > begun->count) {
			sock->made = false;
			continue;
		}
		sock->made = begun->before[names - 1].made;
		sock->family = begun->before[names - 1].family;
		sock->type = begun->before[names - 1].type;
	}
	step->after = begun->at;
	script->steps[begun->at].after = script->count - 1;
	script->forks = begun->outer;
	free(begun);
	return true;
}

static void number_barrier(struct script *script, struct step *step)
{
	const char *name = step->value[K_NAME];
	for (step->slot = 0; step->slot < script->barrier_count; step->slot++)
		if (!strcmp(script->barriers[step->slot], name))
			return;
	script->barriers = grow(script->barriers, sizeof *script->barriers * (script->barrier_count + 1));
	script->barriers[script->barrier_count++] = name;
}

/* How much of the buffer a step uses; 0 where that is not known to be too much. */
static uint64_t buffer_room(const struct step *step)
{
	uint64_t all = 0;
	switch (step->op->number) {
	case OP_recv:
	case OP_on_readable:
	case OP_serve: return step->size;
	case OP_sendfile:
	case OP_splice: return FILE_CHUNK;
	case OP_recvmmsg: return step->size > CHUNK_MAX ? step->size : step->size * (uint64_t)step->count;
	case OP_readv:
	case OP_recvmsg:
		for (int i = 0; i < step->sizes_count; i++)
			all += step->sizes[i];
		return all;
	default: return step->chunk;
	}
}

/* What depends on the socket or on several keys. */
static bool check_step(struct script *script, struct step *step)
{
	const char *const *value = step->value;
	const enum op_number op = step->op->number;

	if (!check_names(script, step))
		return false;
	if (!value[K_ADDR] != !value[K_PORT])
		return report_error(script, "%s: addr= and port= go together", step->op->name);
	if (value[K_ADDR] && !parse_address(script, step))
		return false;
	if (value[K_FROM] && !parse_from(script, step))
		return false;
	if (step->sock && value[K_NAME] && !parse_option(script, step))
		return false;
	if (op == OP_send) {
		if (!value[K_HEX] == !value[K_SIZE] || !value[K_SIZE] != !value[K_SEED])
			return report_error(script, "send: needs either hex= or size= with seed=");
		if (value[K_CHUNK] && !value[K_SIZE])
			return report_error(script, "send: chunk= goes with size=");
		if (value[K_SIZE] && !value[K_CHUNK])
			step->chunk = step->size < CHUNK_MAX ? step->size : CHUNK_MAX;
	}
	if ((op == OP_on_readable || op == OP_serve) && !step->size)
		return report_error(script, "%s: size= must be above 0", step->op->name);
	if (op == OP_splice && ((!step->sock && !step->to) || !step->sock != !!value[K_SEED]))
		return report_error(script, "splice: needs sock= or seed=, and to= where there is no sock=");
	if (op == OP_fork)
		begin_fork(script);
	if (op == OP_end_fork && !end_fork(script, step))
		return false;
	if (op == OP_barrier)
		number_barrier(script, step);
	bool to_end = op == OP_recv_all || (op == OP_on_readable && step->mode != ONCE);
	if ((to_end || op == OP_recv_exact) && step->type != SOCK_STREAM)
		return report_error(script, "%s: only a stream socket has an end", step->op->name);
	if ((op == OP_recv_exact || op == OP_recv_all) && !step->chunk)
		step->chunk = CHUNK_DEFAULT;
	uint64_t room = buffer_room(step);
	if (room > CHUNK_MAX)
		return report_error(script, "%s: size= is above %" PRIu64 ", the largest of one call", step->op->name, CHUNK_MAX);
	if (room > script->buffer_size)
		script->buffer_size = room;
	return true;
}

static bool parse_step(struct script *script, struct step *step)
{
	char *rest, *token = strtok_r(step->line, " ", &rest);
	if (!token || !parse_number(token, INT64_MAX, &step->index))
		return report_error(script, "a step starts with its number");
	token = strtok_r(NULL, " ", &rest);
	for (size_t i = 0; token && i < OPS_COUNT; i++)
		if (!strcmp(OPS[i].name, token))
			step->op = &OPS[i];
	if (!step->op)
		return report_error(script, "unknown step '%s'", token ? token : "");
	uint64_t may = step->op->needs | step->op->may | BIT(K_EXPECT);
	while ((token = strtok_r(NULL, " ", &rest))) {
		char *text = strchr(token, '=');
		int key = 0;
		if (text)
			*text++ = '\0';
		while (key < KEYS && strcmp(KEY_NAMES[key], token))
			key++;
		if (!text || key == KEYS || !(may & BIT(key)))
			return report_error(script, "%s: unknown key '%s'", step->op->name, token);
		if (step->value[key])
			return report_error(script, "%s: %s= is given twice", step->op->name, token);
		step->value[key] = text;
		if (!parse_value(script, step, (enum key)key, text))
			return false;
	}
	for (int key = 0; key < KEYS; key++)
		if (step->op->needs & BIT(key) && !step->value[key])
			return report_error(script, "%s: %s= is missing", step->op->name, KEY_NAMES[key]);
	return check_step(script, step);
}

void begin_script(struct script *script, FILE *errors)
{
	*script = (struct script){.buffer_size = 1, .errors = errors};
}

bool script_line(struct script *script, char *line)
{
	script->line_number++;
	if (!line)
		return report_error(script, "the script has no 'end'");
	if (!strcmp(line, "end")) {
		free(line);
		return script->forks ? report_error(script, "a fork has no end_fork") : false;
	}
	if (script->count == script->room) {
		script->room = script->room ? script->room * 2 : 64;
		script->steps = grow(script->steps, sizeof *script->steps * script->room);
	}
	struct step *step = &script->steps[script->count++];
	*step = (struct step){.line = line, .timeout = -1};
	parse_step(script, step);
	return true;
}

void free_script(struct script *script)
{
	for (size_t i = 0; i < script->count; i++) {
		struct step *step = &script->steps[i];
		for (int part = 0; part < step->parts; part++)
			free(step->part[part].iov_base);
		free(step->part);
		free(step->sizes);
		free(step->watched);
		free(step->option_value);
		free(step->control);
		free(step->line);
	}
	free(script->steps);
	free(script->barriers);
	for (struct fork_begun *begun; (begun = script->forks);) {
		script->forks = begun->outer;
		free(begun);
	}
	for (struct sock *sock; (sock = script->sockets);) {
		script->sockets = sock->next;
		free(sock->name);
		free(sock);
	}
	*script = (struct script){.count = 0};
}
