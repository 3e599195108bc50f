/* SPDX-License-Identifier: GPL-2.0-only */
/* Single-producer single-consumer rings of tagged 64-byte slots; the proof of the barriers stands in ring.c. */
#ifndef UW_RING_H
#define UW_RING_H

#include "base.h"

/* Producer's end. One owner: the caller's lock or loop. */
struct uw_tx {
	struct uw_slot *slots;
	uint32_t count;              /* slots, a power of two */
	uint32_t head;               /* position of the next message */
	uint32_t told;               /* head when the peer's wake index was last looked at */
	uint32_t peer;               /* position up to which the peer has read, as judged */
	uint32_t said;               /* the same as its messages said it last */
	uint32_t shown;              /* the same as its page showed it last */
	struct uw_hot *own;          /* own page: space */
	const struct uw_hot *theirs; /* peer's page: wake, consumed */
};

/* Consumer's end. One owner. */
struct uw_rx {
	const struct uw_slot *slots;
	uint32_t count;
	uint32_t pos;                /* position of the next message */
	uint32_t told;               /* consumed as last published in the own page */
	uint16_t epoch;              /* low 16 bits that every message must carry */
	struct uw_hot *own;          /* own page: wake, consumed */
	const struct uw_hot *theirs; /* peer's page: space */
};

enum uw_rx_result { UW_RX_EMPTY, UW_RX_MESSAGE, UW_RX_BAD };

/* Gives every slot the tag of one lap before start, so that all read as empty at any start, just below 2^32 too. */
void uw_ring_clear(struct uw_slot *slots, uint32_t count, uint32_t start);

void uw_tx_init(struct uw_tx *tx, struct uw_slot *slots, uint32_t count, uint32_t start, struct uw_hot *own,
		const struct uw_hot *theirs);
/* Slots free now, by what the peer is known to have read. */
uint32_t uw_tx_room(const struct uw_tx *tx);
/* Takes in the consumed word of a message. False: an impossible position, the peer lies. */
UW_MUST_CHECK bool uw_tx_said(struct uw_tx *tx, uint32_t consumed);
/* Takes in the consumed word of the peer's page. False: the peer lies. */
UW_MUST_CHECK bool uw_tx_look(struct uw_tx *tx);
/* Publishes a message; needs room. m's tag is ignored. */
void uw_tx_put(struct uw_tx *tx, const struct uw_slot *m);
/* Once per batch of puts: must the peer be kicked? */
UW_MUST_CHECK bool uw_tx_kick(struct uw_tx *tx);
/* No room: asks to be kicked when the peer has read more, then looks again. False: the peer lies. */
UW_MUST_CHECK bool uw_tx_wait(struct uw_tx *tx);

void uw_rx_init(struct uw_rx *rx, const struct uw_slot *slots, uint32_t count, uint32_t start, uint16_t epoch,
		struct uw_hot *own, const struct uw_hot *theirs);
/* The one reader of a ring: copies the next message out of shared memory, and steps over it. */
UW_MUST_CHECK enum uw_rx_result uw_rx_get(struct uw_rx *rx, struct uw_slot *copy);
/* Is there something to get, a message or a fault? Takes nothing and publishes nothing. */
UW_MUST_CHECK bool uw_rx_ready(const struct uw_rx *rx);
/* Once per batch: publishes the consumed position. True: the peer waits for room and must be kicked. */
UW_MUST_CHECK bool uw_rx_tell(struct uw_rx *rx);
/* While polling: asks for no kick. Until the next uw_rx_sleep somebody must look by himself. */
void uw_rx_stay_awake(struct uw_rx *rx);
/* Before sleeping: asks for a kick with the next message, then looks again. False: there is something, do not sleep. */
UW_MUST_CHECK bool uw_rx_sleep(struct uw_rx *rx);

#endif
