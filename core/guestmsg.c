/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host says, and what the guest says beside its URBs as soon as there is room. */
#include "urb.h"

/* ---- messages in ---- */

static void on_welcome(struct uw_guest *g, const struct uw_answer *a)
{
	if (g->phase != UW_GUEST_GREET || a->u.welcome.epoch != g->epoch ||
	    (a->u.welcome.features & ~uw_guest_wanted(g))) {
		uw_guest_fault(g);
	} else if (a->u.welcome.status != UW_ST_OK || a->u.welcome.version != UW_VERSION) {
		g->phase = UW_GUEST_REFUSED;
		g->note_refused = true;
		g->refused_status = a->u.welcome.status;
	} else {
		g->phase = UW_GUEST_RUN;
		g->features = a->u.welcome.features;
		uw_copy(g->host_name, a->u.welcome.name, sizeof(g->host_name));
		g->note_up = true;
	}
}

static bool request_answer(struct uw_guest *g, const struct uw_answer *a)
{
	struct uw_guest_port *p;
	uint32_t port;

	for (port = 1; port <= uw_layout_ports(&g->layout); port++) {
		p = &g->ports[port];
		if (p->request != 2 || p->ask.id != a->id)
			continue;
		if (a->u.complete.actual > (p->ask.type == UW_SUB_STREAMS_ALLOC ? p->ask.u.streams.streams : 0u))
			return false;
		p->request = 0;
		p->status = a->u.complete.status;
		p->value = a->u.complete.actual;
		g->to_answer |= uw_guest_port_bit(port);
		uw_share_put(&g->shares, (uint8_t)port, false, UW_SHARE_REQUEST);
		uw_entry_put(g, a->id);
		return true;
	}
	return false;
}

static void on_complete(struct uw_guest *g, const struct uw_answer *a)
{
	if (UW_ID_ENTRY(a->id) >= g->layout.transfers || (!uw_urb_answer(g, a) && !request_answer(g, a)))
		uw_guest_fault(g);
}

static void on_event(struct uw_guest *g, const struct uw_answer *a)
{
	struct uw_guest_port *p = &g->ports[a->port];

	p->speed = a->u.event.speed;
	p->changes |= a->u.event.changes;
	p->seq = a->u.event.seq;
	g->to_tell |= uw_guest_port_bit(a->port);
	g->to_ack |= uw_guest_port_bit(a->port);
	UW_COUNT(&g->counters, port_events, 1);
}

static void on_host_stats(struct uw_guest *g, const struct uw_answer *a)
{
	uint32_t i, first = a->u.stats.first;

	if (!g->stats_asked || a->id != g->stats_id || first != g->stats_next) {
		uw_guest_fault(g);
		return;
	}
	uw_entry_put(g, g->stats_id);
	g->stats_asked = false;
	for (i = 0; i < a->u.stats.count && first + i < UW_STAT_COUNT; i++)
		g->host_stats[first + i] = a->u.stats.value[i];
	g->stats_next = (uint16_t)(first + i);
	g->stats_wanted = i && g->stats_next < UW_STAT_COUNT;
}

static void on_answer(struct uw_guest *g, const struct uw_slot *slot)
{
	struct uw_answer a;

	if (!uw_answer_decode(slot, &g->layout, &a) || !uw_tx_said(&g->tx, uw_get32(slot->consumed)) ||
	    (g->phase != UW_GUEST_RUN && a.type != UW_COMP_WELCOME)) {
		uw_guest_fault(g);
		return;
	}
	switch (a.type) {
	case UW_COMP_WELCOME:
		on_welcome(g, &a);
		break;
	case UW_COMP_COMPLETE:
		on_complete(g, &a);
		break;
	case UW_COMP_EVENT:
		on_event(g, &a);
		break;
	case UW_COMP_STATS:
		on_host_stats(g, &a);
		break;
	default:
		if (g->bye_sent)
			uw_guest_abandon(g, g->now);
		else
			uw_guest_fault(g);
		break;
	}
}

uint32_t uw_guest_read(struct uw_guest *g, uint32_t budget)
{
	enum uw_rx_result result = UW_RX_EMPTY;
	struct uw_slot slot;
	uint32_t count = 0;

	while (count < budget && (g->phase == UW_GUEST_GREET || g->phase == UW_GUEST_RUN)) {
		result = uw_rx_get(&g->rx, &slot);
		if (result != UW_RX_MESSAGE)
			break;
		count++;
		on_answer(g, &slot);
	}
	UW_COUNT(&g->counters, completions, count);
	if (result == UW_RX_BAD) {
		UW_COUNT(&g->counters, bad_tags, uw_guest_fault(g));
	} else if (uw_rx_tell(&g->rx)) {
		g->kick = true;
	}
	return count;
}

/* ---- what waits for room ---- */

static void put_acks(struct uw_guest *g)
{
	struct uw_ask a = { .type = UW_SUB_EVENT_ACK };
	uint32_t port;

	for (port = 1; g->to_ack && port <= UW_PORTS_MAX; port++) {
		if (!(g->to_ack & uw_guest_port_bit(port)))
			continue;
		if (!uw_guest_room(g, 0))
			return;
		a.port = (uint8_t)port;
		a.u.seq = g->ports[port].seq;
		uw_guest_put(g, &a);
		g->to_ack &= ~uw_guest_port_bit(port);
	}
}

static void put_cancels(struct uw_guest *g)
{
	struct uw_ask a = { .type = UW_SUB_CANCEL };
	struct uw_urb *urb;

	while (!uw_list_empty(&g->cancels) && uw_guest_room(g, 0)) {
		urb = UW_CONTAINER(uw_list_pop(&g->cancels), struct uw_urb, act);
		a.id = urb->id;
		uw_guest_put(g, &a);
	}
}

static void put_requests(struct uw_guest *g)
{
	struct uw_guest_port *p;
	uint32_t port;

	for (port = 1; g->to_request && port <= UW_PORTS_MAX; port++) {
		p = &g->ports[port];
		if (!(g->to_request & uw_guest_port_bit(port)))
			continue;
		if (!uw_guest_room(g, g->layout.reserve) ||
		    !uw_share_get(&g->shares, (uint8_t)port, false, UW_SHARE_REQUEST))
			return;
		if (!uw_entry_get(g, NULL, &p->ask.id)) {
			uw_share_put(&g->shares, (uint8_t)port, false, UW_SHARE_REQUEST);
			return;
		}
		uw_guest_put(g, &p->ask);
		p->request = 2;
		g->to_request &= ~uw_guest_port_bit(port);
	}
}

static void put_stats(struct uw_guest *g)
{
	struct uw_ask a = { .type = UW_SUB_STATS };

	if (!g->stats_wanted || g->stats_asked || !uw_guest_room(g, g->layout.reserve) ||
	    !uw_entry_get(g, NULL, &g->stats_id))
		return;
	a.id = g->stats_id;
	a.u.first = g->stats_next;
	uw_guest_put(g, &a);
	g->stats_asked = true;
}

static void put_bye(struct uw_guest *g)
{
	struct uw_ask a = { .type = UW_SUB_BYE };

	if (!g->bye || g->bye_sent || !uw_guest_room(g, 0))
		return;
	uw_guest_put(g, &a);
	g->bye_sent = true;
}

void uw_guest_put_waiting(struct uw_guest *g)
{
	if (g->phase != UW_GUEST_RUN)
		return;
	if (g->bye) { /* nothing follows a bye, which ends whatever waits */
		put_bye(g);
		return;
	}
	put_cancels(g);
	put_acks(g);
	put_requests(g);
	put_stats(g);
	uw_urb_pump(g);
}
