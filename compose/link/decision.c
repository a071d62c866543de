#include "link/decision.h"

#include "link/alter.h"
#include "link/chance.h"
#include "link/faults.h"

/* What is random about one packet. */
struct dice {
	uint64_t seed, n;
	int side;
};

static bool falls(const struct dice *dice, double p, enum purpose purpose)
{
	return chance(p, dice->seed, dice->side, dice->n, purpose);
}

/* Find the faults that meet a packet: the first of each kind, and all that forge. */
static void find_faults(struct line *line, const struct packet *p, int side, const struct fault **met,
                        struct decision *d)
{
	struct plan *plan = line->plan;
	d->forging = 0;
	for (size_t i = 0; i < plan->faults_used; i++) {
		struct fault *fault = &plan->faults[i];
		if (!meets(fault, side, p, d->connection))
			continue;
		if (fault->action == FORGE_IT)
			d->forgers[d->forging++] = fault;
		else if (!met[fault->action])
			met[fault->action] = fault;
		if (fault->action == FORGET_IT && met[FORGET_IT] == fault && answers_with_packet(fault) && p->protocol == TCP)
			d->forgers[d->forging++] = fault;
		if (d->record.faults_used < sizeof d->record.faults)
			d->record.faults[d->record.faults_used++] = (uint8_t)i;
	}
	if (d->forging)
		d->record.acts |= 1u << A_FORGE;
}

static bool is_down(const struct line *line, int side, const struct impairments *set, uint64_t came)
{
	const uint64_t since = came - line->origin;
	return came < line->lanes[side].down_until ||
	       (set->down_for && since >= set->down_after && since - set->down_after < set->down_for);
}

static int find_loss(const struct line *line, const struct packet *p, const struct dice *dice,
                     const struct fault *const *met, const struct circumstances *at)
{
	const struct impairments *set = &line->plan->set[dice->side];
	if (is_down(line, dice->side, set, at->came))
		return A_DOWN;
	if (met[DROP_IT])
		return A_DROP;
	if (met[FORGET_IT])
		return A_FORGET;
	if (falls(dice, set->loss, P_LOSS))
		return A_LOSS;
	if (set->mtu && p->total > set->mtu)
		return A_BIG;
	return at->waiting >= set->queue ? A_OVERFLOW : -1;
}

/* Change a copy of the packet. Of one above 65,531 bytes the kernel does not hand over the end (netlink.h): it stays as
 * it is, and the journal says nothing of a change. */
static struct blob change(const struct packet *p, const struct fault *const *met, const struct dice *dice, double corrupted,
                          unsigned *acts)
{
	const bool by_chance = (p->protocol == TCP || p->protocol == UDP) && falls(dice, corrupted, P_CORRUPT);
	struct blob changed = {NULL, 0};
	if (!(met[TRUNCATE_IT] || met[CORRUPT_IT] || met[MARK_IT] || met[REWRITE_IT] || by_chance) || p->captured < p->total)
		return changed;
	changed = copy_packet(p);
	if (met[TRUNCATE_IT]) {
		truncate_to(&changed, p, met[TRUNCATE_IT]->to);
		*acts |= 1u << A_TRUNCATE;
	}
	if (met[MARK_IT]) {
		mark(&changed);
		*acts |= 1u << A_MARK;
	}
	if (met[REWRITE_IT]) {
		rewrite(&changed, p, met[REWRITE_IT]->ttl, met[REWRITE_IT]->mss);
		*acts |= 1u << A_REWRITE;
	}
	if (met[CORRUPT_IT] || by_chance) {
		corrupt(&changed, p, draw(dice->seed, dice->side, dice->n, P_PLACE), met[CORRUPT_IT] && met[CORRUPT_IT]->fix);
		*acts |= 1u << A_CORRUPT;
	}
	return changed;
}

/* When a packet has travelled: it is sent at the line's rate, then takes the delay. */
static uint64_t travel(struct lane *lane, const struct packet *p, const struct dice *dice, const struct impairments *set,
                       uint64_t came)
{
	uint64_t due = came;
	if (set->rate) {
		if (lane->free_at < came)
			lane->free_at = came;
		lane->free_at += p->total * 8000000000u / set->rate;
		due = lane->free_at;
	}
	due += set->delay;
	if (set->jitter)
		due += draw(dice->seed, dice->side, dice->n, P_JITTER) % (2 * set->jitter + 1) - set->jitter;
	return due;
}

/* Say when a packet leaves. Order is kept but by faults that hold and by chance that reorders. */
static void schedule(struct lane *lane, const struct dice *dice, const struct impairments *set, const struct fault *hold,
                     struct decision *d)
{
	if (d->due < lane->in_order)
		d->due = lane->in_order;
	d->behind = 0;
	if (hold) {
		d->due += hold->hold;
		d->behind = hold->behind;
		d->record.acts |= 1u << A_HOLD;
	} else if (falls(dice, set->reorder, P_REORDER)) {
		d->due += set->within;
		d->behind = set->behind;
		d->record.acts |= 1u << A_REORDER;
	} else {
		lane->in_order = d->due;
	}
}

void decide(struct line *line, const struct packet *p, int side, const struct circumstances *at, struct decision *d)
{
	const struct impairments *set = &line->plan->set[side];
	struct lane *lane = &line->lanes[side];
	const struct dice dice = {line->plan->seed, ++lane->count, side};
	const struct fault *met[ACTIONS] = {NULL};
	const bool tracked = line->plan->tracks && p->fragment != LATER_FRAGMENT &&
	                     (p->protocol == TCP || (p->protocol == UDP && line->plan->forgets));

	d->record = begin_record(p, side, dice.n, at->came + at->epoch);
	d->connection = tracked ? track(&line->connections, p, side, at->came) : NULL;
	d->changed = (struct blob){NULL, 0};
	d->copied = false;
	if (!line->origin)
		line->origin = at->came;
	find_faults(line, p, side, met, d);
	d->lost = find_loss(line, p, &dice, met, at);
	if (d->lost >= 0) {
		d->record.acts |= 1u << d->lost;
		return;
	}
	d->changed = change(p, met, &dice, set->corrupt, &d->record.acts);
	d->due = travel(lane, p, &dice, set, at->came);
	if (d->due > at->came)
		d->record.acts |= 1u << A_DELAY;
	schedule(lane, &dice, set, met[HOLD_IT], d);
	d->copied = p->captured == p->total && (met[DUPLICATE_IT] || falls(&dice, set->duplicate, P_DUPLICATE));
	if (d->copied)
		d->record.acts |= 1u << A_DUPLICATE;
}
