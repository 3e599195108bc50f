/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's driver: it fills and drains URBs in any order, cancels, asks, reboots, leaves and comes back. */
#include "loop.h"

static uint8_t *data_at(struct world *w, uint32_t at)
{
	return w->region + w->layout.data + at;
}

static void called(struct world *w)
{
	w->guest.dirty = true;
}

static void flush(struct world *w)
{
	w->guest.dirty = false;
	if (uw_guest_kick(&w->g))
		kick(w, &w->host);
}

/* ---- life ---- */

static void forget(struct world *w)
{
	uint32_t i, port, k;
	static const uint32_t units[ENDPOINTS] = { 8, 512, 1024, 64, 64, 1, 1 };
	static const uint8_t address[ENDPOINTS] = { 0, 0x01, 0x82, 0x83, 0x04, 0x85, 0x06 };
	static const uint8_t type[ENDPOINTS] = { UW_CONTROL, UW_BULK, UW_BULK, UW_INTERRUPT, UW_INTERRUPT, UW_ISOCH,
						 UW_ISOCH };

	memset(w->urbs, 0, sizeof(w->urbs));
	memset(w->pool, 0, sizeof(w->pool));
	memset(w->owner, 0, sizeof(w->owner));
	memset(w->clean, 0, sizeof(w->clean));
	memset(w->speed, 0, sizeof(w->speed));
	memset(w->request, 0, sizeof(w->request));
	memset(w->untold, 0, sizeof(w->untold));
	memset(w->unread, 0, sizeof(w->unread));
	for (i = 0; i < ENTRIES; i++)
		w->entries[i].urb = NULL;
	for (port = 1; port <= PORTS; port++)
		for (k = 0; k < ENDPOINTS; k++)
			uw_ep_init(&w->eps[port][k], (uint8_t)port, address[k], type[k], units[k]);
	w->up = w->leaving = false;
	w->live = 0;
}

static void count_up(struct uw_counters *sum, const struct uw_counters *c)
{
	uint32_t i;

	for (i = 0; i < UW_STAT_COUNT; i++)
		sum->value[i] += c->value[i];
}

/* Loads the driver on a region that may have seen other guests; nothing of them is remembered. */
void guest_boot(struct world *w)
{
	struct uw_guest_memory mem = { w->region, REGION, w->by_entry, w->uses, w->free, w->bitmap };
	struct uw_guest_sizes sizes;
	struct uw_layout layout;
	enum uw_layout_fault fault = uw_guest_sizes(w->region, REGION, &layout, &sizes);

	TRACE(w, "guest boots");
	CHECK(w, fault == UW_LAYOUT_OK, "layout fault %s", uw_layout_fault_text(fault));
	CHECK(w, sizes.entries == w->layout.transfers && sizes.words <= UW_COUNT_OF(w->bitmap), "guest sizes");
	if (w->guest.alive) {
		count_up(&totals.guest, &w->g.counters);
		totals.reboots++;
	}
	forget(w);
	memset(&w->g, 0xa5, sizeof(w->g));
	memset(w->by_entry, 0xa5, sizeof(w->by_entry));
	memset(w->uses, 0xa5, sizeof(w->uses));
	memset(w->bitmap, 0xa5, sizeof(w->bitmap));
	uw_guest_init(&w->g, &layout, &mem, "loop guest");
	uw_guest_begin(&w->g, w->now);
	w->guest.alive = w->guest.dirty = true;
	w->guest.stage = STAGE_POLL;
	w->guest.silent = 0;
}

/* ---- space ---- */

static void claim(struct world *w, struct urb *b)
{
	uint32_t granule = w->layout.granule, i;
	uint32_t bytes = (b->u.granted + granule - 1) / granule * granule, from = b->u.space;

	CHECK(w, !b->held, "urb %u was granted space twice", b->serial);
	if (!b->u.granted)
		return;
	CHECK(w, from >= w->g.bounce_at && from % granule == 0 && from + bytes <= w->layout.data_size,
	      "space %x+%x lies outside the bounce part", from, bytes);
	for (i = from / 64; i < (from + bytes) / 64; i++) {
		CHECK(w, !w->owner[i], "space at %x belongs to two urbs", i * 64);
		CHECK(w, !w->clean[i] || payload_holds(data_at(w, i * 64), 0, PAYLOAD_CANARY, 0, i * 64, 64),
		      "free space at %x was written", i * 64);
		w->owner[i] = (uint8_t)(b - w->urbs + 1);
		w->clean[i] = 0;
	}
	b->held_at = from;
	b->held = bytes;
}

/* Free space holds poison while a session lasts, so that a late write to it is seen. */
static void unclaim(struct world *w, struct urb *b)
{
	bool poison = w->poison && w->g.phase == UW_GUEST_RUN && w->g.epoch == b->u.epoch && b->u.answered;
	uint32_t i;

	for (i = b->held_at / 64; i < (b->held_at + b->held) / 64; i++) {
		w->owner[i] = 0;
		w->clean[i] = poison;
	}
	if (poison)
		payload_write(data_at(w, b->held_at), 0, PAYLOAD_CANARY, 0, b->held_at, b->held);
	b->held = 0;
}

static bool pool_get(struct world *w, struct urb *b, uint32_t bytes)
{
	uint32_t slot = bytes > POOL_SMALL - 64 ? 0 : 1 + pick(w, POOL_SLOTS - 1), at;

	if (bytes > POOL_BIG - 64 || w->pool[slot])
		return false;
	w->pool[slot] = true;
	b->pool = (uint8_t)(slot + 1);
	at = slot ? POOL_BIG + (slot - 1) * POOL_SMALL : 0;
	b->u.direct = at + pick(w, 64);
	totals.direct++;
	return true;
}

/* ---- enqueue ---- */

static uint32_t bulk_length(struct world *w)
{
	if (w->large)
		return 65536 + pick(w, 200000);
	if (w->small)
		return pick(w, 65);
	switch (pick(w, 16)) {
	case 0:
		return 0;
	case 1: case 2:
		return 512 * (1 + pick(w, 16));
	case 3:
		return w->poison ? 2048 : 65536 + pick(w, 100000);
	case 4:
		return 4000 + pick(w, 12000);
	default:
		return 1 + pick(w, 600);
	}
}

static void make_control(struct world *w, struct urb *b)
{
	uint8_t *s = b->u.setup;

	b->u.length = chance(w, 400) ? 0 : 1 + pick(w, chance(w, 50) ? 5000 : 64);
	b->u.endpoint = b->u.length && chance(w, 600) ? 0x80 : 0;
	s[0] = b->u.endpoint | 0x40;
	s[1] = (uint8_t)pick(w, 256);
	s[6] = (uint8_t)b->u.length;
	s[7] = (uint8_t)(b->u.length >> 8);
	if (b->u.length || chance(w, 300))
		return;
	memcpy(s, "\0\x09\1\0\0\0\0", 8); /* SET_CONFIGURATION 1 */
	if (chance(w, 300))
		memcpy(s, "\1\x0b\2\0\1\0\0", 8); /* SET_INTERFACE 1, alternate setting 2 */
	else if (chance(w, 500))
		memcpy(s, "\2\1\0\0\x82\0\0", 8); /* CLEAR_FEATURE(ENDPOINT_HALT) 82h */
	else if (chance(w, 200))
		memcpy(s, "\2\1\1\0\x82\0\0", 8); /* some other feature of it */
	else if (chance(w, 200))
		memcpy(s, "\2\1\0\0\x80\0\0", 8); /* endpoint 0 cannot stay halted */
}

static void make_iso(struct world *w, struct urb *b)
{
	b->u.packets = 1 + pick(w, 2u * w->layout.packets_max + 3);
	b->packet = chance(w, 100) ? 0 : 1 + pick(w, chance(w, 50) ? 4000 : 200);
	b->u.length = b->u.packets * b->packet;
	b->u.interval = (uint16_t)(1 + pick(w, 8));
	totals.isoch++;
}

static void make(struct world *w, struct urb *b, uint8_t port, uint32_t k)
{
	memset(b, 0, sizeof(*b));
	b->u.ep = &w->eps[port][k];
	b->u.endpoint = b->u.ep->address;
	b->u.direct = UW_NOT_DIRECT;
	b->serial = ++w->serial;
	if (k == EP_CONTROL)
		make_control(w, b);
	else if (k >= EP_ISO_IN)
		make_iso(w, b);
	else
		b->u.length = k >= EP_INT_IN && !w->small ? pick(w, 1024) : bulk_length(w);
	if (k == EP_INT_IN || k == EP_INT_OUT)
		b->u.interval = (uint16_t)(1 + pick(w, 255));
	if (k == EP_BULK_OUT && chance(w, 250))
		b->u.flags = UW_SUBMIT_ZERO_PACKET;
	if ((b->u.endpoint & 0x80) && chance(w, 100))
		b->u.flags = UW_SUBMIT_SHORT_NOT_OK;
	if ((k == EP_BULK_IN || k == EP_BULK_OUT) && (w->g.features & UW_FEATURE_STREAMS) && chance(w, 200)) {
		b->u.stream = (uint16_t)(1 + pick(w, 8));
		totals.streams++;
	}
	if (b->u.length && chance(w, 150))
		(void)pool_get(w, b, b->u.length);
}

static void put_back(struct world *w, struct urb *b)
{
	if (b->pool)
		w->pool[b->pool - 1] = false;
	b->pool = 0;
	b->live = false;
}

bool guest_enqueue(struct world *w, uint8_t port, uint32_t k)
{
	struct urb *b = NULL;
	uint32_t i;

	for (i = 0; i < URBS && !b; i++)
		if (!w->urbs[i].live)
			b = &w->urbs[i];
	if (!b || (k >= EP_ISO_IN && !(w->g.features & UW_FEATURE_ISOCH)))
		return false;
	make(w, b, port, k);
	called(w);
	if (uw_guest_enqueue(&w->g, &b->u, w->now) != UW_ST_OK) {
		CHECK(w, w->g.phase != UW_GUEST_RUN || !w->g.ports[port].speed || w->leaving, "a good urb was refused");
		put_back(w, b);
		totals.refused++;
		return false;
	}
	b->live = true;
	w->live++;
	totals.urbs++;
	TRACE(w, "urb %u enqueued port %u ep %02x length %u packets %u%s", b->serial, port, b->u.endpoint, b->u.length,
	      b->u.packets, b->pool ? " direct" : "");
	return true;
}

/* ---- the work of the driver's other contexts ---- */

static struct urb *any_with(struct world *w, enum hand hand)
{
	uint32_t i, start = pick(w, URBS);

	for (i = 0; i < URBS; i++)
		if (w->urbs[(start + i) % URBS].live && w->urbs[(start + i) % URBS].hand == hand)
			return &w->urbs[(start + i) % URBS];
	return NULL;
}

static struct urb *urb_of(struct world *w, struct uw_urb *u)
{
	struct urb *b = UW_CONTAINER(u, struct urb, u);

	CHECK(w, b >= w->urbs && b < w->urbs + URBS && b->live && b->hand == WITH_CORE, "an urb that is not the core's");
	return b;
}

static bool work_fill(struct world *w)
{
	struct uw_urb *u = uw_guest_fill(&w->g, w->now);
	struct urb *b;

	if (!u)
		return false;
	b = urb_of(w, u);
	b->hand = FILLING;
	claim(w, b);
	return true;
}

static bool work_filled(struct world *w)
{
	struct urb *b = any_with(w, FILLING);

	if (!b)
		return false;
	urb_fill(w, b);
	b->hand = WITH_CORE;
	called(w);
	uw_guest_filled(&w->g, &b->u, w->now);
	return true;
}

static bool work_done(struct world *w)
{
	struct uw_urb *u = uw_guest_done(&w->g);
	struct urb *b;

	if (!u)
		return false;
	b = urb_of(w, u);
	b->hand = DRAINING;
	if (b->u.granted && !b->held) /* it ended before it was handed out for filling */
		claim(w, b);
	return true;
}

static bool work_drained(struct world *w)
{
	struct urb *b = any_with(w, DRAINING);
	bool may_go_on;
	uint32_t i;

	if (!b)
		return false;
	urb_judge_piece(w, b);
	unclaim(w, b);
	b->hand = WITH_CORE;
	may_go_on = urb_may_go_on(b);
	called(w);
	if (!uw_guest_drained(&w->g, &b->u, w->now)) {
		CHECK(w, may_go_on, "urb %u goes on after its end", b->serial);
		return true;
	}
	TRACE(w, "urb %u ends with status %u actual %u", b->serial, b->u.status, b->u.actual);
	urb_judge(w, b);
	for (i = 0; i < ENTRIES; i++)
		if (w->entries[i].urb == b)
			w->entries[i].urb = NULL;
	put_back(w, b);
	w->live--;
	return true;
}

static bool work_flush(struct world *w)
{
	if (!w->guest.dirty)
		return false;
	flush(w);
	return true;
}

bool guest_work(struct world *w)
{
	static bool (*const works[])(struct world *) = { work_fill, work_filled, work_done, work_drained, work_flush };
	uint32_t i, start = pick(w, UW_COUNT_OF(works));

	if (!w->guest.alive || w->now < w->guest.silent)
		return false;
	for (i = 0; i < UW_COUNT_OF(works); i++)
		if (works[(start + i) % UW_COUNT_OF(works)](w)) {
			if (chance(w, 500))
				flush(w);
			return true;
		}
	return false;
}

/* ---- cancels and requests ---- */

static void cancel(struct world *w, struct urb *b)
{
	TRACE(w, "urb %u is cancelled in state %u", b->serial, b->u.state);
	b->cancel = true;
	called(w);
	uw_guest_cancel(&w->g, &b->u);
}

void guest_cancel_all(struct world *w)
{
	uint32_t i;

	for (i = 0; i < URBS; i++)
		if (w->urbs[i].live && !w->urbs[i].cancel)
			cancel(w, &w->urbs[i]);
}

static void cancel_port(struct world *w, uint8_t port)
{
	uint32_t i;

	for (i = 0; i < URBS; i++)
		if (w->urbs[i].live && w->urbs[i].u.ep->port == port)
			cancel(w, &w->urbs[i]);
}

static uint8_t any_port(struct world *w)
{
	return (uint8_t)(1 + pick(w, uw_layout_ports(&w->layout)));
}

static uint32_t any_kind(struct world *w)
{
	uint32_t k = pick(w, ENDPOINTS);

	while (!(w->kinds >> k & 1))
		k = (k + 1) % ENDPOINTS;
	return k;
}

static void ask(struct world *w)
{
	static const uint8_t endpoints[] = { 0x01, 0x82 };
	uint8_t port = any_port(w);
	bool taken;

	called(w);
	if (chance(w, 250))
		taken = uw_guest_streams(&w->g, port, endpoints, (uint8_t)(1 + pick(w, 2)), (uint16_t)pick(w, 17), w->now);
	else
		taken = uw_guest_port_request(&w->g, port, UW_PORT_RESET + pick(w, UW_PORT_POWER_OFF), w->now);
	if (!taken)
		return;
	CHECK(w, !w->request[port], "a second request was taken for port %u", port);
	w->request[port] = true;
	w->answered[port] = false;
	totals.requests++;
	TRACE(w, "request for port %u", port);
}

/* What class drivers and users of the guest want. */
void guest_drive(struct world *w)
{
	struct urb *b;

	if (!w->guest.alive || w->now < w->guest.silent)
		return;
	switch (pick(w, 16)) {
	case 0: case 1: case 2:
		b = any_with(w, (enum hand)pick(w, 3));
		if (b)
			cancel(w, b);
		break;
	case 3:
		ask(w);
		break;
	case 4:
		called(w);
		uw_guest_ask_stats(&w->g);
		break;
	default:
		(void)guest_enqueue(w, any_port(w), any_kind(w));
		break;
	}
	if (chance(w, 700))
		flush(w);
}

/* ---- notes ---- */

static void take_note(struct world *w, const struct uw_note *n)
{
	TRACE(w, "note %u port %u speed %u changes %x status %u", n->kind, n->port, n->speed, n->changes, n->status);
	switch (n->kind) {
	case UW_NOTE_UP:
		CHECK(w, !w->up, "up twice");
		w->up = true;
		break;
	case UW_NOTE_DOWN:
		CHECK(w, w->up, "down without up");
		w->up = false;
		memset(w->speed, 0, sizeof(w->speed));
		break;
	case UW_NOTE_PORT:
		CHECK(w, w->up, "a port event without a session");
		CHECK(w, n->changes == shadow_untold(w, n->port), "port %u: changes %x are told, %x are new", n->port,
		      n->changes, w->untold[n->port]);
		w->untold[n->port] = 0;
		w->speed[n->port] = n->speed;
		if (!n->speed && chance(w, 700))
			cancel_port(w, n->port);
		break;
	case UW_NOTE_REQUEST:
		CHECK(w, w->request[n->port], "an answer to no request of port %u", n->port);
		CHECK(w, (w->answered[n->port] && n->status == w->status[n->port] && n->value == w->value[n->port]) ||
		      (n->status == UW_ST_NO_DEVICE && !n->value), "the request of port %u ended with %u, %u", n->port,
		      n->status, n->value);
		w->request[n->port] = false;
		break;
	default:
		fail(w, "note %u", n->kind);
	}
}

static void read_notes(struct world *w)
{
	struct uw_note note;

	while (uw_guest_note(&w->g, &note))
		take_note(w, &note);
}

/* ---- the loop ---- */

/* On its way out, gone, or about to return. */
static void follow_leave(struct world *w)
{
	if (!w->leaving)
		return;
	if (!uw_guest_ended(&w->g) && w->now >= w->leave_until) {
		TRACE(w, "guest leaves without a bye");
		called(w);
		uw_guest_abandon(&w->g, w->now);
	}
	if (uw_guest_ended(&w->g) && !w->live) {
		TRACE(w, "guest has left");
		read_notes(w);
		w->leaving = false;
		totals.byes++;
	}
}

static bool rests(const struct world *w)
{
	return w->g.phase == UW_GUEST_IDLE && !w->leaving;
}

static void return_again(struct world *w)
{
	if (w->live || !(w->settling || chance(w, 100)))
		return;
	TRACE(w, "guest begins again");
	called(w);
	w->guest.stage = STAGE_POLL;
	if (chance(w, 500))
		guest_boot(w);
	else
		uw_guest_begin(&w->g, w->now);
}

static bool step_asleep(struct world *w)
{
	uint64_t when = w->leaving ? w->leave_until : UW_NEVER;

	if (uw_guest_deadline(&w->g) < when)
		when = uw_guest_deadline(&w->g);
	if (!w->guest.kicks.pending && w->now < when)
		return false;
	w->guest.stage = STAGE_POLL;
	return true;
}

bool guest_step(struct world *w)
{
	struct side *s = &w->guest;

	if (!s->alive || w->now < s->silent)
		return false;
	if (rests(w))
		return_again(w);
	switch (s->stage) {
	case STAGE_POLL:
		if (chance(w, w->lazy_guest))
			return false;
		s->kicks.pending = false;
		called(w);
		(void)uw_guest_poll(&w->g, w->now, 1 + pick(w, w->budget));
		s->stage = STAGE_ACT;
		return true;
	case STAGE_ACT:
		follow_leave(w);
		if (w->settling || chance(w, 700))
			read_notes(w);
		s->stage = STAGE_KICK;
		return true;
	case STAGE_KICK:
		flush(w);
		s->stage = STAGE_SLEEP;
		return true;
	case STAGE_SLEEP:
		s->stage = !s->kicks.pending && uw_guest_sleep(&w->g) ? STAGE_ASLEEP : STAGE_POLL;
		return true;
	default:
		return step_asleep(w);
	}
}

uint64_t guest_next_event(struct world *w)
{
	uint64_t when;

	if (w->now < w->guest.silent)
		return w->guest.silent;
	if (w->guest.dirty || w->guest.kicks.pending || w->guest.stage != STAGE_ASLEEP)
		return w->now;
	when = uw_guest_deadline(&w->g);
	return w->leaving && w->leave_until < when ? w->leave_until : when;
}

/* ---- chaos ---- */

/* Breaks what no guest and no host would break, so that the peer asks for a new epoch. */
static void dent(struct world *w)
{
	const struct uw_layout *l = &w->layout;
	struct uw_host_page *page = (void *)w->region;
	struct uw_guest_page *own = (void *)(w->region + l->guest_page);
	struct uw_slot *sub = (void *)(w->region + l->sub_ring), *comp = (void *)(w->region + l->comp_ring);
	uint32_t far = 1 + pick(w, 1000), kind = pick(w, 4);

	if (!w->shadow.echoed)
		return;
	TRACE(w, "damage %u", kind);
	w->shadow.broken = true;
	switch (kind) {
	case 0:
		uw_write32(&sub[w->shadow.sub & (l->sub_slots - 1)].tag, pick(w, UINT32_MAX));
		break;
	case 1:
		uw_write32(&comp[w->shadow.comp & (l->comp_slots - 1)].tag, pick(w, UINT32_MAX));
		break;
	case 2:
		uw_write32(&own->hot.consumed, w->shadow.comp + far);
		break;
	default:
		uw_write32(&page->hot.consumed, w->shadow.sub + far);
		break;
	}
}

static void leave(struct world *w)
{
	if (w->leaving || rests(w))
		return;
	TRACE(w, "guest wants to leave");
	w->leaving = true;
	w->leave_until = w->now + (100 + pick(w, 3000)) * UW_MS;
	called(w);
	uw_guest_end(&w->g, w->now);
	wake(&w->guest, STAGE_ACT);
}

bool guest_chaos(struct world *w, uint32_t kind)
{
	switch (kind) {
	case 0:
		guest_boot(w);
		break;
	case 1:
		leave(w);
		break;
	case 2:
		if (w->leaving || rests(w))
			return false;
		TRACE(w, "guest abandons the host");
		called(w);
		uw_guest_abandon(&w->g, w->now);
		wake(&w->guest, STAGE_ACT);
		totals.abandons++;
		break;
	case 3:
		w->guest.silent = w->now + pick(w, 100) * UW_MS;
		break;
	case 4:
		TRACE(w, "guest falls silent");
		w->guest.silent = w->now + pick(w, 14) * SECOND;
		break;
	case 5:
		dent(w);
		break;
	default:
		guest_cancel_all(w);
		break;
	}
	return true;
}
