/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's owner: a loop of poll, actions, kick and sleep that is interrupted anywhere, killed and started again. */
#include "loop.h"

/* ---- the region ---- */

static uint32_t pick_of(struct world *w, const uint32_t *values, uint32_t count)
{
	return values[pick(w, count)];
}

static void choose_rings(struct world *w, struct uw_layout *l)
{
	static const uint32_t slots[] = { 16, 16, 16, 32, 64 };

	l->sub_slots = (uint16_t)(w->flood ? 16 : pick_of(w, slots, UW_COUNT_OF(slots)));
	l->comp_slots = 2 * l->sub_slots;
	l->reserve = (uint16_t)(1 + pick(w, l->sub_slots / 2));
	l->comp_ring = l->sub_ring + UW_PAGE;
	l->data = l->comp_ring + 2 * UW_PAGE;
	l->start = chance(w, 250) ? 0 : chance(w, 250) ? pick(w, UINT32_MAX) : 0u - pick(w, 150);
	totals.wraps += uw_ahead(l->start, 0) < 0 && l->start > 0u - 151;
}

static void choose_limits(struct world *w, struct uw_layout *l)
{
	static const uint32_t granules[] = { 64, 512, 512, 4096 };
	uint32_t least;

	l->data_size = chance(w, 500) ? 256u << 10 : DATA_MAX;
	l->transfer_max = 65536;
	l->granule = (uint16_t)pick_of(w, granules, UW_COUNT_OF(granules));
	l->usb2_ports = (uint8_t)(1 + pick(w, 4));
	l->usb3_ports = (uint8_t)pick(w, 3);
	l->share = (uint16_t)(1 + pick(w, 4));
	least = uw_layout_ports(l) * (l->share + 2u);
	for (l->transfers = 1; l->transfers < least;)
		l->transfers *= 2;
	if (w->flood)
		l->transfers = ENTRIES;
	else if (chance(w, 400) && l->transfers * 2 <= ENTRIES)
		l->transfers *= 2;
	l->packets_max = (uint16_t)(chance(w, 700) ? 1 + pick(w, PACKETS) : 0);
	l->isoch_max = (uint16_t)(l->packets_max ? 1 + pick(w, ISO_MAX) : 0);
	l->features = UW_FEATURE_STATS | (l->packets_max ? UW_FEATURE_ISOCH : 0) |
		      (chance(w, 700) ? UW_FEATURE_STREAMS : 0) | (chance(w, 700) ? UW_FEATURE_SUSPEND : 0);
}

static void choose_safety(struct world *w, struct uw_host_limits *s)
{
	uw_host_limits_default(s);
	s->breaker.threshold = chance(w, 700) ? 0 : 1 + pick(w, 4);
	s->breaker.cooldown = (1 + pick(w, 1000)) * UW_MS;
	s->bucket.rate = chance(w, 800) ? 0 : 500 + pick(w, 20000);
	s->bucket.burst = 1 + pick(w, 8);
	s->drain = (50 + pick(w, 1000)) * UW_MS;
	s->orphan = (1000 + pick(w, 9000)) * UW_MS;
}

/* A new region: pages of zeros, and rings of anything at all. */
void host_setup(struct world *w)
{
	struct uw_layout *l = &w->layout;

	uw_layout_default(l, REGION);
	choose_rings(w, l);
	choose_limits(w, l);
	choose_safety(w, &w->limits);
	CHECK(w, uw_layout_check(l, REGION) == UW_LAYOUT_OK, "the layout chosen is not usable");
	memset(w->region, 0, l->sub_ring);
	memset(w->region + l->sub_ring, 0xa5, l->data - l->sub_ring);
	memset(w->region + l->data, 0x5a, l->data_size);
}

/* ---- devices and ports ---- */

static struct device *device_at(struct world *w, uint8_t port)
{
	uint32_t i;

	for (i = 0; i < DEVICES; i++)
		if (w->devices[i].port == port)
			return &w->devices[i];
	return NULL;
}

/* Outside of a session nothing is owed: its start tells everything. */
static void raise(struct world *w, uint8_t port, uint16_t changes)
{
	if (w->h.phase == UW_PHASE_RUN && w->h.epoch == w->shadow.epoch)
		w->shadow.raised[port] |= changes;
}

static void attach(struct world *w, struct device *d)
{
	d->port = uw_host_port_for(&w->h, d->speed);
	if (!d->port)
		return;
	TRACE(w, "attach speed %u to port %u", d->speed, d->port);
	d->open = true;
	uw_host_attach(&w->h, d->port, d->speed, w->now);
	raise(w, d->port, UW_EVENT_CONNECT);
	w->host.dirty = true;
	wake(&w->host, STAGE_ACT);
}

static void detach(struct world *w, struct device *d)
{
	if (!d->port)
		return;
	TRACE(w, "detach port %u", d->port);
	uw_host_detach(&w->h, d->port, w->now);
	raise(w, d->port, UW_EVENT_CONNECT);
	w->host.dirty = true;
	wake(&w->host, STAGE_ACT);
	d->port = 0;
	d->closing = !w->settling && chance(w, 400);
	if (!d->closing)
		device_close(w, d);
}

/* Some owners close a device long after it has left its port. */
static void close_late(struct world *w)
{
	uint32_t i;

	for (i = 0; i < DEVICES; i++)
		if (w->devices[i].closing && (w->settling || chance(w, 20))) {
			w->devices[i].closing = false;
			device_close(w, &w->devices[i]);
		}
}

/* Devices that found no port, because an answer of the former one was still parked, try again. */
static void attach_waiting(struct world *w)
{
	uint32_t i;

	for (i = 0; i < DEVICES; i++)
		if (w->devices[i].plugged && !w->devices[i].port && !w->devices[i].closing)
			attach(w, &w->devices[i]);
}

/* ---- life and death ---- */

void host_start(struct world *w)
{
	struct uw_host_memory mem = { w->region, w->xfers, w->isos, w->iso_free };
	const struct uw_host_page *page = (const void *)w->region;

	TRACE(w, "host starts, epoch %u", uw_get32(page->head.epoch));
	memset(w->xfers, 0xa5, sizeof(w->xfers));
	memset(&w->h, 0xa5, sizeof(w->h));
	uw_host_init(&w->h, &w->layout, &w->limits, &mem, "loop host", uw_get32(page->head.epoch), w->now);
	uw_host_link(&w->h, true, w->now);
	w->host.alive = w->host.dirty = true;
	w->host.stage = STAGE_ACT;
	w->host.silent = 0;
	w->stopping = false;
	attach_waiting(w);
}

static void count_up(struct uw_counters *sum, const struct uw_counters *c)
{
	uint32_t i;

	for (i = 0; i < UW_STAT_COUNT; i++)
		sum->value[i] += c->value[i];
}

static void host_gone(struct world *w)
{
	uint32_t i;

	count_up(&totals.host, &w->h.counters);
	for (i = 0; i < DEVICES; i++)
		device_forget(w, &w->devices[i]);
	w->host.alive = w->host.dirty = false;
	w->restart = w->now + pick(w, 3000) * UW_MS;
	totals.kills++;
}

/* The keeper, which outlives its worker, may say so in the page; only once nothing moves any more. */
void host_kill(struct world *w, bool keeper_says_down)
{
	struct uw_host_page *page = (void *)w->region;

	TRACE(w, "host dies");
	host_gone(w);
	if (!keeper_says_down)
		return;
	uw_write32(&page->head.state, UW_HOST_DOWN);
	kick(w, &w->guest);
}

/* ---- the loop ---- */

static void open_again(struct world *w, struct device *d)
{
	if (!w->settling && chance(w, 100)) {
		detach(w, d);
		d->plugged = false;
		return;
	}
	TRACE(w, "open port %u", d->port);
	d->open = true;
	uw_host_opened(&w->h, d->port);
	totals.opens++;
}

static void act(struct world *w, const struct uw_action *a)
{
	struct device *d = device_at(w, a->port);

	CHECK(w, d || a->kind == UW_ACT_CANCEL, "an action %u for port %u, where no device is", a->kind, a->port);
	switch (a->kind) {
	case UW_ACT_VERB:
		device_take(w, d, a->xfer);
		break;
	case UW_ACT_CANCEL:
		device_cancel(w, a->xfer);
		break;
	case UW_ACT_CLOSE:
		CHECK(w, d->open, "port %u closed twice", a->port);
		device_close(w, d);
		totals.closes++;
		break;
	default:
		CHECK(w, !d->open, "port %u opened twice", a->port);
		open_again(w, d);
		break;
	}
}

static void step_act(struct world *w)
{
	struct uw_action a;

	do {
		w->host.stage = STAGE_ACT;
		if (!uw_host_next(&w->h, &a, w->now)) {
			w->host.stage = STAGE_KICK;
			return;
		}
		w->host.dirty = true;
		act(w, &a);
	} while (chance(w, 600));
}

static void step_kick(struct world *w)
{
	w->host.stage = STAGE_SLEEP;
	w->host.dirty = false;
	if (uw_host_kick(&w->h))
		kick(w, &w->guest);
	if (uw_host_stopped(&w->h)) {
		TRACE(w, "host stopped");
		host_gone(w);
	}
}

static bool step_asleep(struct world *w)
{
	if (!w->host.kicks.pending && w->now < uw_host_deadline(&w->h, w->now))
		return false;
	w->host.stage = STAGE_POLL;
	return true;
}

static void step_poll(struct world *w)
{
	w->host.kicks.pending = false;
	close_late(w);
	attach_waiting(w);
	(void)uw_host_poll(&w->h, w->now, 1 + pick(w, w->budget));
	w->host.dirty = true;
	w->host.stage = STAGE_ACT;
}

bool host_step(struct world *w)
{
	if (!w->host.alive) {
		if (w->now < w->restart)
			return false;
		host_start(w);
		return true;
	}
	if (w->now < w->host.silent)
		return false;
	switch (w->host.stage) {
	case STAGE_POLL:
		if (chance(w, w->lazy_host))
			return false;
		step_poll(w);
		return true;
	case STAGE_ACT:
		step_act(w);
		return true;
	case STAGE_KICK:
		step_kick(w);
		return true;
	case STAGE_SLEEP:
		w->host.stage = !w->host.kicks.pending && uw_host_sleep(&w->h) ? STAGE_ASLEEP : STAGE_POLL;
		return true;
	default:
		return step_asleep(w);
	}
}

/* A host that is silent hears nothing of its devices either. */
bool host_device_step(struct world *w)
{
	return w->host.alive && w->now >= w->host.silent && device_end_one(w);
}

uint64_t host_next_event(struct world *w)
{
	uint64_t when, device;

	if (!w->host.alive)
		return w->restart;
	if (w->now < w->host.silent)
		return w->host.silent;
	if (w->host.stage != STAGE_ASLEEP || w->host.kicks.pending)
		return w->now;
	when = uw_host_deadline(&w->h, w->now);
	device = device_next_event(w);
	return when < device ? when : device;
}

/* ---- chaos ---- */

static void plug(struct world *w, struct device *d)
{
	d->plugged = !d->plugged;
	d->hung = d->plugged && chance(w, 100);
	totals.events++;
	if (!d->plugged)
		detach(w, d);
	else if (!d->closing)
		attach(w, d);
}

static void replug(struct world *w, struct device *d)
{
	if (!d->plugged)
		return;
	detach(w, d);
	if (!d->closing)
		attach(w, d);
}

static void port_event(struct world *w, struct device *d)
{
	uint16_t changes = chance(w, 500) ? UW_EVENT_WAKEUP : UW_EVENT_LOST_POWER;

	if (!d->open || !d->port)
		return;
	uw_host_event(&w->h, d->port, changes);
	raise(w, d->port, changes);
	w->host.dirty = true;
	wake(&w->host, STAGE_ACT);
}

static void flap_link(struct world *w)
{
	TRACE(w, "link goes and comes");
	uw_host_link(&w->h, false, w->now);
	if (chance(w, 500))
		w->host.stage = STAGE_POLL;
	uw_host_link(&w->h, true, w->now);
	w->host.dirty = true;
	wake(&w->host, STAGE_ACT);
}

/* True: something was done. */
bool host_chaos(struct world *w, uint32_t kind)
{
	struct device *d = &w->devices[pick(w, DEVICES)];

	if (!w->host.alive)
		return false;
	switch (kind) {
	case 0: case 1:
		plug(w, d);
		break;
	case 2:
		replug(w, d);
		break;
	case 3:
		port_event(w, d);
		break;
	case 4:
		TRACE(w, "host begins an epoch by itself");
		w->h.fault = true;
		wake(&w->host, STAGE_ACT);
		break;
	case 5:
		flap_link(w);
		break;
	case 6:
		host_kill(w, chance(w, 500));
		break;
	case 7:
		TRACE(w, "host is told to stop");
		uw_host_stop(&w->h, w->now);
		wake(&w->host, STAGE_ACT);
		break;
	case 8:
		d->hung = !d->hung;
		break;
	case 9:
		w->host.silent = w->now + pick(w, 100) * UW_MS;
		break;
	case 10:
		TRACE(w, "host falls silent");
		w->host.silent = w->now + pick(w, 14) * SECOND;
		break;
	default:
		kick(w, chance(w, 500) ? &w->host : &w->guest);
		break;
	}
	return true;
}
