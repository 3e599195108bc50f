/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libFuzzer target: a sequence of operations of a guest, its link and its devices against the host. Each operation is a
 * byte, and what it needs; bit 7 lets the host work after it. Whatever the sequence, each message is answered once, and
 * a host that is stopped afterwards has nothing left.
 */
#include <stdio.h>
#include <stdlib.h>

#include "player.h"
#include "rig_local.h"

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

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static struct uw_host *host_of(const struct player *p)
{
	return rig_local(p->rig)->h;
}

static uint32_t in_use(const struct player *p)
{
	uint32_t i, used = 0;

	for (i = 0; i < p->l.transfers; i++)
		used += host_of(p)->mem.xfers[i].state != UW_XFER_FREE;
	return used;
}

/* Once the host has read everything and the guest too: an answer for each message but those in the table. */
static void check_answers(struct player *p)
{
	const struct uw_host *h = host_of(p);

	must(!p->rig->faults, "a promise is broken");
	if (p->deaf || h->epoch != p->epoch || h->phase < UW_PHASE_GREET || h->phase > UW_PHASE_CLOSED)
		return;
	if (h->rx.pos == p->head && h->tx.head == p->pos)
		must(p->asked == p->answered + in_use(p) + h->bye, "not one answer for each message");
}

/* Only what is the guest's: ring slots go through player_send, so that the player knows what it has sent. */
static void poke(struct player *p, uint32_t at, uint32_t value)
{
	at = at % p->l.size & ~3u;
	if ((at >= p->l.guest_page && at < p->l.guest_page + UW_PAGE) || at >= p->l.data)
		player_word(p, at, value);
}

static void begin_session(struct player *p, uint8_t how)
{
	if (!player_renew(p))
		return;
	if (how)
		player_echo(p);
	if (how > 1 && rig_phase(p->rig) == UW_PHASE_GREET && player_greet(p))
		return;
}

static void plug(struct rig_local *r)
{
	struct uw_host *h = r->h;

	if (h->ports[1].speed)
		uw_host_detach(h, 1, r->now);
	else if (uw_list_empty(&h->ports[1].used))
		uw_host_attach(h, 1, UW_SPEED_HIGH, r->now);
}

static void operate(struct player *p, uint8_t op, struct input *in)
{
	struct uw_guest_page *page = player_page(p);
	struct uw_host *h = host_of(p);
	struct uw_slot s;
	uint32_t v;

	switch (op & 0x7f) {
	case STEP_SEND:
		take(in, &s, sizeof(s));
		if (p->head - h->rx.pos < p->l.sub_slots) /* a lap more would only be a bad tag */
			player_send(p, &s);
		break;
	case STEP_WORD:
		v = take32(in);
		poke(p, v, take32(in));
		break;
	case STEP_CONSUMED:
		uw_write32(&page->hot.consumed, p->pos + take32(in));
		break;
	case STEP_INCARNATION:
		uw_release32(&page->incarnation, p->incarnation += take32(in));
		break;
	case STEP_ECHO:
		uw_release32(&page->epoch, h->epoch + take32(in));
		break;
	case 6:
		begin_session(p, take32(in) & 3);
		break;
	case 7:
		rig_pass(p->rig, take32(in) & 0xffff);
		break;
	case 8:
		p->deaf = !p->deaf;
		break;
	case 9:
		p->keep_events = !p->keep_events;
		break;
	case 10:
		plug(rig_local(p->rig));
		break;
	case 11:
		uw_host_link(h, !h->present, rig_local(p->rig)->now);
		break;
	case 12:
		uw_host_event(h, 1, take32(in) & UW_EVENTS);
		break;
	case 13:
		v = take32(in);
		rig_complete(p->rig, v & 0xff, take32(in));
		break;
	default:
		break;
	}
	if (op & 0x80) {
		player_settle(p);
		check_answers(p);
	}
}

/* A device whose port it left is closed by its owner; then nothing may be left. */
static void check_end(struct player *p)
{
	struct uw_host *h = host_of(p);

	p->deaf = false;
	while (rig_idle(p->rig))
		rig_complete(p->rig, UW_ST_OK, 0);
	player_settle(p);
	must(!p->rig->faults, "a promise is broken");
	uw_host_stop(h, rig_local(p->rig)->now);
	player_settle(p);
	must(uw_host_stopped(h) && !h->active && !in_use(p), "it does not stop with nothing left");
	must(!h->shares.common_used && !h->shares.isoch && h->iso_count == p->l.isoch_max, "a share is lost");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct player p;
	struct input in = { data, size };
	uint8_t op;

	if (!p.rig)
		player_init(&p, 4u << 20, 16, 0u - 40);
	player_reset(&p);
	rig_local_reset(rig_local(p.rig));
	take(&in, &op, 1);
	begin_session(&p, op);
	while (in.left) {
		take(&in, &op, 1);
		operate(&p, op, &in);
	}
	check_end(&p);
	return 0;
}
