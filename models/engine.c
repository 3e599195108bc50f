/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine under every model: endpoint queues, pacing, and the one loop that moves bytes.
 *
 * A verb never calls complete() from its own depth. Ended transfers go to the done list, and one loop, run(), serves
 * endpoints and hands out what has ended; a verb called from inside complete() only queues, because running is set.
 * So the stack stays flat however the host nests its calls. The loop gives the host's own loop a turn after
 * UW_MODEL_BATCH completions, by arming the timer for now.
 */
#include "engine.h"

#define UW_MODEL_BATCH 256u

static struct uw_transfer_io *io_of(struct uw_list *node) { return UW_CONTAINER(node, struct uw_transfer_io, node); }
static uint64_t now(struct uw_model *m) { return m->dev.host->now(&m->dev); }
static uint32_t bit(const struct uw_model_ep *ep) { return 1u << uw_model_index(ep->address); }

/* ---- ends of transfers ------------------------------------------------------------------------------------------ */

/* The transfer has ended: it leaves its queue and waits for run() to pass it on. */
void uw_model_finish(struct uw_model *m, struct uw_transfer_io *io, uint32_t status)
{
	io->status = status;
	io->own = NULL;
	if (status != UW_ST_OK && io->verb == UW_VERB_SUBMIT && io->type == UW_ISOCH)
		for (uint32_t i = 0; i < io->packets; i++) {
			io->iso[i].actual = 0;
			io->iso[i].status = status;
		}
	uw_list_add(&m->done, &io->node);
}

/* own names the endpoint while the transfer is in its queue. */
void uw_model_finish_queued(struct uw_model *m, struct uw_transfer_io *io, uint32_t status)
{
	struct uw_model_ep *ep = io->own;

	uw_list_del(&io->node);
	ep->idle = uw_list_empty(&ep->queue);
	uw_model_finish(m, io, status);
}

/* Ends all of one endpoint's transfers; what it moved so far counts. */
void uw_model_end_queue(struct uw_model *m, struct uw_model_ep *ep, uint32_t status)
{
	struct uw_list *node;

	while ((node = uw_list_pop(&ep->queue)))
		uw_model_finish(m, io_of(node), status);
	ep->idle = true;
	m->ready &= ~bit(ep);
	m->waiting &= ~bit(ep);
}

void uw_model_end_all(struct uw_model *m, uint32_t status)
{
	for (uint32_t i = 0; i < UW_MODEL_ADDRESSES; i++)
		uw_model_end_queue(m, &m->ep[i], status);
}

bool uw_model_deliver(struct uw_model *m)
{
	struct uw_list *node = uw_list_pop(&m->done);

	if (node)
		m->dev.host->complete(&m->dev, io_of(node));
	return node != NULL;
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

/* The endpoint's queue goes on at when; until then nothing looks at it. */
static void wait_until(struct uw_model *m, struct uw_model_ep *ep, uint64_t when)
{
	ep->due = when;
	m->waiting |= bit(ep);
	m->ready &= ~bit(ep);
}

/* An endpoint that comes out of idleness keeps its rhythm if it missed less than a period, and begins anew otherwise.
 * One whose queue never ran dry catches up instead, however late the timer was. */
static void keep_rhythm(struct uw_model_ep *ep, uint64_t t)
{
	if (ep->idle && t >= ep->next + ep->period)
		ep->next = t;
	ep->idle = false;
}

/*
 * When to look at an isochronous queue again: as late as a frame from now, so that one timer serves many packets, but
 * not after the whole queue is through, when the host would run dry; and never before its head has ended.
 */
static uint64_t isoch_due(const struct uw_model_ep *ep, uint64_t t)
{
	uint64_t end = ep->next, due = 0;

	for (struct uw_list *node = ep->queue.next; node != &ep->queue; node = node->next) {
		end += io_of(node)->packets * ep->period;
		if (due && end > t + UW_MS)
			break;
		due = end;
	}
	return due;
}

/* Asks the host for the earliest moment of interest, once, and for none when there is none. */
static void rearm(struct uw_model *m)
{
	uint64_t when = m->alarm;

	if (!uw_list_empty(&m->done) || (m->ready && !m->suspended))
		when = now(m);
	for (uint32_t left = m->suspended ? 0 : m->waiting; left; left &= left - 1) {
		uint64_t due = m->ep[__builtin_ctz(left)].due;

		when = due < when ? due : when;
	}
	if (when == m->armed)
		return;
	m->armed = when;
	m->dev.host->arm(&m->dev, when);
}

/* ---- moving bytes ----------------------------------------------------------------------------------------------- */

enum uw_model_end uw_model_fit(const struct uw_model_ep *ep, uint32_t ready, bool zero, uint32_t room, uint32_t *moved)
{
	*moved = uw_min(ready, room);
	if (ready > room)
		return room % ep->packet || !room ? UW_END_BABBLE : UW_END_MORE;
	if (ready % ep->packet)
		return UW_END_SHORT;
	if (ready && ready == room)
		return UW_END_MORE;
	return zero ? UW_END_SHORT : UW_END_NAK;
}

static void serve_control(struct uw_model *m, struct uw_transfer_io *io)
{
	const uint8_t *b = io->setup;
	struct uw_setup s = {
		.type = b[0], .request = b[1],
		.value = (uint16_t)(b[2] | b[3] << 8),
		.index = (uint16_t)(b[4] | b[5] << 8),
		.length = (uint16_t)uw_min(io->length, (uint32_t)(b[6] | b[7] << 8)),
	};
	int32_t moved;

	if (s.type & 0x60)
		moved = m->class->control(m, &s, io->data);
	else
		moved = uw_model_standard(m, &s, io->data);
	io->actual = moved < 0 ? 0 : (uint32_t)moved;
	uw_model_finish_queued(m, io, moved < 0 ? UW_ST_STALL : UW_ST_OK);
}

/* One step of a bulk or interrupt transfer: all that is left of it, or one interval's share. */
static enum uw_model_end step(struct uw_model *m, struct uw_model_ep *ep, struct uw_transfer_io *io, uint32_t *asked,
			      uint32_t *moved)
{
	uint32_t left = io->length - io->actual;
	uint32_t n = ep->period ? uw_min(left, ep->service) : left;
	uint8_t *at = io->actual ? io->data + io->actual : io->data; /* NULL, perhaps, when length is 0 */
	bool ends;

	*asked = n;
	*moved = 0;
	if (ep->address & 0x80)
		return m->class->in(m, ep, at, n, moved);
	ends = n == left && (!io->length || io->length % ep->packet || io->flags & UW_SUBMIT_ZERO_PACKET);
	return m->class->out(m, ep, at, n, ends, moved);
}

static void serve_data(struct uw_model *m, struct uw_model_ep *ep, struct uw_transfer_io *io)
{
	uint32_t asked, moved;
	enum uw_model_end end = step(m, ep, io, &asked, &moved);

	io->actual += moved;
	ep->next += ep->period;
	if (end == UW_END_STALL) {
		ep->halted = true;
		uw_model_finish_queued(m, io, UW_ST_STALL);
	} else if (end == UW_END_BABBLE) {
		uw_model_finish_queued(m, io, UW_ST_BABBLE);
	} else if (end == UW_END_SHORT || (end == UW_END_MORE && io->actual == io->length)) {
		uw_model_finish_queued(m, io, UW_ST_OK);
	} else if (end == UW_END_NAK || (asked && !moved)) {
		ep->next -= moved ? 0 : ep->period;
		ep->idle = true;
		m->ready &= ~bit(ep);
	}
}

/* Packets are independent: a halt or a lack of data concerns one of them, USB 2.0 5.6.4. */
static uint32_t isoch_packet(struct uw_model *m, struct uw_model_ep *ep, struct uw_transfer_io *io, struct uw_iso *p)
{
	uint8_t *at = p->offset ? io->data + p->offset : io->data;
	enum uw_model_end end;
	uint32_t moved = 0;

	p->actual = 0;
	if (ep->address & 0x80)
		end = m->class->in(m, ep, at, p->length, &moved);
	else if (p->length > ep->service)
		return UW_ST_INVALID;
	else
		end = m->class->out(m, ep, at, p->length, true, &moved);
	p->actual = moved;
	return end == UW_END_BABBLE ? UW_ST_BABBLE : UW_ST_OK;
}

static void serve_isoch(struct uw_model *m, struct uw_model_ep *ep, struct uw_transfer_io *io)
{
	for (uint32_t i = 0; i < io->packets; i++) {
		io->iso[i].status = isoch_packet(m, ep, io, &io->iso[i]);
		io->actual = uw_min(io->actual + io->iso[i].actual, io->length); /* packets may overlap */
	}
	ep->next += io->packets * ep->period;
	uw_model_finish_queued(m, io, UW_ST_OK);
}

/* A paced endpoint's turn has come, or waits. An interrupt packet goes at the start of its interval; isochronous
 * transfers end with their last one. */
static bool on_time(struct uw_model *m, struct uw_model_ep *ep, const struct uw_transfer_io *io)
{
	uint64_t t, end;

	if (!ep->period)
		return true;
	t = now(m);
	keep_rhythm(ep, t);
	end = ep->next + (ep->type == UW_ISOCH ? io->packets * ep->period : 0);
	if (t >= end)
		return true;
	wait_until(m, ep, ep->type == UW_ISOCH ? isoch_due(ep, t) : end);
	return false;
}

/* Serves the head of one endpoint's queue, once. */
static void serve(struct uw_model *m, struct uw_model_ep *ep)
{
	struct uw_transfer_io *io;

	if (uw_list_empty(&ep->queue)) {
		m->ready &= ~bit(ep);
		return;
	}
	io = io_of(ep->queue.next);
	if (ep->type == UW_CONTROL)
		serve_control(m, io);
	else if (ep->halted)
		uw_model_finish_queued(m, io, UW_ST_STALL);
	else if (!on_time(m, ep, io))
		return;
	else if (ep->type == UW_ISOCH)
		serve_isoch(m, ep, io);
	else
		serve_data(m, ep, io);
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* The endpoints take turns, so that a host which submits from inside complete() cannot starve one with another. */
static struct uw_model_ep *next_turn(struct uw_model *m)
{
	uint32_t later = m->ready & ~((2u << m->turn) - 1);

	m->turn = (uint32_t)__builtin_ctz(later ? later : m->ready);
	return &m->ep[m->turn];
}

void uw_model_run(struct uw_model *m)
{
	uint32_t batch = UW_MODEL_BATCH;

	if (m->running)
		return;
	m->running = true;
	while (batch && m->open) {
		if (uw_model_deliver(m))
			batch--;
		else if (m->ready && !m->suspended)
			serve(m, next_turn(m));
		else
			break;
	}
	while (!m->open && uw_model_deliver(m))
		;
	m->running = false;
	if (m->open)
		rearm(m);
}

void uw_model_kick(struct uw_model *m, uint8_t address)
{
	struct uw_model_ep *ep = &m->ep[uw_model_index(address)];

	if (!uw_list_empty(&ep->queue) && !(m->waiting & bit(ep)))
		m->ready |= bit(ep);
}

/* What the endpoint waits for may have changed: look again instead. */
void uw_model_look(struct uw_model *m, struct uw_model_ep *ep)
{
	m->waiting &= ~bit(ep);
	uw_model_kick(m, ep->address);
}

void uw_model_halt(struct uw_model *m, uint8_t address)
{
	struct uw_model_ep *ep = &m->ep[uw_model_index(address)];

	ep->halted = true;
	uw_model_look(m, ep);
}

void uw_model_alarm(struct uw_model *m, uint64_t when) { m->alarm = when; }

bool uw_model_wake(struct uw_model *m)
{
	if (!m->suspended || !m->wakeup)
		return false;
	m->dev.host->wakeup(&m->dev);
	return true;
}

void uw_model_tick(struct uw_model *m)
{
	uint64_t t = now(m);

	m->armed = UW_NEVER;
	for (uint32_t left = m->waiting; left; left &= left - 1) {
		struct uw_model_ep *ep = &m->ep[__builtin_ctz(left)];

		if (ep->due > t)
			continue;
		m->waiting &= ~bit(ep);
		m->ready |= bit(ep);
	}
	if (m->alarm <= t) {
		m->alarm = UW_NEVER;
		if (m->class->alarm)
			m->class->alarm(m);
	}
	uw_model_run(m);
}
