/* SPDX-License-Identifier: GPL-2.0-only */
/* The scripted devices, the hand-written guest, and the loop that drives the host between them. */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

#include "player.h"
#include "fence.h"

static void fault(struct player *p, const char *what)
{
	p->faults++;
	printf("the host breaks a promise: %s\n", what);
}

/* ---- devices ---- */

/* What a device may be given: bytes inside data, packets inside the bytes. */
static void inspect(struct player *p, const struct uw_transfer_io *io)
{
	size_t at = (size_t)(io->data - p->host_view);
	uint32_t i;

	if (at < p->l.data || at > p->l.data + p->l.data_size || io->length > p->l.data + p->l.data_size - at)
		fault(p, "bytes outside of data for a device");
	if (io->length > p->l.transfer_max || io->packets > p->l.packets_max)
		fault(p, "a transfer beyond the limits");
	for (i = 0; i < io->packets; i++)
		if ((uint64_t)io->iso[i].offset + io->iso[i].length > io->length)
			fault(p, "a packet outside of its transfer");
}

static void note_write(struct player *p, uint32_t at, uint32_t bytes)
{
	if (p->writes < UW_COUNT_OF(p->low)) {
		p->low[p->writes] = at;
		p->high[p->writes++] = at + bytes;
	}
}

static void move(struct player *p, struct uw_transfer_io *io)
{
	uint32_t i;

	io->actual = io->length;
	if (io->packets)
		io->actual = 0;
	for (i = 0; i < io->packets; i++) {
		io->iso[i].actual = io->iso[i].length;
		io->actual = uw_min(io->actual + io->iso[i].length, io->length);
	}
	if ((io->endpoint & 0x80) && io->length) {
		memset(io->data, 0x5a, io->length);
		note_write(p, (uint32_t)(io->data - p->host_view) - p->l.data, io->length);
	}
}

static void complete(struct player *p, struct uw_transfer_io *io, enum uw_status status)
{
	io->status = status;
	uw_host_complete(p->h, uw_xfer_of(io), p->now);
}

static void device_submit(struct player *p, struct uw_transfer_io *io)
{
	uint8_t number = io->endpoint & 0x0f;

	inspect(p, io);
	if (number == 2) {
		uw_list_add(&p->idle, &io->node);
		p->idle_count++;
		return;
	}
	if (number < 2)
		move(p, io);
	complete(p, io, number < 2 ? UW_ST_OK : number == 3 ? UW_ST_STALL : UW_ST_NO_ENDPOINT);
}

static void device_verb(struct player *p, struct uw_transfer_io *io)
{
	if (io->verb == UW_VERB_SUBMIT) {
		device_submit(p, io);
		return;
	}
	if (io->verb == UW_VERB_ALLOC_STREAMS)
		io->actual = io->arg[0];
	complete(p, io, UW_ST_OK);
}

void player_complete(struct player *p, enum uw_status status, uint32_t actual)
{
	struct uw_list *node = uw_list_pop(&p->idle);
	struct uw_transfer_io *io;

	if (!node)
		return;
	io = UW_CONTAINER(node, struct uw_transfer_io, node);
	uw_list_init(&io->node);
	io->actual = actual;
	p->idle_count--;
	complete(p, io, status);
}

static void act(struct player *p, const struct uw_action *a)
{
	struct uw_list *node = p->idle.next, *next;

	if (a->kind == UW_ACT_VERB) {
		device_verb(p, &a->xfer->io);
	} else if (a->kind == UW_ACT_CANCEL) {
		uw_list_del(&a->xfer->io.node);
		p->idle_count--;
		complete(p, &a->xfer->io, UW_ST_CANCELLED);
	} else if (a->kind == UW_ACT_OPEN) {
		uw_host_opened(p->h, a->port);
	} else {
		for (; node != &p->idle; node = next) {
			struct uw_transfer_io *io = UW_CONTAINER(node, struct uw_transfer_io, node);

			next = node->next;
			if (uw_xfer_of(io)->port != a->port)
				continue;
			uw_list_del(node);
			p->idle_count--;
			complete(p, io, UW_ST_NO_DEVICE);
		}
	}
}

/* ---- the guest ---- */

static uint32_t empty_tag(const struct player *p)
{
	return p->head + 1 - p->l.sub_slots;
}

void player_send(struct player *p, const struct uw_slot *slot)
{
	struct uw_slot *ring = (void *)(p->view + p->l.sub_ring), *to = &ring[p->head & (p->l.sub_slots - 1u)];
	struct uw_slot s = *slot;

	s.epoch = (uint16_t)(s.epoch + p->epoch);
	s.consumed += p->pos;
	if (s.type == UW_SUB_HELLO)
		s.u.hello.incarnation += p->incarnation;
	s.tag += p->head + 1;
	memcpy((uint8_t *)to + 4, (uint8_t *)&s + 4, sizeof(s) - 4);
	uw_release32(&to->tag, s.tag);
	if (s.tag == empty_tag(p))
		return;
	p->head++;
	p->asked += uw_ask_answered(s.type);
}

void player_word(struct player *p, uint32_t at, uint32_t value)
{
	uw_release32((void *)(p->view + at), value);
}

const struct uw_slot *player_take(struct player *p)
{
	return p->taken < p->answers ? &p->answer[p->taken++] : NULL;
}

static void read_answer(struct player *p, const struct uw_slot *s)
{
	struct uw_answer a;
	struct uw_slot ack = { .type = UW_SUB_EVENT_ACK };

	if (s->epoch != (uint16_t)p->epoch || !uw_answer_decode(s, &p->l, &a))
		fault(p, "a completion that is none");
	if (s->consumed - p->said > p->head - p->said)
		fault(p, "an impossible consumed position");
	p->said = s->consumed;
	if (s->type == UW_COMP_EVENT && !p->keep_events) {
		ack.u.ack.port = s->u.event.port;
		ack.u.ack.seq = s->u.event.seq;
		player_send(p, &ack);
	} else if (s->type != UW_COMP_EVENT) {
		p->answered++;
		if (p->answers < PLAYER_ANSWERS)
			p->answer[p->answers++] = *s;
	}
}

static bool read_answers(struct player *p)
{
	const struct uw_slot *ring = (void *)(p->view + p->l.comp_ring), *s;
	uint32_t tag, before = p->pos;

	while (!p->deaf && p->h->epoch == p->epoch) {
		s = &ring[p->pos & (p->l.comp_slots - 1u)];
		tag = uw_acquire32(&s->tag);
		if (tag != p->pos + 1) {
			if (tag != p->pos + 1 - p->l.comp_slots)
				fault(p, "a bad tag");
			break;
		}
		p->pos++;
		read_answer(p, s);
	}
	if (before != p->pos)
		player_word(p, p->l.guest_page + (uint32_t)offsetof(struct uw_guest_page, hot.consumed), p->pos);
	return before != p->pos;
}

void player_settle(struct player *p)
{
	struct uw_action a;
	uint32_t quiet = 0, rounds = 0;
	bool busy;

	while (quiet < 2 && rounds++ < 5000) {
		p->now += UW_MS;
		busy = uw_host_poll(p->h, p->now, 64) != 0;
		while (uw_host_next(p->h, &a, p->now)) {
			act(p, &a);
			busy = true;
		}
		p->kicks += uw_host_kick(p->h);
		busy |= read_answers(p);
		if (!uw_host_sleep(p->h) && !p->deaf)
			busy = true;
		quiet = busy ? 0 : quiet + 1;
	}
	if (quiet < 2)
		fault(p, "it never comes to rest");
}

static void take_epoch(struct player *p)
{
	const struct uw_layout *l = &p->l;

	p->epoch = p->h->epoch;
	p->head = p->pos = p->said = l->start;
	p->answers = p->taken = 0;
	p->asked = p->answered = 0;
	uw_ring_clear((void *)(p->view + l->sub_ring), l->sub_slots, l->start);
	memset(&player_page(p)->hot, 0, sizeof(player_page(p)->hot));
	player_page(p)->hot.wake = player_page(p)->hot.consumed = l->start;
	player_page(p)->hot.space = l->start - 1;
}

bool player_renew(struct player *p)
{
	uint32_t before = p->h->epoch;

	if (!++p->incarnation)
		p->incarnation = 1;
	player_word(p, p->l.guest_page, p->incarnation);
	player_settle(p);
	return p->h->epoch != before && p->h->phase == UW_PHASE_OFFER;
}

void player_echo(struct player *p)
{
	take_epoch(p);
	player_word(p, p->l.guest_page + 4, p->epoch);
	player_settle(p);
}

bool player_greet(struct player *p)
{
	struct uw_slot s;
	const struct uw_slot *a;

	vec_hello(&s, p->l.features);
	p->answers = p->taken = 0;
	player_send(p, &s);
	player_settle(p);
	a = player_take(p);
	return a && a->type == UW_COMP_WELCOME && a->u.welcome.status == UW_ST_OK &&
	       a->u.welcome.version == UW_VERSION && a->u.welcome.epoch == p->epoch && p->h->phase == UW_PHASE_RUN;
}

bool player_probe(struct player *p)
{
	const uint8_t *data = p->view + p->l.data;
	const struct uw_slot *a;
	struct uw_slot s;

	vec_bulk(&s, UW_ID(1, ++p->use), 1, 0x81, 64, 32);
	p->answers = p->taken = 0;
	player_send(p, &s);
	player_settle(p);
	a = player_take(p);
	return a && p->answers == 1 && a->type == UW_COMP_COMPLETE && a->id == s.id && !a->u.complete.status &&
	       a->u.complete.actual == 32 && data[64] == 0x5a && data[95] == 0x5a && !data[63] && !data[96];
}

bool player_clean(struct player *p)
{
	static const uint8_t zeros[1 << 16];
	uint8_t *data = p->view + p->l.data;
	uint32_t i, at, part;
	bool clean = true;

	for (i = 0; i < p->writes; i++)
		memset(data + p->low[i], 0, p->high[i] - p->low[i]);
	if (p->writes == UW_COUNT_OF(p->low))
		memset(data, 0, p->l.data_size);
	p->writes = 0;
	for (at = 0; at < p->l.data_size; at += part) {
		part = uw_min(p->l.data_size - at, sizeof(zeros));
		if (!memcmp(data + at, zeros, part))
			continue;
		clean = false;
		memset(data + at, 0, part);
	}
	return clean;
}

/* ---- setting up ---- */

void player_reset(struct player *p)
{
	struct uw_host_limits limits;

	uw_list_init(&p->idle);
	p->idle_count = p->writes = p->answers = p->taken = 0;
	p->now = 0;
	p->incarnation = p->epoch = 0;
	p->use = 0;
	p->deaf = p->keep_events = false;
	memset(player_page(p), 0, UW_PAGE);
	uw_host_limits_default(&limits);
	limits.breaker.threshold = 0;
	uw_host_init(p->h, &p->l, &limits, &p->mem, "host under test", 0, p->now);
	uw_host_link(p->h, true, p->now);
	uw_host_attach(p->h, 1, UW_SPEED_HIGH, p->now);
	uw_host_attach(p->h, (uint8_t)(p->l.usb2_ports + 1), UW_SPEED_SUPER, p->now);
	player_settle(p);
}

void player_init(struct player *p, uint32_t size, uint16_t sub_slots, uint32_t start)
{
	int fd = fence_file(size);

	memset(p, 0, sizeof(*p));
	uw_layout_default(&p->l, size);
	p->l.sub_slots = sub_slots;
	p->l.comp_slots = (uint16_t)(2 * sub_slots);
	p->l.reserve = 4;
	p->l.start = start;
	p->l.transfers = 1024;
	p->l.share = 16;
	p->l.isoch_max = 8;
	p->l.packets_max = 64;
	p->host_view = fence_view(fd, size);
	p->view = fence_view(fd, size);
	close(fd);
	fence_read_only(p->host_view + p->l.guest_page, UW_PAGE);
	fence_read_only(p->host_view + p->l.sub_ring, p->l.comp_ring - p->l.sub_ring);
	p->mem.region = p->host_view;
	p->mem.xfers = fence_alloc(p->l.transfers * sizeof(*p->mem.xfers));
	p->mem.isos = fence_alloc((size_t)p->l.isoch_max * p->l.packets_max * sizeof(*p->mem.isos));
	p->mem.iso_free = fence_alloc(p->l.isoch_max * sizeof(*p->mem.iso_free));
	p->h = fence_alloc(sizeof(*p->h));
	player_reset(p);
}
