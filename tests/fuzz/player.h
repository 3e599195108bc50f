/* SPDX-License-Identifier: GPL-2.0-only */
/* A host with its scripted devices, and a guest that writes its bytes by hand. */
#ifndef UW_PLAYER_H
#define UW_PLAYER_H

#include "host.h"
#include "vectors.h"

#define PLAYER_ANSWERS 256u

struct player {
	struct uw_layout l;
	struct uw_host *h;
	struct uw_host_memory mem;
	uint8_t *host_view;    /* guest's page and ring read-only, fences around */
	uint8_t *view;         /* the guest's */
	uint64_t now;
	struct uw_list idle;   /* with the devices, until cancelled */
	uint32_t idle_count;

	uint32_t epoch, incarnation;
	uint32_t head, pos;    /* next submission, next completion */
	uint32_t said;         /* consumed, as the host's messages said it last */
	uint32_t asked, answered; /* in this epoch: messages that get an answer, answers */
	uint64_t kicks;
	uint16_t use;
	bool deaf;             /* reads no completions */
	bool keep_events;      /* leaves port events unacknowledged */
	struct uw_slot answer[PLAYER_ANSWERS];
	uint32_t answers, taken;

	uint32_t low[64], high[64]; /* what devices wrote since the last player_clean, from the start of data */
	uint32_t writes;
	uint64_t faults;       /* of the host against its own promises; each is printed */
};

/* size: of the region; sub_slots and start: of its rings. */
void player_init(struct player *p, uint32_t size, uint16_t sub_slots, uint32_t start);
/* A new host in the same memory. */
void player_reset(struct player *p);

/* Writes slot as the next submission; its tag, epoch and consumed are added to the right ones. */
void player_send(struct player *p, const struct uw_slot *slot);
void player_word(struct player *p, uint32_t at, uint32_t value);
/* Lets the host work, and reads its answers, until neither has anything to do. */
void player_settle(struct player *p);
/* The oldest transfer that waits with its device ends; what the device says may be wrong. */
void player_complete(struct player *p, enum uw_status status, uint32_t actual);
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

static inline struct uw_guest_page *player_page(struct player *p)
{
	return (void *)(p->view + p->l.guest_page);
}

#endif
