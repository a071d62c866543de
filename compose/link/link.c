/* link: the middle of a routed lab. It stands between the two hosts and does to their packets what its plan says.
 *
 * The kernel forwards; each packet that it forwards comes here through NFQUEUE (queue 0: sent by the client, 1: by the
 * server) and waits in the kernel for our verdict. What the link makes itself, copies and forged packets, goes out
 * through a raw socket. Needs NET_ADMIN (NFQUEUE) and NET_RAW in its own network namespace.
 *
 * The plan is standard input (plan.h), the journal standard output (journal.h). The lab's sentinels are not counted, not
 * impaired and not in the journal; they leave behind everything that waits. Ends when its input ends.
 */

#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "fate.h"

static struct plan plan;
static struct queue queue;
static int raw4 = -1, raw6 = -1;
static bool running;
static uint64_t now, epoch;           /* monotonic ns; what to add for ns since the Unix epoch */
static uint64_t came;                 /* when the present packet reached the link host: somewhat before we saw it */
static uint64_t origin;               /* when the first packet came, 0 before */
static uint64_t counted[SIDES];       /* packets so far */
static uint32_t last_id[SIDES];       /* the kernel's number of the last one */
static uint64_t kernel_lost, refused_sends;
static uint64_t free_at[SIDES];       /* when the line can take the next packet (rate) */
static uint64_t in_order[SIDES];      /* when the last packet that kept its place leaves */
static uint64_t down_until[SIDES];

static void look_at_clock(void)
{
	struct timespec mono, real;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	now = (uint64_t)mono.tv_sec * 1000000000u + (uint64_t)mono.tv_nsec;
	epoch = (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec - now;
}

/* Letting go ---------------------------------------------------------------------------------------------------- */

static void send_raw(const struct blob *blob)
{
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	ssize_t n;
	if (blob->bytes[0] >> 4 == 4) {
		memcpy(&to4.sin_addr, blob->bytes + 16, 4);
		n = sendto(raw4, blob->bytes, blob->size, 0, (struct sockaddr *)&to4, sizeof to4);
	} else {
		memcpy(&to6.sin6_addr, blob->bytes + 24, 16);
		n = sendto(raw6, blob->bytes, blob->size, 0, (struct sockaddr *)&to6, sizeof to6);
	}
	if (n < 0) {
		fprintf(stderr, "link: cannot send a packet: %s\n", strerror(errno));
		refused_sends++;
	}
}

static void let_go(struct held *one)
{
	if (one->queued) {
		bool first = ring_remove(&holding.of[one->side].ring, one->place);
		accept_packet(&queue, one->side, one->id, first, one->bytes.bytes ? &one->bytes : NULL);
	} else {
		finish_verdicts(&queue); /* what came before must leave before */
		send_raw(&one->bytes);
	}
	if (one->told) {
		one->story.left = now + epoch;
		write_story(&one->story);
	}
	free(one->bytes.bytes);
	one->bytes.bytes = NULL;
	if (one->aside || one->gone || !one->queued || !one->told)
		return;
	count_passed(one->side, one->order);
	for (struct held *passed; (passed = take_passed(one->side));)
		let_go(passed);
}

static void release(uint64_t until)
{
	for (struct held *one; (one = hold_take(until));) {
		let_go(one);
		free(one);
	}
	flush_verdicts(&queue);
}

/* A packet comes ------------------------------------------------------------------------------------------------ */

static struct story story_of(const struct packet *p, int side, uint64_t n)
{
	struct story s = {.n = n,
	                  .time = came + epoch,
	                  .id = p->id,
	                  .sport = p->sport,
	                  .dport = p->dport,
	                  .seq = p->seq,
	                  .ack = p->ack,
	                  .length = (uint32_t)p->length,
	                  .from = (uint8_t)side,
	                  .version = p->version,
	                  .protocol = p->protocol,
	                  .flags = p->flags,
	                  .part = !p->first_fragment};
	memcpy(s.src, p->src, sizeof s.src);
	memcpy(s.dst, p->dst, sizeof s.dst);
	return s;
}

static void drop(const struct arrival *a, struct story *story, int act)
{
	drop_packet(&queue, a->side, a->id);
	story->acts |= 1u << act;
	write_story(story);
}

/* Send a packet that the link made. `side`: the host that it says it comes from; it leaves right after the present one. */
static void make(struct blob blob, int side, uint64_t due, const struct story *about, const char *what, int fault)
{
	struct packet p;
	struct held *one = hold_new(side, due);
	read_packet(&p, blob.bytes, blob.size, blob.size);
	one->bytes = blob;
	one->told = true;
	one->story = story_of(&p, side, 0);
	one->story.of = about->n;
	one->story.about = about->from;
	one->story.made = what;
	if (fault >= 0) {
		one->story.faults_used = 1;
		one->story.faults[0] = (uint8_t)fault;
	}
	hold_add(one);
}

static bool is_down(int side, const struct impairments *set)
{
	const uint64_t since = came - origin;
	return came < down_until[side] || (set->down_for && since >= set->down_after && since - set->down_after < set->down_for);
}

/* When a packet leaves: it is sent at the line's rate, then travels. Order is kept. */
static uint64_t travel(const struct packet *p, int side, uint64_t n, const struct impairments *set, struct story *story)
{
	uint64_t due = came;
	if (set->rate) {
		if (free_at[side] < came)
			free_at[side] = came;
		free_at[side] += p->total * 8000000000u / set->rate;
		due = free_at[side];
	}
	due += set->delay;
	if (set->jitter)
		due += drawn(plan.seed, side, n, P_JITTER) % (2 * set->jitter + 1) - set->jitter;
	if (due > came)
		story->acts |= 1u << A_DELAY;
	return due;
}

static void impair(const struct arrival *a, const struct packet *p)
{
	const int side = a->side;
	const struct impairments *set = &plan.set[side];
	const uint64_t n = ++counted[side];
	struct story story = story_of(p, side, n);
	struct connection *c = plan.tracks && p->protocol == TCP && p->first_fragment ? track(p, side) : NULL;
	const struct fault *met[ACTIONS] = {NULL};
	const struct fault *forgers[MAX_FAULTS];
	size_t forging = 0;

	if (!origin)
		origin = came;
	for (size_t i = 0; i < plan.faults_used; i++) {
		if (!meets(&plan.faults[i], side, p, c))
			continue;
		if (plan.faults[i].action == FORGE_IT)
			forgers[forging++] = &plan.faults[i];
		else if (!met[plan.faults[i].action])
			met[plan.faults[i].action] = &plan.faults[i];
		if (story.faults_used < sizeof story.faults)
			story.faults[story.faults_used++] = (uint8_t)i;
	}
	for (size_t i = 0; i < forging; i++)
		story.acts |= 1u << A_FORGE;

	int lost = -1;
	if (is_down(side, set))
		lost = A_DOWN;
	else if (met[DROP_IT])
		lost = A_DROP;
	else if (chance(set->loss, plan.seed, side, n, P_LOSS))
		lost = A_LOSS;
	else if (set->mtu && p->total > set->mtu)
		lost = A_BIG;
	else if (holding.of[side].waiting >= set->queue)
		lost = A_OVERFLOW;
	if (lost >= 0) {
		drop(a, &story, lost);
		if (lost == A_BIG && set->icmp && p->protocol != ICMP && p->protocol != ICMPV6)
			make(too_big(&plan, side, p, set->mtu), 1 - side, now, &story, "icmp", -1);
		for (size_t i = 0; i < forging; i++)
			make(forged(forgers[i], p, c), forgers[i]->as, now, &story, "forged", (int)(forgers[i] - plan.faults));
		return;
	}

	struct blob changed = {NULL, 0};
	const bool random_corrupt = (p->protocol == TCP || p->protocol == UDP) && chance(set->corrupt, plan.seed, side, n, P_CORRUPT);
	if (met[TRUNCATE_IT] || met[CORRUPT_IT] || met[MARK_IT] || random_corrupt)
		changed = whole(p);
	if (met[TRUNCATE_IT]) {
		truncate_to(&changed, p, met[TRUNCATE_IT]->to);
		story.acts |= 1u << A_TRUNCATE;
	}
	if (met[MARK_IT]) {
		mark(&changed);
		story.acts |= 1u << A_MARK;
	}
	if (met[CORRUPT_IT] || random_corrupt) {
		corrupt(&changed, p, drawn(plan.seed, side, n, P_PLACE), met[CORRUPT_IT] && met[CORRUPT_IT]->fix);
		story.acts |= 1u << A_CORRUPT;
	}

	const uint64_t due = travel(p, side, n, set, &story);
	struct held *one = hold_new(side, due > in_order[side] ? due : in_order[side]);
	if (met[HOLD_IT]) {
		one->due += met[HOLD_IT]->hold;
		one->behind = met[HOLD_IT]->behind;
		story.acts |= 1u << A_HOLD;
	} else if (chance(set->reorder, plan.seed, side, n, P_REORDER)) {
		one->due += set->within;
		one->behind = set->behind;
		story.acts |= 1u << A_REORDER;
	} else {
		in_order[side] = one->due;
	}
	const bool copied = met[DUPLICATE_IT] || chance(set->duplicate, plan.seed, side, n, P_DUPLICATE);
	if (copied)
		story.acts |= 1u << A_DUPLICATE;
	one->queued = one->told = true;
	one->id = a->id;
	one->place = ring_add(&holding.of[side].ring);
	one->bytes = changed;
	one->story = story;
	const uint64_t after = one->due;
	hold_add(one);
	if (copied) {
		struct packet as_changed;
		read_packet(&as_changed, changed.bytes ? changed.bytes : p->bytes, changed.bytes ? changed.size : p->captured,
		            changed.bytes ? changed.size : p->total);
		make(whole(&as_changed), side, after, &story, "copy", -1);
	}
	for (size_t i = 0; i < forging; i++)
		make(forged(forgers[i], p, c), forgers[i]->as, after, &story, "forged", (int)(forgers[i] - plan.faults));
}

static void handle(const uint8_t *message, size_t size)
{
	struct arrival a;
	struct packet p;
	if (!read_arrival(&queue, message, size, &a))
		return;
	if (a.id != last_id[a.side] + 1) {
		write_event("{\"event\":\"overflow\",\"from\":\"%s\",\"count\":%u}\n", side_names[a.side],
		            a.id - last_id[a.side] - 1);
		kernel_lost += a.id - last_id[a.side] - 1;
	}
	last_id[a.side] = a.id;
	/* The kernel stamps packets while somebody captures; a stamp that cannot be (the clock was set) is none. */
	came = a.stamp > epoch && a.stamp - epoch <= now && now - (a.stamp - epoch) < 1000000000u ? a.stamp - epoch : now;
	const bool readable = read_packet(&p, a.bytes, a.captured, a.total);
	if (readable && !is_sentinel(&p)) {
		impair(&a, &p);
		return;
	}
	struct held *one = hold_new(a.side, now > holding.of[a.side].latest ? now : holding.of[a.side].latest);
	one->queued = true;
	one->id = a.id;
	one->place = ring_add(&holding.of[a.side].ring);
	hold_add(one);
}

static void take_packets(void)
{
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];
	static uint8_t *room;
	if (!room) {
		room = grown(NULL, BATCH * queue.room);
		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){room + (size_t)i * queue.room, queue.room};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
		}
	}
	int n = recvmmsg(queue.socket, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("packets");
	look_at_clock();
	for (int i = 0; i < n; i++)
		handle(parts[i].iov_base, messages[i].msg_len);
}

/* The plan and what follows it ---------------------------------------------------------------------------------- */

static void start(void)
{
	if (!plan.version)
		wrong(&plan, "no address of the link");
	if (plan.failed)
		exit(2);
	raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	raw6 = plan.version == 6 ? socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW) : -1;
	if (raw4 < 0 || (plan.version == 6 && raw6 < 0))
		die("raw socket");
	open_queue(&queue, plan.payload);
	running = true;
	write_event("{\"event\":\"ready\"}\n");
}

static void at_barrier(const char *name)
{
	for (size_t i = 0; i < plan.faults_used; i++) {
		struct fault *fault = &plan.faults[i];
		if (fault->after && is(fault->after, name))
			fault->open = true;
		if (fault->until && is(fault->until, name))
			fault->open = false;
	}
}

static void stop(void)
{
	look_at_clock();
	release(UINT64_MAX);
	finish_verdicts(&queue);
	write_event("{\"event\":\"end\",\"client\":%llu,\"server\":%llu,\"overflow\":%llu,\"refused\":%llu}\n",
	            (unsigned long long)counted[CLIENT], (unsigned long long)counted[SERVER],
	            (unsigned long long)kernel_lost, (unsigned long long)(queue.refused + refused_sends));
	journal_close();
	exit(0);
}

static void change(const char *what, char *rest)
{
	char *key, *value;
	int from = -1;
	uint64_t length = 0;
	if (is(what, "set")) {
		parse_set(&plan, rest);
	} else if (is(what, "down")) {
		while (next_pair(&plan, &rest, &key, &value)) {
			if (is(key, "from"))
				from = word(&plan, key, value, side_names, SIDES);
			else if (is(key, "for"))
				length = number(&plan, key, value, 3600000000000);
			else
				wrong(&plan, "unknown key %s", key);
		}
		if (from < 0)
			wrong(&plan, "from is missing");
		else
			down_until[from] = now + length;
	} else if (is(what, "barrier")) {
		if (next_pair(&plan, &rest, &key, &value) && is(key, "name"))
			at_barrier(value);
		else
			wrong(&plan, "name is missing");
	} else if (is(what, "count")) {
		write_event("{\"event\":\"count\",\"waiting\":%llu,\"packets\":%llu}\n",
		            (unsigned long long)(holding.of[CLIENT].waiting + holding.of[SERVER].waiting),
		            (unsigned long long)(counted[CLIENT] + counted[SERVER]));
		return;
	} else if (is(what, "stop")) {
		stop();
	} else {
		wrong(&plan, "unknown line %s", what);
	}
	if (plan.failed)
		exit(2);
	write_event("{\"event\":\"%s\",\"time\":%llu}\n", what, (unsigned long long)(now + epoch));
}

static void obey(char *line)
{
	plan.line++;
	if (!*line)
		return;
	char *rest = line, *what = strsep(&rest, " ");
	if (running)
		change(what, rest);
	else if (is(what, "link"))
		parse_link(&plan, rest);
	else if (is(what, "end"))
		parse_end(&plan, rest);
	else if (is(what, "set"))
		parse_set(&plan, rest);
	else if (is(what, "fault"))
		parse_fault(&plan, rest);
	else if (is(what, "start"))
		start();
	else
		wrong(&plan, "unknown line %s", what);
}

static void take_lines(void)
{
	static char *buffer;
	static size_t used, room;
	if (room - used < 4096)
		buffer = grown(buffer, room = 2 * room + 65536);
	ssize_t n = read(STDIN_FILENO, buffer + used, room - used);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		exit(running ? 0 : 2); /* the agent is gone */
	used += (size_t)n;
	look_at_clock();
	char *at = buffer, *end;
	while ((end = memchr(at, '\n', used - (size_t)(at - buffer)))) {
		*end = 0;
		obey(at);
		at = end + 1;
	}
	used -= (size_t)(at - buffer);
	memmove(buffer, at, used);
}

int main(void)
{
	plan.set[CLIENT] = plan.set[SERVER] = no_impairments;
	signal(SIGPIPE, SIG_IGN);
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags < 0 || fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK))
		die("standard output");
	if (prctl(PR_SET_TIMERSLACK, 1)) /* a delay shall end when it ends, not up to 50 us later */
		die("timer slack");

	for (;;) {
		struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
		                        {.fd = running ? queue.socket : -1, .events = POLLIN},
		                        {.fd = journal.end > journal.start ? STDOUT_FILENO : -1, .events = POLLOUT}};
		struct timespec left, *timeout = NULL;
		if (holding.used) {
			look_at_clock();
			uint64_t wait = holding.heap[0]->due > now ? holding.heap[0]->due - now : 0;
			left = (struct timespec){(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
			timeout = &left;
		}
		if (ppoll(fds, 3, timeout, NULL) < 0 && errno != EINTR)
			die("ppoll");
		if (fds[1].revents)
			take_packets();
		if (fds[0].revents)
			take_lines();
		look_at_clock();
		release(now);
		journal_out();
	}
}
