#include "actor/events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/text.h"

/* An address as packets bear it: an IPv4-mapped one as IPv4. */
static void write_address(const struct in6_addr *address, char text[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

static void end_line(void)
{
	fputs("}\n", stdout);
	if (fflush(stdout) == 0)
		return;
	fprintf(stderr, "actor: cannot write events: %s\n", strerror(errno));
	exit(1);
}

void emit_listening(const struct step *step, uint16_t port)
{
	printf("{\"event\":\"listening\",\"step\":%" PRIu64 ",\"port\":%u", step->index, port);
	end_line();
}

void emit_barrier(const struct step *step, const char *name)
{
	printf("{\"event\":\"barrier\",\"step\":%" PRIu64 ",\"name\":", step->index);
	put_json(stdout, name);
	end_line();
}

void emit_done(void)
{
	fputs("{\"event\":\"done\"", stdout);
	end_line();
}

bool emit_ending(const struct step *step, const struct ending *end)
{
	bool as_expected = step->expect == EXPECT_ANY || step->expect == end->error;
	const char *event = end->error ? "error" : as_expected ? "ok" : "unexpected-success";
	printf("{\"event\":\"%s\",\"step\":%" PRIu64 ",\"call\":\"%s\"", event, step->index, end->call);
	if (end->error)
		printf(",\"errno\":\"%s\",\"expected\":%s", error_name(end->error), as_expected ? "true" : "false");
	else
		printf(",\"result\":%lld", end->result);
	if (end->error && step->option)
		printf(",\"name\":\"%s\"", step->option->name);
	if (!as_expected)
		printf(",\"expect\":\"%s\"", step->expect == EXPECT_OK ? "ok" : error_name(step->expect));
	if (end->moves_bytes)
		printf(",\"bytes\":%" PRIu64 ",\"calls\":%" PRIu64, end->bytes, end->calls);
	if (end->received) {
		char *shown = to_hex(end->shown, end->shown_len);
		printf(",\"data\":\"%s\"", shown);
		free(shown);
	}
	if (end->has_packet_info) {
		char address[INET6_ADDRSTRLEN];
		write_address(&end->packet_info.address, address);
		printf(",\"pktinfo\":{\"address\":\"%s\",\"interface\":%u}", address, end->packet_info.interface);
	}
	if (end->value) {
		fputs(",\"value\":", stdout);
		put_json(stdout, end->value);
	}
	end_line();
	return as_expected;
}
