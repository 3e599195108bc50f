/* SPDX-License-Identifier: GPL-2.0-only */
/* Every URB that is cut keeps Windows' rules, and every packet is in exactly one of them, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cut.h"

#include <cmocka.h>

#define SOURCES 40u
#define PACKETS 1024u

static struct uw_iso iso[SOURCES][PACKETS];
static struct uw_cut_source source[SOURCES];
static struct uw_cut_slot slot[UW_CUT_HIGH_SPEED];

static void lay_out(uint32_t s, uint32_t packets, uint32_t length, uint32_t stride)
{
	uint32_t i;

	for (i = 0; i < packets; i++)
		iso[s][i] = (struct uw_iso){ .offset = i * stride, .length = length };
	source[s] = (struct uw_cut_source){ iso[s], 0, packets };
}

static uint32_t runs_of(const struct uw_cut_rules *r, const struct uw_cut_source *from, const struct uw_cut *c)
{
	struct uw_cut_run run[UW_CUT_RUNS];

	return uw_cut_runs(r, from, c, run);
}

static void rules_by_interval(void **state)
{
	static const struct {
		uint8_t speed, interval;
		uint32_t multiple, most, period;
	} row[] = {
		{ UW_SPEED_HIGH, 1, 8, 1024, 1 }, { UW_SPEED_HIGH, 2, 4, 1024, 2 }, { UW_SPEED_HIGH, 3, 2, 512, 4 },
		{ UW_SPEED_HIGH, 4, 1, 256, 8 }, { UW_SPEED_HIGH, 5, 1, 128, 16 }, { UW_SPEED_HIGH, 16, 1, 1, 32768 },
		{ UW_SPEED_HIGH, 0, 8, 1024, 1 }, { UW_SPEED_HIGH, 255, 1, 1, 32768 },
		{ UW_SPEED_SUPER, 1, 8, 1024, 1 }, { UW_SPEED_SUPER, 4, 1, 256, 8 },
		{ UW_SPEED_FULL, 1, 1, 255, 8 }, { UW_SPEED_FULL, 2, 1, 128, 16 }, { UW_SPEED_FULL, 4, 1, 32, 64 },
	};
	struct uw_cut_rules r;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(row); i++) {
		uw_cut_rules(&r, row[i].speed, row[i].interval, 192, true);
		if (r.multiple != row[i].multiple || r.most != row[i].most || r.period != row[i].period)
			fail_msg("row %u: %u %u %u", i, r.multiple, r.most, r.period);
		assert_int_equal(r.most % r.multiple, 0);
	}
}

/* The picture in cut.h. */
static void three_submissions(void **state)
{
	struct uw_cut_rules r;
	struct uw_cut c;

	(void)state;
	uw_cut_rules(&r, UW_SPEED_HIGH, 1, 192, true);
	lay_out(0, 10, 192, 192);
	lay_out(1, 10, 192, 192);
	lay_out(2, 4, 192, 192);
	assert_true(uw_cut_next(&r, source, 3, false, &c));
	assert_int_equal(c.packets, 8);
	assert_int_equal(runs_of(&r, source, &c), 1);
	source[0].next = 8;
	assert_true(uw_cut_next(&r, source, 3, false, &c));
	assert_int_equal(c.parts, 2);
	assert_int_equal(runs_of(&r, source, &c), 2);
	assert_int_equal(c.part[1].count, 6);
	source[1].next = 6;
	assert_true(uw_cut_next(&r, source + 1, 2, false, &c));
	assert_int_equal(c.part[0].first, 6);
	assert_int_equal(c.part[1].count, 4);
	assert_int_equal(c.pad, 0);
	assert_int_equal(uw_cut_place(&r, source + 1, &c, slot), 8 * 192);
}

static void waits_or_pads(void **state)
{
	struct uw_cut_rules r;
	struct uw_cut c;

	(void)state;
	lay_out(0, 3, 100, 100);
	uw_cut_rules(&r, UW_SPEED_HIGH, 2, 192, true);
	assert_false(uw_cut_next(&r, source, 1, false, &c));
	assert_false(uw_cut_next(&r, source, 0, true, &c));
	assert_true(uw_cut_next(&r, source, 1, true, &c));
	assert_int_equal(c.packets, 4);
	assert_int_equal(c.pad, 1);
	assert_int_equal(uw_cut_place(&r, source, &c, slot), 3 * 100 + 192); /* a device may well send into it */
	assert_int_equal(runs_of(&r, source, &c), 0); /* and that is in no submission */
	r.in = false;
	assert_int_equal(runs_of(&r, source, &c), 1);
	assert_int_equal(uw_cut_place(&r, source, &c, slot), 3 * 100);
	assert_int_equal(slot[3].length, 0);
}

static void gaps_make_runs(void **state)
{
	struct uw_cut_rules r;
	struct uw_cut c;

	(void)state;
	uw_cut_rules(&r, UW_SPEED_FULL, 1, 100, true);
	lay_out(0, 5, 100, 100);
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(runs_of(&r, source, &c), 1);
	lay_out(0, UW_CUT_RUNS, 100, 128);
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(runs_of(&r, source, &c), UW_CUT_RUNS);
	lay_out(0, UW_CUT_RUNS + 1, 100, 128);
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(runs_of(&r, source, &c), 0);
	lay_out(0, 5, 100, 128);
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(uw_cut_place(&r, source, &c, slot), 500);
	lay_out(0, 5, 100, 100);
	iso[0][3].offset = 0; /* descending */
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(runs_of(&r, source, &c), 3);
	lay_out(0, 5, 101, 101); /* longer than the bus can */
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(runs_of(&r, source, &c), 5);
	assert_int_equal(uw_cut_place(&r, source, &c, slot), 500);
	r.in = false;
	assert_int_equal(uw_cut_place(&r, source, &c, slot), 0);
	assert_int_equal(runs_of(&r, source, &c), 0);
	lay_out(0, 3, 100, 100);
	iso[0][1].length = 101; /* left out, so that nothing lies between its neighbours in the URB */
	assert_true(uw_cut_next(&r, source, 1, false, &c));
	assert_int_equal(runs_of(&r, source, &c), 2);
}

/* Going through the runs byte by byte meets each packet's bytes where the URB says that they are. */
static void check_runs(const struct uw_cut_rules *r, const struct uw_cut *c, const struct uw_cut_source *from, uint32_t bytes)
{
	uint32_t p, i, at = 0, n = 0, used = 0, runs;
	struct uw_cut_run run[UW_CUT_RUNS];

	runs = uw_cut_runs(r, from, c, run);
	for (p = 0; runs && p < c->parts; p++)
		for (i = 0; i < c->part[p].count; i++, at++) {
			if (!slot[at].length)
				continue;
			if (used == run[n].bytes) {
				n++;
				used = 0;
			}
			assert_true(n < runs && slot[at].length <= run[n].bytes - used);
			assert_int_equal(run[n].source, c->part[p].source);
			assert_int_equal(run[n].offset + used, from[run[n].source].iso[c->part[p].first + i].offset);
			used += slot[at].length;
			bytes -= slot[at].length;
		}
	assert_true(!runs || (!bytes && n + 1 == runs && used == run[n].bytes));
}

/* What a bus checks of each URB. */
static void check_urb(const struct uw_cut_rules *r, const struct uw_cut *c, const struct uw_cut_source *from)
{
	uint32_t i, end = 0, bytes = uw_cut_place(r, from, c, slot), sum = 0;

	assert_true(c->packets && c->packets <= r->most && c->packets % r->multiple == 0);
	assert_true(uw_cut_frames(r, c->packets) * 8 == c->packets * r->period || r->period > 8 * UW_CUT_FRAMES);
	for (i = 0; i < c->packets; i++) {
		assert_int_equal(slot[i].offset, end);
		assert_true(slot[i].length <= r->service);
		end += slot[i].length;
	}
	assert_int_equal(end, bytes);
	for (i = 0; i < c->parts; i++)
		sum += c->part[i].count;
	assert_int_equal(sum + c->pad, c->packets);
	check_runs(r, c, from, bytes);
}

/* Takes the cut's packets; each is the one that comes next. */
static void take(const struct uw_cut *c, uint32_t *head)
{
	uint32_t p, at = *head;

	for (p = 0; p < c->parts; p++) {
		struct uw_cut_source *s = &source[*head + c->part[p].source];

		assert_int_equal(*head + c->part[p].source, at);
		assert_int_equal(s->next, c->part[p].first);
		s->next += c->part[p].count;
		if (s->next == s->packets)
			at++;
	}
	*head = at;
}

static void run_stream(uint8_t speed, uint8_t interval, bool in)
{
	uint32_t s, i, head = 0, length, total = 0, seen = 0;
	struct uw_cut_rules r;
	struct uw_cut c;

	uw_cut_rules(&r, speed, interval, 300, in);
	for (s = 0; s < SOURCES; s++) {
		length = (uint32_t)random() % 330;
		lay_out(s, 1 + (uint32_t)random() % (random() % 4 ? 12 : PACKETS), length, length + random() % 2 * 3);
		for (i = 0; i < source[s].packets; i++)
			iso[s][i].length -= random() % 8 || !length ? 0 : 1;
		total += source[s].packets;
	}
	while (head < SOURCES) {
		bool pad = random() % 4 == 0;

		if (!uw_cut_next(&r, source + head, SOURCES - head, pad, &c)) {
			assert_false(pad);
			continue;
		}
		check_urb(&r, &c, source + head);
		seen += c.packets - c.pad;
		take(&c, &head);
	}
	assert_int_equal(seen, total);
}

static void random_streams(void **state)
{
	static const uint8_t interval[] = { 1, 2, 3, 4, 5, 8, 16 };
	uint32_t i, round;

	(void)state;
	srandom(7);
	for (round = 0; round < 60; round++)
		for (i = 0; i < UW_COUNT_OF(interval); i++)
			run_stream(UW_SPEED_FULL + (uint8_t)(round % 3), interval[i], round & 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_by_interval), cmocka_unit_test(three_submissions),
		cmocka_unit_test(waits_or_pads), cmocka_unit_test(gaps_make_runs), cmocka_unit_test(random_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
