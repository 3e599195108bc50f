/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hostile host against the guest's end of a session. After each lie every transfer must have ended once, and none
 * before the host has promised that nothing moves; then a new epoch must bring a session that works.
 */
#define _GNU_SOURCE
#include "liar.h"
#include "lies.h"

/* ---- around each lie ---- */

/* A fresh epoch; with a session there are transfers in flight. */
static void prepare(struct test *t, bool run)
{
	offer(t);
	memset(t->notes, 0, sizeof(t->notes));
	if (!run)
		return;
	greet(t);
	enqueue(t, 0);
	enqueue(t, 1);
}

/* Whatever happened: the next epoch is taken up, everything has ended once, and transfers work. */
static void recover(struct test *t)
{
	struct uw_slot s;
	uint32_t i;

	offer(t);
	for (i = 0; i < URBS; i++)
		must(t, t->load[i].given == t->load[i].ended, "a transfer did not end once");
	must(t, !t->g.flying && t->g.free_entries == t->l.transfers && t->g.bounce.free == t->g.bounce.granules,
	     "an entry or space is lost");
	greet(t);
	enqueue(t, 2);
	answer(t, &s, 2);
	send(t, &s);
	must(t, t->load[2].ended == t->load[2].given && t->load[2].status == UW_ST_OK, "the probe does not end");
}

struct before {
	uint32_t incarnation, ended[URBS];
	uint64_t faults;
};

static uint64_t faults(const struct test *t)
{
	return t->g.counters.value[UW_STAT_lies];
}

static void note_before(const struct test *t, struct before *b)
{
	uint32_t i;

	b->incarnation = t->g.own->incarnation;
	b->faults = faults(t);
	for (i = 0; i < URBS; i++)
		b->ended[i] = t->load[i].ended;
}

static void compare(struct test *t, const struct lie *lie, const struct before *b)
{
	uint32_t i, index = lie->base == LIE_ISOCH;
	bool asks = lie->reaction == ASKS;

	for (i = 0; i < URBS; i++)
		must(t, t->load[i].ended - b->ended[i] == (lie->reaction == ENDS && i == index), "the wrong transfers end");
	must(t, (t->g.own->incarnation != b->incarnation) == asks, asks ? "no new incarnation" : "a new incarnation");
	must(t, faults(t) - b->faults == asks, "miscounted");
	if (asks)
		must(t, t->g.phase == UW_GUEST_WAIT, "it goes on");
	else if (lie->reaction == REFUSED)
		must(t, t->g.phase == UW_GUEST_REFUSED && t->notes[UW_NOTE_REFUSED] == 1, "not taken as a refusal");
	else
		must(t, t->g.phase == (lie->greet && lie->reaction == NOTHING ? UW_GUEST_GREET : UW_GUEST_RUN),
		     "the session has ended");
	if (lie->reaction == ENDS)
		must(t, t->load[index].status == lie->status && t->load[index].urb.actual == lie->moved, "another outcome");
}

static void make_base(struct test *t, struct uw_slot *s, enum lie_base base)
{
	if (base == LIE_COMPLETE || base == LIE_ISOCH) {
		answer(t, s, base == LIE_ISOCH);
	} else if (base == LIE_EVENT) {
		event(s);
	} else if (base == LIE_WELCOME) {
		welcome(t, s);
	} else {
		memset(s, 0, sizeof(*s));
		s->type = base == LIE_BYE ? UW_COMP_BYE : base == LIE_STATS ? UW_COMP_STATS : UW_COMP_COMPLETE;
		if (base == LIE_STATS) {
			s->u.stats.count = 5;
			s->u.stats.total = UW_STAT_COUNT;
			s->id = t->g.stats_id;
		} else if (base == LIE_REQUEST) {
			s->id = t->g.ports[1].ask.id;
		}
	}
}

static void one_lie(struct test *t, const struct lie *lie)
{
	struct before before;
	struct uw_slot s;
	uint64_t right = 0;

	prepare(t, !lie->greet);
	if (lie->base == LIE_STATS && !lie->greet)
		uw_guest_ask_stats(&t->g);
	if (lie->base == LIE_REQUEST)
		must(t, uw_guest_port_request(&t->g, 1, UW_PORT_RESET, t->now), "no port request");
	drive(t);
	note_before(t, &before);
	make_base(t, &s, lie->base);
	memcpy(&right, (uint8_t *)&s + lie->at, lie->bytes);
	right = lie->adds ? right + lie->value : lie->value;
	memcpy((uint8_t *)&s + lie->at, &right, lie->bytes);
	send(t, &s);
	if (lie->reaction == NOTHING)
		t->pos--;
	compare(t, lie, &before);
	if (lie->base == LIE_EVENT && lie->reaction == TAKES) {
		const struct uw_slot *ring = (void *)(t->view + t->l.sub_ring);
		const struct uw_slot *ack = &ring[(t->g.tx.head - 1) & (t->l.sub_slots - 1u)];

		must(t, ack->type == UW_SUB_EVENT_ACK && ack->u.ack.port == s.u.event.port && ack->u.ack.seq == s.u.event.seq,
		     "not acknowledged as it was told");
	}
	recover(t);
	count(t);
}

static const char *const base_name[LIE_BASES] = { "complete", "isoch", "request", "event", "stats", "bye", "welcome" };

static void asks(struct test *t, enum lie_base base, uint32_t at, uint32_t bytes, uint32_t value, bool adds,
		 enum reaction reaction)
{
	struct lie lie = { .base = (uint8_t)base, .greet = base == LIE_WELCOME, .reaction = (uint8_t)reaction,
			   .at = (uint8_t)at, .bytes = (uint8_t)bytes, .adds = adds, .value = value, .moved = 512 };

	NAME(t, "%s, %u bytes at %u %s %#x", base_name[base], bytes, at, adds ? "plus" : "are", value);
	one_lie(t, &lie);
}

/* ---- whole ranges ---- */

static void reserved_bytes(struct test *t)
{
	static const struct { uint8_t base, from, to; } parts[] = {
		{ LIE_COMPLETE, LIE_AT(u.complete.reserved), 36 }, { LIE_EVENT, LIE_AT(u.event.reserved), 40 },
		{ LIE_STATS, LIE_AT(u.stats.reserved), 2 }, { LIE_BYE, LIE_AT(u), 48 },
	};
	uint32_t i, at;

	for (i = 0; i < UW_COUNT_OF(parts); i++)
		for (at = parts[i].from; at < parts[i].from + parts[i].to; at++) {
			asks(t, parts[i].base, at, 1, 1, false, ASKS);
			asks(t, parts[i].base, at, 1, 0xff, false, ASKS);
		}
}

static void headers(struct test *t)
{
	uint32_t base, i;

	for (i = 0; i < 256; i++)
		if (i < UW_COMP_WELCOME || i > UW_COMP_BYE)
			asks(t, LIE_COMPLETE, LIE_AT(type), 1, i, false, ASKS);
	for (base = 0; base < LIE_BASES; base++)
		for (i = 0; i < 8; i++)
			asks(t, base, LIE_AT(flags), 1, 1u << i, false, ASKS);
	for (i = 0; i < 16; i++) { /* another use of the entry, another entry */
		asks(t, LIE_COMPLETE, LIE_AT(id), 4, 0x10000u << i, true, ASKS);
		asks(t, LIE_REQUEST, LIE_AT(id), 4, 0x10000u << i, true, ASKS);
		asks(t, LIE_STATS, LIE_AT(id), 4, 0x10000u << i, true, ASKS);
		asks(t, LIE_COMPLETE, LIE_AT(id), 4, i * 50, false, ASKS);
		asks(t, LIE_COMPLETE, LIE_AT(id), 4, 0xffff - i * 1000, false, ASKS);
		asks(t, LIE_EVENT, LIE_AT(id), 4, 0x10001u << i, false, ASKS);
		asks(t, LIE_WELCOME, LIE_AT(id), 4, 0x10001u << i, false, ASKS);
		asks(t, LIE_COMPLETE, LIE_AT(epoch), 2, 1u << i, true, ASKS);
		asks(t, LIE_WELCOME, LIE_AT(epoch), 2, 1u << i, true, ASKS);
	}
	for (i = 0; i < 32; i++) {
		asks(t, LIE_COMPLETE, LIE_AT(tag), 4, 1u << i, true, ASKS);
		asks(t, LIE_COMPLETE, LIE_AT(tag), 4, 0u - (1u << i), true,
		     (1u << i) == t->l.comp_slots ? NOTHING : ASKS);
		asks(t, LIE_COMPLETE, LIE_AT(consumed), 4, 1u << i, true, ASKS);
		if (i > 6)
			asks(t, LIE_COMPLETE, LIE_AT(consumed), 4, 0u - (1u << i), true, ASKS);
		asks(t, LIE_WELCOME, LIE_AT(consumed), 4, 2u << i, true, i < 31 ? ASKS : TAKES);
	}
}

static void fields(struct test *t)
{
	uint32_t ports = uw_layout_ports(&t->l), i;

	for (i = 0; i < UW_ST_COUNT; i++)
		if (i != UW_ST_INVALID) {
			struct lie lie = { .base = LIE_COMPLETE, .reaction = ENDS, .at = LIE_AT(u.complete.status),
					   .bytes = 2, .value = i, .status = i, .moved = 512 };

			NAME(t, "complete, status %u", i);
			one_lie(t, &lie);
		}
	for (i = 0; i < 256; i++) {
		if (!i || i > ports)
			asks(t, LIE_EVENT, LIE_AT(u.event.port), 2, i, false, ASKS);
		if (i > UW_SPEED_SUPER)
			asks(t, LIE_EVENT, LIE_AT(u.event.speed), 1, i, false, ASKS);
		if (i < ' ' || i > '~')
			asks(t, LIE_WELCOME, LIE_AT(u.welcome.name), 1, i, false, ASKS);
		else
			asks(t, LIE_WELCOME, LIE_AT(u.welcome.name), 1, i, false, TAKES);
	}
	for (i = 0; i < 16; i++)
		asks(t, LIE_EVENT, LIE_AT(u.event.changes), 2, 1u << i, false, i < 4 ? TAKES : ASKS);
	for (i = 0; i < 32; i++) {
		asks(t, LIE_WELCOME, LIE_AT(u.welcome.epoch), 4, 1u << i, true, ASKS);
		asks(t, LIE_WELCOME, LIE_AT(u.welcome.features), 4, 1u << i, false, i < 4 ? TAKES : ASKS);
		asks(t, LIE_WELCOME, LIE_AT(u.welcome.features) + 4, 4, 1u << i, false, ASKS);
	}
}

/* ---- pages ---- */

/* A new epoch with one word of the head changed. What is fixed must hold; what is not, is not looked at. */
static void layout_lies(struct test *t)
{
	static const uint32_t flips[] = { 1, 0x1000, 0x80000000, 0xffffffff };
	uint32_t at, i, *word;
	bool free;

	for (at = 0; at < sizeof(struct uw_host_head); at += 4)
		for (i = 0; i < UW_COUNT_OF(flips); i++) {
			if (at == 24 || at == 28)
				continue;
			free = at >= offsetof(struct uw_host_head, reserved);
			NAME(t, "a new epoch with word %u of the head changed by %#x", at, flips[i]);
			prepare(t, true);
			t->l.doorbell = 0;
			page(t)->head.state = UW_HOST_RESETTING;
			word = (void *)(t->view + at);
			*word ^= flips[i];
			page(t)->head.epoch = ++t->epoch;
			uw_ring_clear((void *)(t->view + t->l.comp_ring), t->l.comp_slots, t->l.start);
			t->pos = t->l.start;
			page(t)->hot.consumed = t->l.start;
			page(t)->head.state = UW_HOST_READY;
			drive(t);
			must(t, t->g.phase == (free ? UW_GUEST_GREET : UW_GUEST_WAIT), "another layout is believed");
			must(t, t->load[0].ended == t->load[0].given && t->load[0].status == UW_ST_NO_DEVICE, "not ended");
			recover(t);
			count(t);
		}
}

static void states(struct test *t)
{
	static const uint32_t states[] = { UW_HOST_DOWN, UW_HOST_RESETTING, 3, 0x80000002, 0xffffffff };
	uint32_t i, down;

	for (i = 0; i < UW_COUNT_OF(states); i++) {
		down = states[i] == UW_HOST_DOWN;
		NAME(t, "state %#x in a running session", states[i]);
		prepare(t, true);
		page(t)->head.state = states[i];
		drive(t);
		must(t, t->load[0].given - t->load[0].ended == !down, "transfers end on another state than DOWN");
		must(t, t->notes[UW_NOTE_DOWN] == down, "another note");
		recover(t);
		count(t);
		NAME(t, "a new epoch in state %#x", states[i]);
		prepare(t, true);
		page(t)->head.state = states[i];
		page(t)->head.epoch = ++t->epoch;
		drive(t);
		must(t, t->g.own->epoch != t->epoch, "the epoch is taken up");
		recover(t);
		count(t);
	}
}

/* Positions and indices in the host's hot line. */
static void hot_lies(struct test *t)
{
	struct before before;
	uint32_t i, k;

	for (i = 0; i < 32; i++)
		for (k = 0; k < 2; k++) {
			NAME(t, "consumed in the page off by %s%#x", k ? "-" : "", 1u << i);
			prepare(t, true);
			note_before(t, &before);
			if (uw_guest_enqueue(&t->g, &t->load[2].urb, t->now) == UW_ST_OK)
				t->load[2].given++;
			page(t)->hot.consumed = t->g.tx.head + (k ? 0u - (1u << i) : 1u << i);
			if (k && i < 7) /* less than the guest has sent in this epoch may be true */
				page(t)->hot.consumed = t->l.start - 1 - (1u << i);
			t->now += UW_MS;
			uw_guest_poll(&t->g, t->now, 64);
			fill(t, uw_guest_fill(&t->g, t->now));
			uw_guest_poll(&t->g, t->now, 64);
			must(t, t->g.phase == UW_GUEST_WAIT && faults(t) == before.faults + 1, "believed");
			recover(t);
			count(t);
			NAME(t, "wake and space %#x", k ? ~(1u << i) : 1u << i);
			prepare(t, true);
			page(t)->hot.wake = page(t)->hot.space = k ? ~(1u << i) : 1u << i;
			drive(t);
			must(t, t->g.phase == UW_GUEST_RUN, "an index ends the session");
			recover(t);
			count(t);
		}
}

/* ---- orders of events ---- */

static void orders(struct test *t)
{
	struct uw_slot s;
	uint32_t given;

	NAME(t, "two answers to one transfer");
	prepare(t, true);
	answer(t, &s, 0);
	send(t, &s);
	must(t, t->load[0].ended == t->load[0].given && t->g.phase == UW_GUEST_RUN, "not ended by the first");
	send(t, &s);
	must(t, t->load[0].ended == t->load[0].given && t->g.phase == UW_GUEST_WAIT, "the second is believed");
	recover(t);
	count(t);

	NAME(t, "an answer after the transfers were given up");
	prepare(t, true);
	uw_guest_abandon(&t->g, t->now);
	drive(t);
	must(t, t->load[0].ended == t->load[0].given && t->load[1].ended == t->load[1].given, "not ended");
	given = t->g.bounce.in_use;
	answer(t, &s, 0);
	send(t, &s);
	must(t, t->load[0].ended == t->load[0].given && t->g.bounce.in_use == given, "it still listens");
	recover(t);
	count(t);

	NAME(t, "a host that never reads is given up");
	prepare(t, true);
	page(t)->hot.consumed = t->g.tx.head;
	drive(t);
	if (uw_guest_enqueue(&t->g, &t->load[2].urb, t->now) == UW_ST_OK)
		t->load[2].given++;
	fill(t, uw_guest_fill(&t->g, t->now));
	for (given = 0; given < 8; given++) {
		t->now += UW_PROBE_AFTER;
		uw_guest_poll(&t->g, t->now, 64);
	}
	drive(t);
	must(t, t->g.phase == UW_GUEST_WAIT && t->load[2].ended == t->load[2].given, "it waits for ever");
	recover(t);
	count(t);
}

static void epochs_wrap(struct test *t)
{
	NAME(t, "epochs from 2^32 - 1 to 1");
	t->epoch = 0xfffffffd;
	prepare(t, true);
	recover(t);
	prepare(t, true);
	recover(t);
	must(t, t->epoch == 1 || t->epoch == 2, "another epoch");
	count(t);
}

int main(void)
{
	static struct test t;
	uint32_t i;

	init(&t);
	for (i = 0; i < UW_COUNT_OF(lie_rows); i++) {
		NAME(&t, "row %u, %s", i, base_name[lie_rows[i].base]);
		one_lie(&t, &lie_rows[i]);
	}
	reserved_bytes(&t);
	headers(&t);
	fields(&t);
	layout_lies(&t);
	states(&t);
	hot_lies(&t);
	orders(&t);
	epochs_wrap(&t);
	printf("%llu passed, %llu failed\n", (unsigned long long)t.passed, (unsigned long long)t.failed);
	return t.failed != 0;
}
