/* conversations.h: numbers for conversations, by a hash of their ends, in the order in which they appear. */

#ifndef COLUMNS_CONVERSATIONS_H
#define COLUMNS_CONVERSATIONS_H

#include <stdint.h>

/* A packet's ends, as the columns of a capture have them: addresses are two words each, source first. */
struct ends {
	uint64_t address[4];
	uint16_t port[2];
	uint8_t protocol, version;
	uint8_t turned; /* the source is the second of the conversation's two ends */
	uint8_t unused;
};

struct conversations;

/* NULL without memory. */
struct conversations *new_conversations(void);
void free_conversations(struct conversations *all);
int64_t count_conversations(const struct conversations *all);
/* Write the keys of all, in the order of their numbers. */
void conversation_keys(const struct conversations *all, uint64_t *keys);
/* The number of a conversation, -1 without memory; `ends` are kept of one that is new (NULL: none are known). */
int32_t number_conversation(struct conversations *all, uint64_t key, const struct ends *ends);
/* The number of the conversation of a packet with these ends, of which `turned` is set; -1 without memory. Of those that were asked
 * for not long ago it is known without their keys. */
int32_t conversation_between(struct conversations *all, struct ends *ends);
/* Write the ends that were kept of each, in the order of their numbers; version 0 where none were. */
void conversation_ends(const struct conversations *all, struct ends *ends);
/* Number those of many packets; false without memory. */
int number_conversations(struct conversations *all, const uint64_t *keys, int64_t count, int32_t *numbers);

#endif
