/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest with its driver and three transfers, and a host that writes its bytes by hand. */
#ifndef UW_LIAR_H
#define UW_LIAR_H

#include <stdio.h>
#include <unistd.h>

#include "fence.h"
#include "guest.h"

#define REGION (4u << 20)
#define URBS 3u                /* bulk, isochronous, and the probe */

struct load {
	struct uw_urb urb;
	struct uw_ep ep;
	uint32_t given, ended; /* times */
	uint32_t status;
};

struct test {
	struct uw_layout l;
	uint8_t *view, *guest_view; /* the host's; the guest's, with host page and completion ring read-only */
	struct uw_guest g;
	struct load load[URBS];
	uint32_t pos;          /* next completion */
	uint32_t epoch;
	uint64_t now;
	uint32_t notes[UW_NOTE_LAYOUT + 1];
	char name[80];
	uint64_t passed, failed;
	bool good;
};

static inline void must(struct test *t, bool ok, const char *what)
{
	if (!ok && t->good)
		printf("FAIL %s: %s (phase %d)\n", t->name, what, t->g.phase);
	t->good = t->good && ok;
}

#define NAME(t, ...) ((t)->good = true, snprintf((t)->name, sizeof((t)->name), __VA_ARGS__))

static inline void count(struct test *t)
{
	if (t->good)
		t->passed++;
	else
		t->failed++;
}

static inline struct uw_host_page *page(struct test *t)
{
	return (void *)t->view;
}

/* ---- the driver ---- */

static inline void fill(struct test *t, struct uw_urb *urb)
{
	struct uw_packet *table;
	uint32_t i;

	if (urb->packets) {
		urb->piece = urb->length;
		urb->piece_packets = urb->packets;
		urb->table = urb->space;
		urb->data = urb->space + urb->packets * (uint32_t)sizeof(*table);
		table = (void *)(t->guest_view + t->l.data + urb->table);
		for (i = 0; i < urb->packets; i++)
			table[i] = (struct uw_packet){ .offset = i * 128, .length = 128 };
	}
	must(t, urb->data + urb->piece <= t->l.data_size, "space outside of data");
	uw_guest_filled(&t->g, urb, t->now);
}

static inline void drive(struct test *t)
{
	struct uw_note note;
	struct uw_urb *urb;
	struct load *load;
	uint32_t i;

	for (i = 0; i < 4; i++) {
		t->now += UW_MS;
		uw_guest_poll(&t->g, t->now, 64);
		while (uw_guest_note(&t->g, &note))
			t->notes[note.kind]++;
		while ((urb = uw_guest_fill(&t->g, t->now)))
			fill(t, urb);
		while ((urb = uw_guest_done(&t->g))) {
			load = UW_CONTAINER(urb, struct load, urb);
			must(t, urb->moved <= urb->piece, "more bytes than asked for");
			if (uw_guest_drained(&t->g, urb, t->now)) {
				load->ended++;
				load->status = urb->status;
			}
		}
		if (uw_guest_kick(&t->g))
			page(t)->hot.consumed = t->g.tx.head; /* this host reads everything and says so */
		(void)!uw_guest_sleep(&t->g);
	}
}

static inline void enqueue(struct test *t, uint32_t index)
{
	struct load *load = &t->load[index];

	if (uw_guest_enqueue(&t->g, &load->urb, t->now) != UW_ST_OK) {
		must(t, false, "no device for a transfer");
		return;
	}
	load->given++;
	drive(t);
	must(t, load->urb.state == UW_URB_FLYING, "a transfer is not submitted");
}

/* ---- the host ---- */

/* tag, epoch and consumed of s are added to what is right. */
static inline void send(struct test *t, const struct uw_slot *slot)
{
	struct uw_slot *ring = (void *)(t->view + t->l.comp_ring), s = *slot;

	s.tag += t->pos + 1;
	s.epoch = (uint16_t)(s.epoch + t->epoch);
	s.consumed += t->g.tx.head;
	ring[t->pos++ & (t->l.comp_slots - 1u)] = s;
	drive(t);
}

static inline void welcome(struct test *t, struct uw_slot *s)
{
	memset(s, 0, sizeof(*s));
	s->type = UW_COMP_WELCOME;
	s->u.welcome.version = UW_VERSION;
	s->u.welcome.epoch = t->epoch;
	s->u.welcome.features = t->l.features;
	memcpy(s->u.welcome.name, "liar", 4);
}

static inline void event(struct uw_slot *s)
{
	memset(s, 0, sizeof(*s));
	s->type = UW_COMP_EVENT;
	s->u.event.port = 1;
	s->u.event.speed = UW_SPEED_HIGH;
	s->u.event.changes = UW_EVENT_CONNECT;
	s->u.event.seq = 9;
}

/* A new epoch, as PROTOCOL.md has it. */
static inline void offer(struct test *t)
{
	t->pos = t->l.start;
	page(t)->head.state = UW_HOST_RESETTING;
	uw_ring_clear((void *)(t->view + t->l.comp_ring), t->l.comp_slots, t->l.start);
	uw_layout_write(&t->l, page(t));
	page(t)->hot.wake = page(t)->hot.consumed = t->l.start;
	page(t)->hot.space = t->l.start - 1;
	if (!++t->epoch)
		t->epoch = 1;
	page(t)->head.epoch = t->epoch;
	page(t)->head.state = UW_HOST_READY;
	drive(t);
}

static inline void greet(struct test *t)
{
	struct uw_slot s;

	must(t, t->g.phase == UW_GUEST_GREET && t->g.own->epoch == t->epoch, "the epoch is not taken up");
	welcome(t, &s);
	send(t, &s);
	event(&s);
	send(t, &s);
	must(t, t->g.phase == UW_GUEST_RUN && t->g.ports[1].speed == UW_SPEED_HIGH, "the session does not run");
}

static inline void answer(const struct test *t, struct uw_slot *s, uint32_t index)
{
	memset(s, 0, sizeof(*s));
	s->type = UW_COMP_COMPLETE;
	s->id = t->load[index].urb.id;
	s->u.complete.actual = t->load[index].urb.length;
}

/* ---- setting up ---- */

static inline void init_load(struct load *load, uint8_t address, uint8_t transfer, uint32_t packets)
{
	uw_ep_init(&load->ep, 1, address, transfer, 512);
	load->urb.ep = &load->ep;
	load->urb.endpoint = address;
	load->urb.length = 512;
	load->urb.packets = packets;
	load->urb.interval = packets != 0;
	load->urb.direct = UW_NOT_DIRECT;
}

static inline void init(struct test *t)
{
	struct uw_guest_sizes sizes;
	struct uw_guest_memory mem;
	struct uw_layout l;
	int fd = fence_file(REGION);

	uw_layout_default(&t->l, REGION);
	t->l.sub_slots = 64;
	t->l.comp_slots = 128;
	t->l.start = 0u - 3;
	t->l.transfers = 1024;
	t->l.share = 16;
	t->view = fence_view(fd, REGION);
	t->guest_view = fence_view(fd, REGION);
	close(fd);
	fence_read_only(t->guest_view, UW_PAGE);
	fence_read_only(t->guest_view + t->l.comp_ring, t->l.data - t->l.comp_ring);
	uw_layout_write(&t->l, page(t));
	if (uw_guest_sizes(t->guest_view, REGION, &l, &sizes) != UW_LAYOUT_OK)
		exit(2);
	mem.region = t->guest_view;
	mem.mapped = REGION;
	mem.urbs = fence_alloc(sizes.entries * sizeof(*mem.urbs));
	mem.uses = fence_alloc(sizes.entries * sizeof(*mem.uses));
	mem.free = fence_alloc(sizes.entries * sizeof(*mem.free));
	mem.bitmap = fence_alloc(sizes.words * sizeof(*mem.bitmap));
	uw_guest_init(&t->g, &l, &mem, "guest under test");
	uw_guest_begin(&t->g, t->now);
	init_load(&t->load[0], 0x81, UW_BULK, 0);
	init_load(&t->load[1], 0x82, UW_ISOCH, 4);
	init_load(&t->load[2], 0x83, UW_BULK, 0);
}

#endif
