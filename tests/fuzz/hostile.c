/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hostile guest against the host's end of a session, whichever the rig has. Each vector's answers are compared with what
 * it states; then the session must still serve, or recover by the protocol; another session beside it must not have
 * noticed anything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "player.h"
#include "race.h"

#define REGION (4u << 20)
#define DISTINCT 8192u

struct test {
	struct player guest;   /* the hostile one */
	struct player other;   /* a well-behaved one beside it, with a transfer in flight */
	uint32_t other_epoch;
	const char *name;
	uint32_t passed, failed;
	bool good;             /* the vector at hand */
	struct vec *seen;      /* distinct vectors, without their names */
	uint32_t distinct;
	uint32_t old[VEC_STEPS]; /* words to be put back */
	uint32_t open[VEC_STEPS]; /* ids in flight */
	uint32_t opens;
	uint32_t accesses;     /* after each of which the word was another */
	uint32_t raced[2];     /* rounds of double fetches that ended as the first value has it, and as the second */
};

static void wrong(struct test *t, const char *what)
{
	if (t->good)
		printf("FAIL %s: %s (phase %d, epoch %u of %u)\n", t->name, what, rig_phase(t->guest.rig), t->guest.epoch,
		       t->guest.rig->epoch);
	t->good = false;
}

static void must(struct test *t, bool ok, const char *what)
{
	if (!ok)
		wrong(t, what);
}

static void count(struct test *t)
{
	if (t->good)
		t->passed++;
	else
		t->failed++;
}

/* What this rig cannot do is named, not forgotten. */
static bool able(enum rig_art art, const char *what)
{
	const char *why = rig_lacks(art);

	if (why)
		printf("not run, as %s: %s\n", why, what);
	return !why;
}

/* ---- coming to the state that a vector starts from ---- */

static void come_to(struct test *t, enum vec_state state)
{
	struct player *p = &t->guest;
	struct uw_slot bye = { .type = UW_SUB_BYE };
	const struct uw_slot *a;

	if (state == VEC_RUN && p->rig->epoch == p->epoch && rig_phase(p->rig) == UW_PHASE_RUN)
		return;
	must(t, player_renew(p), "no new epoch for a new incarnation");
	if (state == VEC_OFFER)
		return;
	player_echo(p);
	must(t, rig_phase(p->rig) == UW_PHASE_GREET, "the echo is not seen");
	if (state == VEC_GREET)
		return;
	must(t, player_greet(p), "not welcome");
	if (state == VEC_RUN)
		return;
	player_send(p, &bye);
	player_settle(p);
	a = player_take(p);
	must(t, a && a->type == UW_COMP_BYE && p->answers == 2, "bye is not answered");
}

/* ---- one step ---- */

static void apply(struct test *t, const struct vec_step *s, uint32_t index)
{
	struct player *p = &t->guest;
	struct uw_guest_page *page = player_page(p);

	if (s->kind == STEP_SEND) {
		player_send(p, &s->slot);
	} else if (s->kind == STEP_WORD) {
		t->old[index] = uw_read32((void *)(p->view + s->at));
		player_word(p, s->at, s->value);
	} else if (s->kind == STEP_CONSUMED) {
		uw_write32(&page->hot.consumed, p->pos + s->value);
	} else if (s->kind == STEP_INCARNATION) {
		p->incarnation += s->value;
		uw_release32(&page->incarnation, p->incarnation);
	} else if (s->kind == STEP_ECHO) {
		uw_release32(&page->epoch, p->rig->epoch + s->value);
	}
	if (s->kind != STEP_MORE)
		player_settle(p);
}

static void compare_stats(struct test *t, const struct vec_step *s, const struct uw_slot *a)
{
	uint32_t first = s->slot.u.stats_request.first;
	uint32_t left = first < UW_STAT_COUNT ? UW_STAT_COUNT - first : 0;

	must(t, a->u.stats.first == first && a->u.stats.total == UW_STAT_COUNT, "other counters than asked for");
	must(t, a->u.stats.count == uw_min(left, UW_STATS_PER_MESSAGE), "another number of counters");
}

static void compare(struct test *t, const struct vec_step *s, const struct uw_slot *a)
{
	static const uint8_t types[] = { [EXPECT_COMPLETE] = UW_COMP_COMPLETE, [EXPECT_WELCOME] = UW_COMP_WELCOME,
					 [EXPECT_STATS] = UW_COMP_STATS, [EXPECT_BYE] = UW_COMP_BYE };

	if (!a || a->type != types[s->expect]) {
		wrong(t, a ? "an answer of another type" : "no answer");
		return;
	}
	if (s->expect == EXPECT_WELCOME) {
		must(t, !a->id && a->u.welcome.status == s->status, "another status");
		must(t, a->u.welcome.epoch == t->guest.epoch, "another epoch in the welcome");
		must(t, a->u.welcome.version == (s->status ? 0 : UW_VERSION), "another version");
		must(t, a->u.welcome.features == (s->status ? 0 : s->slot.u.hello.features), "other features");
	} else if (s->expect == EXPECT_BYE) {
		must(t, !a->id, "a bye with an id");
	} else {
		must(t, a->id == s->id, "another id");
		if (s->expect == EXPECT_STATS) {
			compare_stats(t, s, a);
			return;
		}
		must(t, a->u.complete.status == s->status, "another status");
		must(t, a->u.complete.why == s->why, "another reason");
		must(t, a->u.complete.actual == s->actual, "another number of bytes");
		must(t, !a->u.complete.errors, "packets with errors");
	}
}

/* A submission that got no answer at once must be with its device, and be answered once when it ends. */
static void note_open(struct test *t, const struct vec_step *s)
{
	uint32_t i;

	if (s->kind == STEP_SEND && s->slot.type == UW_SUB_SUBMIT && s->expect == EXPECT_NOTHING)
		t->open[t->opens++] = s->id;
	for (i = 0; s->expect == EXPECT_COMPLETE && i < t->opens; i++)
		if (t->open[i] == s->id)
			t->open[i] = t->open[--t->opens];
}

static void one_step(struct test *t, const struct vec_step *s, uint32_t index)
{
	struct player *p = &t->guest;
	uint64_t rejected = p->rig->counters.value[UW_STAT_rejected];
	uint32_t epoch = p->rig->epoch;

	if (s->kind != STEP_MORE)
		must(t, p->taken == p->answers, "more answers than expected");
	apply(t, s, index);
	if (s->expect == EXPECT_EPOCH) {
		must(t, p->rig->epoch != epoch && rig_phase(p->rig) == UW_PHASE_OFFER, "no new epoch");
		must(t, player_host(p)->head.epoch == p->rig->epoch, "the epoch is not published");
		must(t, !rig_idle(p->rig) && !rig_active(p->rig), "a transfer of the old epoch is still with its device");
		must(t, p->taken == p->answers, "an answer besides");
		t->opens = 0;
		return;
	}
	must(t, p->rig->epoch == epoch, "a new epoch");
	if (s->expect > EXPECT_UNREAD)
		compare(t, s, player_take(p));
	else
		must(t, p->rig->counters.value[UW_STAT_rejected] - rejected == (s->expect == EXPECT_COUNTED), "miscounted");
	note_open(t, s);
}

/* ---- afterwards ---- */

/* Everything in flight is cancelled and answered once. */
static void end_open(struct test *t)
{
	struct player *p = &t->guest;
	const struct uw_slot *a;
	struct uw_slot s;

	must(t, rig_idle(p->rig) == t->opens, "another number of transfers with devices");
	while (t->opens) {
		vec_cancel(&s, t->open[--t->opens]);
		p->answers = p->taken = 0;
		player_send(p, &s);
		player_settle(p);
		a = player_take(p);
		must(t, a && p->answers == 1 && a->type == UW_COMP_COMPLETE && a->id == s.id &&
			a->u.complete.status == UW_ST_CANCELLED && !a->u.complete.actual, "a cancelled transfer's answer");
	}
}

static void recover(struct test *t, enum vec_state after)
{
	struct player *p = &t->guest;
	struct uw_slot hello;
	const struct uw_slot *a;

	if (after == VEC_CLOSED) { /* closed for good: until a new incarnation every hello is refused */
		must(t, rig_phase(p->rig) == UW_PHASE_CLOSED, "not closed");
		vec_hello(&hello, 0);
		p->answers = p->taken = 0;
		player_send(p, &hello);
		player_settle(p);
		a = player_take(p);
		must(t, a && a->type == UW_COMP_WELCOME && a->u.welcome.status == UW_ST_INVALID, "open again");
	} else if (after == VEC_RUN) {
		must(t, rig_phase(p->rig) == UW_PHASE_RUN, "the session has ended");
		end_open(t);
	} else {
		if (after == VEC_EPOCH && !p->incarnation)
			must(t, player_renew(p), "no epoch for a guest that is back");
		if (after != VEC_GREET)
			player_echo(p);
		must(t, rig_phase(p->rig) == UW_PHASE_GREET, "no session can begin");
		must(t, player_greet(p), "not welcome any more");
	}
	come_to(t, VEC_RUN);
	must(t, player_probe(p), "the probe is not served");
}

static void witness(struct test *t)
{
	const struct uw_counters *c = &t->other.rig->counters;

	must(t, player_probe(&t->other) && player_clean(&t->other), "the other session's probe");
	must(t, t->other.rig->epoch == t->other_epoch && rig_idle(t->other.rig) == 1, "the other session has noticed");
	must(t, !c->value[UW_STAT_lies] && !c->value[UW_STAT_bad_tags] && !c->value[UW_STAT_rejected],
	     "the other session counts faults");
}

static void put_back(struct test *t, const struct vec *v)
{
	const struct uw_submit *m;
	uint32_t i = v->count;

	while (i--) {
		m = &v->step[i].slot.u.submit;
		if (v->step[i].kind == STEP_WORD && v->after != VEC_EPOCH)
			player_word(&t->guest, v->step[i].at, t->old[i]);
		else if (v->step[i].slot.type == UW_SUB_SUBMIT && m->transfer == UW_ISOCH && !v->step[i].status &&
			 v->step[i].expect == EXPECT_COMPLETE)
			memset(t->guest.view + t->guest.l.data + m->table, 0, m->packets * sizeof(struct uw_packet));
	}
}

static void remember(struct test *t, const struct vec *v)
{
	uint32_t i;

	for (i = 0; i < t->distinct; i++)
		if (!memcmp(&t->seen[i].state, &v->state, sizeof(*v) - offsetof(struct vec, state))) {
			printf("the same twice: %s, %s\n", t->seen[i].name, v->name);
			return;
		}
	if (t->distinct < DISTINCT)
		t->seen[t->distinct++] = *v;
}

static void one_vector(void *context, const struct vec *v)
{
	struct test *t = context;
	uint32_t i;

	t->name = v->name;
	t->good = true;
	t->opens = 0;
	come_to(t, v->state);
	t->guest.answers = t->guest.taken = 0;
	for (i = 0; i < v->count; i++)
		one_step(t, &v->step[i], i);
	must(t, t->guest.taken == t->guest.answers, "an answer too many");
	put_back(t, v);
	must(t, player_clean(&t->guest), "bytes of data have changed that are nobody's");
	recover(t, v->after);
	must(t, player_clean(&t->guest), "the recovery has changed bytes of data");
	must(t, !t->guest.rig->faults, "a broken promise");
	t->guest.rig->faults = 0;
	witness(t);
	remember(t, v);
	count(t);
	if (!t->good && !player_renew(&t->guest))
		exit(1);
}

/* ---- floods ---- */

static void begin_slot_stats(struct uw_slot *s, uint32_t id)
{
	memset(s, 0, sizeof(*s));
	s->type = UW_SUB_STATS;
	s->id = id;
}

static void begin(struct test *t, const char *name)
{
	t->name = name;
	t->good = true;
	t->opens = 0;
	come_to(t, VEC_RUN);
	t->guest.answers = t->guest.taken = 0;
}

static void finish(struct test *t)
{
	must(t, player_renew(&t->guest), "no new epoch");
	must(t, !rig_idle(t->guest.rig), "a transfer is left with its device");
	come_to(t, VEC_RUN);
	must(t, player_probe(&t->guest), "the probe is not served");
	memset(t->guest.view + t->guest.l.data, 0, t->guest.l.data_size);
	rig_writes(t->guest.rig); /* over, as is what they were in */
	t->guest.rig->writes = 0;
	must(t, !t->guest.rig->faults, "a broken promise");
	t->guest.rig->faults = 0;
	witness(t);
	count(t);
}

#define BATCH 16u /* messages sent before the host is kicked; divides the size of every table */

static void make_idle(struct uw_slot *s, uint32_t entry, uint8_t endpoint)
{
	vec_bulk(s, UW_ID(entry, 1), 1, endpoint, VEC_DATA, VEC_LENGTH);
	if (endpoint == 2) {
		s->u.submit.transfer = UW_ISOCH;
		s->u.submit.table = VEC_TABLE;
		s->u.submit.packets = 1;
		s->u.submit.interval = 1;
	}
}

/* Idle transfers until there is no more room: exactly as many as the shares allow, then BUSY for each. */
static void flood_table(struct test *t, uint8_t endpoint, uint32_t expected)
{
	struct player *p = &t->guest;
	uint32_t i, busy = 0, other = 0;
	const struct uw_slot *a;
	struct uw_slot s;

	for (i = 0; i < p->l.transfers; i++) {
		make_idle(&s, i, endpoint);
		player_send(p, &s);
		if (i % BATCH != BATCH - 1)
			continue;
		player_settle(p);
		while ((a = player_take(p))) {
			if (a->u.complete.status == UW_ST_BUSY && a->id == UW_ID(expected + busy, 1))
				busy++;
			else
				other++;
		}
		p->answers = p->taken = 0;
	}
	must(t, rig_idle(p->rig) == expected, "another number of transfers than the table has room for");
	must(t, busy == p->l.transfers - expected && !other, "what is beyond is not refused as busy");
}

static void floods(struct test *t)
{
	const struct uw_layout *l = &t->guest.l;
	uint32_t common = l->transfers - uw_layout_ports(l) * (l->share + 2u);

	begin(t, "a table full of idle transfers");
	flood_table(t, 0x82, common + l->share);
	finish(t);
	begin(t, "isochronous transfers beyond their limit");
	flood_table(t, 2, l->isoch_max);
	finish(t);
}

/* Submissions that the host has not read, as it says. */
static uint32_t left(const struct player *p)
{
	return p->head - uw_acquire32(&player_host(p)->hot.consumed);
}

/* Answers that nobody reads are kept, each in its entry, and come when there is room: in order, once each. */
static void unread(struct test *t)
{
	struct player *p = &t->guest;
	uint32_t i, sent = 0;
	const struct uw_slot *a;
	struct uw_slot s;

	begin(t, "completions that nobody reads");
	p->deaf = true;
	for (i = 0; i < 40 * p->l.sub_slots && left(p) < p->l.sub_slots; i++) {
		vec_bulk(&s, UW_ID(8 + sent, 1), 1, 0x81, VEC_DATA, 4);
		player_send(p, &s);
		sent++;
		player_settle(p);
	}
	must(t, left(p) == p->l.sub_slots, "it reads on though it cannot answer");
	must(t, player_unread(p) == p->l.comp_slots, "the ring is not full");
	p->deaf = false;
	player_settle(p);
	for (i = 0; i < sent && (a = player_take(p)); i++)
		must(t, a->id == UW_ID(8 + i, 1) && !a->u.complete.status && a->u.complete.actual == 4, "another answer");
	must(t, i == sent && p->taken == p->answers, "not one answer for each");
	finish(t);
}

static void parked(struct test *t)
{
	struct player *p = &t->guest;
	struct uw_slot s;
	uint64_t before;
	uint32_t i;

	begin(t, "idle transfers cancelled into a full ring");
	before = p->rig->counters.value[UW_STAT_parked];
	for (i = 0; i < 100; i++) {
		vec_bulk(&s, UW_ID(8 + i, 1), 1, 0x82, VEC_DATA, 4);
		player_send(p, &s);
		player_settle(p);
	}
	p->deaf = true;
	for (i = 0; i < p->l.comp_slots; i++) {
		begin_slot_stats(&s, UW_ID(500, i));
		player_send(p, &s);
		player_settle(p);
	}
	rig_detach(p->rig);
	player_settle(p);
	must(t, p->rig->counters.value[UW_STAT_parked] != before && !rig_active(p->rig), "nothing is parked");
	p->deaf = false;
	player_settle(p);
	must(t, p->answers == 100u + p->l.comp_slots, "not one answer for each");
	rig_attach(p->rig);
	player_settle(p);
	finish(t);
}

static void given_up(struct test *t)
{
	struct player *p = &t->guest;
	uint64_t before = p->rig->counters.value[UW_STAT_orphans];
	struct uw_slot s;
	uint32_t epoch;

	if (!able(RIG_CLOCK, "a guest that never reads is given up"))
		return;
	begin(t, "a guest that never reads is given up");
	p->deaf = true;
	begin_slot_stats(&s, UW_ID(500, 1));
	player_send(p, &s);
	player_settle(p);
	epoch = p->rig->epoch;
	rig_pass(p->rig, 31000);
	player_settle(p);
	must(t, p->rig->epoch != epoch && p->rig->counters.value[UW_STAT_orphans] == before + 1, "it keeps its devices");
	p->deaf = false;
	finish(t);
}

/* Incarnations and echoes as fast as can be, cancels without end: nothing grows, nothing stays. */
static void storms(struct test *t)
{
	struct player *p = &t->guest;
	struct uw_slot s;
	uint32_t i;

	begin(t, "a thousand incarnations");
	for (i = 0; i < 1000; i++)
		must(t, player_renew(p), "no new epoch");
	finish(t);
	begin(t, "a thousand cancels of one transfer, unread");
	vec_bulk(&s, VEC_ID, 1, 0x82, VEC_DATA, 4);
	player_send(p, &s);
	player_settle(p);
	vec_cancel(&s, UW_ID(7, 9));
	for (i = 0; i < 1000; i++) {
		player_send(p, &s);
		player_settle(p);
	}
	must(t, rig_idle(p->rig) == 1 && !p->answers, "a cancel of another use reached the device");
	finish(t);
	begin(t, "cancels of one transfer before the device hears of the first");
	vec_bulk(&s, VEC_ID, 1, 0x82, VEC_DATA, 4);
	player_send(p, &s);
	player_settle(p);
	vec_cancel(&s, VEC_ID);
	for (i = 0; i < 20; i++)
		player_send(p, &s);
	player_settle(p);
	must(t, !rig_idle(p->rig) && p->answers == 1 && p->answer[0].id == VEC_ID, "not one answer");
	finish(t);
	begin(t, "a ring with more than one lap in one go");
	vec_cancel(&s, UW_ID(7, 9));
	for (i = 0; i < p->l.sub_slots + 1u; i++)
		player_send(p, &s);
	i = p->rig->epoch;
	player_settle(p);
	must(t, p->rig->epoch != i, "an overwritten message is taken for another");
	finish(t);
}

/* ---- devices ---- */

/* A device is believed no more than a guest: what it says of a transfer is cut down to what can be. */
static void device_lies(struct test *t)
{
	static const struct { uint32_t status, actual, expected, moved; } says[] = {
		{ UW_ST_OK, 0, UW_ST_OK, 0 },
		{ UW_ST_OK, VEC_LENGTH, UW_ST_OK, VEC_LENGTH },
		{ UW_ST_OK, VEC_LENGTH + 1, UW_ST_OK, VEC_LENGTH },
		{ UW_ST_OK, 0xffffffff, UW_ST_OK, VEC_LENGTH },
		{ UW_ST_BABBLE, 0x80000000, UW_ST_BABBLE, VEC_LENGTH },
		{ UW_ST_CANCELLED, 7, UW_ST_CANCELLED, 7 }, /* and nobody has asked for it */
		{ UW_ST_BUSY, 0, UW_ST_BUSY, 0 },
		{ UW_ST_INVALID, 0, UW_ST_HOST, 0 }, /* for which there would have to be a reason */
		{ UW_ST_HOST, 1, UW_ST_HOST, 1 },
		{ UW_ST_COUNT, 0, UW_ST_HOST, 0 },
		{ 0x8000, 0, UW_ST_HOST, 0 },
		{ 0x10000, 0, UW_ST_HOST, 0 },
		{ 0xffffffff, 0xffffffff, UW_ST_HOST, VEC_LENGTH },
	};
	struct player *p = &t->guest;
	const struct uw_slot *a;
	struct uw_slot s;
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(says); i++) {
		begin(t, "a device that says what cannot be");
		vec_bulk(&s, VEC_ID, 1, 0x82, VEC_DATA, VEC_LENGTH);
		player_send(p, &s);
		player_settle(p);
		must(t, rig_idle(p->rig) == 1 && !p->answers, "the transfer is not with the device");
		rig_complete(p->rig, says[i].status, says[i].actual);
		player_settle(p);
		a = player_take(p);
		must(t, a && p->answers == 1 && a->id == VEC_ID && a->u.complete.status == says[i].expected &&
			a->u.complete.actual == says[i].moved, "another answer than what can be");
		finish(t);
	}
}

/* ---- both at once ---- */

static void race_one(struct test *t, const struct race *r)
{
	char text[64], stepped[96];

	snprintf(text, sizeof(text), "double fetch of %s", r->name);
	snprintf(stepped, sizeof(stepped), "%s, with a flip after each access", text);
	begin(t, text);
	must(t, race_run(&t->guest, r, t->raced), "an answer that neither value explains");
	if (able(RIG_TRAP, stepped)) {
		t->name = stepped;
		must(t, race_step(&t->guest, r, 0, &t->accesses), "an answer that neither value explains");
		must(t, race_step(&t->guest, r, 1, &t->accesses), "the same from the second value");
	}
	if (rig_phase(t->guest.rig) != UW_PHASE_RUN)
		must(t, player_renew(&t->guest), "no new epoch");
	finish(t);
}

/* The session beside: running, with a transfer that waits for ever. */
static bool other_begin(struct player *p)
{
	struct uw_slot s;

	if (!player_renew(p))
		return false;
	player_echo(p);
	if (!player_greet(p))
		return false;
	vec_bulk(&s, VEC_ID, 1, 0x82, VEC_DATA, VEC_LENGTH);
	player_send(p, &s);
	player_settle(p);
	return rig_phase(p->rig) == UW_PHASE_RUN && rig_idle(p->rig) == 1;
}

int main(void)
{
	static struct test t;
	const struct race *r;
	uint32_t count = 0, i;

	t.seen = calloc(DISTINCT, sizeof(*t.seen));
	t.name = "start";
	t.good = true;
	player_init(&t.guest, REGION, 64, 0u - 40);
	player_init(&t.other, REGION, 16, 5);
	come_to(&t, VEC_RUN);
	must(&t, other_begin(&t.other), "the other session does not begin");
	t.other_epoch = t.other.rig->epoch;

	vec_each(&t.guest.l, one_vector, &t);
	floods(&t);
	unread(&t);
	parked(&t);
	given_up(&t);
	storms(&t);
	device_lies(&t);
	r = race_table(&count);
	for (i = 0; i < count; i++)
		race_one(&t, &r[i]);
	must(&t, !t.other.rig->faults, "a promise to the other session is broken");
	printf("%u distinct vectors from tables, %u double fetches (%u rounds saw the first value, %u the second, "
	       "%u single accesses)\n", t.distinct, count, t.raced[0], t.raced[1], t.accesses);
	printf("%u vectors, %u wrong\n", t.passed + t.failed, t.failed);
	return t.failed || !t.good;
}
