/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's transfer table.
 *
 *   FREE -> HELD (no token, or the port is being reset) -> WAIT (endpoint 0 behind a verb) -> ASKED (an action for the
 *   owner) -> ACTIVE (with the device) -> PARKED (no room in the ring) -> FREE. Any step may be skipped.
 *
 * An entry ends in one place, finish(), so it is answered once whatever became of it.
 */
#include "xfer.h"

#define HZ_SET_CONFIGURATION 0x09 /* USB 2.0 table 9-4 */
#define HZ_SET_INTERFACE 0x0b
#define HZ_CLEAR_FEATURE 0x01

void uw_xfer_init(struct uw_host *h, uint64_t now)
{
	struct uw_host_port *p;
	uint32_t i;

	uw_zero(h->mem.xfers, h->layout.transfers * sizeof(*h->mem.xfers));
	for (i = 0; i < h->layout.transfers; i++) {
		uw_list_init(&h->mem.xfers[i].node);
		uw_list_init(&h->mem.xfers[i].peer);
	}
	for (i = 0; i < h->layout.isoch_max; i++)
		h->mem.iso_free[i] = (uint16_t)i;
	h->iso_count = h->layout.isoch_max;
	uw_shares_init(&h->shares, &h->layout);
	uw_list_init(&h->asked);
	uw_list_init(&h->cancels);
	uw_list_init(&h->parked);
	for (i = 1; i <= UW_PORTS_MAX; i++) {
		p = &h->ports[i];
		uw_list_init(&p->used);
		uw_list_init(&p->held);
		uw_list_init(&p->wait);
		uw_breaker_init(&p->breaker);
		uw_bucket_init(&p->bucket, &h->limits.bucket, now);
	}
}

/* ---- answers ---- */

bool uw_xfer_room(struct uw_host *h)
{
	if (uw_tx_room(&h->tx))
		return true;
	if (!uw_tx_wait(&h->tx))
		h->fault = true;
	return uw_tx_room(&h->tx) && !h->fault;
}

void uw_host_put(struct uw_host *h, const struct uw_answer *a)
{
	struct uw_slot slot;

	uw_answer_encode(a, &slot);
	uw_msg_stamp(&slot, h->epoch, h->rx.pos);
	uw_tx_put(&h->tx, &slot);
	UW_COUNT(&h->counters, completions, 1);
}

static void release(struct uw_host *h, struct uw_xfer *x)
{
	bool isoch = x->io.packets != 0;

	if (isoch)
		h->mem.iso_free[h->iso_count++] = (uint16_t)((x->io.iso - h->mem.isos) / h->layout.packets_max);
	uw_share_put(&h->shares, x->port, isoch, x->kind);
	uw_list_del(&x->node);
	uw_list_del(&x->peer);
	x->state = UW_XFER_FREE;
}

void uw_xfer_drop(struct uw_host *h, struct uw_xfer *x)
{
	release(h, x);
}

/* The packets' results go into shared memory here and nowhere else; returns how many are not ok. */
static uint32_t write_table(struct uw_host *h, const struct uw_xfer *x)
{
	struct uw_packet *table = (void *)(h->mem.region + h->layout.data + x->table);
	uint32_t i, errors = 0;

	for (i = 0; i < x->io.packets; i++) {
		uw_write32(&table[i].actual, uw_min(x->io.iso[i].actual, x->io.iso[i].length));
		table[i].status = uw_put16((uint16_t)uw_min(x->io.iso[i].status, UW_ST_HOST));
		errors += x->io.iso[i].status != UW_ST_OK;
	}
	return errors;
}

static void put_answer(struct uw_host *h, struct uw_xfer *x)
{
	struct uw_answer a = { .type = UW_COMP_COMPLETE, .id = x->id };

	a.u.complete.status = (uint16_t)x->io.status;
	a.u.complete.actual = x->io.actual;
	if (x->io.packets)
		a.u.complete.errors = write_table(h, x);
	uw_host_put(h, &a);
	release(h, x);
}

void uw_xfer_flush(struct uw_host *h)
{
	while (!uw_list_empty(&h->parked) && uw_xfer_room(h))
		put_answer(h, UW_CONTAINER(h->parked.next, struct uw_xfer, node));
}

static void count_outcome(struct uw_counters *c, const struct uw_xfer *x)
{
	UW_COUNT(c, bytes_moved, x->io.actual);
	UW_COUNT(c, bytes_copied, x->io.copied);
	if (x->io.status == UW_ST_OK)
		UW_COUNT(c, transfers_ok, 1);
	else if (x->io.status == UW_ST_STALL)
		UW_COUNT(c, stalls, 1);
	else if (x->io.status == UW_ST_CANCELLED)
		UW_COUNT(c, cancelled, 1);
	else
		UW_COUNT(c, errors, 1);
}

static void run_waiters(struct uw_host *h, struct uw_host_port *p);

/* The one end of an entry. In an epoch that is over nobody is there to be answered. */
static void finish(struct uw_host *h, struct uw_xfer *x, enum uw_status status, uint64_t now)
{
	struct uw_host_port *p = &h->ports[x->port];

	uw_list_del(&x->node);
	x->io.status = status;
	count_outcome(&h->counters, x);
	count_outcome(&p->counters, x);
	uw_histogram_add(&h->latency, now - x->since);
	uw_histogram_add(&p->latency, now - x->since);
	if (x->probe)
		uw_breaker_forgo(&p->breaker);
	if (p->reset == x)
		p->reset = NULL;
	if (p->verb == x) {
		p->verb = NULL;
		run_waiters(h, p);
	}
	if (h->phase != UW_PHASE_RUN && !h->bye) {
		release(h, x);
	} else if (uw_list_empty(&h->parked) && uw_xfer_room(h)) {
		put_answer(h, x);
	} else {
		x->state = UW_XFER_PARKED;
		uw_list_add(&h->parked, &x->node);
		UW_COUNT(&h->counters, parked, 1);
	}
}

/* ---- the way to the device ---- */

static bool is_verb(const struct uw_xfer *x)
{
	return x->io.verb != UW_VERB_SUBMIT;
}

static void ask(struct uw_host *h, struct uw_xfer *x)
{
	struct uw_host_port *p = &h->ports[x->port];

	if (is_verb(x))
		p->verb = x;
	if (x->io.verb != UW_VERB_RESET)
		p->touched = true;
	x->state = UW_XFER_ASKED;
	uw_list_del(&x->node);
	uw_list_add(&h->asked, &x->node);
}

/* Endpoint 0 and every verb go one behind the other while a verb is under way. */
static bool must_wait(const struct uw_host_port *p, const struct uw_xfer *x)
{
	return p->verb && (is_verb(x) || !(x->io.endpoint & 0x0f));
}

static void run_waiters(struct uw_host *h, struct uw_host_port *p)
{
	while (!p->verb && !uw_list_empty(&p->wait))
		ask(h, UW_CONTAINER(p->wait.next, struct uw_xfer, node));
}

static void send_on(struct uw_host *h, struct uw_xfer *x, uint64_t now)
{
	struct uw_host_port *p = &h->ports[x->port];

	if (!uw_breaker_admit(&p->breaker, now)) {
		finish(h, x, UW_ST_BLOCKED, now);
		return;
	}
	x->probe = p->breaker.state == UW_BREAKER_HALF;
	if (must_wait(p, x)) {
		x->state = UW_XFER_WAIT;
		uw_list_add(&p->wait, &x->node);
	} else {
		ask(h, x);
	}
}

/* Order within a port is kept: once one transfer is held, all later ones queue behind it. */
static void route(struct uw_host *h, struct uw_xfer *x, uint64_t now)
{
	struct uw_host_port *p = &h->ports[x->port];

	if (!p->reset && uw_list_empty(&p->held) && uw_bucket_take(&p->bucket, &h->limits.bucket, now)) {
		send_on(h, x, now);
		return;
	}
	x->state = UW_XFER_HELD;
	uw_list_add(&p->held, &x->node);
	if (!p->reset)
		UW_COUNT(&h->counters, rate_held, 1);
}

void uw_xfer_release(struct uw_host *h, uint8_t port, uint64_t now)
{
	struct uw_host_port *p = &h->ports[port];
	struct uw_xfer *x;

	while (!p->reset && !uw_list_empty(&p->held) && uw_bucket_take(&p->bucket, &h->limits.bucket, now)) {
		x = UW_CONTAINER(p->held.next, struct uw_xfer, node);
		uw_list_del(&x->node);
		send_on(h, x, now);
	}
}

struct uw_xfer *uw_xfer_start(struct uw_host *h, uint64_t now)
{
	struct uw_xfer *x;

	while (!uw_list_empty(&h->asked)) {
		x = UW_CONTAINER(h->asked.next, struct uw_xfer, node);
		if (!h->ports[x->port].open) {
			finish(h, x, UW_ST_NO_DEVICE, now);
			continue;
		}
		uw_list_del(&x->node);
		x->state = UW_XFER_ACTIVE;
		h->ports[x->port].active++;
		h->active++;
		return x;
	}
	return NULL;
}

/* ---- acceptance ---- */

static struct uw_xfer *take(struct uw_host *h, const struct uw_ask *a, enum uw_share_kind kind, uint64_t now)
{
	struct uw_xfer *x = &h->mem.xfers[UW_ID_ENTRY(a->id)];
	bool isoch = a->type == UW_SUB_SUBMIT && a->u.submit.transfer == UW_ISOCH;

	if (!uw_share_get(&h->shares, a->port, isoch, kind))
		return NULL;
	uw_zero(&x->io, sizeof(x->io));
	uw_list_init(&x->io.node);
	x->io.data = h->mem.region + h->layout.data;
	x->id = a->id;
	x->port = a->port;
	x->kind = (uint8_t)kind;
	x->since = now;
	x->cancel = x->probe = false;
	uw_list_add(&h->ports[a->port].used, &x->peer);
	UW_COUNT(&h->counters, transfers, 1);
	UW_COUNT(&h->ports[a->port].counters, transfers, 1);
	return x;
}

/* Standard requests that change what the device is become verbs: USB 2.0 9.4. Endpoint 0 cannot stay halted. */
static void recognise(struct uw_transfer_io *io)
{
	uint16_t value = (uint16_t)(io->setup[2] | io->setup[3] << 8), index = (uint16_t)(io->setup[4] | io->setup[5] << 8);

	if (io->type != UW_CONTROL || (io->endpoint & 0x0f) || io->length)
		return;
	if (io->setup[0] == 0x00 && io->setup[1] == HZ_SET_CONFIGURATION) {
		io->verb = UW_VERB_SET_CONFIGURATION;
		io->arg[0] = value & 0xff;
	} else if (io->setup[0] == 0x01 && io->setup[1] == HZ_SET_INTERFACE) {
		io->verb = UW_VERB_SET_INTERFACE;
		io->arg[0] = index & 0xff;
		io->arg[1] = value;
	} else if (io->setup[0] == 0x02 && io->setup[1] == HZ_CLEAR_FEATURE && !value && (index & 0x0f)) {
		io->verb = UW_VERB_CLEAR_HALT;
		io->arg[0] = index & 0xff;
	}
}

/* Each packet is read from shared memory once, then judged. */
static bool copy_table(struct uw_host *h, struct uw_xfer *x, uint16_t packets)
{
	const struct uw_packet *table = (const void *)(h->mem.region + h->layout.data + x->table);
	struct uw_iso *iso = h->mem.isos + (size_t)h->mem.iso_free[--h->iso_count] * h->layout.packets_max;
	uint32_t i;

	x->io.iso = iso;
	x->io.packets = packets;
	for (i = 0; i < packets; i++) {
		iso[i].offset = uw_read32(&table[i].offset);
		iso[i].length = uw_read32(&table[i].length);
		iso[i].actual = 0;
		iso[i].status = UW_ST_OK;
		if (iso[i].offset > x->io.length || iso[i].length > x->io.length - iso[i].offset)
			return false;
	}
	return true;
}

/* What a valid submit asks of this session and port. */
static enum uw_status admissible(const struct uw_host *h, const struct uw_ask *a)
{
	if (!h->ports[a->port].speed || !h->ports[a->port].open)
		return UW_ST_NO_DEVICE;
	if (a->u.submit.transfer == UW_ISOCH && !(h->features & UW_FEATURE_ISOCH))
		return UW_ST_UNSUPPORTED;
	if (a->u.submit.stream && !(h->features & UW_FEATURE_STREAMS))
		return UW_ST_UNSUPPORTED;
	return UW_ST_OK;
}

enum uw_status uw_xfer_submit(struct uw_host *h, const struct uw_ask *a, enum uw_why *why, uint64_t now)
{
	enum uw_share_kind kind = a->u.submit.endpoint & 0x0f ? UW_SHARE_TRANSFER : UW_SHARE_CONTROL;
	enum uw_status status = admissible(h, a);
	struct uw_xfer *x;

	if (status != UW_ST_OK)
		return status;
	x = take(h, a, kind, now);
	if (!x)
		return UW_ST_BUSY;
	x->io.endpoint = a->u.submit.endpoint;
	x->io.type = a->u.submit.transfer;
	x->io.flags = a->flags;
	x->io.length = a->u.submit.length;
	x->io.data += a->u.submit.data;
	x->io.stream = a->u.submit.stream;
	x->io.interval = a->u.submit.interval;
	uw_copy(x->io.setup, a->u.submit.setup, sizeof(x->io.setup));
	x->table = a->u.submit.table;
	if (a->u.submit.packets && !copy_table(h, x, a->u.submit.packets)) {
		release(h, x);
		*why = UW_WHY_PACKET;
		return UW_ST_INVALID;
	}
	recognise(&x->io);
	route(h, x, now);
	return UW_ST_OK;
}

/* A reset or power-off under way: goes on once the device has nothing left. */
static void continue_reset(struct uw_host *h, struct uw_host_port *p, uint64_t now)
{
	struct uw_xfer *x = p->reset;

	if (!x || x->state != UW_XFER_HELD || p->active)
		return;
	if (x->io.verb == UW_VERB_RESET)
		ask(h, x);
	else
		finish(h, x, UW_ST_OK, now);
}

static void begin_reset(struct uw_host *h, struct uw_xfer *x, uint64_t now)
{
	struct uw_host_port *p = &h->ports[x->port];

	uw_xfer_end_port(h, x->port, UW_ST_CANCELLED, now);
	p->reset = x;
	x->state = UW_XFER_HELD;
	continue_reset(h, p, now);
}

static void start_request(struct uw_host *h, struct uw_xfer *x, uint8_t request, uint64_t now)
{
	struct uw_host_port *p = &h->ports[x->port];
	bool suspend = request == UW_PORT_SUSPEND || request == UW_PORT_RESUME;

	if (request == UW_PORT_POWER_OFF || (request == UW_PORT_RESET && p->touched)) {
		x->io.verb = request == UW_PORT_RESET ? UW_VERB_RESET : UW_VERB_SUBMIT;
		begin_reset(h, x, now);
	} else if (suspend && (h->features & UW_FEATURE_SUSPEND)) {
		x->io.verb = request == UW_PORT_SUSPEND ? UW_VERB_SUSPEND : UW_VERB_RESUME;
		send_on(h, x, now);
	} else {
		finish(h, x, UW_ST_OK, now);
	}
}

enum uw_status uw_xfer_request(struct uw_host *h, const struct uw_ask *a, uint64_t now)
{
	bool power = a->u.request == UW_PORT_POWER_ON || a->u.request == UW_PORT_POWER_OFF;
	struct uw_xfer *x;

	if (!power && (!h->ports[a->port].speed || !h->ports[a->port].open))
		return UW_ST_NO_DEVICE;
	x = take(h, a, UW_SHARE_REQUEST, now);
	if (!x)
		return UW_ST_BUSY;
	start_request(h, x, a->u.request, now);
	return UW_ST_OK;
}

enum uw_status uw_xfer_streams(struct uw_host *h, const struct uw_ask *a, uint64_t now)
{
	struct uw_xfer *x;

	if (!(h->features & UW_FEATURE_STREAMS))
		return UW_ST_UNSUPPORTED;
	if (h->ports[a->port].speed != UW_SPEED_SUPER || !h->ports[a->port].open)
		return UW_ST_NO_DEVICE;
	x = take(h, a, UW_SHARE_REQUEST, now);
	if (!x)
		return UW_ST_BUSY;
	x->io.verb = a->type == UW_SUB_STREAMS_ALLOC ? UW_VERB_ALLOC_STREAMS : UW_VERB_FREE_STREAMS;
	x->io.arg[0] = a->u.streams.streams;
	x->io.arg[1] = a->u.streams.count;
	uw_copy(x->endpoints, a->u.streams.endpoint, sizeof(x->endpoints));
	x->io.endpoints = x->endpoints;
	send_on(h, x, now);
	return UW_ST_OK;
}

/* ---- the end ---- */

/* An entry that is still free is the reset on whose behalf its port's entries end. */
static void end_one(struct uw_host *h, struct uw_xfer *x, enum uw_status status, uint64_t now)
{
	if (x->state == UW_XFER_PARKED || x->state == UW_XFER_FREE)
		return;
	if (x->state != UW_XFER_ACTIVE) {
		finish(h, x, status, now);
	} else if (!x->cancel && !is_verb(x)) {
		x->cancel = true;
		uw_list_add(&h->cancels, &x->node);
	}
}

void uw_xfer_cancel(struct uw_host *h, uint32_t id, uint64_t now)
{
	struct uw_xfer *x = &h->mem.xfers[UW_ID_ENTRY(id)];

	if (UW_ID_ENTRY(id) < h->layout.transfers && x->state != UW_XFER_FREE && x->id == id)
		end_one(h, x, UW_ST_CANCELLED, now);
}

void uw_xfer_end_port(struct uw_host *h, uint8_t port, enum uw_status status, uint64_t now)
{
	struct uw_host_port *p = &h->ports[port];
	struct uw_list *node = p->used.next, *next;

	/* A finished verb lets waiters pass to the action list, but never frees another entry, so next stays valid. */
	for (; node != &p->used; node = next) {
		next = node->next;
		end_one(h, UW_CONTAINER(node, struct uw_xfer, peer), status, now);
	}
}

/* What the device did not do because its port lost it, or its bytes exceed what was asked, is put right here. */
static enum uw_status judge(const struct uw_host_port *p, struct uw_xfer *x)
{
	uint32_t most = x->io.verb == UW_VERB_SUBMIT ? x->io.length : x->io.verb == UW_VERB_ALLOC_STREAMS ? x->io.arg[0] : 0;

	x->io.actual = uw_min(x->io.actual, most);
	if (x->io.status >= UW_ST_COUNT || x->io.status == UW_ST_INVALID) /* which needs a reason, and is no device's to say */
		return UW_ST_HOST;
	return x->io.status == UW_ST_CANCELLED && !p->speed ? UW_ST_NO_DEVICE : (enum uw_status)x->io.status;
}

void uw_host_complete(struct uw_host *h, struct uw_xfer *x, uint64_t now)
{
	struct uw_host_port *p = &h->ports[x->port];
	enum uw_status status = judge(p, x);

	p->active--;
	h->active--;
	x->probe = false;
	if (uw_breaker_note(&p->breaker, &h->limits.breaker, status, now)) {
		UW_COUNT(&h->counters, breaker_opened, 1);
		UW_COUNT(&p->counters, breaker_opened, 1);
	}
	if (x->io.verb == UW_VERB_RESET && status == UW_ST_OK)
		p->touched = false;
	finish(h, x, status, now);
	continue_reset(h, p, now);
	uw_xfer_release(h, x->port, now);
}
