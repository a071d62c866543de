/*
 * actor: makes the socket calls that a script on standard input names, and no others.
 *
 * The grammar and the events are docs/architecture.md, "Actor script". The whole script is read and checked before
 * its first step runs. What each key may hold is one switch (parse_value), what each step takes and does is one
 * table (OPS), the option and flag names are two more.
 *
 * The pattern of `send size= seed=`: byte o of a socket's stream is byte o % 8, the lowest first, of
 * mix(mix(seed) + o / 8), where mix is one output of splitmix64 started at its argument. o counts every byte that
 * this socket has accepted, so the pattern goes on over the sends of one socket and a byte at a wrong offset shows.
 *
 * Exit status: 0 done, 1 a step did not end as expected (an event says how), 2 the script cannot be run.
 *
 *     cc -std=gnu11 -O2 -g -Wall -Wextra -Werror -o actor actor.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHUNK_MAX ((uint64_t)64 << 20) /* the largest buffer of one call */
#define CHUNK_DEFAULT 65536            /* what recv_exact and recv_all ask for in one call */
#define SHOWN 64                       /* bytes of received data that an event carries */
#define ERRNO_MAX 133                  /* EHWPOISON, the last one of Linux */

/* Errors of a step that are no errno: the peer ended the stream early; poll waited in vain. */
enum { NOT_ERRNO_EOF = 10001, NOT_ERRNO_TIMEOUT };
enum { EXPECT_OK = 0, EXPECT_ANY = -1 }; /* else the errno expected */

/* ---------------------------------------------------------------- tables of names */

enum kind { INT, LINGER, MILLISECONDS, TEXT, BYTES };

struct option {
	const char *name;
	int level, number;
	enum kind kind;
};

#define SOL(name, kind) {#name, SOL_SOCKET, name, kind}
#define TCP(name, kind) {#name, IPPROTO_TCP, name, kind}
#define IP4(name) {#name, IPPROTO_IP, name, INT}
#define IP6(name) {#name, IPPROTO_IPV6, name, INT}

static const struct option OPTIONS[] = {
	SOL(SO_ACCEPTCONN, INT), SOL(SO_BINDTODEVICE, TEXT), SOL(SO_BROADCAST, INT), SOL(SO_BUSY_POLL, INT),
	SOL(SO_DEBUG, INT), SOL(SO_DOMAIN, INT), SOL(SO_DONTROUTE, INT), SOL(SO_ERROR, INT), SOL(SO_INCOMING_CPU, INT),
	SOL(SO_KEEPALIVE, INT), SOL(SO_LINGER, LINGER), SOL(SO_MARK, INT), SOL(SO_MAX_PACING_RATE, INT),
	SOL(SO_NO_CHECK, INT), SOL(SO_OOBINLINE, INT), SOL(SO_PRIORITY, INT), SOL(SO_PROTOCOL, INT), SOL(SO_RCVBUF, INT),
	SOL(SO_RCVBUFFORCE, INT), SOL(SO_RCVLOWAT, INT), SOL(SO_RCVTIMEO, MILLISECONDS), SOL(SO_REUSEADDR, INT),
	SOL(SO_REUSEPORT, INT), SOL(SO_SNDBUF, INT), SOL(SO_SNDBUFFORCE, INT), SOL(SO_SNDLOWAT, INT),
	SOL(SO_SNDTIMEO, MILLISECONDS), SOL(SO_TIMESTAMP, INT), SOL(SO_TIMESTAMPNS, INT), SOL(SO_TYPE, INT),
	SOL(SO_ZEROCOPY, INT),
	TCP(TCP_CONGESTION, TEXT), TCP(TCP_CORK, INT), TCP(TCP_DEFER_ACCEPT, INT), TCP(TCP_FASTOPEN, INT),
	TCP(TCP_FASTOPEN_CONNECT, INT), TCP(TCP_FASTOPEN_NO_COOKIE, INT), TCP(TCP_INFO, BYTES), TCP(TCP_INQ, INT),
	TCP(TCP_KEEPCNT, INT), TCP(TCP_KEEPIDLE, INT), TCP(TCP_KEEPINTVL, INT), TCP(TCP_LINGER2, INT),
	TCP(TCP_MAXSEG, INT), TCP(TCP_NODELAY, INT), TCP(TCP_NOTSENT_LOWAT, INT), TCP(TCP_QUICKACK, INT),
	TCP(TCP_SAVED_SYN, BYTES), TCP(TCP_SAVE_SYN, INT), TCP(TCP_SYNCNT, INT), TCP(TCP_THIN_DUPACK, INT),
	TCP(TCP_THIN_LINEAR_TIMEOUTS, INT), TCP(TCP_TIMESTAMP, INT), TCP(TCP_USER_TIMEOUT, INT),
	TCP(TCP_WINDOW_CLAMP, INT),
	IP4(IP_BIND_ADDRESS_NO_PORT), IP4(IP_FREEBIND), IP4(IP_MINTTL), IP4(IP_MTU), IP4(IP_MTU_DISCOVER),
	IP4(IP_MULTICAST_LOOP), IP4(IP_MULTICAST_TTL), IP4(IP_PKTINFO), IP4(IP_RECVERR), IP4(IP_RECVTOS), IP4(IP_RECVTTL),
	IP4(IP_TOS), IP4(IP_TRANSPARENT), IP4(IP_TTL),
	IP6(IPV6_DONTFRAG), IP6(IPV6_MTU), IP6(IPV6_MTU_DISCOVER), IP6(IPV6_MULTICAST_HOPS), IP6(IPV6_MULTICAST_LOOP),
	IP6(IPV6_RECVERR), IP6(IPV6_RECVHOPLIMIT), IP6(IPV6_RECVPKTINFO), IP6(IPV6_RECVTCLASS), IP6(IPV6_TCLASS),
	IP6(IPV6_UNICAST_HOPS), IP6(IPV6_V6ONLY),
};

struct word {
	const char *name;
	int number;
};

#define WORD(name) {#name, name}

static const struct word FLAGS[] = {
	WORD(MSG_CONFIRM), WORD(MSG_DONTROUTE), WORD(MSG_DONTWAIT), WORD(MSG_EOR), WORD(MSG_ERRQUEUE), WORD(MSG_FASTOPEN),
	WORD(MSG_MORE), WORD(MSG_NOSIGNAL), WORD(MSG_OOB), WORD(MSG_PEEK), WORD(MSG_TRUNC), WORD(MSG_WAITALL),
	WORD(MSG_ZEROCOPY),
};
static const struct word FAMILIES[] = {{"inet", AF_INET}, {"inet6", AF_INET6}};
static const struct word TYPES[] = {{"stream", SOCK_STREAM}, {"dgram", SOCK_DGRAM}};
static const struct word HOWS[] = {{"rd", SHUT_RD}, {"wr", SHUT_WR}, {"rdwr", SHUT_RDWR}};
enum { ONCE, DRAIN };
static const struct word MODES[] = {{"once", ONCE}, {"drain", DRAIN}};

enum key {
	K_AS, K_SOCK, K_FAMILY, K_TYPE, K_NONBLOCK, K_ADDR, K_PORT, K_BACKLOG, K_NAME, K_VALUE, K_HEX, K_SIZE, K_SEED,
	K_CHUNK, K_PARTS, K_FLAGS, K_MODE, K_TIMEOUT, K_HOW, K_MS, K_EXPECT, KEYS
};
static const char *const KEY_NAMES[KEYS] = {
	"as", "sock", "family", "type", "nonblock", "addr", "port", "backlog", "name", "value", "hex", "size", "seed",
	"chunk", "parts", "flags", "mode", "timeout", "how", "ms", "expect",
};
#define BIT(key) (1U << (key))

/* ---------------------------------------------------------------- what a script becomes */

struct sock {
	char *name;
	int fd;        /* -1: not made yet, or closed: a call on it gets EBADF from the kernel */
	uint64_t sent; /* bytes accepted, the pattern's position */
	uint16_t port;     /* given to bind; 0: the kernel chose one */
	int family, type; /* while checking: those at the line being read */
	bool made;        /* while checking: named by an earlier step and not closed since */
	struct sock *next;
};

struct step {
	uint64_t index;
	const struct op *op;
	const char *value[KEYS]; /* the text after '=', NULL where absent */
	struct sock *sock, *as;
	int family, type, flags, how, mode, timeout, backlog, expect;
	bool nonblock;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	uint16_t port;
	uint64_t size, seed, chunk, ms;
	struct iovec *part; /* hex= is one part */
	int parts;
	const struct option *option;
	unsigned char *option_value;
	socklen_t option_len;
};

/* How a step ended. */
struct ending {
	const char *call;  /* the C function that ended it */
	long long result;  /* what that returned */
	int error;         /* errno, NOT_ERRNO_..., or 0 */
	bool moves_bytes, received;
	uint64_t bytes, calls; /* over all calls of the step */
	unsigned char shown[SHOWN];
	size_t shown_len;
	char *value; /* getsockopt */
};

struct op {
	const char *name;
	unsigned needs, may;
	void (*run)(const struct step *, struct ending *);
};

static struct sock *sockets;
static unsigned char *buffer; /* of the largest size that a step uses */
static uint64_t buffer_size = 1;

/* ---------------------------------------------------------------- small parts */

static void *grow(void *old, size_t size)
{
	void *new = realloc(old, size ? size : 1);
	if (!new) {
		fprintf(stderr, "actor: out of memory\n");
		exit(2);
	}
	return new;
}

static void *zeroed(size_t size)
{
	return memset(grow(NULL, size), 0, size);
}

/* The next line of standard input without its newline; NULL at the end of input. Not stdio: nothing is hidden. */
static char *next_line(void)
{
	static char *held;
	static size_t length, room;
	for (;;) {
		char *newline = length ? memchr(held, '\n', length) : NULL;
		if (newline) {
			size_t used = (size_t)(newline - held) + 1;
			char *line = grow(NULL, used);
			memcpy(line, held, used);
			line[used - 1] = '\0';
			length -= used;
			memmove(held, newline + 1, length);
			return line;
		}
		if (length == room) {
			room = room ? room * 2 : 65536;
			held = grow(held, room);
		}
		ssize_t got = read(STDIN_FILENO, held + length, room - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return NULL;
		length += (size_t)got;
	}
}

static void put_json(FILE *to, const char *text)
{
	fputc('"', to);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(to, "\\%c", *c);
		else if (*c < 0x20 || *c >= 0x7f) /* a byte above 7e stands for the code point of its number */
			fprintf(to, "\\u%04x", *c);
		else
			fputc(*c, to);
	}
	fputc('"', to);
}

static char *to_hex(const unsigned char *data, size_t length)
{
	char *text = grow(NULL, 2 * length + 1);
	for (size_t i = 0; i < length; i++)
		sprintf(text + 2 * i, "%02x", data[i]);
	text[2 * length] = '\0';
	return text;
}

static const char *error_name(int error)
{
	if (error == NOT_ERRNO_EOF)
		return "EOF";
	if (error == NOT_ERRNO_TIMEOUT)
		return "TIMEOUT";
	const char *name = strerrorname_np(error);
	return name ? name : "EUNKNOWN";
}

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void fill_pattern(unsigned char *to, uint64_t seed, uint64_t offset, uint64_t length)
{
	uint64_t first = mix(seed), word = mix(first + offset / 8);
	for (uint64_t i = 0; i < length; i++, offset++) {
		if (offset % 8 == 0)
			word = mix(first + offset / 8);
		to[i] = (unsigned char)(word >> (8 * (offset % 8)));
	}
}

/* ---------------------------------------------------------------- reading and checking the script */

static unsigned long line_number;
static bool bad_script;

/* Says what is wrong with the current line; returns false for the caller to pass on. */
static bool __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;
	bad_script = true;
	fprintf(stderr, "line %lu: ", line_number);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return false;
}

static bool wrong_value(enum key key, const char *text, const char *wanted)
{
	bad_script = true;
	fprintf(stderr, "line %lu: %s=", line_number, KEY_NAMES[key]);
	put_json(stderr, text);
	fprintf(stderr, " must be %s\n", wanted);
	return false;
}

static bool parse_number(const char *text, uint64_t most, uint64_t *number)
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

static bool parse_word(const struct word *words, size_t count, const char *text, size_t length, int *number)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(words[i].name) == length && !memcmp(words[i].name, text, length)) {
			*number = words[i].number;
			return true;
		}
	return false;
}

static bool parse_flags(const char *text, int *flags)
{
	for (*flags = 0;; text++) {
		int flag;
		size_t length = strcspn(text, ",");
		if (!parse_word(FLAGS, COUNT(FLAGS), text, length, &flag))
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

static bool parse_expect(const char *text, int *expect)
{
	static const struct word others[] = {
		{"ok", EXPECT_OK}, {"any", EXPECT_ANY}, {"EOF", NOT_ERRNO_EOF}, {"TIMEOUT", NOT_ERRNO_TIMEOUT},
		{"EWOULDBLOCK", EAGAIN}, {"ENOTSUP", ENOTSUP}, {"EDEADLOCK", EDEADLOCK},
	};
	if (parse_word(others, COUNT(others), text, strlen(text), expect))
		return true;
	for (*expect = 1; *expect <= ERRNO_MAX; ++*expect) {
		const char *name = strerrorname_np(*expect);
		if (name && !strcmp(name, text))
			return true;
	}
	return false;
}

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

static bool parse_address(struct step *step)
{
	const char *text = step->value[K_ADDR];
	if (step->family == AF_INET6) {
		struct sockaddr_in6 *to = (struct sockaddr_in6 *)&step->addr;
		to->sin6_family = AF_INET6;
		to->sin6_port = htons(step->port);
		step->addr_len = sizeof *to;
		return inet_pton(AF_INET6, text, &to->sin6_addr) == 1 || wrong_value(K_ADDR, text, "an IPv6 address");
	}
	struct sockaddr_in *to = (struct sockaddr_in *)&step->addr;
	to->sin_family = AF_INET;
	to->sin_port = htons(step->port);
	step->addr_len = sizeof *to;
	return inet_pton(AF_INET, text, &to->sin_addr) == 1 || wrong_value(K_ADDR, text, "an IPv4 address");
}

static void keep_value(struct step *step, const void *value, size_t size)
{
	step->option_value = memcpy(grow(NULL, size), value, size);
	step->option_len = (socklen_t)size;
}

static bool parse_option(struct step *step)
{
	const char *name = step->value[K_NAME], *text = step->value[K_VALUE];
	for (size_t i = 0; i < COUNT(OPTIONS); i++)
		if (!strcmp(OPTIONS[i].name, name))
			step->option = &OPTIONS[i];
	if (!step->option)
		return wrong_value(K_NAME, name, "a socket option that is known here");
	if (!text)
		return true; /* getsockopt */
	switch (step->option->kind) {
	case INT: {
		int value;
		if (!parse_int(text, &value))
			return wrong_value(K_VALUE, text, "an integer");
		keep_value(step, &value, sizeof value);
		return true;
	}
	case LINGER: {
		struct linger value;
		char after;
		if (sscanf(text, "%d,%d%c", &value.l_onoff, &value.l_linger, &after) != 2)
			return wrong_value(K_VALUE, text, "two integers, on and seconds, as 1,0");
		keep_value(step, &value, sizeof value);
		return true;
	}
	case MILLISECONDS: {
		uint64_t ms;
		if (!parse_number(text, INT_MAX, &ms))
			return wrong_value(K_VALUE, text, "milliseconds");
		struct timeval value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
		keep_value(step, &value, sizeof value);
		return true;
	}
	case TEXT:
		keep_value(step, text, strlen(text));
		return true;
	case BYTES:
		break;
	}
	return wrong("%s can only be read", name);
}

static bool number_value(enum key key, const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
	char wanted[80];
	if (parse_number(text, most, number) && *number >= least)
		return true;
	snprintf(wanted, sizeof wanted, "a number from %" PRIu64 " to %" PRIu64, least, most);
	return wrong_value(key, text, wanted);
}

#define WORD_VALUE(words, to, wanted) \
	(parse_word(words, COUNT(words), text, strlen(text), to) || wrong_value(key, text, wanted))

/* One key by itself; what depends on the socket or on other keys is check_step's. */
static bool parse_value(struct step *step, enum key key, const char *text)
{
	uint64_t number = 0;
	switch (key) {
	case K_FAMILY: return WORD_VALUE(FAMILIES, &step->family, "inet or inet6");
	case K_TYPE: return WORD_VALUE(TYPES, &step->type, "stream or dgram");
	case K_HOW: return WORD_VALUE(HOWS, &step->how, "rd, wr or rdwr");
	case K_MODE: return WORD_VALUE(MODES, &step->mode, "once or drain");
	case K_FLAGS:
		return parse_flags(text, &step->flags) || wrong_value(key, text, "MSG_ names with commas between");
	case K_EXPECT:
		return parse_expect(text, &step->expect) ||
		       wrong_value(key, text, "ok, any, EOF, TIMEOUT or an errno's name");
	case K_HEX:
		step->part = grow(NULL, sizeof(struct iovec));
		step->parts = 1;
		return parse_hex(text, strlen(text), step->part) || wrong_value(key, text, "pairs of hex digits");
	case K_PARTS:
		return parse_parts(text, step) || wrong_value(key, text, "pairs of hex digits with commas between");
	case K_BACKLOG:
		return parse_int(text, &step->backlog) || wrong_value(key, text, "an integer");
	case K_NONBLOCK:
		if (!number_value(key, text, 0, 1, &number))
			return false;
		step->nonblock = number;
		return true;
	case K_PORT:
		if (!number_value(key, text, 0, 65535, &number))
			return false;
		step->port = (uint16_t)number;
		return true;
	case K_TIMEOUT:
		if (!number_value(key, text, 0, INT_MAX, &number))
			return false;
		step->timeout = (int)number;
		return true;
	case K_SIZE: return number_value(key, text, 0, INT64_MAX, &step->size);
	case K_SEED: return number_value(key, text, 0, UINT64_MAX, &step->seed);
	case K_CHUNK: return number_value(key, text, 1, CHUNK_MAX, &step->chunk);
	case K_MS: return number_value(key, text, 0, INT64_MAX, &step->ms);
	default: return *text || wrong("%s= has no value", KEY_NAMES[key]);
	}
}

static void run_socket(const struct step *, struct ending *);
static void run_setsockopt(const struct step *, struct ending *);
static void run_getsockopt(const struct step *, struct ending *);
static void run_bind(const struct step *, struct ending *);
static void run_listen(const struct step *, struct ending *);
static void run_accept(const struct step *, struct ending *);
static void run_connect(const struct step *, struct ending *);
static void run_send(const struct step *, struct ending *);
static void run_sendmsg(const struct step *, struct ending *);
static void run_recv(const struct step *, struct ending *);
static void run_recv_exact(const struct step *, struct ending *);
static void run_recv_all(const struct step *, struct ending *);
static void run_on_readable(const struct step *, struct ending *);
static void run_shutdown(const struct step *, struct ending *);
static void run_close(const struct step *, struct ending *);
static void run_sleep(const struct step *, struct ending *);
static void run_barrier(const struct step *, struct ending *);

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
	{"recv", BIT(K_SOCK) | BIT(K_SIZE), BIT(K_FLAGS), run_recv},
	{"recv_exact", BIT(K_SOCK) | BIT(K_SIZE), BIT(K_CHUNK), run_recv_exact},
	{"recv_all", BIT(K_SOCK), BIT(K_CHUNK), run_recv_all},
	{"on_readable", BIT(K_SOCK) | BIT(K_MODE) | BIT(K_SIZE), BIT(K_TIMEOUT), run_on_readable},
	{"shutdown", BIT(K_SOCK) | BIT(K_HOW), 0, run_shutdown},
	{"close", BIT(K_SOCK), 0, run_close},
	{"sleep", BIT(K_MS), 0, run_sleep},
	{"barrier", BIT(K_NAME), 0, run_barrier},
};

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
	bool to_end = run == run_recv_all || (run == run_on_readable && step->mode == DRAIN);
	if ((to_end || run == run_recv_exact) && step->type != SOCK_STREAM)
		return wrong("%s: only a stream socket has an end", step->op->name);
	if ((run == run_recv_exact || run == run_recv_all) && !step->chunk)
		step->chunk = CHUNK_DEFAULT;
	uint64_t room = run == run_recv || run == run_on_readable ? step->size : step->chunk;
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

/* ---------------------------------------------------------------- events */

static void end_line(void)
{
	fputs("}\n", stdout);
	if (fflush(stdout) == 0)
		return;
	fprintf(stderr, "actor: cannot write events: %s\n", strerror(errno));
	exit(1);
}

static void emit_listening(const struct step *step, uint16_t port)
{
	printf("{\"event\":\"listening\",\"step\":%" PRIu64 ",\"port\":%u", step->index, port);
	end_line();
}

/* One `ok`, `error` or `unexpected-success` a step; false when the scenario did not expect it. */
static bool emit_ending(const struct step *step, const struct ending *end)
{
	bool as_expected = step->expect == EXPECT_ANY || step->expect == end->error;
	const char *event = end->error ? "error" : as_expected ? "ok" : "unexpected-success";
	printf("{\"event\":\"%s\",\"step\":%" PRIu64 ",\"call\":\"%s\"", event, step->index, end->call);
	if (end->error)
		printf(",\"errno\":\"%s\",\"expected\":%s", error_name(end->error), as_expected ? "true" : "false");
	else
		printf(",\"result\":%lld", end->result);
	if (!as_expected)
		printf(",\"expect\":\"%s\"", step->expect == EXPECT_OK ? "ok" : error_name(step->expect));
	if (end->moves_bytes)
		printf(",\"bytes\":%" PRIu64 ",\"calls\":%" PRIu64, end->bytes, end->calls);
	if (end->received) {
		char *shown = to_hex(end->shown, end->shown_len);
		printf(",\"data\":\"%s\"", shown);
		free(shown);
	}
	if (end->value) {
		fputs(",\"value\":", stdout);
		put_json(stdout, end->value);
	}
	end_line();
	return as_expected;
}

/* ---------------------------------------------------------------- the steps */

/* Makes one call, again after EINTR, and notes how it ended. True when it succeeded. */
#define CALL(end, function, ...) \
	({ \
		(end)->call = #function; \
		do { \
			(end)->calls++; \
			(end)->result = function(__VA_ARGS__); \
		} while ((end)->result < 0 && errno == EINTR); \
		(end)->error = (end)->result < 0 ? errno : 0; \
		(end)->result >= 0; \
	})

static const struct sockaddr *address(const struct step *step)
{
	return (const struct sockaddr *)&step->addr;
}

static void run_socket(const struct step *step, struct ending *end)
{
	CALL(end, socket, step->family, step->type | (step->nonblock ? SOCK_NONBLOCK : 0), 0);
	step->as->fd = (int)end->result;
	step->as->sent = 0;
}

static void run_setsockopt(const struct step *step, struct ending *end)
{
	const struct option *option = step->option;
	CALL(end, setsockopt, step->sock->fd, option->level, option->number, step->option_value, step->option_len);
}

static void run_getsockopt(const struct step *step, struct ending *end)
{
	union {
		int number;
		struct linger linger;
		struct timeval time;
		unsigned char bytes[1024];
	} got = {.bytes = {0}};
	static const socklen_t SIZES[] = {
		[INT] = sizeof(int), [LINGER] = sizeof(struct linger), [MILLISECONDS] = sizeof(struct timeval),
		[TEXT] = sizeof got.bytes - 1, [BYTES] = sizeof got.bytes,
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
	case BYTES: end->value = to_hex(got.bytes, length); break;
	}
	if (printed < 0)
		exit(2);
}

static void run_bind(const struct step *step, struct ending *end)
{
	if (!CALL(end, bind, step->sock->fd, address(step), step->addr_len))
		return;
	step->sock->port = step->port;
	if (step->type == SOCK_DGRAM)
		emit_listening(step, step->port);
}

static void run_listen(const struct step *step, struct ending *end)
{
	if (CALL(end, listen, step->sock->fd, step->backlog))
		emit_listening(step, step->sock->port);
}

static void run_accept(const struct step *step, struct ending *end)
{
	CALL(end, accept, step->sock->fd, NULL, NULL);
	step->as->fd = (int)end->result;
	step->as->sent = 0;
}

static void run_connect(const struct step *step, struct ending *end)
{
	CALL(end, connect, step->sock->fd, address(step), step->addr_len);
}

/* Gives `data` to the kernel in as many calls as it takes, one at least (an empty datagram is a datagram). */
static bool send_bytes(const struct step *step, struct ending *end, const unsigned char *data, uint64_t length)
{
	int fd = step->sock->fd;
	do {
		bool ok = step->addr_len
			? CALL(end, sendto, fd, data, length, step->flags, address(step), step->addr_len)
			: CALL(end, send, fd, data, length, step->flags);
		if (!ok)
			return false;
		data += end->result;
		length -= (uint64_t)end->result;
		end->bytes += (uint64_t)end->result;
		step->sock->sent += (uint64_t)end->result;
	} while (length);
	return true;
}

static void run_send(const struct step *step, struct ending *end)
{
	uint64_t left = step->size;
	end->moves_bytes = true;
	if (step->parts) {
		send_bytes(step, end, step->part->iov_base, step->part->iov_len);
		return;
	}
	do {
		uint64_t now = left < step->chunk ? left : step->chunk;
		fill_pattern(buffer, step->seed, step->sock->sent, now);
		if (!send_bytes(step, end, buffer, now))
			return;
		left -= now;
	} while (left);
}

static void run_sendmsg(const struct step *step, struct ending *end)
{
	struct iovec rest[IOV_MAX], *part = rest;
	size_t parts = (size_t)step->parts;
	uint64_t left = 0;
	memcpy(rest, step->part, sizeof *rest * parts);
	for (size_t i = 0; i < parts; i++)
		left += rest[i].iov_len;
	end->moves_bytes = true;
	for (;;) {
		struct msghdr message = {
			.msg_name = step->addr_len ? (void *)address(step) : NULL, .msg_namelen = step->addr_len,
			.msg_iov = part, .msg_iovlen = parts,
		};
		if (!CALL(end, sendmsg, step->sock->fd, &message, step->flags))
			return;
		size_t taken = (size_t)end->result;
		end->bytes += taken;
		step->sock->sent += taken;
		left -= taken;
		if (!left)
			return;
		for (; taken >= part->iov_len; parts--)
			taken -= part++->iov_len;
		part->iov_base = (char *)part->iov_base + taken;
		part->iov_len -= taken;
	}
}

/* One recv into the buffer, its first bytes kept for the event. */
static bool receive(const struct step *step, struct ending *end, uint64_t size, int flags)
{
	end->moves_bytes = end->received = true;
	if (!CALL(end, recv, step->sock->fd, buffer, size, flags))
		return false;
	end->bytes += (uint64_t)end->result;
	/* With MSG_TRUNC the result counts bytes that were not copied: those of a datagram beyond `size`, all of a stream. */
	uint64_t copied = (uint64_t)end->result < size ? (uint64_t)end->result : size;
	if (flags & MSG_TRUNC && step->type == SOCK_STREAM)
		copied = 0;
	size_t room = SHOWN - end->shown_len, now = copied < room ? copied : room;
	memcpy(end->shown + end->shown_len, buffer, now);
	end->shown_len += now;
	return true;
}

static void run_recv(const struct step *step, struct ending *end)
{
	receive(step, end, step->size, step->flags);
}

static void run_recv_exact(const struct step *step, struct ending *end)
{
	do {
		uint64_t left = step->size - end->bytes;
		if (!receive(step, end, left < step->chunk ? left : step->chunk, 0))
			return;
		if (!end->result && left) {
			end->error = NOT_ERRNO_EOF;
			return;
		}
	} while (end->bytes < step->size);
}

static void run_recv_all(const struct step *step, struct ending *end)
{
	while (receive(step, end, step->chunk, 0) && end->result)
		;
}

static int64_t milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Not CALL: after EINTR only the rest of the time is waited. */
static bool wait_readable(const struct step *step, struct ending *end)
{
	struct pollfd wanted = {.fd = step->sock->fd, .events = POLLIN};
	int64_t deadline = milliseconds() + step->timeout;
	int timeout = step->timeout;
	end->call = "poll";
	for (;;) {
		end->calls++;
		end->result = poll(&wanted, 1, timeout);
		if (end->result >= 0 || errno != EINTR)
			break;
		int64_t left = deadline - milliseconds();
		if (step->timeout >= 0)
			timeout = left > 0 ? (int)left : 0;
	}
	end->error = end->result < 0 ? errno : end->result == 0 ? NOT_ERRNO_TIMEOUT : 0;
	return !end->error;
}

static void run_on_readable(const struct step *step, struct ending *end)
{
	end->moves_bytes = end->received = true;
	/* poll ignores the descriptor of a closed socket, -1, and would wait for ever; recv says EBADF. */
	while (step->sock->fd < 0 || wait_readable(step, end)) {
		if (step->mode == ONCE) {
			receive(step, end, step->size, 0);
			return;
		}
		/* MSG_DONTWAIT: an accepted socket blocks unless told otherwise. */
		while (receive(step, end, step->size, MSG_DONTWAIT) && end->result)
			;
		if (end->error != EAGAIN)
			return;
	}
}

static void run_shutdown(const struct step *step, struct ending *end)
{
	CALL(end, shutdown, step->sock->fd, step->how);
}

static void run_close(const struct step *step, struct ending *end)
{
	int fd = step->sock->fd;
	step->sock->fd = -1;
	end->call = "close";
	end->result = close(fd); /* not again after EINTR: Linux has released the descriptor, close(2) */
	end->error = end->result < 0 ? errno : 0;
}

static void run_sleep(const struct step *step, struct ending *end)
{
	struct timespec left = {.tv_sec = (time_t)(step->ms / 1000), .tv_nsec = (long)(step->ms % 1000 * 1000000)};
	end->call = "sleep";
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void run_barrier(const struct step *step, struct ending *end)
{
	const char *name = step->value[K_NAME];
	end->call = "barrier";
	printf("{\"event\":\"barrier\",\"step\":%" PRIu64 ",\"name\":", step->index);
	put_json(stdout, name);
	end_line();
	char *line = next_line();
	if (line && !strncmp(line, "go ", 3) && !strcmp(line + 3, name)) {
		free(line);
		return;
	}
	fprintf(stderr, "step %" PRIu64 ": at barrier %s standard input ", step->index, name);
	if (line) {
		fputs("said ", stderr);
		put_json(stderr, line);
		fputc('\n', stderr);
	} else {
		fputs("ended\n", stderr);
	}
	exit(1);
}

int main(void)
{
	size_t count;
	struct step *steps = read_script(&count);
	buffer = zeroed(buffer_size);
	signal(SIGPIPE, SIG_IGN); /* a send on a broken connection shall give EPIPE, to be seen as an error */
	for (size_t i = 0; i < count; i++) {
		struct ending end = {.call = ""};
		steps[i].op->run(&steps[i], &end);
		bool as_expected = emit_ending(&steps[i], &end);
		free(end.value);
		if (!as_expected)
			return 1;
	}
	fputs("{\"event\":\"done\"", stdout);
	end_line();
	return 0;
}
