/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's end of a session.
 *
 *            new incarnation, fault, guest gone
 *   any ------------------------------------------> DRAIN: every transfer is cancelled and reaped, no byte moves
 *                                                     | nothing active: completion ring cleared, epoch published
 *   RUN <--hello-- GREET <--echo of the epoch-- OFFER <'
 *    '--bye--> CLOSED, answered once nothing is active     (a refused hello closes too)
 *
 * In OFFER nothing of the guest is read but its incarnation and its echo.
 */
#include "host.h"
#include "xfer.h"

void uw_host_limits_default(struct uw_host_limits *limits)
{
	limits->breaker.threshold = 64;
	limits->breaker.cooldown = 1000 * UW_MS;
	/* High speed allows 8,000 microframes of 13 bulk packets, and super speed a few times that. */
	limits->bucket.rate = 2000000;
	limits->bucket.burst = 200000;
	limits->drain = 5000 * UW_MS;
	limits->orphan = 30000 * UW_MS;
}

static uint64_t port_bit(uint8_t port)
{
	return 1ull << port;
}

/* Publication order: everything, then the epoch, then the state, each with release, then a kick whatever the wake index.
 * READY never stands beside an epoch that is over. */
static void publish(struct uw_host *h, enum uw_host_state state)
{
	struct uw_slot *ring = (void *)(h->mem.region + h->layout.comp_ring);

	uw_write32(&h->page->head.state, UW_HOST_RESETTING);
	uw_fence(); /* D */
	uw_ring_clear(ring, h->layout.comp_slots, h->layout.start);
	uw_layout_write(&h->layout, h->page);
	uw_tx_init(&h->tx, ring, h->layout.comp_slots, h->layout.start, &h->page->hot, &h->guest->hot);
	uw_rx_init(&h->rx, (const void *)(h->mem.region + h->layout.sub_ring), h->layout.sub_slots, h->layout.start, 0,
		   &h->page->hot, &h->guest->hot);
	if (!++h->epoch)
		h->epoch = 1;
	h->rx.epoch = (uint16_t)h->epoch;
	uw_release32(&h->page->head.epoch, h->epoch);
	uw_release32(&h->page->head.state, state); /* D */
	h->kick = true;
	UW_COUNT(&h->counters, epochs, 1);
}

static void offer(struct uw_host *h)
{
	h->fault = h->bye = false;
	if (h->stopping) {
		h->phase = UW_PHASE_DOWN;
		publish(h, UW_HOST_DOWN);
		return;
	}
	h->phase = UW_PHASE_OFFER;
	publish(h, UW_HOST_READY);
}

static void begin_epoch(struct uw_host *h, uint64_t now)
{
	uint32_t port;

	if (h->phase == UW_PHASE_DRAIN || h->phase == UW_PHASE_DOWN)
		return;
	h->phase = UW_PHASE_DRAIN;
	h->bye = h->fault = false;
	h->drain_until = now + h->limits.drain;
	uw_write32(&h->page->head.state, UW_HOST_RESETTING);
	h->kick = true;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		uw_xfer_end_port(h, (uint8_t)port, UW_ST_CANCELLED, now);
	while (!uw_list_empty(&h->parked))
		uw_xfer_drop(h, UW_CONTAINER(h->parked.next, struct uw_xfer, node));
}

void uw_host_init(struct uw_host *h, const struct uw_layout *layout, const struct uw_host_limits *limits,
		  const struct uw_host_memory *mem, const char *name, uint32_t epoch, uint64_t now)
{
	uint32_t i;

	uw_zero(h, sizeof(*h));
	h->layout = *layout;
	h->limits = *limits;
	h->mem = *mem;
	h->page = (void *)mem->region;
	h->guest = (const void *)(mem->region + layout->guest_page);
	h->epoch = epoch;
	h->orphan_at = UW_NEVER;
	for (i = 0; i < UW_NAME && name[i]; i++)
		h->name[i] = name[i];
	uw_xfer_init(h, now);
	/* Whoever is there already is offered this epoch; only a newcomer asks for one of its own. */
	h->incarnation = uw_acquire32(&h->guest->incarnation);
	offer(h);
}

void uw_host_stop(struct uw_host *h, uint64_t now)
{
	h->stopping = true;
	begin_epoch(h, now);
}

bool uw_host_stopped(const struct uw_host *h)
{
	return h->phase == UW_PHASE_DOWN;
}

void uw_host_link(struct uw_host *h, bool present, uint64_t now)
{
	h->present = present;
	if (present)
		return;
	begin_epoch(h, now);
	h->orphan_at = now + h->limits.orphan;
}

/* ---- ports ---- */

static bool port_fits(const struct uw_host *h, uint32_t port, uint8_t speed)
{
	return (speed == UW_SPEED_SUPER) == (port > h->layout.usb2_ports);
}

uint8_t uw_host_port_for(const struct uw_host *h, uint8_t speed)
{
	uint32_t port;

	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		if (!h->ports[port].speed && port_fits(h, port, speed) && uw_list_empty(&h->ports[port].used))
			return (uint8_t)port;
	return 0;
}

static void tell(struct uw_host *h, uint8_t port, uint16_t changes)
{
	h->ports[port].changes |= changes;
	h->to_tell |= port_bit(port);
}

void uw_host_attach(struct uw_host *h, uint8_t port, uint8_t speed, uint64_t now)
{
	struct uw_host_port *p = &h->ports[port];

	p->speed = speed;
	p->open = true;
	p->touched = false;
	uw_breaker_init(&p->breaker);
	uw_bucket_init(&p->bucket, &h->limits.bucket, now);
	uw_zero(&p->counters, sizeof(p->counters));
	uw_zero(&p->latency, sizeof(p->latency));
	tell(h, port, UW_EVENT_CONNECT);
}

void uw_host_detach(struct uw_host *h, uint8_t port, uint64_t now)
{
	struct uw_host_port *p = &h->ports[port];

	p->speed = UW_SPEED_NONE;
	p->open = false;
	h->to_close &= ~port_bit(port);
	h->to_open &= ~port_bit(port);
	uw_xfer_end_port(h, port, UW_ST_NO_DEVICE, now);
	tell(h, port, UW_EVENT_CONNECT);
}

void uw_host_event(struct uw_host *h, uint8_t port, uint16_t changes)
{
	tell(h, port, changes);
}

void uw_host_opened(struct uw_host *h, uint8_t port)
{
	h->ports[port].open = true;
	h->ports[port].touched = false;
	tell(h, port, UW_EVENT_CONNECT);
}

/* One event at a time is under way for each port: it tells the state of now, and changes gather for the next. */
static void put_event(struct uw_host *h, uint8_t port)
{
	struct uw_host_port *p = &h->ports[port];
	struct uw_answer a = { .type = UW_COMP_EVENT, .port = port };

	a.u.event.seq = ++p->seq;
	a.u.event.changes = p->changes;
	a.u.event.speed = p->open ? p->speed : UW_SPEED_NONE;
	p->changes = 0;
	p->unacked = true;
	h->to_tell &= ~port_bit(port);
	uw_host_put(h, &a);
	UW_COUNT(&h->counters, port_events, 1);
}

static void put_events(struct uw_host *h)
{
	uint32_t port;

	if (h->phase != UW_PHASE_RUN || !h->to_tell)
		return;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		if ((h->to_tell & port_bit((uint8_t)port)) && !h->ports[port].unacked && uw_list_empty(&h->parked) &&
		    uw_xfer_room(h))
			put_event(h, (uint8_t)port);
}

/* At the start of a session every port with a device is news; a device closed meanwhile is opened first. */
void uw_host_tell_all(struct uw_host *h)
{
	uint32_t port;

	h->to_tell = 0;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++) {
		h->ports[port].unacked = false;
		h->ports[port].changes = 0;
		if (!h->ports[port].speed)
			continue;
		if (h->ports[port].open)
			tell(h, (uint8_t)port, UW_EVENT_CONNECT);
		else
			h->to_open |= port_bit((uint8_t)port);
	}
}

/* ---- what time and the guest's page bring ---- */

static void follow_incarnation(struct uw_host *h, uint64_t now)
{
	uint32_t incarnation = uw_acquire32(&h->guest->incarnation);

	if (incarnation == h->incarnation)
		return;
	h->incarnation = incarnation;
	h->orphan_at = incarnation ? UW_NEVER : now + h->limits.orphan;
	begin_epoch(h, now);
}

/* A transfer that will not end in time costs its device the connection: close ends everything. */
static void follow_drain(struct uw_host *h, uint64_t now)
{
	uint32_t port;

	if (!h->active) {
		offer(h);
		return;
	}
	if (now < h->drain_until)
		return;
	h->drain_until = now + h->limits.drain;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		if (h->ports[port].active && h->ports[port].open)
			h->to_close |= port_bit((uint8_t)port);
	UW_COUNT(&h->counters, drains, 1);
}

static void orphan(struct uw_host *h, uint64_t now)
{
	uint32_t port;

	h->orphan = true;
	h->orphan_at = UW_NEVER;
	UW_COUNT(&h->counters, orphans, 1);
	begin_epoch(h, now);
	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		if (h->ports[port].open)
			h->to_close |= port_bit((uint8_t)port);
}

/* A guest that leaves answers unread, or an epoch that it could have, for longer than the grace is as good as gone. */
static void follow_silence(struct uw_host *h, uint64_t now)
{
	if (h->phase == UW_PHASE_OFFER && h->incarnation && !h->orphan && h->orphan_at == UW_NEVER)
		h->orphan_at = now + h->limits.orphan;
	if (h->phase == UW_PHASE_RUN || h->phase == UW_PHASE_GREET) {
		if (!uw_tx_look(&h->tx)) {
			UW_COUNT(&h->counters, lies, 1);
			h->fault = true;
		}
		if (h->tx.peer == h->tx.head) {
			h->orphan_at = UW_NEVER;
		} else if (h->orphan_at == UW_NEVER || h->unread != h->tx.peer) {
			h->unread = h->tx.peer;
			h->orphan_at = now + h->limits.orphan;
		}
	}
	if (now >= h->orphan_at)
		orphan(h, now);
}

static void follow_session(struct uw_host *h, uint64_t now)
{
	follow_incarnation(h, now);
	follow_silence(h, now);
	if (h->fault)
		begin_epoch(h, now);
	if (h->phase == UW_PHASE_DRAIN)
		follow_drain(h, now);
	if (h->phase == UW_PHASE_OFFER && h->incarnation && uw_acquire32(&h->guest->epoch) == h->epoch)
		h->phase = UW_PHASE_GREET;
}

static void release_held(struct uw_host *h, uint64_t now)
{
	uint32_t port;

	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		if (!uw_list_empty(&h->ports[port].held))
			uw_xfer_release(h, (uint8_t)port, now);
}

static bool reading(const struct uw_host *h)
{
	return h->phase == UW_PHASE_GREET || h->phase == UW_PHASE_RUN || h->phase == UW_PHASE_CLOSED;
}

uint32_t uw_host_poll(struct uw_host *h, uint64_t now, uint32_t budget)
{
	uint32_t count = 0;

	follow_session(h, now);
	if (reading(h)) {
		uw_xfer_flush(h);
		put_events(h);
		uw_host_answer_bye(h);
		count = uw_host_read(h, now, budget);
		put_events(h);
	}
	release_held(h, now);
	if (h->fault)
		follow_session(h, now);
	return count;
}

static bool take_port(uint64_t *ports, uint8_t *port)
{
	if (!*ports)
		return false;
	*port = (uint8_t)__builtin_ctzll(*ports);
	*ports &= *ports - 1;
	return true;
}

bool uw_host_next(struct uw_host *h, struct uw_action *action, uint64_t now)
{
	action->xfer = NULL;
	if (take_port(&h->to_close, &action->port)) {
		action->kind = UW_ACT_CLOSE;
		h->ports[action->port].open = false;
		return true;
	}
	if (take_port(&h->to_open, &action->port)) {
		action->kind = UW_ACT_OPEN;
		return true;
	}
	if (!uw_list_empty(&h->cancels)) {
		action->kind = UW_ACT_CANCEL;
		action->xfer = UW_CONTAINER(uw_list_pop(&h->cancels), struct uw_xfer, node);
	} else {
		action->kind = UW_ACT_VERB;
		action->xfer = uw_xfer_start(h, now);
	}
	if (action->xfer)
		action->port = action->xfer->port;
	return action->xfer != NULL;
}

bool uw_host_kick(struct uw_host *h)
{
	bool kick = h->kick;

	if (uw_tx_kick(&h->tx))
		kick = true;
	h->kick = false;
	if (kick)
		UW_COUNT(&h->counters, kicks, 1);
	return kick;
}

static bool has_event(const struct uw_host *h)
{
	uint64_t ports = h->phase == UW_PHASE_RUN ? h->to_tell : 0;

	for (; ports; ports &= ports - 1)
		if (!h->ports[__builtin_ctzll(ports)].unacked)
			return true;
	return false;
}

/* What the next poll would do, so that whatever made it need not poll by itself. */
static bool has_work(const struct uw_host *h)
{
	return h->fault || h->to_close || h->to_open || !uw_list_empty(&h->asked) || !uw_list_empty(&h->cancels) ||
	       (h->phase == UW_PHASE_DRAIN && !h->active);
}

/* The same, of what needs room in the completion ring. */
static bool has_answer(const struct uw_host *h)
{
	return !uw_list_empty(&h->parked) || has_event(h) || (h->bye && !h->active);
}

bool uw_host_sleep(struct uw_host *h)
{
	bool quiet = true;

	/* Elsewhere the guest kicks after it wrote its incarnation or its echo, and a kick is never lost. Without room
	 * for an answer the next message is not read anyway, and the guest kicks when it has made room. */
	if (reading(h) && uw_xfer_room(h))
		quiet = !has_answer(h) && uw_rx_sleep(&h->rx);
	quiet = quiet && !has_work(h);
	UW_COUNT(&h->counters, sleeps, quiet);
	return quiet;
}

uint64_t uw_host_deadline(const struct uw_host *h, uint64_t now)
{
	uint64_t when = h->orphan_at, token;
	uint32_t port;

	if (h->phase == UW_PHASE_DRAIN && h->drain_until < when)
		when = h->drain_until;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++) {
		if (uw_list_empty(&h->ports[port].held) || h->ports[port].reset)
			continue;
		token = uw_bucket_when(&h->ports[port].bucket, &h->limits.bucket, now);
		if (token < when)
			when = token;
	}
	return when;
}
