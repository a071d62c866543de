/* hold.h: packets that wait in the link, and in which order they leave. Pure: time is passed in. */

#ifndef LINK_HOLD_H
#define LINK_HOLD_H

#include "link/record.h"

struct held {
	uint64_t due, order; /* monotonic ns; among equals the first that came leaves first */
	bool queued;         /* the kernel holds it, as number `id`; else its bytes are in `bytes` */
	bool recorded;       /* it is in the journal: false for sentinels */
	bool aside, gone;    /* lets others pass; was let go before its time */
	uint32_t id;
	uint64_t place; /* in the ring of the direction that it came in */
	int side;       /* that direction, or the one in which a made packet travels */
	uint64_t behind;
	struct blob bytes; /* what the kernel shall send instead, or what we send ourselves */
	struct record record;
};

/* Numbers of the packets of one direction that are in the kernel, in order. */
struct ring {
	bool *left; /* by number modulo `room`, a power of two */
	uint64_t head, tail, room;
};

struct direction {
	struct ring ring;
	struct held **aside;
	size_t aside_used, aside_room;
	uint64_t waiting, latest; /* packets of it that wait, and when the last of them leaves */
};

/* All that wait. */
struct holding {
	struct held **heap;
	size_t used, room;
	uint64_t orders;
	struct direction of[SIDES];
};

/* Give a packet that is in the kernel its place in the ring. */
uint64_t ring_add(struct ring *ring);

/* Note that a packet leaves the kernel; true if none before it is there. */
bool ring_remove(struct ring *ring, uint64_t place);

struct held *hold_new(struct holding *holding, int side, uint64_t due);

/* Let a packet wait; with `behind`, until that many of its direction have passed it, at most until it is due. */
void hold_add(struct holding *holding, struct held *one);

/* Take the next packet that may leave at `now`, NULL if there is none. The caller frees it. */
struct held *hold_take(struct holding *holding, uint64_t now);

/* Count a packet for those that wait aside and came before it. */
void count_passed(struct holding *holding, int side, uint64_t order);

/* Take a packet that waited aside and has been passed by enough others, NULL if there is none. It stays in the heap,
 * `gone`, and hold_take frees it when its time comes. */
struct held *take_passed(struct holding *holding, int side);

void free_holding(struct holding *holding);

#endif
