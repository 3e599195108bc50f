/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rings of tagged slots.
 *
 *   position   ...  p-1     p     p+1   ...              The slot of position p is p mod count. The producer writes
 *   tag        ...   p     p+1   p+2-n  ...              60 bytes, then the tag. Nothing else is shared on the way:
 *                  written  ^    one lap old             the consumer learns of message p from p's own cache line.
 *                           consumer reads here
 *
 * Barriers come in pairs:
 *
 * A  uw_tx_put releases the tag after the 60 bytes; uw_rx_get acquires the tag before it copies them. A consumer that
 *    sees tag p+1 sees message p whole. A producer overwrites the slot only after the consumer said, by a message or
 *    its page, that it had read it; that word too is read after the copy was made, because the consumer stores it
 *    later in its program and with release (A again, or uw_rx_tell).
 *
 * B  uw_tx_kick: store tag, fence, load wake.     uw_rx_sleep: store wake, fence, load tag.
 *    With a full fence on both sides at least one of the two loads sees the other's store: either the producer sees
 *    the wake index and kicks, or the consumer sees the message and stays awake. With either fence left out both may
 *    miss, and a wake-up is lost about once in a thousand sleeps.
 *
 * C  uw_rx_tell: store consumed, fence, load space.  uw_tx_wait: store space, fence, load consumed.
 *    The same, for a producer that waits for room.
 *
 * D  Host, for a new epoch: store state RESETTING, fence, clear ring and positions, release epoch, release state READY.
 *    Guest, before it calls what it read a lie: load tag or position, fence, acquire state, load epoch.
 *    A guest that still works in the old epoch and sees something cleared sees also that the epoch is over: the state
 *    is not READY, or it is READY of the new epoch, which the epoch then shows.
 *
 * Positions are private. What the peer says of its own position is checked to lie between its last word and our head;
 * a value outside is a lie and costs the peer its session.
 */
#include "ring.h"

void uw_ring_clear(struct uw_slot *slots, uint32_t count, uint32_t start)
{
	uint32_t i, pos;

	uw_zero(slots, (size_t)count * sizeof(*slots));
	for (i = 0; i < count; i++) {
		pos = start + i;
		uw_write32(&slots[pos & (count - 1)].tag, pos + 1 - count);
	}
}

void uw_tx_init(struct uw_tx *tx, struct uw_slot *slots, uint32_t count, uint32_t start, struct uw_hot *own,
		const struct uw_hot *theirs)
{
	tx->slots = slots;
	tx->count = count;
	tx->head = tx->told = tx->peer = tx->said = tx->shown = start;
	tx->own = own;
	tx->theirs = theirs;
	/* An index already passed: nobody waits for room. */
	uw_write32(&own->space, start - 1);
}

uint32_t uw_tx_room(const struct uw_tx *tx)
{
	return tx->count - (tx->head - tx->peer);
}

/* The page and the messages may be read in either order, so each word is judged against its own last value. */
static bool tx_judge(struct uw_tx *tx, uint32_t *last, uint32_t consumed)
{
	if (consumed - *last > tx->head - *last)
		return false;
	*last = consumed;
	if (tx->head - consumed < tx->head - tx->peer)
		tx->peer = consumed;
	return true;
}

bool uw_tx_said(struct uw_tx *tx, uint32_t consumed)
{
	return tx_judge(tx, &tx->said, consumed);
}

bool uw_tx_look(struct uw_tx *tx)
{
	return tx_judge(tx, &tx->shown, uw_acquire32(&tx->theirs->consumed)); /* A */
}

void uw_tx_put(struct uw_tx *tx, const struct uw_slot *m)
{
	struct uw_slot *slot = &tx->slots[tx->head & (tx->count - 1)];
	const size_t body = offsetof(struct uw_slot, epoch);

	uw_copy((uint8_t *)slot + body, (const uint8_t *)m + body, sizeof(*m) - body);
	uw_release32(&slot->tag, ++tx->head); /* A */
}

bool uw_tx_kick(struct uw_tx *tx)
{
	uint32_t before = tx->told;

	if (tx->head == before)
		return false;
	tx->told = tx->head;
	uw_fence(); /* B */
	return uw_passed(tx->head, before, uw_read32(&tx->theirs->wake));
}

/* Once more when the look has found that the peer read on: the index asked for is then one it has passed already, and a
 * producer that needs more than the one slot would wait for ever. */
bool uw_tx_wait(struct uw_tx *tx)
{
	uint32_t peer;

	do {
		peer = tx->peer;
		uw_write32(&tx->own->space, peer);
		uw_fence(); /* C */
		if (!uw_tx_look(tx))
			return false;
	} while (tx->peer != peer);
	return true;
}

void uw_rx_init(struct uw_rx *rx, const struct uw_slot *slots, uint32_t count, uint32_t start, uint16_t epoch,
		struct uw_hot *own, const struct uw_hot *theirs)
{
	rx->slots = slots;
	rx->count = count;
	rx->pos = rx->told = start;
	rx->epoch = epoch;
	rx->own = own;
	rx->theirs = theirs;
	uw_write32(&own->consumed, start);
	uw_write32(&own->wake, start);
}

static enum uw_rx_result rx_peek(const struct uw_rx *rx)
{
	uint32_t tag = uw_acquire32(&rx->slots[rx->pos & (rx->count - 1)].tag); /* A */

	if (tag == rx->pos + 1)
		return UW_RX_MESSAGE;
	return tag == rx->pos + 1 - rx->count ? UW_RX_EMPTY : UW_RX_BAD;
}

bool uw_rx_ready(const struct uw_rx *rx)
{
	return rx_peek(rx) != UW_RX_EMPTY;
}

enum uw_rx_result uw_rx_get(struct uw_rx *rx, struct uw_slot *copy)
{
	enum uw_rx_result result = rx_peek(rx);

	if (result != UW_RX_MESSAGE)
		return result;
	uw_copy(copy, &rx->slots[rx->pos & (rx->count - 1)], sizeof(*copy));
	if (uw_get16(copy->epoch) != rx->epoch)
		return UW_RX_BAD;
	rx->pos++;
	return UW_RX_MESSAGE;
}

bool uw_rx_tell(struct uw_rx *rx)
{
	uint32_t before = rx->told;

	if (rx->pos == before)
		return false;
	rx->told = rx->pos;
	uw_release32(&rx->own->consumed, rx->pos); /* A */
	uw_fence(); /* C */
	return uw_passed(rx->pos, before, uw_read32(&rx->theirs->space));
}

void uw_rx_stay_awake(struct uw_rx *rx)
{
	uw_write32(&rx->own->wake, rx->pos - 1);
}

bool uw_rx_sleep(struct uw_rx *rx)
{
	uw_write32(&rx->own->wake, rx->pos);
	uw_fence(); /* B */
	return rx_peek(rx) == UW_RX_EMPTY;
}
