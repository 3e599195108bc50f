/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's URB path.
 *
 *   enqueue -> QUEUED -> GRANTED -> FILLING -> READY -> FLYING -> DRAINING -> (next piece: QUEUED) or the driver's again
 *              space?     driver copies       entry, room?        driver copies back
 *
 * An endpoint's URBs are submitted in the order in which they were enqueued, however their copies overtake each other.
 * An URB in pieces goes before the others of its endpoint until its last piece is submitted. Most are known when space is
 * granted; with isochronous packets the driver may choose fewer than there was room for, so others can have space by then.
 */
#include "urb.h"

void uw_urb_init(struct uw_guest *g)
{
	uint32_t i;

	for (i = 0; i < g->layout.transfers; i++) {
		g->mem.urbs[i] = NULL;
		g->mem.uses[i] = 0;
		g->mem.free[i] = (uint16_t)i;
	}
	g->free_entries = g->layout.transfers;
	uw_shares_init(&g->shares, &g->layout);
	uw_list_init(&g->eps);
	uw_list_init(&g->stuck);
	uw_list_init(&g->filling);
	uw_list_init(&g->done);
	uw_list_init(&g->cancels);
}

void uw_ep_init(struct uw_ep *ep, uint8_t port, uint8_t address, uint8_t transfer, uint32_t unit)
{
	uw_zero(ep, sizeof(*ep));
	uw_list_init(&ep->queued);
	uw_list_init(&ep->urbs);
	uw_list_init(&ep->node);
	uw_list_init(&ep->stuck);
	ep->port = port;
	ep->address = address;
	ep->transfer = transfer;
	ep->unit = unit ? unit : 1;
}

bool uw_ep_idle(const struct uw_ep *ep)
{
	return uw_list_empty(&ep->queued) && uw_list_empty(&ep->urbs) && !ep->in_flight;
}

/* ---- entries and space ---- */

bool uw_entry_get(struct uw_guest *g, struct uw_urb *urb, uint32_t *id)
{
	uint32_t entry;

	if (!g->free_entries)
		return false;
	entry = g->mem.free[--g->free_entries];
	g->mem.urbs[entry] = urb;
	*id = UW_ID(entry, ++g->mem.uses[entry]);
	return true;
}

void uw_entry_put(struct uw_guest *g, uint32_t id)
{
	g->mem.urbs[UW_ID_ENTRY(id)] = NULL;
	g->mem.free[g->free_entries++] = (uint16_t)UW_ID_ENTRY(id);
}

/*
 * What must stay free after a grant. A port that holds some already leaves as much as it then occupies, so that each
 * further port always finds half of what is there, however many idle transfers the others hold. The last quarter is
 * for ports that hold nothing yet, the last eighth for control alone.
 */
static uint32_t space_to_leave(const struct uw_guest *g, const struct uw_ep *ep, uint32_t granules)
{
	uint32_t holds = g->ports[ep->port].bounce, quarter = g->bounce.granules / 4;

	if (!(ep->address & 0x0f))
		return 0;
	if (!holds)
		return quarter / 2;
	return holds + granules > quarter ? holds + granules : quarter;
}

static bool space_get(struct uw_guest *g, struct uw_urb *urb, uint32_t bytes)
{
	struct uw_guest_port *port = &g->ports[urb->ep->port];
	uint32_t granules = uw_range_granules(&g->bounce, bytes), at;

	if (g->bounce.free < granules || g->bounce.free - granules < space_to_leave(g, urb->ep, granules))
		return false;
	if (!uw_range_get(&g->bounce, bytes, &at))
		return false;
	port->bounce += granules;
	urb->granted = bytes;
	urb->space = g->bounce_at + at;
	return true;
}

static void space_put(struct uw_guest *g, struct uw_urb *urb)
{
	if (!urb->granted)
		return;
	g->ports[urb->ep->port].bounce -= uw_range_granules(&g->bounce, urb->granted);
	uw_range_put(&g->bounce, urb->space - g->bounce_at, urb->granted);
	urb->granted = 0;
}

/* Bytes of whole bursts, at least one. */
static uint32_t whole_units(const struct uw_ep *ep, uint32_t bytes)
{
	return bytes < ep->unit ? ep->unit : bytes - bytes % ep->unit;
}

/* Isochronous URBs: a table for as many packets as may go at once, and room for bytes unless they lie in the region. */
static bool grant_packets(struct uw_guest *g, struct uw_urb *urb, bool *whole)
{
	uint32_t packets = uw_min(urb->packets - urb->first_packet, g->layout.packets_max);
	uint32_t bytes = uw_min(urb->length, g->layout.transfer_max);
	uint32_t table = packets * (uint32_t)sizeof(struct uw_packet);

	*whole = packets == urb->packets && bytes == urb->length;
	return space_get(g, urb, urb->direct != UW_NOT_DIRECT ? table : table + bytes);
}

/*
 * Other URBs: as many bytes as may go at once. While space is short, less will do, down to 16 KiB; but a control
 * transfer has one data stage and cannot be cut.
 */
static bool grant_bytes(struct uw_guest *g, struct uw_urb *urb, bool *whole)
{
	uint32_t left = urb->length - urb->offset;
	uint32_t piece = left <= g->layout.transfer_max ? left : whole_units(urb->ep, g->layout.transfer_max);
	uint32_t least = whole_units(urb->ep, 16384);
	bool bounce = urb->direct == UW_NOT_DIRECT;

	while (bounce && piece && !space_get(g, urb, piece)) {
		if (urb->ep->transfer == UW_CONTROL || piece <= least)
			return false;
		piece = whole_units(urb->ep, piece / 2);
	}
	urb->piece = piece;
	urb->data = !bounce ? urb->direct + urb->offset : piece ? urb->space : 0;
	*whole = piece == urb->length;
	return true;
}

static void make_stuck(struct uw_guest *g, struct uw_ep *ep)
{
	if (uw_list_empty(&ep->stuck))
		uw_list_add(&g->stuck, &ep->stuck);
}

/* Gives space to the endpoint's URBs in order; behind one in pieces nothing moves. */
static void grant(struct uw_guest *g, struct uw_ep *ep)
{
	struct uw_urb *urb;
	bool whole;

	while (!uw_list_empty(&ep->queued)) {
		urb = UW_CONTAINER(ep->queued.next, struct uw_urb, node);
		if (ep->pieces && ep->pieces != urb)
			return;
		if (!(urb->packets ? grant_packets : grant_bytes)(g, urb, &whole)) {
			UW_COUNT(&g->counters, range_waits, 1);
			make_stuck(g, ep);
			return;
		}
		uw_list_del(&urb->node);
		uw_list_add(ep->pieces ? ep->urbs.next : &ep->urbs, &urb->node);
		if (!whole)
			ep->pieces = urb;
		urb->state = UW_URB_GRANTED;
		uw_list_add(&g->filling, &urb->act);
	}
}

/* ---- submission ---- */

static bool is_last(const struct uw_urb *urb)
{
	return urb->packets ? urb->first_packet + urb->piece_packets == urb->packets
			    : urb->offset + urb->piece == urb->length;
}

static enum uw_share_kind share_kind(const struct uw_ep *ep)
{
	return ep->address & 0x0f ? UW_SHARE_TRANSFER : UW_SHARE_CONTROL;
}

static void put_submit(struct uw_guest *g, const struct uw_urb *urb)
{
	struct uw_ask a = { .type = UW_SUB_SUBMIT, .id = urb->id, .port = urb->ep->port };

	a.flags = urb->flags;
	if (!is_last(urb))
		a.flags &= (uint8_t)~UW_SUBMIT_ZERO_PACKET;
	a.u.submit.data = urb->data;
	a.u.submit.length = urb->piece;
	a.u.submit.table = urb->packets ? urb->table : 0;
	a.u.submit.packets = (uint16_t)urb->piece_packets;
	a.u.submit.stream = urb->stream;
	a.u.submit.interval = urb->interval;
	a.u.submit.endpoint = urb->endpoint;
	a.u.submit.transfer = urb->ep->transfer;
	uw_copy(a.u.submit.setup, urb->setup, sizeof(urb->setup));
	uw_guest_put(g, &a);
}

static bool launch(struct uw_guest *g, struct uw_urb *urb)
{
	struct uw_ep *ep = urb->ep;

	if (!uw_guest_room(g, g->layout.reserve))
		return false;
	if (!uw_share_get(&g->shares, ep->port, urb->packets != 0, share_kind(ep))) {
		UW_COUNT(&g->counters, entry_waits, 1);
		return false;
	}
	if (!uw_entry_get(g, urb, &urb->id)) {
		uw_share_put(&g->shares, ep->port, urb->packets != 0, share_kind(ep));
		return false;
	}
	urb->state = UW_URB_FLYING;
	urb->since = g->now;
	ep->in_flight++;
	g->flying++;
	put_submit(g, urb);
	UW_COUNT(&g->counters, transfers, 1);
	return true;
}

/* Between two pieces of an URB nothing else of its endpoint goes out. */
static bool between_pieces(const struct uw_ep *ep)
{
	return ep->pieces && (ep->pieces->state == UW_URB_QUEUED || ep->pieces->state == UW_URB_DRAINING);
}

static void pump_ep(struct uw_guest *g, struct uw_ep *ep)
{
	struct uw_urb *urb;

	if (g->phase == UW_GUEST_RUN)
		grant(g, ep);
	while (g->phase == UW_GUEST_RUN && !g->bye && !uw_list_empty(&ep->urbs)) {
		urb = UW_CONTAINER(ep->urbs.next, struct uw_urb, node);
		if (urb->state != UW_URB_READY || between_pieces(ep))
			break;
		if (!launch(g, urb)) {
			make_stuck(g, ep);
			break;
		}
		if (!is_last(urb)) {
			ep->pieces = urb;
			break;
		}
		uw_list_del(&urb->node);
		if (ep->pieces == urb)
			ep->pieces = NULL;
		grant(g, ep);
	}
	if (uw_list_empty(&ep->queued) && uw_list_empty(&ep->urbs))
		uw_list_del(&ep->node);
}

void uw_urb_pump(struct uw_guest *g)
{
	struct uw_list again, *node;

	/* Endpoints that are stuck once more go to the end of a list that this pass does not look at. */
	uw_list_init(&again);
	while ((node = uw_list_pop(&g->stuck)))
		uw_list_add(&again, node);
	while ((node = uw_list_pop(&again)))
		pump_ep(g, UW_CONTAINER(node, struct uw_ep, stuck));
}

enum uw_status uw_guest_enqueue(struct uw_guest *g, struct uw_urb *urb, uint64_t now)
{
	struct uw_ep *ep = urb->ep;

	g->now = now;
	if (g->phase != UW_GUEST_RUN || !g->ports[ep->port].speed || g->bye)
		return UW_ST_NO_DEVICE;
	urb->offset = urb->piece = urb->data = urb->table = 0;
	urb->first_packet = urb->piece_packets = urb->granted = urb->space = 0;
	urb->moved = urb->actual = urb->errors = 0;
	urb->status = UW_ST_OK;
	urb->answered = urb->cancelled = false;
	urb->epoch = g->epoch;
	uw_list_init(&urb->node);
	uw_list_init(&urb->act);
	urb->state = UW_URB_QUEUED;
	uw_list_add(&ep->queued, &urb->node);
	if (uw_list_empty(&ep->node))
		uw_list_add(&g->eps, &ep->node);
	pump_ep(g, ep);
	return UW_ST_OK;
}

struct uw_urb *uw_guest_fill(struct uw_guest *g, uint64_t now)
{
	struct uw_list *node = uw_list_pop(&g->filling);
	struct uw_urb *urb;

	g->now = now;
	if (!node)
		return NULL;
	urb = UW_CONTAINER(node, struct uw_urb, act);
	urb->state = UW_URB_FILLING;
	return urb;
}

/* Ends an URB, or this piece of it, without an answer. */
static void end_unanswered(struct uw_guest *g, struct uw_urb *urb, enum uw_status status)
{
	uw_list_del(&urb->node);
	uw_list_del(&urb->act);
	urb->answered = false;
	urb->moved = 0;
	urb->status = status;
	urb->state = UW_URB_DRAINING;
	uw_list_add(&g->done, &urb->act);
}

void uw_guest_filled(struct uw_guest *g, struct uw_urb *urb, uint64_t now)
{
	struct uw_ep *ep = urb->ep;

	g->now = now;
	if (urb->cancelled) {
		end_unanswered(g, urb, urb->fate);
	} else {
		urb->state = UW_URB_READY;
		if (urb->offset || urb->first_packet)
			UW_COUNT(&g->counters, pieces, 1);
	}
	pump_ep(g, ep);
}

/* ---- answers ---- */

static void land(struct uw_guest *g, struct uw_urb *urb)
{
	struct uw_ep *ep = urb->ep;

	uw_entry_put(g, urb->id);
	uw_share_put(&g->shares, ep->port, urb->packets != 0, share_kind(ep));
	ep->in_flight--;
	g->flying--;
}

static void count_answer(struct uw_guest *g, const struct uw_urb *urb)
{
	uw_histogram_add(&g->latency, g->now - urb->since);
	UW_COUNT(&g->counters, bytes_moved, urb->moved);
	if (urb->status == UW_ST_OK)
		UW_COUNT(&g->counters, transfers_ok, 1);
	else if (urb->status == UW_ST_STALL)
		UW_COUNT(&g->counters, stalls, 1);
	else if (urb->status == UW_ST_CANCELLED)
		UW_COUNT(&g->counters, cancelled, 1);
	else
		UW_COUNT(&g->counters, errors, 1);
}

bool uw_urb_answer(struct uw_guest *g, const struct uw_answer *a)
{
	struct uw_urb *urb = g->mem.urbs[UW_ID_ENTRY(a->id)];

	if (!urb || urb->id != a->id || a->u.complete.actual > urb->piece ||
	    a->u.complete.errors > urb->piece_packets)
		return false;
	land(g, urb);
	end_unanswered(g, urb, a->u.complete.status);
	urb->answered = true;
	urb->moved = a->u.complete.actual;
	urb->errors += a->u.complete.errors;
	count_answer(g, urb);
	return true;
}

struct uw_urb *uw_guest_done(struct uw_guest *g)
{
	struct uw_list *node = uw_list_pop(&g->done);

	return node ? UW_CONTAINER(node, struct uw_urb, act) : NULL;
}

/* A piece that moved in full is followed by the next; a short one, an error, a cancel and the last end the URB. */
static bool goes_on(const struct uw_guest *g, struct uw_urb *urb)
{
	if (urb->status != UW_ST_OK || !urb->answered || is_last(urb))
		return false;
	if (g->phase != UW_GUEST_RUN || g->epoch != urb->epoch) {
		urb->status = UW_ST_NO_DEVICE;
		return false;
	}
	if (urb->cancelled) {
		urb->status = urb->fate;
		return false;
	}
	return urb->packets || urb->moved == urb->piece;
}

bool uw_guest_drained(struct uw_guest *g, struct uw_urb *urb, uint64_t now)
{
	struct uw_ep *ep = urb->ep;
	bool on = goes_on(g, urb);

	g->now = now;
	space_put(g, urb);
	urb->actual += urb->moved;
	if (on) {
		urb->offset += urb->piece;
		urb->first_packet += urb->piece_packets;
		urb->piece_packets = 0;
		urb->state = UW_URB_QUEUED;
		uw_list_add(ep->queued.next, &urb->node);
	} else {
		urb->state = UW_URB_IDLE;
		if (ep->pieces == urb)
			ep->pieces = NULL;
	}
	if (on && uw_list_empty(&ep->node))
		uw_list_add(&g->eps, &ep->node);
	pump_ep(g, ep);
	uw_urb_pump(g);
	return !on;
}

/* ---- cancel ---- */

static void put_cancel(struct uw_guest *g, const struct uw_urb *urb)
{
	struct uw_ask a = { .type = UW_SUB_CANCEL, .id = urb->id };

	uw_guest_put(g, &a);
}

void uw_guest_cancel(struct uw_guest *g, struct uw_urb *urb)
{
	struct uw_ep *ep = urb->ep;

	if (urb->cancelled || urb->state == UW_URB_IDLE)
		return;
	urb->cancelled = true;
	urb->fate = UW_ST_CANCELLED;
	if (urb->state == UW_URB_QUEUED || urb->state == UW_URB_GRANTED || urb->state == UW_URB_READY) {
		end_unanswered(g, urb, UW_ST_CANCELLED);
		pump_ep(g, ep);
	} else if (urb->state == UW_URB_FLYING && g->phase == UW_GUEST_RUN && !g->bye) {
		if (uw_guest_room(g, 0))
			put_cancel(g, urb);
		else
			uw_list_add(&g->cancels, &urb->act);
	}
}

static void fail_waiting(struct uw_guest *g, struct uw_list *list, enum uw_status status)
{
	struct uw_list *node = list->next, *next;
	struct uw_urb *urb;

	for (; node != list; node = next) {
		next = node->next;
		urb = UW_CONTAINER(node, struct uw_urb, node);
		urb->cancelled = true;
		urb->fate = (uint8_t)status;
		if (urb->state != UW_URB_FILLING && urb->state != UW_URB_DRAINING)
			end_unanswered(g, urb, status);
	}
}

void uw_urb_fail_all(struct uw_guest *g, enum uw_status status)
{
	struct uw_list *node;
	struct uw_ep *ep;
	struct uw_urb *urb;
	uint32_t i;

	for (i = 0; i < g->layout.transfers && g->flying; i++) {
		urb = g->mem.urbs[i];
		if (!urb)
			continue;
		land(g, urb);
		end_unanswered(g, urb, status);
	}
	while ((node = uw_list_pop(&g->eps))) {
		ep = UW_CONTAINER(node, struct uw_ep, node);
		uw_list_del(&ep->stuck);
		fail_waiting(g, &ep->queued, status);
		fail_waiting(g, &ep->urbs, status);
	}
}
