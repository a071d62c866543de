#define _GNU_SOURCE /* IOV_MAX */
#include "actor/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "actor/text.h"
#include "common/memory.h"

#define LAB_INTERFACE "eth0"

bool report_error(struct script *script, const char *format, ...)
{
	va_list args;
	script->bad = true;
	fprintf(script->errors, "line %lu: ", script->line_number);
	va_start(args, format);
	vfprintf(script->errors, format, args);
	va_end(args);
	fputc('\n', script->errors);
	return false;
}

bool report_value(struct script *script, enum key key, const char *text, const char *wanted)
{
	script->bad = true;
	fprintf(script->errors, "line %lu: %s=", script->line_number, KEY_NAMES[key]);
	put_json(script->errors, text);
	fprintf(script->errors, " must be %s\n", wanted);
	return false;
}

bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
	char *end;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno && *number <= most;
}

static bool parse_int(const char *text, int *number)
{
	char *end;
	errno = 0;
	long value = strtol(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
	*number = (int)value;
	return *text && !isspace((unsigned char)*text) && !*end && !errno && value >= INT_MIN && value <= INT_MAX;
}

bool parse_word(const struct word *words, const char *text, size_t length, int *number)
{
	for (; words->name; words++)
		if (strlen(words->name) == length && !memcmp(words->name, text, length)) {
			*number = words->number;
			return true;
		}
	return false;
}

static bool parse_flags(const char *text, int *flags)
{
	for (*flags = 0;; text++) {
		int flag;
		size_t length = strcspn(text, ",");
		if (!parse_word(FLAGS, text, length, &flag))
			return false;
		*flags |= flag;
		text += length;
		if (!*text)
			return true;
	}
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool parse_hex(const char *text, size_t length, struct iovec *part)
{
	unsigned char *data = grow(NULL, length / 2);
	*part = (struct iovec){data, length / 2};
	if (length % 2)
		return false;
	for (size_t i = 0; i < length; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
		if (high < 0 || low < 0)
			return false;
		data[i / 2] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static bool parse_parts(const char *text, struct step *step)
{
	for (;; text++) {
		size_t length = strcspn(text, ",");
		step->part = grow(step->part, sizeof(struct iovec) * (size_t)(step->parts + 1));
		if (step->parts == IOV_MAX || !parse_hex(text, length, &step->part[step->parts++]))
			return false;
		text += length;
		if (!*text)
			return true;
	}
}

/* Sizes with commas between, each 0 to the largest buffer of a call. */
static bool parse_sizes(const char *text, struct step *step)
{
	for (;; text++) {
		char *end;
		step->sizes = grow(step->sizes, sizeof *step->sizes * (size_t)(step->sizes_count + 1));
		uint64_t size = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : CHUNK_MAX + 1;
		if (step->sizes_count == IOV_MAX || size > CHUNK_MAX)
			return false;
		step->sizes[step->sizes_count++] = size;
		text = end;
		if (!*text)
			return true;
		if (*text != ',')
			return false;
	}
}

static bool parse_expect(const char *text, int *expect)
{
	if (!strcmp(text, "ok"))
		*expect = EXPECT_OK;
	else if (!strcmp(text, "any"))
		*expect = EXPECT_ANY;
	else
		return (*expect = error_number(text)) != 0;
	return true;
}

/* An address of IPv6, of one that holds within a link also its interface: ff02::1%eth0. */
static bool parse_ipv6(const char *text, struct in6_addr *address, uint32_t *interface)
{
	const char *zone = strchr(text, '%');
	char *bare = copy_text(text);
	bare[zone ? (size_t)(zone - text) : strlen(text)] = '\0';
	bool good = inet_pton(AF_INET6, bare, address) == 1;
	free(bare);
	*interface = zone ? if_nametoindex(zone + 1) : 0;
	return good && (!zone || *interface);
}

bool parse_address(struct script *script, struct step *step)
{
	const char *text = step->value[K_ADDR];
	if (step->family == AF_INET6) {
		struct sockaddr_in6 *to = (struct sockaddr_in6 *)&step->addr;
		to->sin6_family = AF_INET6;
		to->sin6_port = htons(step->port);
		step->addr_len = sizeof *to;
		return parse_ipv6(text, &to->sin6_addr, &to->sin6_scope_id) ||
		       report_value(script, K_ADDR, text, "an IPv6 address");
	}
	struct sockaddr_in *to = (struct sockaddr_in *)&step->addr;
	to->sin_family = AF_INET;
	to->sin_port = htons(step->port);
	step->addr_len = sizeof *to;
	return inet_pton(AF_INET, text, &to->sin_addr) == 1 || report_value(script, K_ADDR, text, "an IPv4 address");
}

static void keep_control(struct step *step, int level, int type, const void *info, size_t size)
{
	struct cmsghdr head = {.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
	step->control_len = CMSG_SPACE(size);
	step->control = zeroed(step->control_len);
	memcpy(step->control, &head, sizeof head);
	memcpy(step->control + CMSG_LEN(0), info, size);
}

/* The socket's family says which control message the kernel reads, that of IPv6 also for an IPv4-mapped address. */
bool parse_from(struct script *script, struct step *step)
{
	const char *text = step->value[K_FROM];
	if (step->family == AF_INET6) {
		struct in6_pktinfo six = {.ipi6_ifindex = 0};
		if (inet_pton(AF_INET6, text, &six.ipi6_addr) != 1)
			return report_value(script, K_FROM, text, "an IPv6 address");
		keep_control(step, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
		return true;
	}
	struct in_pktinfo four = {.ipi_ifindex = 0};
	if (inet_pton(AF_INET, text, &four.ipi_spec_dst) != 1)
		return report_value(script, K_FROM, text, "an IPv4 address");
	keep_control(step, IPPROTO_IP, IP_PKTINFO, &four, sizeof four);
	return true;
}

static void keep_value(struct step *step, const void *value, size_t size)
{
	step->option_value = copy_bytes(value, size);
	step->option_len = (socklen_t)size;
}

/* A group and the interface on which it is joined, eth0 where none is named. */
static bool parse_group(struct step *step, const char *text)
{
	const char *zone = strchr(text, '%');
	unsigned interface = if_nametoindex(zone ? zone + 1 : LAB_INTERFACE);
	char *bare = copy_text(text);
	bare[zone ? (size_t)(zone - text) : strlen(text)] = '\0';
	struct ip_mreqn four = {.imr_ifindex = (int)interface};
	struct ipv6_mreq six = {.ipv6mr_interface = interface};
	bool old = step->option->level == IPPROTO_IP;
	bool good = inet_pton(old ? AF_INET : AF_INET6, bare, old ? (void *)&four.imr_multiaddr : (void *)&six.ipv6mr_multiaddr) == 1;
	free(bare);
	keep_value(step, old ? (void *)&four : (void *)&six, old ? sizeof four : sizeof six);
	return good && (interface || !zone);
}

static bool parse_interface(struct step *step, const char *name)
{
	int interface = (int)if_nametoindex(name);
	struct ip_mreqn four = {.imr_ifindex = interface};
	if (step->option->level == IPPROTO_IP)
		keep_value(step, &four, sizeof four);
	else
		keep_value(step, &interface, sizeof interface);
	return interface;
}

static bool parse_blob(struct step *step, const char *text)
{
	struct iovec part;
	bool good = parse_hex(text, strlen(text), &part);
	step->option_value = part.iov_base;
	step->option_len = (socklen_t)part.iov_len;
	return good;
}

bool parse_option(struct script *script, struct step *step)
{
	const char *name = step->value[K_NAME], *text = step->value[K_VALUE];
	for (const struct option *option = OPTIONS; option->name; option++)
		if (!strcmp(option->name, name))
			step->option = option;
	if (!step->option)
		return report_value(script, K_NAME, name, "a socket option that is known here");
	if (!text)
		return true; /* getsockopt */
	switch (step->option->kind) {
	case INT: {
		int value;
		if (!parse_int(text, &value))
			return report_value(script, K_VALUE, text, "an integer");
		keep_value(step, &value, sizeof value);
		return true;
	}
	case LINGER: {
		struct linger value;
		char after;
		if (sscanf(text, "%d,%d%c", &value.l_onoff, &value.l_linger, &after) != 2)
			return report_value(script, K_VALUE, text, "two integers, on and seconds, as 1,0");
		keep_value(step, &value, sizeof value);
		return true;
	}
	case MILLISECONDS: {
		uint64_t ms;
		if (!parse_number(text, INT_MAX, &ms))
			return report_value(script, K_VALUE, text, "milliseconds");
		struct timeval value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
		keep_value(step, &value, sizeof value);
		return true;
	}
	case TEXT:
		keep_value(step, text, strlen(text));
		return true;
	case GROUP:
		return parse_group(step, text) || report_value(script, K_VALUE, text, "a group, or a group, % and an interface");
	case INTERFACE:
		return parse_interface(step, text) || report_value(script, K_VALUE, text, "an interface of this host");
	case BLOB:
		return parse_blob(step, text) || report_value(script, K_VALUE, text, "pairs of hex digits");
	case BYTES:
		break;
	}
	return report_error(script, "%s can only be read", name);
}

static bool number_value(struct script *script, enum key key, const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	char wanted[80];
	if (parse_number(text, most, number) && *number >= least)
		return true;
	snprintf(wanted, sizeof wanted, "a number from %" PRIu64 " to %" PRIu64, least, most);
	return report_value(script, key, text, wanted);
}

#define WORD_VALUE(words, to, wanted) \
	(parse_word(words, text, strlen(text), to) || report_value(script, key, text, wanted))

/* One key by itself; what depends on the socket or on other keys is check_step's. */
bool parse_value(struct script *script, struct step *step, enum key key, const char *text)
{
	uint64_t number = 0;
	switch (key) {
	case K_FAMILY: return WORD_VALUE(FAMILIES, &step->family, "inet or inet6");
	case K_TYPE: return WORD_VALUE(TYPES, &step->type, "stream or dgram");
	case K_HOW: return WORD_VALUE(HOWS, &step->how, "rd, wr or rdwr");
	case K_MODE: return WORD_VALUE(MODES, &step->mode, "once, drain or each");
	case K_BY: return WORD_VALUE(WAYS, &step->by, "poll, epoll, epoll-edge or select");
	case K_FOR: return WORD_VALUE(READINESS, &step->events, "in, out, pri or error");
	case K_SIGNAL: return WORD_VALUE(SIGNALS, &step->signal, "SIGABRT, SIGKILL, SIGSEGV or SIGTERM");
	case K_STATUS:
		if (!number_value(script, key, text, 0, 255, &number))
			return false;
		step->status = (int)number;
		return true;
	case K_FLAGS:
		return parse_flags(text, &step->flags) || report_value(script, key, text, "MSG_ names with commas between");
	case K_EXPECT:
		return parse_expect(text, &step->expect) ||
		       report_value(script, key, text, "ok, any, EOF, TIMEOUT or an errno's name");
	case K_HEX:
		step->part = grow(NULL, sizeof(struct iovec));
		step->parts = 1;
		return parse_hex(text, strlen(text), step->part) || report_value(script, key, text, "pairs of hex digits");
	case K_PARTS:
		return parse_parts(text, step) || report_value(script, key, text, "pairs of hex digits with commas between");
	case K_BACKLOG:
		return parse_int(text, &step->backlog) || report_value(script, key, text, "an integer");
	case K_NONBLOCK:
	case K_ONCE:
		if (!number_value(script, key, text, 0, 1, &number))
			return false;
		*(key == K_ONCE ? &step->once : &step->nonblock) = number;
		return true;
	case K_SIZES:
		return parse_sizes(text, step) || report_value(script, key, text, "sizes of at most 67108864 with commas between");
	case K_COUNT:
		if (!number_value(script, key, text, 1, IOV_MAX, &number))
			return false;
		step->count = (int)number;
		return true;
	case K_PORT:
		if (!number_value(script, key, text, 0, 65535, &number))
			return false;
		step->port = (uint16_t)number;
		return true;
	case K_TIMEOUT:
		if (!number_value(script, key, text, 0, INT_MAX, &number))
			return false;
		step->timeout = (int)number;
		return true;
	case K_SIZE: return number_value(script, key, text, 0, INT64_MAX, &step->size);
	case K_SEED: return number_value(script, key, text, 0, UINT64_MAX, &step->seed);
	case K_CHUNK: return number_value(script, key, text, 1, CHUNK_MAX, &step->chunk);
	case K_MS: return number_value(script, key, text, 0, INT64_MAX, &step->ms);
	default: return *text || report_error(script, "%s= has no value", KEY_NAMES[key]);
	}
}
