#define _GNU_SOURCE /* strtok_r */
#include "actor/script.h"

#include <inttypes.h>
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

/* The names of sockets, followed down the script. */
static bool check_names(struct script *script, struct step *step)
{
	if (step->value[K_SOCK]) {
		step->sock = find_sock(script, step->value[K_SOCK], false);
		if (!step->sock)
			return report_value(script, K_SOCK, step->value[K_SOCK], "the name that an earlier step gave a socket");
		step->family = step->sock->family;
		step->type = step->sock->type;
		if (step->op->number == OP_close)
			step->sock->made = false;
	}
	if (step->value[K_AS]) {
		step->as = find_sock(script, step->value[K_AS], true);
		if (step->as->made)
			return report_value(script, K_AS, step->value[K_AS], "a name that no open socket has");
		step->as->made = true;
		step->as->family = step->family;
		step->as->type = step->type;
	}
	return true;
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
	if ((op == OP_recv || op == OP_on_readable) && step->size > CHUNK_MAX)
		return report_error(script, "%s: size= is above %" PRIu64 ", the largest of one call", step->op->name, CHUNK_MAX);
	if (op == OP_on_readable && !step->size)
		return report_error(script, "on_readable: size= must be above 0");
	bool to_end = op == OP_recv_all || (op == OP_on_readable && step->mode != ONCE);
	if ((to_end || op == OP_recv_exact) && step->type != SOCK_STREAM)
		return report_error(script, "%s: only a stream socket has an end", step->op->name);
	if ((op == OP_recv_exact || op == OP_recv_all) && !step->chunk)
		step->chunk = CHUNK_DEFAULT;
	uint64_t room = op == OP_recv || op == OP_on_readable ? step->size : step->chunk;
	if (op == OP_sendfile)
		room = FILE_CHUNK;
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
	unsigned may = step->op->needs | step->op->may | BIT(K_EXPECT);
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
		return false;
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
		free(step->option_value);
		free(step->line);
	}
	free(script->steps);
	for (struct sock *sock; (sock = script->sockets);) {
		script->sockets = sock->next;
		free(sock->name);
		free(sock);
	}
	*script = (struct script){.count = 0};
}
