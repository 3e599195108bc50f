/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libFuzzer target: a sequence of operations of a host and of the driver against the guest. Whatever the sequence, each
 * transfer ends once, and a host that behaves afterwards finds a guest that works.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "liar.h"

struct input {
	const uint8_t *at;
	size_t left;
};

static void take(struct input *in, void *to, size_t bytes)
{
	size_t some = bytes < in->left ? bytes : in->left;

	memset(to, 0, bytes);
	if (some)
		memcpy(to, in->at, some);
	in->at += some;
	in->left -= some;
}

static uint32_t take32(struct input *in)
{
	uint32_t v;

	take(in, &v, sizeof(v));
	return v;
}

/* Changes to what is right, so that most of a message stays credible: the base is chosen by the operation. */
static void forge(struct test *t, uint8_t base, struct input *in)
{
	struct uw_slot s = { 0 }, mask;
	uint32_t i;

	if (base < URBS)
		answer(t, &s, base);
	else if (base == 3)
		event(&s);
	else if (base == 4)
		welcome(t, &s);
	else if (base == 5)
		s = (struct uw_slot){ .type = UW_COMP_STATS, .id = t->g.stats_id, .u.stats.first = t->g.stats_next };
	else if (base == 6)
		s = (struct uw_slot){ .type = UW_COMP_COMPLETE, .id = t->g.ports[1].ask.id };
	else
		s.type = UW_COMP_BYE;
	take(in, &mask, sizeof(mask));
	for (i = 0; i < sizeof(s); i++)
		((uint8_t *)&s)[i] ^= ((uint8_t *)&mask)[i];
	send(t, &s);
}

static void give(struct test *t, uint32_t index)
{
	struct load *load = &t->load[index];

	if (load->urb.state == UW_URB_IDLE && uw_guest_enqueue(&t->g, &load->urb, t->now) == UW_ST_OK)
		load->given++;
}

static void operate(struct test *t, uint8_t op, struct input *in)
{
	uint32_t at;

	switch (op & 0x1f) {
	case 8:
		offer(t);
		break;
	case 9:
		give(t, take32(in) % URBS);
		break;
	case 10:
		uw_guest_cancel(&t->g, &t->load[take32(in) % URBS].urb);
		break;
	case 11:
		(void)!uw_guest_port_request(&t->g, 1, UW_PORT_RESET + take32(in) % 5, t->now);
		break;
	case 12:
		uw_guest_ask_stats(&t->g);
		break;
	case 13: /* the host's page, and what it has in its ring */
		at = take32(in) % (t->l.data / 4) * 4;
		if (at < UW_PAGE || at >= t->l.comp_ring)
			*(uint32_t *)(void *)(t->view + at) = take32(in);
		break;
	case 14:
		t->now += (uint64_t)(take32(in) & 0x3fff) * UW_MS;
		break;
	case 15:
		uw_guest_abandon(&t->g, t->now);
		break;
	case 16:
		uw_guest_end(&t->g, t->now);
		break;
	case 17:
		if (t->g.phase == UW_GUEST_IDLE)
			uw_guest_begin(&t->g, t->now);
		break;
	default:
		forge(t, op & 0x1f, in);
		break;
	}
	if (op & 0x80)
		drive(t);
}

static void stop_if(struct test *t, bool bad)
{
	if (!bad && t->good)
		return;
	fprintf(stderr, "a transfer did not end once, or the guest does not work any more\n");
	abort();
}

static void check_end(struct test *t)
{
	struct uw_slot s;
	uint32_t i;

	if (t->g.phase == UW_GUEST_IDLE || t->g.bye) {
		uw_guest_abandon(&t->g, t->now);
		drive(t);
		uw_guest_begin(&t->g, t->now);
	}
	t->epoch = t->g.epoch; /* the page may have shown any number; the next is another one */
	offer(t);
	for (i = 0; i < URBS; i++)
		stop_if(t, t->load[i].given != t->load[i].ended);
	stop_if(t, t->g.flying || t->g.free_entries != t->l.transfers || t->g.bounce.free != t->g.bounce.granules);
	greet(t);
	enqueue(t, 2);
	answer(t, &s, 2);
	send(t, &s);
	stop_if(t, t->load[2].ended != t->load[2].given || t->load[2].status != UW_ST_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct test t;
	struct input in = { data, size };
	uint8_t op;

	if (!t.view)
		init(&t);
	t.good = true;
	offer(&t);
	take(&in, &op, 1);
	if (op & 1) {
		greet(&t);
		enqueue(&t, 0);
		enqueue(&t, 1);
	}
	while (in.left) {
		take(&in, &op, 1);
		operate(&t, op, &in);
	}
	check_end(&t);
	return 0;
}
