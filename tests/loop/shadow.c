/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A third reader of both rings, which believes nothing but the slots and pages: it sees every message once, in order,
 * and knows what each side may say.
 */
#include "loop.h"

static const struct uw_host_page *host_page(const struct world *w)
{
	return (const void *)w->region;
}

static const struct uw_guest_page *guest_page(const struct world *w)
{
	return (const void *)(w->region + w->layout.guest_page);
}

/* ---- epochs ---- */

static void new_epoch(struct world *w, uint32_t epoch)
{
	struct shadow *s = &w->shadow;
	uint32_t i;

	for (i = 0; i < ENTRIES; i++) {
		CHECK(w, !w->entries[i].dev, "epoch %u begins while a device has id %08x", epoch, w->entries[i].id);
		memset(&w->entries[i], 0, sizeof(w->entries[i]));
	}
	memset(s, 0, sizeof(*s));
	s->epoch = epoch;
	s->sub = s->comp = s->sub_consumed = s->comp_consumed = s->said = w->layout.start;
	s->reading = true;
	totals.epochs++;
	TRACE(w, "epoch %u", epoch);
}

static void follow_echo(struct world *w)
{
	struct shadow *s = &w->shadow;
	uint32_t start = w->layout.start;

	if (s->echoed)
		return;
	CHECK(w, uw_get32(host_page(w)->hot.consumed) == start, "the host read a submission before the echo");
	if (w->host.alive)
		CHECK(w, w->h.rx.pos == start && w->h.tx.head == start, "the host worked before the echo");
	s->echoed = uw_get32(guest_page(w)->epoch) == s->epoch;
	if (!s->echoed)
		return;
	CHECK(w, uw_get32(host_page(w)->head.state) == UW_HOST_READY, "the guest took an epoch that is not ready");
	memset(w->untold, 0, sizeof(w->untold));
	memset(w->unread, 0, sizeof(w->unread));
}

/* ---- submissions ---- */

bool shadow_cancelled(const struct world *w, const struct entry *e)
{
	return e->cancel || w->shadow.bye ||
	       (w->shadow.reset[e->port] && uw_ahead(w->shadow.reset_at[e->port], e->position) > 0);
}

static void see_cancel(struct world *w, uint32_t id)
{
	struct entry *e = &w->entries[UW_ID_ENTRY(id) % ENTRIES];

	if (e->out && e->id == id)
		e->cancel = true;
}

/* It flies, or the same call of the core has given it up again. */
static struct urb *urb_flying(struct world *w, uint32_t id)
{
	struct urb *found = NULL;
	uint32_t i;

	for (i = 0; i < URBS; i++)
		if (w->urbs[i].live && w->urbs[i].u.state >= UW_URB_FLYING && w->urbs[i].u.id == id) {
			CHECK(w, !found, "two urbs fly as %08x", id);
			found = &w->urbs[i];
		}
	CHECK(w, found, "no urb flies as %08x", id);
	return found;
}

static void see_submit(struct world *w, struct entry *e, const struct uw_slot *slot)
{
	const struct uw_submit *m = &slot->u.submit;
	struct urb *b = urb_flying(w, e->id);
	struct uw_urb *u = &b->u;
	uint32_t k = (uint32_t)(u->ep - w->eps[u->ep->port]), *last = &w->shadow.last_serial[e->port][k];
	bool end = u->packets ? u->first_packet + u->piece_packets == u->packets : u->offset + u->piece == u->length;

	CHECK(w, u->epoch == w->shadow.epoch, "urb %u of epoch %u goes out in %u", b->serial, u->epoch, w->shadow.epoch);
	CHECK(w, uw_get32(m->data) == u->data && uw_get32(m->length) == u->piece && m->port == u->ep->port &&
	      m->endpoint == u->endpoint && uw_get16(m->packets) == u->piece_packets, "urb %u went out changed", b->serial);
	CHECK(w, !(slot->flags & UW_SUBMIT_ZERO_PACKET) == !(end && (u->flags & UW_SUBMIT_ZERO_PACKET)),
	      "urb %u: zero packet with the wrong piece", b->serial);
	CHECK(w, end || u->packets || u->piece % u->ep->unit == 0, "urb %u is cut within a burst, at %u", b->serial, u->piece);
	CHECK(w, b->serial >= *last, "urb %u overtook urb %u", *last, b->serial);
	*last = b->serial;
	b->answered = false;
	e->urb = b;
}

/* What gets an answer stops early, so that cancels and acknowledgements find room. */
static void check_reserve(struct world *w, uint32_t position)
{
	uint32_t read = uw_get32(host_page(w)->hot.consumed);

	if (uw_ahead(w->shadow.said, read) > 0)
		read = w->shadow.said;
	CHECK(w, w->shadow.broken || position + 1 - read <= (uint32_t)w->layout.sub_slots - w->layout.reserve,
	      "submission %u lies in the reserve: the host has read up to %u", position, read);
}

static void see_asked(struct world *w, const struct uw_slot *slot, uint32_t position)
{
	uint32_t id = uw_get32(slot->id);
	struct entry *e = &w->entries[UW_ID_ENTRY(id) % ENTRIES];

	check_reserve(w, position);
	CHECK(w, UW_ID_ENTRY(id) < w->layout.transfers, "id %08x beyond the table", id);
	CHECK(w, !e->out, "id %08x while %08x is in flight", id, e->id);
	memset(e, 0, sizeof(*e));
	e->out = true;
	e->id = id;
	e->type = slot->type;
	e->position = position;
	e->port = slot->type == UW_SUB_SUBMIT ? slot->u.submit.port : slot->type == UW_SUB_PORT ? slot->u.port.port
												: slot->u.streams.port;
	if (slot->type == UW_SUB_PORT)
		e->request = slot->u.port.request;
	if (slot->type == UW_SUB_PORT && (slot->u.port.request == UW_PORT_RESET || slot->u.port.request == UW_PORT_POWER_OFF)) {
		w->shadow.reset[e->port] = true;
		w->shadow.reset_at[e->port] = position;
	}
	if (slot->type == UW_SUB_SUBMIT)
		see_submit(w, e, slot);
	else if (slot->type != UW_SUB_STATS)
		CHECK(w, w->request[e->port], "a request for port %u that nobody made", e->port);
}

static void see_submission(struct world *w, const struct uw_slot *slot, uint32_t position)
{
	struct shadow *s = &w->shadow;

	TRACE(w, "sub %u: type %u id %08x", position, slot->type, uw_get32(slot->id));
	CHECK(w, (slot->type == UW_SUB_HELLO) == (position == w->layout.start), "message %u is of type %u", position,
	      slot->type);
	CHECK(w, !s->bye, "a message of type %u after bye", slot->type);
	switch (slot->type) {
	case UW_SUB_SUBMIT: case UW_SUB_PORT: case UW_SUB_STREAMS_ALLOC: case UW_SUB_STREAMS_FREE: case UW_SUB_STATS:
		see_asked(w, slot, position);
		break;
	case UW_SUB_EVENT_ACK:
		CHECK(w, s->unacked[slot->u.ack.port] && s->seq[slot->u.ack.port] == uw_get32(slot->u.ack.seq),
		      "an ack of no event of port %u", slot->u.ack.port);
		s->unacked[slot->u.ack.port] = false;
		break;
	case UW_SUB_BYE:
		s->bye = true;
		break;
	case UW_SUB_CANCEL:
		see_cancel(w, uw_get32(slot->id));
		break;
	case UW_SUB_HELLO:
		break;
	default:
		fail(w, "a submission of type %u", slot->type);
	}
}

/* ---- completions ---- */

static void check_complete(struct world *w, const struct entry *e, const struct uw_slot *slot)
{
	uint32_t status = uw_get16(slot->u.complete.status), actual = uw_get32(slot->u.complete.actual);

	CHECK(w, !e->dev, "id %08x answered while a device has it", e->id);
	if (e->reached) {
		CHECK(w, e->ended, "id %08x answered though the device never ended it", e->id);
		CHECK(w, status == e->status || (e->status == UW_ST_CANCELLED && status == UW_ST_NO_DEVICE),
		      "id %08x answered with status %u, the device said %u", e->id, status, e->status);
		CHECK(w, actual == e->actual, "id %08x answered with %u bytes, the device moved %u", e->id, actual, e->actual);
		return;
	}
	CHECK(w, status != UW_ST_CANCELLED || shadow_cancelled(w, e), "id %08x was cancelled by nobody", e->id);
	CHECK(w, !actual, "id %08x moved %u bytes without a device", e->id, actual);
	CHECK(w, status == UW_ST_CANCELLED || status == UW_ST_NO_DEVICE || status == UW_ST_BLOCKED ||
	      (status == UW_ST_OK && e->type == UW_SUB_PORT), "id %08x answered with status %u without a device", e->id,
	      status);
}

static struct entry *see_answer(struct world *w, const struct uw_slot *slot)
{
	uint32_t id = uw_get32(slot->id);
	struct entry *e = &w->entries[UW_ID_ENTRY(id) % ENTRIES];

	CHECK(w, e->out && e->id == id, "an answer to %08x, which is not in flight", id);
	CHECK(w, uw_ahead(uw_get32(slot->consumed), e->position) > 0, "id %08x answered before it was read", id);
	CHECK(w, (slot->type == UW_COMP_STATS) == (e->type == UW_SUB_STATS), "id %08x: the wrong kind of answer", id);
	e->out = false;
	return e;
}

static void see_complete(struct world *w, const struct uw_slot *slot)
{
	struct entry *e = see_answer(w, slot);
	struct urb *b = e->urb;

	check_complete(w, e, slot);
	if (e->type != UW_SUB_SUBMIT && w->request[e->port]) {
		w->answered[e->port] = true;
		w->status[e->port] = uw_get16(slot->u.complete.status);
		w->value[e->port] = uw_get32(slot->u.complete.actual);
	}
	if (!b)
		return;
	CHECK(w, !b->answered, "urb %u has a second answer", b->serial);
	b->answered = true;
	b->answer_status = uw_get16(slot->u.complete.status);
	b->answer_actual = uw_get32(slot->u.complete.actual);
	b->answer_errors = uw_get32(slot->u.complete.errors);
	b->answer_packets = e->reached ? e->packets_done : NOT_REACHED;
}

uint16_t shadow_untold(struct world *w, uint8_t port)
{
	if (w->unread[port] && uw_ahead(w->g.rx.pos, w->event_at[port]) > 0) {
		w->untold[port] |= w->unread[port];
		w->unread[port] = 0;
	}
	return w->untold[port];
}

static void see_event(struct world *w, const struct uw_slot *slot, uint32_t position)
{
	uint8_t port = slot->u.event.port;

	CHECK(w, port && port <= uw_layout_ports(&w->layout), "an event of port %u", port);
	CHECK(w, !w->shadow.unacked[port], "an event of port %u before the last was acknowledged", port);
	CHECK(w, !(uw_get16(slot->u.event.changes) & ~w->shadow.raised[port] & ~UW_EVENT_CONNECT),
	      "port %u: changes %x were told, %x happened", port, uw_get16(slot->u.event.changes), w->shadow.raised[port]);
	w->shadow.raised[port] &= (uint16_t)~uw_get16(slot->u.event.changes);
	w->untold[port] |= w->unread[port]; /* it has been acknowledged */
	w->unread[port] = uw_get16(slot->u.event.changes);
	w->event_at[port] = position;
	w->shadow.unacked[port] = true;
	w->shadow.seq[port] = uw_get32(slot->u.event.seq);
}

static void see_bye(struct world *w, const struct uw_slot *slot)
{
	uint32_t i;

	CHECK(w, w->shadow.bye, "a bye that nobody asked for");
	for (i = 0; i < w->layout.transfers; i++)
		CHECK(w, !w->entries[i].out || uw_ahead(w->entries[i].position, uw_get32(slot->consumed)) >= 0,
		      "bye before %08x was answered", w->entries[i].id);
}

static void see_completion(struct world *w, const struct uw_slot *slot, uint32_t position)
{
	TRACE(w, "comp %u: type %u id %08x status %u actual %u", position, slot->type, uw_get32(slot->id),
	      uw_get16(slot->u.complete.status), uw_get32(slot->u.complete.actual));
	w->shadow.said = uw_get32(slot->consumed);
	CHECK(w, (slot->type == UW_COMP_WELCOME) == (position == w->layout.start), "completion %u is of type %u",
	      position, slot->type);
	switch (slot->type) {
	case UW_COMP_COMPLETE:
		see_complete(w, slot);
		break;
	case UW_COMP_STATS:
		(void)see_answer(w, slot);
		break;
	case UW_COMP_EVENT:
		see_event(w, slot, position);
		break;
	case UW_COMP_BYE:
		see_bye(w, slot);
		break;
	case UW_COMP_WELCOME:
		CHECK(w, uw_get16(slot->u.welcome.status) == UW_ST_OK, "a good hello was refused");
		break;
	default:
		fail(w, "a completion of type %u", slot->type);
	}
}

/* ---- the rings ---- */

static void read_ring(struct world *w, const struct uw_slot *ring, uint32_t slots, uint32_t *pos,
		      void (*see)(struct world *, const struct uw_slot *, uint32_t))
{
	const struct uw_slot *slot = &ring[*pos & (slots - 1)];

	while (uw_get32(slot->tag) == *pos + 1) {
		CHECK(w, uw_get16(slot->epoch) == (uint16_t)w->shadow.epoch, "message %u of epoch %u", *pos,
		      uw_get16(slot->epoch));
		see(w, slot, *pos);
		slot = &ring[++*pos & (slots - 1)];
	}
	if (!w->shadow.broken)
		CHECK(w, uw_get32(slot->tag) == *pos + 1 - slots, "slot %u holds tag %u", *pos, uw_get32(slot->tag));
}

/* Consumed words only grow, and never pass what has been written. */
static void check_consumed(struct world *w, uint32_t word, uint32_t written, uint32_t *last, const char *who)
{
	if (w->shadow.broken)
		return;
	CHECK(w, uw_ahead(word, *last) >= 0 && uw_ahead(written, word) >= 0, "the %s says it has read up to %u of %u..%u",
	      who, word, *last, written);
	*last = word;
}

void shadow_look(struct world *w)
{
	const struct uw_host_page *page = host_page(w);
	struct shadow *s = &w->shadow;
	bool ready = uw_get32(page->head.state) == UW_HOST_READY;
	uint32_t comp = s->comp;

	if (uw_get32(page->head.epoch) != s->epoch) {
		new_epoch(w, uw_get32(page->head.epoch));
		comp = s->comp;
	}
	follow_echo(w);
	if (s->echoed) {
		read_ring(w, (const void *)(w->region + w->layout.sub_ring), w->layout.sub_slots, &s->sub, see_submission);
		check_consumed(w, uw_get32(page->hot.consumed), s->sub, &s->sub_consumed, "host");
	}
	read_ring(w, (const void *)(w->region + w->layout.comp_ring), w->layout.comp_slots, &s->comp, see_completion);
	if (s->echoed)
		check_consumed(w, uw_get32(guest_page(w)->hot.consumed), s->comp, &s->comp_consumed, "guest");
	CHECK(w, s->comp == comp || s->reading, "an answer after the epoch was given up");
	s->reading = ready;
}
