/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scripted devices: they answer in order within an endpoint and in any order across, late, short, with stalls and
 * errors, or not before they are cancelled. Some do not even hear a cancel; closing them ends everything.
 */
#include "loop.h"

static bool is_verb(const struct entry *e)
{
	return e->io->verb != UW_VERB_SUBMIT;
}

static bool is_in(const struct uw_transfer_io *io)
{
	return io->endpoint & 0x80;
}

/* Endpoint 0 is one endpoint in both directions. */
static bool same_endpoint(const struct uw_transfer_io *a, const struct uw_transfer_io *b)
{
	return (a->endpoint & 0x0f) == (b->endpoint & 0x0f) && (!(a->endpoint & 0x0f) || a->endpoint == b->endpoint);
}

/* ---- the answer ---- */

static void move_packets(struct world *w, struct entry *e)
{
	uint32_t epoch = w->shadow.epoch, first = e->urb ? e->urb->u.first_packet : 0, i, n;
	uint32_t serial = e->urb ? e->urb->serial : 0, from = e->urb ? e->urb->u.offset : 0;
	struct uw_iso *p;

	e->actual = 0;
	for (i = 0; i < e->io->packets; i++) {
		p = &e->io->iso[i];
		n = first + i;
		p->actual = i < e->packets_done ? packet_actual(serial, n, p->length) : 0;
		p->status = i < e->packets_done ? packet_status(serial, n) : UW_ST_CANCELLED;
		e->actual += p->actual;
		if (is_in(e->io))
			payload_write(e->io->data + p->offset, serial, PAYLOAD_DEVICE, epoch, from + p->offset, p->actual);
	}
}

static void move_bytes(struct world *w, struct entry *e)
{
	uint32_t serial = e->urb ? e->urb->serial : 0, from = e->urb ? e->urb->u.offset : 0;

	if (e->io->packets)
		move_packets(w, e);
	else if (is_in(e->io))
		payload_write(e->io->data, serial, PAYLOAD_DEVICE, w->shadow.epoch, from, e->actual);
	else if (e->urb)
		CHECK(w, payload_holds(e->io->data, serial, PAYLOAD_GUEST, 0, from, e->actual),
		      "device read wrong bytes of urb %u at %u", serial, from);
}

/* The transfer leaves the device, and nothing of it moves a byte from here on. */
static void end(struct world *w, struct entry *e, uint32_t status, uint32_t claim)
{
	struct uw_transfer_io *io = e->io;

	if (!is_verb(e))
		move_bytes(w, e);
	TRACE(w, "device ends id %08x status %u actual %u", e->id, status, e->actual);
	uw_list_del(&e->node);
	e->dev = NULL;
	e->io = NULL;
	e->ended = true;
	e->status = status < UW_ST_COUNT ? status : UW_ST_HOST;
	io->status = status;
	io->actual = claim > e->actual ? claim : e->actual;
	uw_host_complete(&w->h, uw_xfer_of(io), w->now);
	w->host.dirty = true;
	wake(&w->host, chance(w, 300) ? STAGE_POLL : STAGE_ACT);
}

static void end_early(struct world *w, struct entry *e, uint32_t status)
{
	e->packets_done = pick(w, e->io->packets + 1u);
	e->actual = is_verb(e) ? 0 : pick(w, e->io->length + 1u);
	end(w, e, status, 0);
}

static void end_by_itself(struct world *w, struct entry *e)
{
	static const uint16_t errors[] = { UW_ST_STALL, UW_ST_STALL, UW_ST_PROTOCOL, UW_ST_BABBLE, UW_ST_HOST, 77 };
	uint32_t status = UW_ST_OK, claim = 0;

	e->packets_done = e->io->packets;
	e->actual = e->io->length;
	if (e->io->verb == UW_VERB_ALLOC_STREAMS)
		e->actual = 1 + pick(w, e->io->arg[0]);
	if (!w->settling && chance(w, 150))
		status = errors[pick(w, UW_COUNT_OF(errors))];
	if (status == UW_ST_BABBLE && !is_verb(e) && !e->io->packets)
		claim = e->io->length + 5;
	else if (!w->settling && !is_verb(e) && (status != UW_ST_OK || (is_in(e->io) && chance(w, 250))))
		e->actual = pick(w, e->io->length + 1u);
	if (is_verb(e) && status != UW_ST_OK)
		e->actual = 0;
	end(w, e, status, claim);
}

static void end_entry(struct world *w, struct entry *e)
{
	if (e->cancelled && chance(w, 700))
		end_early(w, e, UW_ST_CANCELLED);
	else
		end_by_itself(w, e);
}

/* ---- what the host asks ---- */

static uint64_t when_done(struct world *w, const struct device *d, const struct uw_transfer_io *io)
{
	if (w->settling)
		return w->now + pick(w, 50000);
	if (d->hung && chance(w, 500))
		return UW_NEVER;
	if (io->verb == UW_VERB_SUBMIT && is_in(io) && (io->endpoint & 0x0f) && chance(w, w->never_rate))
		return UW_NEVER;
	if (chance(w, 30))
		return w->now + pick(w, 300) * UW_MS;
	return w->now + pick(w, chance(w, 300) ? 1000000 : 20000);
}

static void check_turn(struct world *w, const struct device *d, const struct entry *e)
{
	const struct uw_list *node;
	const struct entry *other;

	for (node = d->ios.next; node != &d->ios; node = node->next) {
		other = UW_CONTAINER(node, struct entry, node);
		CHECK(w, e->io->verb != UW_VERB_RESET, "reset while a transfer is active");
		if (is_verb(e) || !(e->io->endpoint & 0x0f))
			CHECK(w, !is_verb(other), "endpoint 0 did not wait for a verb");
		if (!is_verb(e) && !is_verb(other) && same_endpoint(e->io, other->io))
			CHECK(w, uw_ahead(e->position, other->position) > 0, "an endpoint's order was lost");
	}
}

/* Which verb a control transfer of the guest's driver has to become: side_guest.c makes these and no other. */
static enum uw_verb verb_of_setup(const struct uw_transfer_io *io)
{
	if (io->type != UW_CONTROL || io->length)
		return UW_VERB_SUBMIT;
	if (!memcmp(io->setup, "\0\x09\1\0\0\0\0\0", 8))
		return UW_VERB_SET_CONFIGURATION;
	if (!memcmp(io->setup, "\1\x0b\2\0\1\0\0\0", 8))
		return UW_VERB_SET_INTERFACE;
	return memcmp(io->setup, "\2\1\0\0\x82\0\0\0", 8) ? UW_VERB_SUBMIT : UW_VERB_CLEAR_HALT;
}

static enum uw_verb verb_of(const struct entry *e)
{
	switch (e->type) {
	case UW_SUB_STREAMS_ALLOC:
		return UW_VERB_ALLOC_STREAMS;
	case UW_SUB_STREAMS_FREE:
		return UW_VERB_FREE_STREAMS;
	case UW_SUB_PORT:
		return e->request == UW_PORT_RESET ? UW_VERB_RESET
						   : e->request == UW_PORT_SUSPEND ? UW_VERB_SUSPEND : UW_VERB_RESUME;
	default:
		return verb_of_setup(e->io);
	}
}

static void check_verb(struct world *w, const struct entry *e)
{
	static const uint16_t args[][2] = {
		[UW_VERB_SET_CONFIGURATION] = { 1, 0 }, [UW_VERB_SET_INTERFACE] = { 1, 2 }, [UW_VERB_CLEAR_HALT] = { 0x82, 0 },
	};
	enum uw_verb verb = (enum uw_verb)e->io->verb;

	CHECK(w, verb == verb_of(e), "id %08x of type %u became verb %u", e->id, e->type, verb);
	if (verb >= UW_VERB_SET_CONFIGURATION && verb <= UW_VERB_CLEAR_HALT)
		CHECK(w, e->io->arg[0] == args[verb][0] && e->io->arg[1] == args[verb][1], "verb %u of %u, %u", verb,
		      e->io->arg[0], e->io->arg[1]);
	if (verb == UW_VERB_ALLOC_STREAMS || verb == UW_VERB_FREE_STREAMS)
		CHECK(w, e->io->arg[1] >= 1 && e->io->arg[1] <= 2 && e->io->endpoints[0] == 0x01 &&
		      !(e->io->arg[0] == 0) == (verb == UW_VERB_ALLOC_STREAMS), "streams %u of %u endpoints", e->io->arg[0],
		      e->io->arg[1]);
}

void device_take(struct world *w, struct device *d, struct uw_xfer *x)
{
	struct entry *e = &w->entries[UW_ID_ENTRY(x->id)];

	CHECK(w, d && d->open, "a transfer for a closed device");
	CHECK(w, e->out && e->id == x->id && !e->reached, "a device got a transfer that was never submitted");
	e->io = &x->io;
	e->reached = true;
	check_verb(w, e);
	check_turn(w, d, e);
	e->dev = d;
	e->cancelled = false;
	e->order = w->order++;
	e->due = when_done(w, d, e->io);
	TRACE(w, "device takes id %08x verb %u ep %02x length %u", e->id, x->io.verb, x->io.endpoint, x->io.length);
	uw_list_add(&d->ios, &e->node);
	if (e->due != UW_NEVER && d->ios.next == &e->node && chance(w, 80))
		end_entry(w, e);
}

void device_cancel(struct world *w, struct uw_xfer *x)
{
	struct entry *e = &w->entries[UW_ID_ENTRY(x->id)];

	CHECK(w, e->dev && e->id == x->id && e->io == &x->io, "a cancel of what no device has");
	CHECK(w, x->io.verb == UW_VERB_SUBMIT, "a cancel of a verb");
	CHECK(w, !e->cancelled, "a second cancel");
	CHECK(w, shadow_cancelled(w, e) || w->h.phase != UW_PHASE_RUN || !w->h.ports[e->port].open,
	      "id %08x is cancelled by nobody", e->id);
	TRACE(w, "device hears cancel of id %08x", e->id);
	e->cancelled = true;
	if (e->dev->hung && !w->settling)
		return;
	e->due = w->now + pick(w, 30000);
	if (chance(w, 100))
		end_entry(w, e);
}

void device_close(struct world *w, struct device *d)
{
	struct entry *e;

	TRACE(w, "device of port %u closes", d->port);
	d->open = false;
	while (!uw_list_empty(&d->ios)) {
		e = UW_CONTAINER(chance(w, 500) ? d->ios.next : d->ios.prev, struct entry, node);
		end_early(w, e, chance(w, 500) ? UW_ST_NO_DEVICE : UW_ST_CANCELLED);
	}
}

/* The host process is no more: its kernel ended everything. */
void device_forget(struct world *w, struct device *d)
{
	struct entry *e;

	(void)w;
	while (!uw_list_empty(&d->ios)) {
		e = UW_CONTAINER(uw_list_pop(&d->ios), struct entry, node);
		e->dev = NULL;
		e->io = NULL;
	}
	d->open = d->closing = false;
	d->port = 0;
}

/* ---- time ---- */

static bool heads_endpoint(const struct device *d, const struct entry *e)
{
	const struct uw_list *node;
	const struct entry *other;

	for (node = d->ios.next; node != &e->node; node = node->next) {
		other = UW_CONTAINER(node, struct entry, node);
		if (is_verb(e) == is_verb(other) && same_endpoint(other->io, e->io))
			return false;
	}
	return true;
}

static bool may_end(const struct world *w, const struct device *d, const struct entry *e)
{
	bool ripe = e->due <= w->now || (w->settling && !e->cancelled && e->due == UW_NEVER && is_verb(e));

	return ripe && (e->cancelled || heads_endpoint(d, e));
}

/* Ends one transfer whose time has come, of any device. */
bool device_end_one(struct world *w)
{
	uint32_t i, start = pick(w, DEVICES);
	struct device *d;
	struct uw_list *node;

	for (i = 0; i < DEVICES; i++) {
		d = &w->devices[(start + i) % DEVICES];
		for (node = d->ios.next; node != &d->ios; node = node->next)
			if (may_end(w, d, UW_CONTAINER(node, struct entry, node)) && chance(w, 700)) {
				end_entry(w, UW_CONTAINER(node, struct entry, node));
				return true;
			}
	}
	return false;
}

uint64_t device_next_event(struct world *w)
{
	uint64_t when = UW_NEVER;
	struct uw_list *node;
	struct entry *e;
	uint32_t i;

	for (i = 0; i < DEVICES; i++)
		for (node = w->devices[i].ios.next; node != &w->devices[i].ios; node = node->next) {
			e = UW_CONTAINER(node, struct entry, node);
			if (may_end(w, &w->devices[i], e))
				return w->now;
			if (e->due < when && (e->cancelled || heads_endpoint(&w->devices[i], e)))
				when = e->due;
		}
	return when;
}
