/* Reading the script and checking it whole before its first step runs: what each step takes is one table (OPS). */
#ifndef ACTOR_SCRIPT_H
#define ACTOR_SCRIPT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "actor_calls.h"
#include "actor_memory.h"
#include "actor_names.h"
#include "actor_step.h"
#include "actor_text.h"
#include "actor_values.h"

#define CHUNK_DEFAULT 65536 /* what recv_exact and recv_all ask for in one call */

#define ADDRESS (BIT(K_ADDR) | BIT(K_PORT))

static const struct op OPS[] = {
	{"socket", BIT(K_AS) | BIT(K_FAMILY) | BIT(K_TYPE), BIT(K_NONBLOCK), run_socket},
	{"setsockopt", BIT(K_SOCK) | BIT(K_NAME) | BIT(K_VALUE), 0, run_setsockopt},
	{"getsockopt", BIT(K_SOCK) | BIT(K_NAME), 0, run_getsockopt},
	{"bind", BIT(K_SOCK) | ADDRESS, 0, run_bind},
	{"listen", BIT(K_SOCK) | BIT(K_BACKLOG), 0, run_listen},
	{"accept", BIT(K_SOCK) | BIT(K_AS), 0, run_accept},
	{"connect", BIT(K_SOCK) | ADDRESS, 0, run_connect},
	{"send", BIT(K_SOCK), BIT(K_HEX) | BIT(K_SIZE) | BIT(K_SEED) | BIT(K_CHUNK) | BIT(K_FLAGS) | ADDRESS, run_send},
	{"sendmsg", BIT(K_SOCK) | BIT(K_PARTS), BIT(K_FLAGS) | ADDRESS, run_sendmsg},
	{"writev", BIT(K_SOCK) | BIT(K_PARTS), 0, run_writev},
	{"sendfile", BIT(K_SOCK) | BIT(K_SIZE) | BIT(K_SEED), 0, run_sendfile},
	{"recv", BIT(K_SOCK) | BIT(K_SIZE), BIT(K_FLAGS), run_recv},
	{"recv_exact", BIT(K_SOCK) | BIT(K_SIZE), BIT(K_CHUNK), run_recv_exact},
	{"recv_all", BIT(K_SOCK), BIT(K_CHUNK), run_recv_all},
	{"on_readable", BIT(K_SOCK) | BIT(K_MODE) | BIT(K_SIZE), BIT(K_TIMEOUT) | BIT(K_BY), run_on_readable},
	{"wait", BIT(K_SOCK) | BIT(K_FOR), BIT(K_TIMEOUT), run_wait},
	{"shutdown", BIT(K_SOCK) | BIT(K_HOW), 0, run_shutdown},
	{"close", BIT(K_SOCK), 0, run_close},
	{"sleep", BIT(K_MS), 0, run_sleep},
	{"barrier", BIT(K_NAME), 0, run_barrier},
	{"exit", BIT(K_STATUS), 0, run_exit},
	{"kill", BIT(K_SIGNAL), 0, run_kill},
};

static struct sock *find_sock(const char *name, bool make)
{
	struct sock *at = sockets;
	while (at && strcmp(at->name, name))
		at = at->next;
	if (at || !make)
		return at;
	at = zeroed(sizeof *at);
	*at = (struct sock){.name = strdup(name), .fd = -1, .next = sockets};
	if (!at->name)
		exit(2);
	return sockets = at;
}

/* The names of sockets, followed down the script. */
static bool check_names(struct step *step)
{
	if (step->value[K_SOCK]) {
		step->sock = find_sock(step->value[K_SOCK], false);
		if (!step->sock)
			return wrong_value(K_SOCK, step->value[K_SOCK], "the name that an earlier step gave a socket");
		step->family = step->sock->family;
		step->type = step->sock->type;
		if (step->op->run == run_close)
			step->sock->made = false;
	}
	if (step->value[K_AS]) {
		step->as = find_sock(step->value[K_AS], true);
		if (step->as->made)
			return wrong_value(K_AS, step->value[K_AS], "a name that no open socket has");
		step->as->made = true;
		step->as->family = step->family;
		step->as->type = step->type;
	}
	return true;
}

/* What depends on the socket or on several keys. */
static bool check_step(struct step *step)
{
	const char *const *value = step->value;
	void (*run)(const struct step *, struct ending *) = step->op->run;

	if (!check_names(step))
		return false;
	if (!value[K_ADDR] != !value[K_PORT])
		return wrong("%s: addr= and port= go together", step->op->name);
	if (value[K_ADDR] && !parse_address(step))
		return false;
	if (step->sock && value[K_NAME] && !parse_option(step))
		return false;
	if (run == run_send) {
		if (!value[K_HEX] == !value[K_SIZE] || !value[K_SIZE] != !value[K_SEED])
			return wrong("send: needs either hex= or size= with seed=");
		if (value[K_CHUNK] && !value[K_SIZE])
			return wrong("send: chunk= goes with size=");
		if (value[K_SIZE] && !value[K_CHUNK])
			step->chunk = step->size < CHUNK_MAX ? step->size : CHUNK_MAX;
	}
	if ((run == run_recv || run == run_on_readable) && step->size > CHUNK_MAX)
		return wrong("%s: size= is above %" PRIu64 ", the largest of one call", step->op->name, CHUNK_MAX);
	if (run == run_on_readable && !step->size)
		return wrong("on_readable: size= must be above 0");
	bool to_end = run == run_recv_all || (run == run_on_readable && step->mode != ONCE);
	if ((to_end || run == run_recv_exact) && step->type != SOCK_STREAM)
		return wrong("%s: only a stream socket has an end", step->op->name);
	if ((run == run_recv_exact || run == run_recv_all) && !step->chunk)
		step->chunk = CHUNK_DEFAULT;
	uint64_t room = run == run_recv || run == run_on_readable ? step->size : step->chunk;
	if (run == run_sendfile)
		room = FILE_CHUNK;
	if (room > buffer_size)
		buffer_size = room;
	return true;
}

static bool parse_step(char *line, struct step *step)
{
	char *rest, *token = strtok_r(line, " ", &rest);
	*step = (struct step){.timeout = -1};
	if (!token || !parse_number(token, INT64_MAX, &step->index))
		return wrong("a step starts with its number");
	token = strtok_r(NULL, " ", &rest);
	for (size_t i = 0; token && i < COUNT(OPS); i++)
		if (!strcmp(OPS[i].name, token))
			step->op = &OPS[i];
	if (!step->op)
		return wrong("unknown step '%s'", token ? token : "");
	unsigned may = step->op->needs | step->op->may | BIT(K_EXPECT);
	while ((token = strtok_r(NULL, " ", &rest))) {
		char *text = strchr(token, '=');
		int key = 0;
		if (text)
			*text++ = '\0';
		while (key < KEYS && strcmp(KEY_NAMES[key], token))
			key++;
		if (!text || key == KEYS || !(may & BIT(key)))
			return wrong("%s: unknown key '%s'", step->op->name, token);
		if (step->value[key])
			return wrong("%s: %s= is given twice", step->op->name, token);
		step->value[key] = text;
		if (!parse_value(step, (enum key)key, text))
			return false;
	}
	for (int key = 0; key < KEYS; key++)
		if (step->op->needs & BIT(key) && !step->value[key])
			return wrong("%s: %s= is missing", step->op->name, KEY_NAMES[key]);
	return check_step(step);
}

/* Reads up to `end`. Every bad line is told, then the program ends with status 2. */
static struct step *read_script(size_t *count)
{
	struct step *steps = NULL;
	size_t room = 0;
	for (*count = 0;; ++*count) {
		char *line = next_line();
		line_number++;
		if (!line)
			wrong("the script has no 'end'");
		if (!line || !strcmp(line, "end"))
			break;
		if (*count == room)
			steps = grow(steps, sizeof *steps * (room = room ? room * 2 : 64));
		parse_step(line, &steps[*count]);
	}
	if (bad_script)
		exit(2);
	return steps;
}

#endif
