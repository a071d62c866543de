/* launch: makes a lab of Linux namespaces, and is the parent of its processes until the runner is done with it.
 *
 * usage: launch                   orders on standard input, answers on standard output
 *        launch enter PID COMMAND...           (see enter.h)
 *
 * The orders, one a line, words parted by one blank; each is carried out as it is read:
 *
 *   bind SOURCE TARGET          a file or directory of the machine, read-only, seen by every process of the lab
 *   symlink TEXT PATH           a symbolic link
 *   file PATH SIZE              a small file; its SIZE bytes follow the line
 *   own NAME MODE SIZE PATH     a file that only the processes of a network namespace see; its SIZE bytes follow the line
 *   place NAME PATH             where they see it: the file, or a directory that holds several
 *   scratch PATH OPTIONS        an empty memory file system, each process of the lab has its own
 *   root                        what was made so far becomes the root; the machine's files are out of sight
 *   namespace NAME              a network namespace, loopback up; also the host name. The next orders are about it:
 *   sysctl NAME VALUE
 *   agent KIND FD               the agent as process 1 of a PID namespace, with FD as standard input and output and
 *                               our standard error. KIND: `host` has no capability, `tap` has NET_ADMIN and NET_RAW
 *   veth NAME IF NAME IF        two joined interfaces in two namespaces (may come at any time)
 *   alias NAME IF OTHER         one more name of an interface (Linux 5.5)
 *   address NAME IF ADDRESS/PREFIX
 *   up NAME IF
 *   route NAME IF DESTINATION/PREFIX SOURCE CONGCTL        replaces the route that `up` has made (IPv4)
 *   ready                       wait until links carry and agents run; answered by a line `ready PID...`
 *
 * An order that fails is answered by `error ERRNO WHAT`, and that is the end. As root everything is made directly and
 * the processes run as nobody; otherwise in a user namespace in which we are nobody. When standard input ends or this
 * process dies, the kernel kills every process of the lab; the rest goes with them.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/agents.h"
#include "launch/enter.h"
#include "launch/namespaces.h"
#include "launch/net.h"
#include "launch/order.h"
#include "launch/privilege.h"
#include "launch/report.h"
#include "launch/root.h"

enum { LINE_SIZE = 8192 };

static bool in_user_namespace;

static void obey(const struct order *order)
{
	char *const *word = order->word;
	if (is_order(order, "bind", 3)) {
		bind_into_root(word[1], word[2]);
	} else if (is_order(order, "symlink", 3)) {
		link_in_root(word[1], word[2]);
	} else if (is_order(order, "file", 3)) {
		file_in_root(word[1], 0666, (size_t)strtoul(word[2], NULL, 10), stdin);
	} else if (is_order(order, "own", 5)) {
		own_file_in_root(word[1], word[4], (mode_t)strtoul(word[2], NULL, 8), (size_t)strtoul(word[3], NULL, 10), stdin);
	} else if (is_order(order, "place", 3)) {
		place_in_root(word[1], word[2]);
	} else if (is_order(order, "scratch", 3)) {
		scratch_in_root(word[1], word[2]);
	} else if (is_order(order, "root", 1)) {
		enter_root();
	} else if (is_order(order, "namespace", 2)) {
		add_namespace(word[1]);
	} else if (is_order(order, "sysctl", 3)) {
		set_sysctl(word[1], word[2]);
	} else if (is_order(order, "agent", 3)) {
		add_agent(last_namespace(), !strcmp(word[1], "tap"), (int)strtol(word[2], NULL, 10), in_user_namespace);
	} else if (is_order(order, "veth", 5)) {
		go_into(word[1]);
		make_veth(word[2], namespace_fd(word[3]), word[4]);
	} else if (is_order(order, "alias", 4)) {
		go_into(word[1]);
		add_alias(word[2], word[3]);
	} else if (is_order(order, "address", 4)) {
		go_into(word[1]);
		add_address(word[2], word[3]);
	} else if (is_order(order, "up", 3)) {
		raise_interface(word[1], word[2]);
	} else if (is_order(order, "route", 6)) {
		go_into(word[1]);
		replace_route(word[2], word[3], word[4], word[5]);
	} else if (is_order(order, "ready", 1)) {
		wait_carriers();
		report_ready();
	} else {
		fail_with(EINVAL, "order");
	}
}

int main(int argc, char **argv)
{
	static char line[LINE_SIZE];

	if (argc > 3 && !strcmp(argv[1], "enter"))
		return enter(argv + 2);
	signal(SIGPIPE, SIG_IGN);
	in_user_namespace = take_namespaces();
	begin_root();
	while (fgets(line, sizeof line, stdin)) {
		struct order order;
		size_t length = strlen(line);
		if (!length || line[length - 1] != '\n')
			fail_with(EMSGSIZE, "order");
		line[length - 1] = 0;
		parse_order(&order, line);
		obey(&order);
	}
	end_agents();
	return 0;
}
