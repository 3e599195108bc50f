/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest that writes its bytes by hand, against the host of a rig. */
#ifndef UW_PLAYER_H
#define UW_PLAYER_H

#include "rig.h"
#include "vectors.h"

#define PLAYER_ANSWERS 1024u /* more than a ring of completions and one of submissions */

struct player {
	struct rig *rig;
	struct uw_layout l;    /* both as in the rig */
	uint8_t *view;

	uint32_t epoch, incarnation;
	uint32_t head, pos;    /* next submission, next completion */
	uint32_t said;         /* consumed, as the host's messages said it last */
	uint32_t asked, answered; /* in this epoch: messages that get an answer, answers */
	uint16_t use;
	bool deaf;             /* reads no completions */
	bool keep_events;      /* leaves port events unacknowledged */
	struct uw_slot answer[PLAYER_ANSWERS];
	uint32_t answers, taken;
};

/* size: of the region; sub_slots and start: of its rings. */
void player_init(struct player *p, uint32_t size, uint16_t sub_slots, uint32_t start);
/* A guest that has not been there yet. */
void player_reset(struct player *p);

/* Writes slot as the next submission; its tag, epoch and consumed are added to the right ones. */
void player_send(struct player *p, const struct uw_slot *slot);
void player_word(struct player *p, uint32_t at, uint32_t value);
/* Lets the host work, and reads its answers, until neither has anything to do. */
void player_settle(struct player *p);
/* The next answer, or NULL. */
const struct uw_slot *player_take(struct player *p);

/* A new incarnation; the epoch that follows is offered. False: it is not. */
UW_MUST_CHECK bool player_renew(struct player *p);
void player_echo(struct player *p);
/* Says hello and acknowledges the events. False: not welcome. */
UW_MUST_CHECK bool player_greet(struct player *p);
/* One transfer, with its bytes. */
UW_MUST_CHECK bool player_probe(struct player *p);
/* Sets data to zero where devices may have written; false when there is a byte elsewhere. */
UW_MUST_CHECK bool player_clean(struct player *p);
/* Completions that are written and that it has not read. */
uint32_t player_unread(struct player *p);

static inline struct uw_guest_page *player_page(struct player *p)
{
	return (void *)(p->view + p->l.guest_page);
}

/* The host's, as long as the guest has not written over it. */
static inline const struct uw_host_page *player_host(const struct player *p)
{
	return (void *)p->view;
}

#endif
