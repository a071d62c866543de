#define _GNU_SOURCE /* strsep */
#include "link/plan_values.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

const char *const side_names[SIDES] = {"client", "server"};
static const char *const action_names[ACTIONS] = {"drop", "hold", "duplicate", "truncate", "corrupt", "mark",
                                                   "rewrite", "forge", "forget"};
static const char *const kind_names[KINDS] = {"any", "syn", "synack", "data", "ack", "fin", "rst", "tcp", "udp", "icmp"};
const char flag_letters[] = "FSRP.UEW";

static const struct impairments no_impairments = {.behind = 1, .within = 50000000, .queue = 10000, .icmp = 1};

void begin_plan(struct plan *plan, FILE *errors)
{
	memset(plan, 0, sizeof *plan);
	plan->set[CLIENT] = plan->set[SERVER] = no_impairments;
	plan->errors = errors;
}

static void parse_link(struct plan *plan, char *rest)
{
	static const char *const copies[] = {"headers", "payload"};
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "seed"))
			plan->seed = parse_number(plan, key, value, UINT64_MAX);
		else if (is(key, "copy"))
			plan->payload = parse_word(plan, key, value, copies, 2);
		else
			report_error(plan, "unknown key %s", key);
	}
}

static void parse_end(struct plan *plan, char *rest)
{
	int from = -1;
	enum version version = VERSIONS;
	uint8_t address[16] = {0};
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "from"))
			from = parse_word(plan, key, value, side_names, SIDES);
		else if (is(key, "address") && inet_pton(AF_INET, value, address) == 1)
			version = IPV4;
		else if (is(key, "address") && inet_pton(AF_INET6, value, address) == 1)
			version = IPV6;
		else
			report_error(plan, "%s=%s is not known", key, value);
	}
	if (from < 0 || version == VERSIONS) {
		report_error(plan, "from or address is missing");
		return;
	}
	memcpy(plan->address[from][version], address, sizeof address);
	plan->speaks[version] = true;
}

void parse_set(struct plan *plan, char *rest)
{
	struct impairments made = no_impairments;
	int from = -1;
	for (char *key, *value; next_pair(plan, &rest, &key, &value);) {
		if (is(key, "from"))
			from = parse_word(plan, key, value, side_names, SIDES);
		else if (is(key, "delay"))
			made.delay = parse_number(plan, key, value, LONGEST_SPAN);
		else if (is(key, "jitter"))
			made.jitter = parse_number(plan, key, value, LONGEST_SPAN);
		else if (is(key, "loss"))
			made.loss = parse_probability(plan, key, value);
		else if (is(key, "duplicate"))
			made.duplicate = parse_probability(plan, key, value);
		else if (is(key, "corrupt"))
			made.corrupt = parse_probability(plan, key, value);
		else if (is(key, "reorder"))
			made.reorder = parse_probability(plan, key, value);
		else if (is(key, "behind"))
			made.behind = parse_number(plan, key, value, 1000);
		else if (is(key, "within"))
			made.within = parse_number(plan, key, value, LONGEST_SPAN);
		else if (is(key, "rate"))
			made.rate = parse_number(plan, key, value, 1000000000000);
		else if (is(key, "queue"))
			made.queue = parse_number(plan, key, value, 100000);
		else if (is(key, "mtu"))
			made.mtu = parse_number(plan, key, value, 65535);
		else if (is(key, "icmp"))
			made.icmp = parse_number(plan, key, value, 1);
		else if (is(key, "down_after"))
			made.down_after = parse_number(plan, key, value, LONGEST_SPAN);
		else if (is(key, "down_for"))
			made.down_for = parse_number(plan, key, value, LONGEST_SPAN);
		else
			report_error(plan, "unknown key %s", key);
	}
	if (from < 0)
		report_error(plan, "from is missing");
	if (!made.queue)
		report_error(plan, "queue=0 lets nothing through");
	if (made.jitter > made.delay)
		report_error(plan, "jitter is larger than delay");
	if (!plan->payload && (made.duplicate > 0 || made.corrupt > 0))
		report_error(plan, "duplicate and corrupt need copy=payload");
	if (!plan->failed)
		plan->set[from] = made;
}

static void parse_bytes(struct plan *plan, struct fault *fault, char *value)
{
	char *first = strsep(&value, "-");
	fault->by_bytes = true;
	fault->first_byte = parse_number(plan, "bytes", first, UINT64_MAX);
	fault->last_byte = parse_number(plan, "bytes", value ? value : "", UINT64_MAX);
}

/* A key may be given again: the last value counts. */
static void take_bytes(struct plan *plan, const char *key, const char *value, struct blob *to)
{
	free(to->bytes);
	*to = parse_hex(plan, key, value);
}

static void take_text(const char *value, char **to)
{
	free(*to);
	*to = copy_text(value);
}

static int64_t parse_distance(struct plan *plan, const char *key, const char *value)
{
	return *value == '-' ? -(int64_t)parse_number(plan, key, value + 1, UINT32_MAX)
	                     : (int64_t)parse_number(plan, key, value, UINT32_MAX);
}

static void take_fault_value(struct plan *plan, struct fault *made, const char *key, char *value)
{
	static const char *const fills[] = {"tcp", "quote"};
	if (is(key, "do"))
		made->action = (enum action)parse_word(plan, key, value, action_names, ACTIONS);
	else if (is(key, "from"))
		made->from = parse_word(plan, key, value, side_names, SIDES);
	else if (is(key, "of"))
		made->kind = (enum kind)parse_word(plan, key, value, kind_names, KINDS);
	else if (is(key, "nth"))
		made->nth = parse_number(plan, key, value, UINT32_MAX);
	else if (is(key, "count"))
		made->count = parse_number(plan, key, value, UINT32_MAX);
	else if (is(key, "flags"))
		made->flags = parse_flags(plan, value);
	else if (is(key, "payload"))
		take_bytes(plan, key, value, &made->payload);
	else if (is(key, "bytes"))
		parse_bytes(plan, made, value);
	else if (is(key, "after"))
		take_text(value, &made->after);
	else if (is(key, "until"))
		take_text(value, &made->until);
	else if (is(key, "for"))
		made->hold = parse_number(plan, key, value, LONGEST_SPAN);
	else if (is(key, "behind"))
		made->behind = parse_number(plan, key, value, 1000);
	else if (is(key, "to"))
		made->to = parse_number(plan, key, value, 65535);
	else if (is(key, "fix"))
		made->fix = parse_number(plan, key, value, 1);
	else if (is(key, "as"))
		made->as = parse_word(plan, key, value, side_names, SIDES);
	else if (is(key, "raw"))
		take_bytes(plan, key, value, &made->raw[value[0] == '6' ? IPV6 : IPV4]);
	else if (is(key, "fill"))
		made->quote = parse_word(plan, key, value, fills, 2);
	else if (is(key, "offset"))
		made->offset = parse_distance(plan, key, value);
	else if (is(key, "ack"))
		made->ack = parse_distance(plan, key, value);
	else if (is(key, "value"))
		made->value = parse_distance(plan, key, value);
	else if (is(key, "echo"))
		made->echo = parse_distance(plan, key, value);
	else if (is(key, "stamp"))
		made->stamp = parse_number(plan, key, value, 60);
	else if (is(key, "sack"))
		made->sack = parse_number(plan, key, value, 60);
	else if (is(key, "blocks"))
		made->blocks = parse_number(plan, key, value, 4);
	else if (is(key, "ttl"))
		made->ttl = parse_number(plan, key, value, 255);
	else if (is(key, "mss"))
		made->mss = parse_number(plan, key, value, 65535);
	else
		report_error(plan, "unknown key %s", key);
}

bool answers_with_packet(const struct fault *fault)
{
	return fault->raw[IPV4].size || fault->raw[IPV6].size;
}

/* Has a raw packet room for what the link fills in: a TCP header, or the head of an ICMP message? */
static bool has_room(const struct fault *fault, const struct blob *raw)
{
	const uint8_t *ip = raw->bytes;
	const size_t more = fault->quote ? 8 : 20;
	if (raw->size < 20 + more)
		return false;
	const size_t header = ip[0] >> 4 == 4 ? (ip[0] & 15) * 4u : ip[0] >> 4 == 6 ? 40 : SIZE_MAX / 2;
	return header >= 20 && header + more <= raw->size && header + fault->stamp + 8 <= raw->size &&
	       header + fault->sack + 8 * fault->blocks <= raw->size;
}

static bool can_be_forged(const struct fault *fault)
{
	const struct blob *old = &fault->raw[IPV4], *new = &fault->raw[IPV6];
	return answers_with_packet(fault) && (!old->size || has_room(fault, old)) && (!new->size || has_room(fault, new));
}

static void check_fault(struct plan *plan, const struct fault *made)
{
	if (made->action == ACTIONS || made->from < 0)
		report_error(plan, "do or from is missing");
	if (!made->nth)
		report_error(plan, "nth=0: the first is 1");
	if (made->action == HOLD_IT && !made->hold)
		report_error(plan, "hold needs for");
	if (made->action == REWRITE_IT && !made->ttl && !made->mss)
		report_error(plan, "rewrite needs ttl or mss");
	if (made->action == FORGE_IT && (made->as < 0 || !can_be_forged(made)))
		report_error(plan, "forge needs as and a raw packet");
	const bool answers = made->as >= 0 && !made->quote && can_be_forged(made);
	if (made->action == FORGET_IT && (!made->hold || (answers_with_packet(made) && !answers)))
		report_error(plan, "forget needs for, and where it answers as and a raw packet");
	if (!plan->payload && (made->payload.size || made->action == DUPLICATE_IT || made->action == TRUNCATE_IT ||
	                       made->action == CORRUPT_IT || made->action == MARK_IT || made->action == REWRITE_IT))
		report_error(plan, "this fault needs copy=payload");
	if (plan->faults_used == MAX_FAULTS)
		report_error(plan, "more than %d faults", MAX_FAULTS);
}

static void free_fault(struct fault *fault)
{
	free(fault->payload.bytes);
	free(fault->raw[IPV4].bytes);
	free(fault->raw[IPV6].bytes);
	free(fault->after);
	free(fault->until);
}

static void parse_fault(struct plan *plan, char *rest)
{
	struct fault made = {.action = ACTIONS, .from = -1, .as = -1, .nth = 1, .count = 1, .flags = -1};
	for (char *key, *value; next_pair(plan, &rest, &key, &value);)
		take_fault_value(plan, &made, key, value);
	check_fault(plan, &made);
	if (plan->failed) {
		free_fault(&made);
		return;
	}
	made.open = !made.after;
	plan->tracks = plan->tracks || made.by_bytes || (made.action == FORGE_IT && !made.quote) ||
	               made.action == FORGET_IT;
	plan->forgets = plan->forgets || made.action == FORGET_IT;
	plan->faults[plan->faults_used++] = made;
}

bool plan_line(struct plan *plan, const char *what, char *rest)
{
	if (is(what, "link"))
		parse_link(plan, rest);
	else if (is(what, "end"))
		parse_end(plan, rest);
	else if (is(what, "set"))
		parse_set(plan, rest);
	else if (is(what, "fault"))
		parse_fault(plan, rest);
	else
		return false;
	return true;
}

bool plan_complete(struct plan *plan)
{
	if (!plan->speaks[IPV4] && !plan->speaks[IPV6])
		report_error(plan, "no address of the link");
	return !plan->failed;
}

void free_plan(struct plan *plan)
{
	for (size_t i = 0; i < plan->faults_used; i++)
		free_fault(&plan->faults[i]);
	plan->faults_used = 0;
}
