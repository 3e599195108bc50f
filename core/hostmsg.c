/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest says: each message is read once, judged, and answered or carried out. */
#include "xfer.h"

static void reject(struct uw_host *h, const struct uw_ask *a, enum uw_status status, enum uw_why why)
{
	struct uw_answer answer = { .type = UW_COMP_COMPLETE, .id = a->id };

	if (status == UW_ST_INVALID)
		UW_COUNT(&h->counters, rejected, 1);
	else
		UW_COUNT(&h->counters, refused, 1);
	if (!uw_ask_answered(a->type))
		return;
	answer.u.complete.status = (uint16_t)status;
	answer.u.complete.why = (uint16_t)why;
	uw_host_put(h, &answer);
}

static enum uw_status judge_hello(const struct uw_host *h, const struct uw_ask *a)
{
	if (a->u.hello.version_min > h->layout.version_max || a->u.hello.version_max < h->layout.version_min)
		return UW_ST_UNSUPPORTED;
	if (a->u.hello.version_min > a->u.hello.version_max || a->u.hello.incarnation != h->incarnation ||
	    (a->u.hello.features & ~h->layout.features))
		return UW_ST_INVALID;
	return UW_ST_OK;
}

static void put_welcome(struct uw_host *h, enum uw_status status)
{
	struct uw_answer answer = { .type = UW_COMP_WELCOME };

	answer.u.welcome.status = (uint16_t)status;
	answer.u.welcome.epoch = h->epoch;
	if (status == UW_ST_OK) {
		answer.u.welcome.version = UW_VERSION;
		answer.u.welcome.features = h->features;
	} else {
		UW_COUNT(&h->counters, rejected, 1);
	}
	uw_copy(answer.u.welcome.name, h->name, sizeof(h->name));
	uw_host_put(h, &answer);
}

static void on_hello(struct uw_host *h, const struct uw_ask *a, enum uw_why why)
{
	enum uw_status status = why ? UW_ST_INVALID : judge_hello(h, a);

	if (h->phase != UW_PHASE_GREET) {
		put_welcome(h, UW_ST_INVALID);
		return;
	}
	if (status != UW_ST_OK) {
		h->phase = UW_PHASE_CLOSED;
		put_welcome(h, status);
		return;
	}
	h->features = a->u.hello.features;
	uw_copy(h->guest_name, a->u.hello.name, sizeof(h->guest_name));
	h->phase = UW_PHASE_RUN;
	h->orphan = false;
	h->orphan_at = UW_NEVER;
	put_welcome(h, UW_ST_OK);
	uw_host_tell_all(h);
}

static void on_bye(struct uw_host *h, uint64_t now)
{
	uint32_t port;

	h->bye = true;
	h->phase = UW_PHASE_CLOSED;
	for (port = 1; port <= uw_layout_ports(&h->layout); port++)
		uw_xfer_end_port(h, (uint8_t)port, UW_ST_CANCELLED, now);
}

void uw_host_answer_bye(struct uw_host *h)
{
	struct uw_answer answer = { .type = UW_COMP_BYE };

	if (!h->bye || h->active || !uw_list_empty(&h->parked) || !uw_xfer_room(h))
		return;
	h->bye = false;
	uw_host_put(h, &answer);
}

static void on_ack(struct uw_host *h, const struct uw_ask *a)
{
	struct uw_host_port *p = &h->ports[a->port];

	if (p->unacked && a->u.seq == p->seq)
		p->unacked = false;
	else
		UW_COUNT(&h->counters, rejected, 1);
}

static void on_stats(struct uw_host *h, const struct uw_ask *a)
{
	struct uw_answer answer = { .type = UW_COMP_STATS, .id = a->id };
	uint32_t first = a->u.first, count = 0;

	if (!(h->features & UW_FEATURE_STATS)) {
		reject(h, a, UW_ST_UNSUPPORTED, UW_WHY_NONE);
		return;
	}
	for (; count < UW_STATS_PER_MESSAGE && first + count < UW_STAT_COUNT; count++)
		answer.u.stats.value[count] = h->counters.value[first + count];
	answer.u.stats.first = a->u.first;
	answer.u.stats.count = (uint16_t)count;
	answer.u.stats.total = UW_STAT_COUNT;
	uw_host_put(h, &answer);
}

static void on_ask(struct uw_host *h, const struct uw_ask *a, uint64_t now)
{
	enum uw_status status = UW_ST_OK;
	enum uw_why why = UW_WHY_NONE;

	switch (a->type) {
	case UW_SUB_SUBMIT:
		status = uw_xfer_submit(h, a, &why, now);
		break;
	case UW_SUB_CANCEL:
		uw_xfer_cancel(h, a->id, now);
		break;
	case UW_SUB_PORT:
		status = uw_xfer_request(h, a, now);
		break;
	case UW_SUB_STREAMS_ALLOC:
	case UW_SUB_STREAMS_FREE:
		status = uw_xfer_streams(h, a, now);
		break;
	case UW_SUB_EVENT_ACK:
		on_ack(h, a);
		break;
	case UW_SUB_STATS:
		on_stats(h, a);
		break;
	default:
		on_bye(h, now);
		break;
	}
	if (status != UW_ST_OK)
		reject(h, a, status, why);
}

/* An id in flight used again cannot be answered: two answers would carry it, so the session ends. */
static bool reuses_id(const struct uw_host *h, const struct uw_ask *a)
{
	bool names = a->type == UW_SUB_SUBMIT || a->type == UW_SUB_PORT || a->type == UW_SUB_STREAMS_ALLOC ||
		     a->type == UW_SUB_STREAMS_FREE || a->type == UW_SUB_STATS;

	return names && UW_ID_ENTRY(a->id) < h->layout.transfers && uw_xfer_in_use(h, a->id);
}

static void on_message(struct uw_host *h, const struct uw_slot *slot, uint64_t now)
{
	struct uw_ask a;
	enum uw_why why = uw_ask_decode(slot, &h->layout, &a);

	if (!uw_tx_said(&h->tx, uw_get32(slot->consumed)) || reuses_id(h, &a)) {
		UW_COUNT(&h->counters, lies, 1);
		h->fault = true;
	} else if (a.type == UW_SUB_HELLO) {
		on_hello(h, &a, why);
	} else if (why != UW_WHY_NONE) {
		reject(h, &a, UW_ST_INVALID, why);
	} else if (h->phase != UW_PHASE_RUN) {
		reject(h, &a, UW_ST_INVALID, UW_WHY_STATE);
	} else {
		on_ask(h, &a, now);
	}
}

/* Every submission may need a slot for its answer at once, so none is read without one. */
uint32_t uw_host_read(struct uw_host *h, uint64_t now, uint32_t budget)
{
	enum uw_rx_result result = UW_RX_EMPTY;
	struct uw_slot slot;
	uint32_t count = 0;

	while (count < budget && !h->fault && uw_list_empty(&h->parked) && uw_xfer_room(h)) {
		result = uw_rx_get(&h->rx, &slot);
		if (result != UW_RX_MESSAGE)
			break;
		count++;
		on_message(h, &slot, now);
	}
	if (result == UW_RX_BAD) {
		UW_COUNT(&h->counters, bad_tags, 1);
		h->fault = true;
	}
	UW_COUNT(&h->counters, submissions, count);
	if (uw_rx_tell(&h->rx))
		h->kick = true;
	return count;
}
