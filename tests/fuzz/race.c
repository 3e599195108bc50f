/* SPDX-License-Identifier: GPL-2.0-only */
/* The flipping thread, and the answers that are legal whatever it does. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "race.h"

#define ROUNDS 40u
#define AT(member) offsetof(struct uw_slot, member)
#define ID VEC_ID
#define WORD(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define GOOD(n) { .id = ID, .actual = n }
#define BAD(reason) { .id = ID, .status = UW_ST_INVALID, .why = UW_WHY_##reason }

static const struct race races[] = {
	{ "length", RACE_SLOT, 0, AT(u.submit.length), { 512, 0xffffffff }, { GOOD(512), BAD(LENGTH) } },
	{ "length, both good", RACE_SLOT, 0, AT(u.submit.length), { 512, 65536 }, { GOOD(512), GOOD(65536) } },
	{ "data offset", RACE_SLOT, 0, AT(u.submit.data), { VEC_DATA, 0xffffff00 }, { GOOD(512), BAD(RANGE) } },
	{ "port, endpoint and transfer type", RACE_SLOT, 0, AT(u.submit.port),
	  { WORD(1, 0x81, UW_BULK, 0), WORD(255, 0x83, 9, 0) }, { GOOD(512), BAD(PORT) } },
	{ "port of no device", RACE_SLOT, 0, AT(u.submit.port),
	  { WORD(1, 0x81, UW_BULK, 0), WORD(2, 0x81, UW_BULK, 0) }, { GOOD(512), { .id = ID, .status = UW_ST_NO_DEVICE } } },
	{ "reserved byte", RACE_SLOT, 0, AT(u.submit.port),
	  { WORD(1, 0x81, UW_BULK, 0), WORD(1, 0x81, UW_BULK, 1) }, { GOOD(512), BAD(RESERVED) } },
	{ "id", RACE_SLOT, 0, AT(id), { ID, UW_ID(9, 1) }, { GOOD(512), { .id = UW_ID(9, 1), .actual = 512 } } },
	{ "id beyond the table", RACE_SLOT, 0, AT(id), { ID, 0xffff },
	  { GOOD(512), { .id = 0xffff, .status = UW_ST_INVALID, .why = UW_WHY_ID } } },
	{ "setup", RACE_SLOT, 0, AT(u.submit.setup), { 0, 0x80 }, { GOOD(512), BAD(RESERVED) } },
	{ "table of a bulk transfer", RACE_SLOT, 0, AT(u.submit.table), { 0, 16 }, { GOOD(512), BAD(RESERVED) } },
	{ "packets of a table", RACE_SLOT, 1, AT(u.submit.packets), { 2, 0xffff }, { GOOD(0), BAD(PACKETS) } },
	{ "table", RACE_SLOT, 1, AT(u.submit.table), { VEC_TABLE, 0xfffffff0 }, { GOOD(0), BAD(TABLE) } },
	{ "table over its data", RACE_SLOT, 1, AT(u.submit.table), { VEC_TABLE, VEC_DATA }, { GOOD(0), BAD(TABLE) } },
	{ "packet offset", RACE_DATA, 1, VEC_TABLE, { 0, 0xffffffff }, { GOOD(0), BAD(PACKET) } },
	{ "packet length", RACE_DATA, 1, VEC_TABLE + 4, { 512, 0xffffffff }, { GOOD(512), BAD(PACKET) } },
	{ "packet length, both good", RACE_DATA, 1, VEC_TABLE + 20, { 1, 512 }, { GOOD(1), GOOD(512) } },
	{ "packet length, one too long", RACE_DATA, 1, VEC_TABLE + 20, { 512, 513 }, { GOOD(512), BAD(PACKET) } },
	{ "payload", RACE_DATA, 0, VEC_DATA, { 0, 0xffffffff }, { GOOD(512), GOOD(512) } },
	{ "consumed in the slot", RACE_SLOT, 0, AT(consumed), { 0, 0x40000000 }, { GOOD(512), { .epoch = 1 } } },
	{ "tag", RACE_SLOT, 0, AT(tag), { 0, 0x1000 }, { GOOD(512), { .epoch = 1 } } },
	{ "tag, one lap old", RACE_LAP, 0, AT(tag), { 0, 0 }, { GOOD(512), { .silent = 1 } } },
	{ "consumed in the page", RACE_PAGE, 0, offsetof(struct uw_guest_page, hot.consumed), { 0, 0x40000000 },
	  { GOOD(512), { .epoch = 1 } } },
	{ "wake", RACE_PAGE, 0, offsetof(struct uw_guest_page, hot.wake), { 0, 0x80000000 }, { GOOD(512), GOOD(512) } },
	{ "space", RACE_PAGE, 0, offsetof(struct uw_guest_page, hot.space), { 0, 0x80000000 }, { GOOD(512), GOOD(512) } },
	{ "incarnation", RACE_PAGE, 0, offsetof(struct uw_guest_page, incarnation), { 0, 1 },
	  { GOOD(512), { .epoch = 1 } } },
	{ "echo", RACE_PAGE, 0, offsetof(struct uw_guest_page, epoch), { 0, 0x10000 }, { GOOD(512), GOOD(512) } },
};

const struct race *race_table(uint32_t *count)
{
	*count = UW_COUNT_OF(races);
	return races;
}

struct flipper {
	uint32_t *at;
	uint32_t value[2];
	atomic_bool running, stop;
};

static void *flip(void *context)
{
	struct flipper *f = context;
	uint32_t i = 0;

	do {
		__atomic_store_n(f->at, f->value[i++ & 1], __ATOMIC_RELAXED);
		atomic_store_explicit(&f->running, true, memory_order_relaxed);
	} while (!atomic_load_explicit(&f->stop, memory_order_relaxed));
	return NULL;
}

static void make_submit(struct uw_slot *s, bool isoch)
{
	vec_bulk(s, ID, 1, 0x81, VEC_DATA, VEC_LENGTH);
	if (!isoch)
		return;
	s->u.submit.transfer = UW_ISOCH;
	s->u.submit.table = VEC_TABLE;
	s->u.submit.packets = 2;
	s->u.submit.interval = 1;
}

/* What the word holds when all else is right, and the value is 0. */
static uint32_t right(const struct player *p, const struct race *r)
{
	const uint32_t incarnation = (uint32_t)offsetof(struct uw_guest_page, incarnation);

	if (r->where == RACE_DATA)
		return 0;
	if (r->where == RACE_PAGE)
		return r->at == incarnation ? p->incarnation : r->at == offsetof(struct uw_guest_page, epoch) ? p->epoch : p->pos;
	return r->at == AT(tag) ? p->head + 1 : r->at == AT(consumed) ? p->pos : 0;
}

static void values(const struct player *p, const struct race *r, uint32_t value[2])
{
	value[0] = right(p, r) + r->value[0];
	value[1] = right(p, r) + (r->where == RACE_LAP ? 0u - p->l.sub_slots : r->value[1]);
}

static uint32_t *place(struct player *p, const struct race *r)
{
	uint32_t slot = p->l.sub_ring + (p->head & (p->l.sub_slots - 1u)) * UW_SLOT;

	return (void *)(p->view + r->at +
			(r->where == RACE_DATA ? p->l.data : r->where == RACE_PAGE ? p->l.guest_page : slot));
}

static bool legal(const struct player *p, const struct race *r, uint32_t which, const struct uw_slot *a)
{
	if (p->rig->epoch != p->epoch)
		return r->legal[which].epoch;
	if (!a)
		return r->legal[which].silent;
	return !r->legal[which].silent && !r->legal[which].epoch && p->answers == 1 && a->type == UW_COMP_COMPLETE &&
	       a->id == r->legal[which].id && a->u.complete.status == r->legal[which].status &&
	       a->u.complete.why == r->legal[which].why && a->u.complete.actual == r->legal[which].actual;
}

/* One submission, flipped from before it is there until the host has come to rest. 0 or 1: as that value has it. */
static int round_of(struct player *p, const struct race *r)
{
	struct flipper f = { .at = place(p, r) };
	const struct uw_slot *a;
	pthread_t thread;
	struct uw_slot s;

	values(p, r, f.value);
	make_submit(&s, r->isoch);
	p->answers = p->taken = 0;
	p->deaf = true; /* what the guest itself reads and writes would stand in the flipper's way */
	if (pthread_create(&thread, NULL, flip, &f))
		return -1;
	while (!atomic_load(&f.running))
		sched_yield();
	player_send(p, &s);
	player_settle(p);
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	/* From here on the word keeps still, at the first value. */
	__atomic_store_n(f.at, f.value[0], __ATOMIC_RELEASE);
	p->deaf = false;
	player_settle(p);
	a = player_take(p);
	return legal(p, r, 0, a) ? 0 : legal(p, r, 1, a) ? 1 : -1;
}

static bool ready(struct player *p)
{
	if (p->rig->epoch == p->epoch && rig_phase(p->rig) == UW_PHASE_RUN)
		return true;
	if (!player_renew(p))
		return false;
	player_echo(p);
	return player_greet(p);
}

/* What a round may have left in data. */
static void clear(struct player *p, const struct race *r)
{
	if (r->where == RACE_DATA)
		memset(p->view + p->l.data + r->at, 0, 4);
	memset(p->view + p->l.data + VEC_TABLE, 0, 64);
}

bool race_run(struct player *p, const struct race *r, uint32_t saw[2])
{
	uint32_t i;
	int which;

	for (i = 0; i < ROUNDS; i++) {
		if (!ready(p))
			return false;
		which = round_of(p, r);
		if (which < 0)
			return false;
		saw[which]++;
		clear(p, r);
	}
	return true;
}

bool race_step(struct player *p, const struct race *r, uint32_t first, uint32_t *accesses)
{
	uint32_t value[2], *word;
	const struct uw_slot *a;
	struct uw_slot s;

	if (!ready(p))
		return false;
	word = place(p, r);
	values(p, r, value);
	make_submit(&s, r->isoch);
	p->answers = p->taken = 0;
	p->deaf = true;
	player_send(p, &s);
	if (!rig_trap_begin(p->rig, word, value, first))
		return true;
	player_settle(p);
	*accesses += rig_trap_end(p->rig);
	__atomic_store_n(word, value[0], __ATOMIC_RELEASE);
	p->deaf = false;
	player_settle(p);
	a = player_take(p);
	clear(p, r);
	return legal(p, r, 0, a) || legal(p, r, 1, a);
}
