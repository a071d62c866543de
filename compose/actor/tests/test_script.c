/* A script as steps. (tests/native/test_actor_script.py has what is said of wrong lines.) */

#define _GNU_SOURCE /* fmemopen, strsep */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "actor/pattern.h"
#include "actor/script.h"
#include "actor/text.h"
#include "common/memory.h"
#include "common/tests/check.h"

static char said[1024];

static struct script read_script(const char *lines)
{
	struct script script;
	char *text = copy_text(lines), *rest = text;
	FILE *errors = fmemopen(said, sizeof said, "w");
	memset(said, 0, sizeof said);
	begin_script(&script, errors);
	for (char *line; (line = strsep(&rest, "\n"));)
		if (!script_line(&script, *line || rest ? copy_text(line) : NULL))
			break;
	fclose(errors);
	free(text);
	return script;
}

static void steps_follow_the_names_of_sockets(void)
{
	struct script script = read_script("0 socket as=a family=inet6 type=stream\n1 connect sock=a addr=::1 port=80\n"
	                                   "2 close sock=a\n3 socket as=a family=inet type=dgram\nend\n");
	SAME_TEXT(said, "");
	SAME(script.count, 4);
	SAME(script.steps[1].op->number, OP_connect);
	SAME(script.steps[1].family, AF_INET6);
	SAME(script.steps[1].port, 80);
	CHECK(script.steps[0].as == script.steps[1].sock && script.steps[3].as == script.steps[2].sock);
	free_script(&script);
}

static void values_are_what_the_calls_take(void)
{
	struct script script = read_script(
		"0 socket as=a family=inet type=stream\n"
		"1 setsockopt sock=a name=TCP_NODELAY value=1 expect=EINVAL\n"
		"2 setsockopt sock=a name=SO_RCVTIMEO value=1500\n"
		"3 sendmsg sock=a parts=6162,,63 flags=MSG_MORE,MSG_OOB\n"
		"4 wait sock=a for=pri timeout=3 expect=TIMEOUT\n"
		"5 recv sock=a size=70000\n"
		"6 sendmsg sock=a parts=61 from=127.0.0.2\nend\n");
	SAME_TEXT(said, "");
	SAME(script.steps[1].option->number, TCP_NODELAY);
	SAME(script.steps[1].option_len, sizeof(int));
	SAME(script.steps[1].expect, EINVAL);
	SAME(script.steps[2].option_len, sizeof(struct timeval));
	SAME(script.steps[3].parts, 3);
	SAME_BYTES(script.steps[3].part[0].iov_base, "ab", 2);
	SAME(script.steps[3].part[1].iov_len, 0);
	SAME(script.steps[3].flags, MSG_MORE | MSG_OOB);
	SAME(script.steps[4].events, POLLPRI);
	SAME(script.steps[4].expect, NOT_ERRNO_TIMEOUT);
	SAME(script.buffer_size, 70000);
	SAME(script.steps[6].control_len, CMSG_SPACE(sizeof(struct in_pktinfo)));
	SAME(((struct cmsghdr *)(void *)script.steps[6].control)->cmsg_type, IP_PKTINFO);
	free_script(&script);
}

/* Also where a line is wrong in the middle of what it holds. */
static void wrong_lines_are_reported_by_number(void)
{
	struct script script = read_script("0 socket as=a family=inet type=stream\n1 sendmsg sock=a parts=61,6g\nx\n"
	                                   "2 send sock=a hex=61 hex=62\nend\n");
	CHECK(script.bad);
	SAME_TEXT(said, "line 2: parts=\"61,6g\" must be pairs of hex digits with commas between\n"
	                "line 3: a step starts with its number\nline 4: send: hex= is given twice\n");
	free_script(&script);
}

static void a_script_has_an_end(void)
{
	struct script script = read_script("0 sleep ms=1\n");
	CHECK(script.bad);
	SAME_TEXT(said, "line 2: the script has no 'end'\n");
	free_script(&script);
}

static void errors_have_one_name_each(void)
{
	SAME(error_number("ECONNREFUSED"), ECONNREFUSED);
	SAME(error_number("EWOULDBLOCK"), EAGAIN);
	SAME(error_number("EOF"), NOT_ERRNO_EOF);
	SAME(error_number("ENONSENSE"), 0);
	SAME_TEXT(error_name(ECONNREFUSED), "ECONNREFUSED");
	SAME_TEXT(error_name(NOT_ERRNO_TIMEOUT), "TIMEOUT");
	SAME_TEXT(error_name(100000), "EUNKNOWN");
}

/* What a child names or closes changes nothing for its parent; the parent goes on behind the child's last step. */
static void a_child_has_names_of_its_own(void)
{
	struct script script = read_script(
		"0 socket as=a family=inet type=stream\n1 fork name=x\n2 close sock=a\n3 socket as=a family=inet6 type=dgram\n"
		"4 socket as=b family=inet type=dgram\n5 fork name=y\n6 close sock=b\n5 end_fork\n1 end_fork\n"
		"7 recv_all sock=a\n8 socket as=b family=inet type=stream\n9 wait_any socks=a,b:out\nend\n");
	SAME_TEXT(said, "");
	SAME(script.steps[1].after, 8);
	SAME(script.steps[8].after, 1);
	SAME(script.steps[5].after, 7);
	SAME(script.steps[9].type, SOCK_STREAM);
	SAME(script.steps[11].watched_count, 2);
	SAME(script.steps[11].watched[0].events, POLLIN);
	SAME(script.steps[11].watched[1].events, POLLOUT);
	free_script(&script);
	script = read_script("0 socketpair as=a and=b\n1 fork name=x\n2 close sock=a\n1 end_fork\n3 dup sock=b as=a\nend\n");
	CHECK(strstr(said, "line 5: as=\"a\" must be a name that no open socket has"));
	free_script(&script);
}

/* One number for each name, in the order in which they come; the buffer is as large as the largest step needs. */
static void barriers_and_buffers(void)
{
	struct script script = read_script("0 barrier name=p\n1 barrier name=q\n2 barrier name=p\n3 socketpair as=a and=b\n"
	                                   "4 readv sock=a sizes=10,20\n5 recvmmsg sock=a count=3 size=11\nend\n");
	SAME_TEXT(said, "");
	SAME(script.barrier_count, 2);
	SAME(script.steps[2].slot, 0);
	SAME(script.steps[1].slot, 1);
	SAME(script.buffer_size, 33);
	free_script(&script);
}

static void events_are_joined(void)
{
	const struct {
		short found;
		const char *text;
	} cases[] = {{0, ""}, {POLLOUT, "POLLOUT"}, {POLLOUT | POLLHUP, "POLLOUT|POLLHUP"},
	             {-1, "POLLIN|POLLPRI|POLLOUT|POLLERR|POLLHUP|POLLNVAL"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = event_names(cases[i].found);
		SAME_TEXT(text, cases[i].text);
		free(text);
	}
}

static void hex_and_json_are_ascii(void)
{
	char *hex = to_hex((const unsigned char *)"\0\x7f\xff", 3), json[64] = "";
	FILE *to = fmemopen(json, sizeof json, "w");
	SAME_TEXT(hex, "007fff");
	put_json(to, "a\"\\\n\xff");
	fclose(to);
	SAME_TEXT(json, "\"a\\\"\\\\\\u000a\\u00ff\"");
	free(hex);
}

/* A part that begins in the middle of a word is the same bytes. */
static void the_pattern_goes_on_at_any_offset(void)
{
	unsigned char whole[64], part[64];
	fill_pattern(whole, 5, 0, sizeof whole);
	for (uint64_t offset = 0; offset < sizeof whole; offset++) {
		fill_pattern(part, 5, offset, sizeof whole - offset);
		SAME_BYTES(part, whole + offset, sizeof whole - offset);
	}
}

int main(void)
{
	RUN(steps_follow_the_names_of_sockets);
	RUN(values_are_what_the_calls_take);
	RUN(wrong_lines_are_reported_by_number);
	RUN(a_script_has_an_end);
	RUN(errors_have_one_name_each);
	RUN(a_child_has_names_of_its_own);
	RUN(barriers_and_buffers);
	RUN(events_are_joined);
	RUN(hex_and_json_are_ascii);
	RUN(the_pattern_goes_on_at_any_offset);
	return end_tests();
}
