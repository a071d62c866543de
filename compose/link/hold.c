/* hold.h: packets that wait in the link, and in which order they leave. */

#ifndef HOLD_H
#define HOLD_H

#include "journal.h"

struct held {
	uint64_t due, order; /* monotonic ns; among equals the first that came leaves first */
	bool queued;         /* the kernel holds it, as number `id`; else its bytes are in `bytes` */
	bool told;           /* it is in the journal: false for sentinels */
	bool aside, gone;    /* lets others pass; was let go before its time */
	uint32_t id;
	uint64_t place; /* in the ring of the direction that it came in */
	int side;       /* that direction, or the one in which a made packet travels */
	uint64_t behind;
	struct blob bytes; /* what the kernel shall send instead, or what we send ourselves */
	struct story story;
};

/* Numbers of the packets of one direction that are in the kernel, in order. */
struct ring {
	bool *left;
	uint64_t head, tail, room;
};

struct direction {
	struct ring ring;
	struct held **aside;
	size_t aside_used, aside_room;
	uint64_t waiting, latest; /* packets of it that wait, and when the last of them leaves */
};

static struct {
	struct held **heap;
	size_t used, room;
	uint64_t orders;
	struct direction of[SIDES];
} holding;

static inline void *grown(void *old, size_t size)
{
	void *block = realloc(old, size);
	if (!block)
		die("memory");
	return block;
}

static inline uint64_t ring_add(struct ring *ring)
{
	if (ring->tail - ring->head == ring->room) {
		uint64_t room = ring->room ? 2 * ring->room : 1024;
		bool *left = grown(NULL, room);
		for (uint64_t i = ring->head; i < ring->tail; i++)
			left[i & (room - 1)] = ring->left[i & (ring->room - 1)];
		free(ring->left);
		ring->left = left;
		ring->room = room;
	}
	ring->left[ring->tail & (ring->room - 1)] = false;
	return ring->tail++;
}

/* Note that a packet leaves the kernel; true if none before it is there. */
static inline bool ring_remove(struct ring *ring, uint64_t place)
{
	bool first = place == ring->head;
	ring->left[place & (ring->room - 1)] = true;
	while (ring->head < ring->tail && ring->left[ring->head & (ring->room - 1)])
		ring->head++;
	return first;
}

static inline bool earlier(const struct held *a, const struct held *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static inline void heap_add(struct held *one)
{
	if (holding.used == holding.room) {
		holding.room = holding.room ? 2 * holding.room : 1024;
		holding.heap = grown(holding.heap, holding.room * sizeof *holding.heap);
	}
	size_t at = holding.used++;
	for (; at && earlier(one, holding.heap[(at - 1) / 2]); at = (at - 1) / 2)
		holding.heap[at] = holding.heap[(at - 1) / 2];
	holding.heap[at] = one;
}

static inline struct held *heap_take(void)
{
	struct held *first = holding.heap[0], *last = holding.heap[--holding.used];
	size_t at = 0;
	for (size_t child; (child = 2 * at + 1) < holding.used; at = child) {
		if (child + 1 < holding.used && earlier(holding.heap[child + 1], holding.heap[child]))
			child++;
		if (!earlier(holding.heap[child], last))
			break;
		holding.heap[at] = holding.heap[child];
	}
	holding.heap[at] = last;
	return first;
}

static inline struct held *hold_new(int side, uint64_t due)
{
	struct held *one = calloc(1, sizeof *one);
	if (!one)
		die("memory");
	one->side = side;
	one->due = due;
	one->order = holding.orders++;
	return one;
}

/* Let a packet wait; with `behind`, until that many of its direction have passed it, at most until it is due. */
static inline void hold_add(struct held *one)
{
	struct direction *direction = &holding.of[one->side];
	heap_add(one);
	direction->waiting++;
	if (one->due > direction->latest)
		direction->latest = one->due;
	if (!one->behind)
		return;
	one->aside = true;
	if (direction->aside_used == direction->aside_room) {
		direction->aside_room += 64;
		direction->aside = grown(direction->aside, direction->aside_room * sizeof(struct held *));
	}
	direction->aside[direction->aside_used++] = one;
}

static inline void forget_aside(struct direction *direction, const struct held *one)
{
	for (size_t i = 0; i < direction->aside_used; i++)
		if (direction->aside[i] == one)
			direction->aside[i--] = direction->aside[--direction->aside_used];
}

/* Take the next packet that may leave at `now`, NULL if there is none. The caller frees it when it is `gone`. */
static inline struct held *hold_take(uint64_t now)
{
	while (holding.used && holding.heap[0]->due <= now) {
		struct held *one = heap_take();
		if (one->gone) {
			free(one);
			continue;
		}
		holding.of[one->side].waiting--;
		if (one->aside)
			forget_aside(&holding.of[one->side], one);
		return one;
	}
	return NULL;
}

/* Count a packet for those that wait aside and came before it. */
static inline void count_passed(int side, uint64_t order)
{
	struct direction *direction = &holding.of[side];
	for (size_t i = 0; i < direction->aside_used; i++)
		if (direction->aside[i]->order < order && direction->aside[i]->behind)
			direction->aside[i]->behind--;
}

/* Take a packet that waited aside and has been passed by enough others, NULL if there is none. */
static inline struct held *take_passed(int side)
{
	struct direction *direction = &holding.of[side];
	struct held *first = NULL;
	for (size_t i = 0; i < direction->aside_used; i++)
		if (!direction->aside[i]->behind && (!first || direction->aside[i]->order < first->order))
			first = direction->aside[i];
	if (first) {
		forget_aside(direction, first);
		first->aside = false;
		first->gone = true; /* it stays in the heap until its time comes */
		direction->waiting--;
	}
	return first;
}

#endif
