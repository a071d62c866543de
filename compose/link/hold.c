#include "link/hold.h"

#include <stdlib.h>

#include "common/memory.h"

uint64_t ring_add(struct ring *ring)
{
	if (ring->tail - ring->head == ring->room) {
		uint64_t room = ring->room ? 2 * ring->room : 1024;
		bool *left = grow(NULL, room);
		for (uint64_t i = ring->head; i < ring->tail; i++)
			left[i & (room - 1)] = ring->left[i & (ring->room - 1)];
		free(ring->left);
		ring->left = left;
		ring->room = room;
	}
	ring->left[ring->tail & (ring->room - 1)] = false;
	return ring->tail++;
}

bool ring_remove(struct ring *ring, uint64_t place)
{
	bool first = place == ring->head;
	ring->left[place & (ring->room - 1)] = true;
	while (ring->head < ring->tail && ring->left[ring->head & (ring->room - 1)])
		ring->head++;
	return first;
}

static bool earlier(const struct held *a, const struct held *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void heap_add(struct holding *holding, struct held *one)
{
	if (holding->used == holding->room) {
		holding->room = holding->room ? 2 * holding->room : 1024;
		holding->heap = grow(holding->heap, holding->room * sizeof *holding->heap);
	}
	size_t at = holding->used++;
	for (; at && earlier(one, holding->heap[(at - 1) / 2]); at = (at - 1) / 2)
		holding->heap[at] = holding->heap[(at - 1) / 2];
	holding->heap[at] = one;
}

static struct held *heap_take(struct holding *holding)
{
	struct held *first = holding->heap[0], *last = holding->heap[--holding->used];
	size_t at = 0;
	for (size_t child; (child = 2 * at + 1) < holding->used; at = child) {
		if (child + 1 < holding->used && earlier(holding->heap[child + 1], holding->heap[child]))
			child++;
		if (!earlier(holding->heap[child], last))
			break;
		holding->heap[at] = holding->heap[child];
	}
	holding->heap[at] = last;
	return first;
}

struct held *hold_new(struct holding *holding, int side, uint64_t due)
{
	struct held *one = zeroed(sizeof *one);
	one->side = side;
	one->due = due;
	one->order = holding->orders++;
	return one;
}

void hold_add(struct holding *holding, struct held *one)
{
	struct direction *direction = &holding->of[one->side];
	heap_add(holding, one);
	direction->waiting++;
	if (one->due > direction->latest)
		direction->latest = one->due;
	if (!one->behind)
		return;
	one->aside = true;
	if (direction->aside_used == direction->aside_room) {
		direction->aside_room += 64;
		direction->aside = grow(direction->aside, direction->aside_room * sizeof(struct held *));
	}
	direction->aside[direction->aside_used++] = one;
}

static void forget_aside(struct direction *direction, const struct held *one)
{
	for (size_t i = 0; i < direction->aside_used; i++)
		if (direction->aside[i] == one)
			direction->aside[i--] = direction->aside[--direction->aside_used];
}

struct held *hold_take(struct holding *holding, uint64_t now)
{
	while (holding->used && holding->heap[0]->due <= now) {
		struct held *one = heap_take(holding);
		if (one->gone) {
			free(one);
			continue;
		}
		holding->of[one->side].waiting--;
		if (one->aside)
			forget_aside(&holding->of[one->side], one);
		return one;
	}
	return NULL;
}

void count_passed(struct holding *holding, int side, uint64_t order)
{
	struct direction *direction = &holding->of[side];
	for (size_t i = 0; i < direction->aside_used; i++)
		if (direction->aside[i]->order < order && direction->aside[i]->behind)
			direction->aside[i]->behind--;
}

struct held *take_passed(struct holding *holding, int side)
{
	struct direction *direction = &holding->of[side];
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

void free_holding(struct holding *holding)
{
	for (size_t i = 0; i < holding->used; i++) {
		free(holding->heap[i]->bytes.bytes);
		free(holding->heap[i]);
	}
	free(holding->heap);
	for (int side = 0; side < SIDES; side++) {
		free(holding->of[side].ring.left);
		free(holding->of[side].aside);
	}
	*holding = (struct holding){0};
}
