/* SPDX-License-Identifier: GPL-2.0-only */
/* Invariants of both cores, checked after every step, and of rest, checked at the end of every run. */
#include "loop.h"

/* ---- shares, counted anew ---- */

static uint32_t beyond(const struct uw_shares *s, const struct uw_share_port *p)
{
	uint32_t cost = p->transfers + (p->control ? p->control - 1 : 0);

	return cost > s->share ? cost - s->share : 0;
}

static void check_shares(struct world *w, const struct uw_shares *s, const struct uw_share_port *expected, uint32_t isoch,
			 const char *who)
{
	uint32_t port, common = 0;

	for (port = 1; port <= uw_layout_ports(&w->layout); port++) {
		CHECK(w, s->port[port].transfers == expected[port].transfers &&
		      s->port[port].control == expected[port].control && s->port[port].request == expected[port].request,
		      "%s: the share of port %u is %u/%u/%u, in use are %u/%u/%u", who, port, s->port[port].transfers,
		      s->port[port].control, s->port[port].request, expected[port].transfers, expected[port].control,
		      expected[port].request);
		common += beyond(s, &s->port[port]);
	}
	CHECK(w, s->common_used == common && common <= s->common, "%s: %u common entries, counted %u of %u", who,
	      s->common_used, common, s->common);
	CHECK(w, s->isoch == isoch && isoch <= s->isoch_max, "%s: %u isochronous, counted %u", who, s->isoch, isoch);
}

/* ---- host ---- */

static void check_entry(struct world *w, const struct uw_xfer *x, uint32_t i)
{
	const struct entry *e = &w->entries[i];

	CHECK(w, UW_ID_ENTRY(x->id) == i && e->id == x->id && e->out, "host: entry %u is in use for nothing", i);
	CHECK(w, (x->state == UW_XFER_ACTIVE) == (e->dev != NULL), "host: entry %u state %u, with a device: %u", i, x->state,
	      e->dev != NULL);
	CHECK(w, w->h.phase != UW_PHASE_OFFER && w->h.phase != UW_PHASE_GREET && w->h.phase != UW_PHASE_DOWN,
	      "host: entry %u outlived its epoch", i);
}

static void check_host(struct world *w)
{
	struct uw_share_port ports[UW_PORTS_MAX + 1];
	uint32_t i, active = 0, isoch = 0, used = 0;
	const struct uw_xfer *x;

	memset(ports, 0, sizeof(ports));
	for (i = 0; i < w->layout.transfers; i++) {
		x = &w->xfers[i];
		if (x->state == UW_XFER_FREE)
			continue;
		check_entry(w, x, i);
		used++;
		active += x->state == UW_XFER_ACTIVE;
		isoch += x->io.packets != 0;
		ports[x->port].transfers += x->kind == UW_SHARE_TRANSFER;
		ports[x->port].control += x->kind == UW_SHARE_CONTROL;
		ports[x->port].request |= x->kind == UW_SHARE_REQUEST;
	}
	CHECK(w, w->h.active == active, "host: active is %u, counted %u", w->h.active, active);
	CHECK(w, w->h.iso_count + isoch == w->layout.isoch_max, "host: %u packet tables free, %u in use", w->h.iso_count,
	      isoch);
	check_shares(w, &w->h.shares, ports, isoch, "host");
}

/* ---- guest ---- */

static void check_space(struct world *w)
{
	const struct uw_ranges *r = &w->g.bounce;
	uint32_t ports[PORTS + 1] = { 0 }, i, ranges = 0, granules = 0, n;
	const struct uw_urb *u;

	for (i = 0; i < URBS; i++) {
		u = &w->urbs[i].u;
		if (!w->urbs[i].live || !u->granted)
			continue;
		n = uw_range_granules(r, u->granted);
		ranges++;
		granules += n;
		ports[u->ep->port] += n;
	}
	CHECK(w, r->in_use == ranges, "guest: %u ranges in use, urbs hold %u", r->in_use, ranges);
	CHECK(w, r->free + granules == r->granules, "guest: %u granules free, %u held, of %u", r->free, granules, r->granules);
	for (i = 1; i <= PORTS; i++)
		CHECK(w, w->g.ports[i].bounce == ports[i], "guest: port %u occupies %u granules, counted %u", i,
		      w->g.ports[i].bounce, ports[i]);
}

static void check_guest(struct world *w)
{
	struct uw_share_port ports[UW_PORTS_MAX + 1];
	uint32_t i, flying = 0, isoch = 0, requests = 0;
	const struct uw_urb *u;

	memset(ports, 0, sizeof(ports));
	for (i = 0; i < URBS; i++) {
		u = &w->urbs[i].u;
		if (!w->urbs[i].live || u->state != UW_URB_FLYING)
			continue;
		flying++;
		isoch += u->packets != 0;
		if (u->ep->address)
			ports[u->ep->port].transfers++;
		else
			ports[u->ep->port].control++;
	}
	for (i = 1; i <= PORTS; i++) {
		CHECK(w, w->g.phase != UW_GUEST_GREET || !w->g.ports[i].speed, "guest: port %u is connected before its event", i);
		ports[i].request = w->g.ports[i].request == 2;
		requests += ports[i].request;
		CHECK(w, !w->g.ports[i].request || w->request[i], "guest: a request of port %u that nobody made", i);
	}
	CHECK(w, w->g.flying == flying, "guest: flying is %u, counted %u", w->g.flying, flying);
	CHECK(w, w->g.free_entries + flying + requests + w->g.stats_asked == w->layout.transfers,
	      "guest: %u entries free, %u flying, %u requests, %u stats, of %u", w->g.free_entries, flying, requests,
	      w->g.stats_asked, w->layout.transfers);
	check_shares(w, &w->g.shares, ports, isoch, "guest");
	check_space(w);
}

/* ---- lost wake-ups: a side that sleeps, with no kick under way to it, must have nothing to do ---- */

static bool undisturbed(const struct world *w, const struct side *sleeper, const struct side *peer)
{
	return sleeper->alive && sleeper->stage == STAGE_ASLEEP && !sleeper->dirty && !sleeper->kicks.pending &&
	       !sleeper->kicks.count && peer->alive && !peer->dirty && w->now >= sleeper->silent;
}

static void check_host_sleep(struct world *w)
{
	const struct uw_guest_page *own = (const void *)(w->region + w->layout.guest_page);
	const struct uw_host *h = &w->h;
	uint32_t room;

	if (!undisturbed(w, &w->host, &w->guest) || w->shadow.broken)
		return;
	CHECK(w, uw_get32(own->incarnation) == h->incarnation, "host sleeps over a new incarnation");
	if (h->phase == UW_PHASE_OFFER)
		CHECK(w, !h->incarnation || uw_get32(own->epoch) != h->epoch, "host sleeps over the echo");
	CHECK(w, h->phase != UW_PHASE_DRAIN || h->active, "host sleeps though it is drained");
	if (h->phase != UW_PHASE_RUN && h->phase != UW_PHASE_GREET && h->phase != UW_PHASE_CLOSED)
		return;
	room = w->layout.comp_slots - (h->tx.head - uw_get32(own->hot.consumed));
	CHECK(w, !room || uw_list_empty(&h->parked), "host sleeps over parked answers");
	CHECK(w, !room || h->rx.pos == w->shadow.sub, "host sleeps over submission %u of %u", h->rx.pos, w->shadow.sub);
	CHECK(w, !h->bye || h->active || !room, "host sleeps over a bye");
}

static bool could_launch(const struct world *w, const struct uw_ep *ep)
{
	const struct uw_host_page *page = (const void *)w->region;
	struct uw_shares shares = w->g.shares;
	const struct uw_urb *u;

	if (uw_list_empty(&ep->urbs))
		return false;
	u = UW_CONTAINER(ep->urbs.next, struct uw_urb, node);
	if (ep->pieces && (ep->pieces->state == UW_URB_QUEUED || ep->pieces->state == UW_URB_DRAINING))
		return false;
	return u->state == UW_URB_READY && w->g.free_entries &&
	       w->layout.sub_slots - (w->g.tx.head - uw_get32(page->hot.consumed)) > w->layout.reserve &&
	       uw_share_get(&shares, ep->port, u->packets != 0, ep->address ? UW_SHARE_TRANSFER : UW_SHARE_CONTROL);
}

static void check_guest_sleep(struct world *w)
{
	const struct uw_host_page *page = (const void *)w->region;
	uint32_t port, k;

	if (!undisturbed(w, &w->guest, &w->host) || w->shadow.broken || w->g.phase == UW_GUEST_IDLE)
		return;
	CHECK(w, uw_get32(page->head.state) != UW_HOST_READY || uw_get32(page->head.epoch) == w->g.epoch,
	      "guest sleeps over epoch %u", uw_get32(page->head.epoch));
	if (w->g.phase != UW_GUEST_RUN || w->g.epoch != w->shadow.epoch)
		return;
	CHECK(w, w->g.rx.pos == w->shadow.comp, "guest sleeps over completion %u of %u", w->g.rx.pos, w->shadow.comp);
	for (port = 1; port <= PORTS && !w->leaving; port++)
		for (k = 0; k < ENDPOINTS; k++)
			CHECK(w, !could_launch(w, &w->eps[port][k]), "guest sleeps over an urb of port %u ep %u", port, k);
}

void check_all(struct world *w)
{
	shadow_look(w);
	if (w->host.alive)
		check_host(w);
	if (w->guest.alive)
		check_guest(w);
	if (w->host.alive)
		check_host_sleep(w);
	if (w->guest.alive)
		check_guest_sleep(w);
}

/* ---- rest ---- */

void check_quiet(struct world *w)
{
	uint32_t i, k;

	CHECK(w, !w->live, "%u urbs never ended", w->live);
	for (i = 0; i < w->layout.transfers; i++) {
		CHECK(w, !w->entries[i].out, "id %08x was never answered", w->entries[i].id);
		CHECK(w, w->xfers[i].state == UW_XFER_FREE, "host: entry %u is still in state %u", i, w->xfers[i].state);
	}
	for (i = 1; i <= PORTS; i++) {
		CHECK(w, !w->request[i], "the request for port %u was never answered", i);
		for (k = 0; k < ENDPOINTS; k++)
			CHECK(w, uw_ep_idle(&w->eps[i][k]), "port %u ep %u is not idle", i, k);
		CHECK(w, !shadow_untold(w, (uint8_t)i), "port %u: the driver was never told of changes %x", i, w->untold[i]);
		CHECK(w, !w->shadow.raised[i], "port %u: changes %x were never told", i, w->shadow.raised[i]);
	}
	CHECK(w, w->g.bounce.in_use == 0 && w->g.free_entries == w->layout.transfers, "guest: something is still held");
	CHECK(w, uw_list_empty(&w->g.stuck) && uw_list_empty(&w->g.eps) && uw_list_empty(&w->g.cancels) &&
	      uw_list_empty(&w->g.filling) && uw_list_empty(&w->g.done), "guest: a list is not empty");
	CHECK(w, uw_list_empty(&w->h.parked) && uw_list_empty(&w->h.asked) && uw_list_empty(&w->h.cancels),
	      "host: a list is not empty");
	CHECK(w, uw_host_deadline(&w->h, w->now) == UW_NEVER, "host: a deadline at rest");
	CHECK(w, uw_guest_deadline(&w->g) == UW_NEVER, "guest: a deadline at rest");
}
