/* SPDX-License-Identifier: GPL-2.0-only */
/* The hand-written guest: it writes slots and page words as it is told, and reads answers as the protocol has it. */
#include <stdio.h>

#include "player.h"

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
		rig_fault(p->rig, "a completion that is none");
	if (s->consumed - p->said > p->head - p->said)
		rig_fault(p->rig, "an impossible consumed position");
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

	while (!p->deaf && p->rig->epoch == p->epoch) {
		s = &ring[p->pos & (p->l.comp_slots - 1u)];
		tag = uw_acquire32(&s->tag);
		if (tag != p->pos + 1) {
			if (tag != p->pos + 1 - p->l.comp_slots)
				rig_fault(p->rig, "a bad tag");
			break;
		}
		p->pos++;
		read_answer(p, s);
	}
	if (before != p->pos)
		player_word(p, p->l.guest_page + (uint32_t)offsetof(struct uw_guest_page, hot.consumed), p->pos);
	return before != p->pos;
}

/* What it has read is told by its page and by acknowledgements, which the host then reads. */
void player_settle(struct player *p)
{
	uint32_t rounds = 0;

	do
		rig_run(p->rig, p->deaf);
	while (read_answers(p) && rounds++ < 5000);
	if (rounds > 5000)
		rig_fault(p->rig, "it answers without end");
}

static void take_epoch(struct player *p)
{
	const struct uw_layout *l = &p->l;

	p->epoch = p->rig->epoch;
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
	uint32_t before = p->rig->epoch;

	if (!++p->incarnation)
		p->incarnation = 1;
	player_word(p, p->l.guest_page, p->incarnation);
	player_settle(p);
	return p->rig->epoch != before && rig_phase(p->rig) == UW_PHASE_OFFER;
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
	       a->u.welcome.version == UW_VERSION && a->u.welcome.epoch == p->epoch && rig_phase(p->rig) == UW_PHASE_RUN;
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
	struct rig *r = p->rig;
	uint32_t i, at, part;
	bool clean = true;

	rig_writes(r);
	for (i = 0; i < r->writes; i++)
		memset(data + r->low[i], 0, r->high[i] - r->low[i]);
	if (r->writes == RIG_WRITES)
		memset(data, 0, p->l.data_size);
	r->writes = 0;
	for (at = 0; at < p->l.data_size; at += part) {
		part = uw_min(p->l.data_size - at, sizeof(zeros));
		if (!memcmp(data + at, zeros, part))
			continue;
		clean = false;
		memset(data + at, 0, part);
	}
	return clean;
}

uint32_t player_unread(struct player *p)
{
	const struct uw_slot *ring = (void *)(p->view + p->l.comp_ring);
	uint32_t count = 0;

	while (count < p->l.comp_slots &&
	       uw_acquire32(&ring[(p->pos + count) & (p->l.comp_slots - 1u)].tag) == p->pos + count + 1)
		count++;
	return count;
}

/* ---- setting up ---- */

void player_reset(struct player *p)
{
	struct rig *r = p->rig;

	memset(p, 0, sizeof(*p));
	p->rig = r;
	p->l = r->l;
	p->view = r->view;
	memset(player_page(p), 0, UW_PAGE);
}

void player_init(struct player *p, uint32_t size, uint16_t sub_slots, uint32_t start)
{
	p->rig = rig_open(size, sub_slots, start);
	player_reset(p);
}
