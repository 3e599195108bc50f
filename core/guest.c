/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's end of a session.
 *
 *   IDLE --begin: new incarnation--> WAIT --epoch not worked in, host READY--> GREET --welcome--> RUN --bye--> IDLE
 *                                     ^                                          |                 |
 *                                     '------- host down, host lies, host silent, refused ---------'
 *
 * A URB in flight is given back on its answer, on a new epoch, or when the host page says DOWN: each is the host's
 * promise that no byte of it moves any more. A host that reads nothing for UW_PROBES probes is given up; its URBs come
 * back as failed, and as a new epoch must come before anything is submitted again, their data space is not used before
 * the promise has been made.
 */
#include "guest.h"
#include "urb.h"

enum uw_layout_fault uw_guest_sizes(const uint8_t *region, uint64_t mapped, struct uw_layout *layout,
				    struct uw_guest_sizes *sizes)
{
	enum uw_layout_fault fault = UW_LAYOUT_SIZE;

	if (mapped < UW_REGION_MIN)
		return fault;
	fault = uw_layout_read(layout, (const void *)region);
	if (fault == UW_LAYOUT_OK)
		fault = uw_layout_check(layout, mapped);
	if (fault != UW_LAYOUT_OK)
		return fault;
	sizes->entries = layout->transfers;
	sizes->coherent = layout->data_size / 2 & ~(UW_PAGE - 1);
	sizes->words = uw_ranges_words(layout->data_size - sizes->coherent, layout->granule);
	return UW_LAYOUT_OK;
}

void uw_guest_init(struct uw_guest *g, const struct uw_layout *layout, const struct uw_guest_memory *mem,
		   const char *name)
{
	uint32_t i;

	uw_zero(g, sizeof(*g));
	uw_copy(&g->layout, layout, sizeof(*layout));
	g->mem = *mem;
	g->page = (const void *)mem->region;
	g->own = (void *)(mem->region + layout->guest_page);
	g->probe_since = UW_NEVER;
	for (i = 0; i < UW_NAME && name[i]; i++)
		g->name[i] = name[i];
	g->bounce_at = layout->data_size / 2 & ~(UW_PAGE - 1);
	uw_ranges_init(&g->bounce, mem->bitmap, layout->data_size - g->bounce_at, layout->granule);
	uw_urb_init(g);
}

/* ---- messages out ---- */

bool uw_guest_room(struct uw_guest *g, uint32_t reserve)
{
	if (uw_tx_room(&g->tx) > reserve)
		return true;
	UW_COUNT(&g->counters, ring_full, 1);
	if (!uw_tx_wait(&g->tx))
		uw_guest_fault(g);
	return g->phase != UW_GUEST_WAIT && uw_tx_room(&g->tx) > reserve;
}

void uw_guest_put(struct uw_guest *g, const struct uw_ask *a)
{
	struct uw_slot slot;

	uw_ask_encode(a, &slot);
	uw_msg_stamp(&slot, g->epoch, g->rx.pos);
	uw_tx_put(&g->tx, &slot);
	UW_COUNT(&g->counters, submissions, 1);
	if (g->probe_since == UW_NEVER) {
		g->probe_since = g->now;
		g->probe_pos = g->tx.peer;
	}
}

/* What this core knows of what the host offers. */
uint64_t uw_guest_wanted(const struct uw_guest *g)
{
	return g->layout.features & (UW_FEATURE_ISOCH | UW_FEATURE_STREAMS | UW_FEATURE_STATS | UW_FEATURE_SUSPEND);
}

static void put_hello(struct uw_guest *g)
{
	struct uw_ask a = { .type = UW_SUB_HELLO };

	a.u.hello.version_min = a.u.hello.version_max = UW_VERSION;
	a.u.hello.incarnation = g->incarnation;
	a.u.hello.features = uw_guest_wanted(g);
	uw_copy(a.u.hello.name, g->name, sizeof(g->name));
	uw_guest_put(g, &a);
}

/* ---- epochs ---- */

/*
 * A number that the host does not hold yet. It is made of the epoch the page shows: the host ends that epoch once it has
 * seen the number, so one number never stands for two of them, though a guest that left has put 0 in its place
 * before the host looked. Counting up from the page would give 1 again and again.
 */
static void new_incarnation(struct uw_guest *g)
{
	uint32_t shown = uw_read32(&g->own->incarnation);

	g->epoch = uw_acquire32(&g->page->head.epoch);
	g->incarnation = g->epoch + 1;
	while (!g->incarnation || g->incarnation == shown)
		g->incarnation += 0x80000001u;
	uw_release32(&g->own->incarnation, g->incarnation);
	g->kick = true;
}

void uw_guest_begin(struct uw_guest *g, uint64_t now)
{
	g->now = now;
	g->bye = g->bye_sent = g->ended = false;
	g->phase = UW_GUEST_WAIT;
	new_incarnation(g);
}

static void end_requests(struct uw_guest *g)
{
	struct uw_guest_port *p;
	uint32_t port;

	for (port = 1; port <= uw_layout_ports(&g->layout); port++) {
		p = &g->ports[port];
		if (p->request == 2) {
			uw_share_put(&g->shares, (uint8_t)port, false, UW_SHARE_REQUEST);
			uw_entry_put(g, p->ask.id);
		}
		if (p->request) {
			p->request = 0;
			p->status = UW_ST_NO_DEVICE;
			p->value = 0;
			g->to_answer |= uw_guest_port_bit(port);
		}
		p->speed = UW_SPEED_NONE;
		p->changes = 0;
	}
	g->to_tell = g->to_ack = g->to_request = 0;
}

static void end_probe(struct uw_guest *g)
{
	g->probe_since = UW_NEVER;
	g->probes = 0;
}

/* The session's end, once nothing of it can move a byte, or nothing will be touched before that is so. */
static void lose_session(struct uw_guest *g)
{
	bool told = g->note_up;

	uw_urb_fail_all(g, UW_ST_NO_DEVICE);
	end_requests(g);
	if (g->stats_asked)
		uw_entry_put(g, g->stats_id);
	g->stats_asked = g->stats_wanted = false;
	end_probe(g);
	g->note_up = false;
	if (!told && (g->phase == UW_GUEST_RUN || g->lost))
		g->note_down = true;
	g->lost = false;
	if (g->phase != UW_GUEST_IDLE)
		g->phase = UW_GUEST_WAIT;
}

/* Has the host given the epoch up itself? Then what looks like a lie is how it clears its pages for the next. It writes
 * the state last, so this reads it first: READY with the old epoch means that nothing has been cleared. */
static bool host_left(const struct uw_guest *g)
{
	uw_fence(); /* D */
	return uw_acquire32(&g->page->head.state) != UW_HOST_READY || uw_read32(&g->page->head.epoch) != g->epoch;
}

bool uw_guest_fault(struct uw_guest *g)
{
	if (g->phase != UW_GUEST_RUN && g->phase != UW_GUEST_GREET)
		return false;
	g->lost = g->phase == UW_GUEST_RUN;
	g->phase = UW_GUEST_WAIT;
	g->probe_since = g->now;
	g->probe_pos = g->tx.peer;
	g->probes = 0;
	if (host_left(g))
		return false;
	UW_COUNT(&g->counters, lies, 1);
	new_incarnation(g);
	return true;
}

void uw_guest_abandon(struct uw_guest *g, uint64_t now)
{
	g->now = now;
	lose_session(g);
	if (g->bye) {
		g->phase = UW_GUEST_IDLE;
		g->ended = true;
		uw_release32(&g->own->incarnation, 0);
		g->kick = true;
	} else {
		new_incarnation(g);
	}
}

/* The layout of a region never changes; a host page that says otherwise is not believed. */
static bool layout_holds(struct uw_guest *g)
{
	struct uw_layout fresh;
	const uint8_t *a = (const void *)&fresh, *b = (const void *)&g->layout;
	enum uw_layout_fault fault = uw_layout_read(&fresh, g->page);
	size_t i;

	for (i = 0; i < sizeof(fresh) && fault == UW_LAYOUT_OK; i++)
		if (a[i] != b[i])
			fault = UW_LAYOUT_PARTS;
	if (fault == UW_LAYOUT_OK)
		return true;
	if (g->layout_fault != fault)
		g->note_layout = true;
	g->layout_fault = fault;
	return false;
}

static void take_epoch(struct uw_guest *g, uint32_t epoch)
{
	const struct uw_layout *l = &g->layout;
	struct uw_slot *ring = (void *)(g->mem.region + l->sub_ring);

	lose_session(g);
	g->epoch = epoch;
	if (!layout_holds(g))
		return;
	uw_ring_clear(ring, l->sub_slots, l->start);
	uw_tx_init(&g->tx, ring, l->sub_slots, l->start, &g->own->hot, &g->page->hot);
	uw_rx_init(&g->rx, (const void *)(g->mem.region + l->comp_ring), l->comp_slots, l->start, (uint16_t)epoch,
		   &g->own->hot, &g->page->hot);
	g->phase = UW_GUEST_GREET;
	put_hello(g);
	uw_release32(&g->own->epoch, epoch);
	g->kick = true;
	UW_COUNT(&g->counters, epochs, 1);
}

static void follow_host(struct uw_guest *g)
{
	uint32_t epoch = uw_acquire32(&g->page->head.epoch), state = uw_read32(&g->page->head.state);

	if (g->phase == UW_GUEST_IDLE)
		return;
	if (g->bye && (epoch != g->epoch || state == UW_HOST_DOWN))
		uw_guest_abandon(g, g->now); /* the epoch to leave has ended by itself */
	else if (epoch != g->epoch && state == UW_HOST_READY)
		take_epoch(g, epoch);
	else if (state == UW_HOST_DOWN && (g->phase != UW_GUEST_WAIT || g->flying || g->lost))
		lose_session(g);
}

/* Nobody is waited for: without a session and without URBs of the last one, or when the host has read everything. */
static bool host_owes_nothing(const struct uw_guest *g)
{
	return g->phase == UW_GUEST_WAIT ? !g->flying && !g->lost : g->tx.peer == g->tx.head;
}

/* Something unread for long is kicked for once more; a host that still reads nothing is given up. */
static void follow_probe(struct uw_guest *g)
{
	if (g->phase == UW_GUEST_IDLE || g->probe_since == UW_NEVER)
		return;
	if (g->phase != UW_GUEST_WAIT && !uw_tx_look(&g->tx)) {
		uw_guest_fault(g);
	} else if (host_owes_nothing(g)) {
		end_probe(g);
	} else if (g->phase != UW_GUEST_WAIT && g->tx.peer != g->probe_pos) {
		g->probe_pos = g->tx.peer;
		g->probe_since = g->now;
		g->probes = 0;
	} else if (g->now - g->probe_since >= UW_PROBE_AFTER) {
		g->probe_since = g->now;
		g->kick = true;
		UW_COUNT(&g->counters, probes, 1);
		if (g->probes++ == UW_PROBES)
			uw_guest_abandon(g, g->now);
	}
}

/* ---- polling ---- */

uint32_t uw_guest_poll(struct uw_guest *g, uint64_t now, uint32_t budget)
{
	uint32_t count;

	g->now = now;
	follow_host(g);
	count = uw_guest_read(g, budget);
	uw_guest_put_waiting(g);
	follow_probe(g);
	return count;
}

/* ---- the driver's other calls ---- */

void uw_guest_end(struct uw_guest *g, uint64_t now)
{
	g->now = now;
	g->bye = true;
	if (g->phase == UW_GUEST_RUN)
		uw_guest_put_waiting(g);
	else
		uw_guest_abandon(g, now);
}

bool uw_guest_ended(const struct uw_guest *g)
{
	return g->ended;
}

static bool begin_request(struct uw_guest *g, const struct uw_ask *a, uint64_t now)
{
	struct uw_guest_port *p = &g->ports[a->port];

	g->now = now;
	if (g->phase != UW_GUEST_RUN || g->bye || p->request || (g->to_answer & uw_guest_port_bit(a->port)))
		return false;
	p->ask = *a;
	p->request = 1;
	g->to_request |= uw_guest_port_bit(a->port);
	uw_guest_put_waiting(g);
	return true;
}

bool uw_guest_port_request(struct uw_guest *g, uint8_t port, enum uw_request request, uint64_t now)
{
	struct uw_ask a = { .type = UW_SUB_PORT, .port = port };

	a.u.request = (uint8_t)request;
	return begin_request(g, &a, now);
}

bool uw_guest_streams(struct uw_guest *g, uint8_t port, const uint8_t *endpoints, uint8_t count, uint16_t streams,
		      uint64_t now)
{
	struct uw_ask a = { .port = port };

	if (!(g->features & UW_FEATURE_STREAMS) || !count || count > UW_STREAM_ENDPOINTS)
		return false;
	a.type = streams ? UW_SUB_STREAMS_ALLOC : UW_SUB_STREAMS_FREE;
	a.u.streams.streams = streams;
	a.u.streams.count = count;
	uw_copy(a.u.streams.endpoint, endpoints, count);
	return begin_request(g, &a, now);
}

static bool take_flag(bool *flag, struct uw_note *note, enum uw_note_kind kind)
{
	bool set = *flag;

	*flag = false;
	note->kind = (uint8_t)kind;
	return set;
}

static bool take_bit(uint64_t *bits, struct uw_note *note, enum uw_note_kind kind)
{
	if (!*bits)
		return false;
	note->kind = (uint8_t)kind;
	note->port = (uint8_t)__builtin_ctzll(*bits);
	*bits &= *bits - 1;
	return true;
}

bool uw_guest_note(struct uw_guest *g, struct uw_note *note)
{
	struct uw_guest_port *p;

	uw_zero(note, sizeof(*note));
	if (take_flag(&g->note_down, note, UW_NOTE_DOWN))
		return true;
	if (take_bit(&g->to_answer, note, UW_NOTE_REQUEST)) {
		note->status = g->ports[note->port].status;
		note->value = g->ports[note->port].value;
		return true;
	}
	note->status = g->refused_status;
	note->value = g->layout_fault;
	if (take_flag(&g->note_refused, note, UW_NOTE_REFUSED) || take_flag(&g->note_layout, note, UW_NOTE_LAYOUT) ||
	    take_flag(&g->note_up, note, UW_NOTE_UP))
		return true;
	if (!take_bit(&g->to_tell, note, UW_NOTE_PORT))
		return false;
	p = &g->ports[note->port];
	note->speed = p->speed;
	note->changes = p->changes;
	p->changes = 0;
	return true;
}

bool uw_guest_kick(struct uw_guest *g)
{
	bool kick = g->kick;

	if ((g->phase == UW_GUEST_RUN || g->phase == UW_GUEST_GREET) && uw_tx_kick(&g->tx))
		kick = true;
	g->kick = false;
	if (kick)
		UW_COUNT(&g->counters, kicks, 1);
	return kick;
}

bool uw_guest_sleep(struct uw_guest *g)
{
	bool quiet = (g->phase != UW_GUEST_RUN && g->phase != UW_GUEST_GREET) || uw_rx_sleep(&g->rx);

	UW_COUNT(&g->counters, sleeps, quiet);
	return quiet;
}

uint64_t uw_guest_deadline(const struct uw_guest *g)
{
	return g->probe_since == UW_NEVER ? UW_NEVER : g->probe_since + UW_PROBE_AFTER;
}

void uw_guest_ask_stats(struct uw_guest *g)
{
	if (g->phase != UW_GUEST_RUN || g->bye || !(g->features & UW_FEATURE_STATS) || g->stats_wanted)
		return;
	g->stats_wanted = true;
	g->stats_next = 0;
	uw_guest_put_waiting(g);
}
