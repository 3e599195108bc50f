/* SPDX-License-Identifier: GPL-2.0-only */
/* Rings: every lap at every start, tags and epochs that do not belong, kicks neither lost nor needless, lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring.h"
#include "spin.h"

#define SLOTS 16u

static const uint32_t starts[] = { 0, 1, 5, 0x7ffffff8, 0x80000000, 0xfffffff0, 0xfffffff8, 0xffffffff };

/* Both ends of one ring. The sender's page is own of tx, the receiver's own of rx. */
struct ring {
	struct uw_slot slots[SLOTS];
	struct uw_hot sender, receiver;
	struct uw_tx tx;
	struct uw_rx rx;
};

static void open_ring(struct ring *r, uint32_t start)
{
	memset(r, 0xa5, sizeof(*r));
	uw_ring_clear(r->slots, SLOTS, start);
	uw_tx_init(&r->tx, r->slots, SLOTS, start, &r->sender, &r->receiver);
	uw_rx_init(&r->rx, r->slots, SLOTS, start, 7, &r->receiver, &r->sender);
}

static void put(struct ring *r, uint32_t value)
{
	struct uw_slot m;

	memset(&m, 0, sizeof(m));
	m.epoch = 7;
	m.id = value;
	m.tag = 0xdeadbeef; /* the caller's tag counts for nothing */
	memset(m.u.body, (int)value, sizeof(m.u.body));
	uw_tx_put(&r->tx, &m);
}

static void get(struct ring *r, uint32_t value)
{
	struct uw_slot m;

	assert_int_equal(uw_rx_get(&r->rx, &m), UW_RX_MESSAGE);
	assert_int_equal(m.id, value);
	assert_int_equal(m.u.body[0], (uint8_t)value);
	assert_int_equal(m.u.body[47], (uint8_t)value);
}

static void empty(struct ring *r)
{
	struct uw_slot m;

	assert_int_equal(uw_rx_get(&r->rx, &m), UW_RX_EMPTY);
}

static void test_clear_is_empty_for_a_whole_lap(void **state)
{
	struct uw_slot slots[SLOTS];
	uint32_t s, pos, i;

	(void)state;
	for (s = 0; s < UW_COUNT_OF(starts); s++) {
		memset(slots, 0xff, sizeof(slots));
		uw_ring_clear(slots, SLOTS, starts[s]);
		for (pos = starts[s]; pos != starts[s] + SLOTS; pos++) {
			assert_int_equal(slots[pos % SLOTS].tag, pos + 1 - SLOTS);
			for (i = 0; i < 48; i++)
				assert_int_equal(slots[pos % SLOTS].u.body[i], 0);
		}
	}
}

static void test_messages_come_whole_and_in_order(void **state)
{
	struct ring r;
	uint32_t s, i, sent, got;

	(void)state;
	for (s = 0; s < UW_COUNT_OF(starts); s++) {
		open_ring(&r, starts[s]);
		for (sent = got = 0; got < 5 * SLOTS;) {
			for (i = 0; i < 1 + sent % SLOTS && uw_tx_room(&r.tx); i++)
				put(&r, sent++);
			while (got < sent)
				get(&r, got++);
			empty(&r);
			(void)!uw_rx_tell(&r.rx);
			assert_true(uw_tx_look(&r.tx));
			assert_int_equal(uw_tx_room(&r.tx), SLOTS);
		}
	}
}

static void test_room_ends_and_returns(void **state)
{
	struct ring r;
	uint32_t i;

	(void)state;
	open_ring(&r, 0xfffffff8);
	for (i = 0; i < SLOTS; i++) {
		assert_int_equal(uw_tx_room(&r.tx), SLOTS - i);
		put(&r, i);
	}
	assert_int_equal(uw_tx_room(&r.tx), 0);
	get(&r, 0);
	get(&r, 1);
	assert_int_equal(uw_tx_room(&r.tx), 0); /* read, but not said */
	assert_true(uw_tx_said(&r.tx, r.rx.pos));
	assert_int_equal(uw_tx_room(&r.tx), 2);
}

static void test_what_does_not_belong(void **state)
{
	static const struct {
		uint32_t tag;
		uint16_t epoch;
		enum uw_rx_result result;
	} cases[] = {
		{ 101, 7, UW_RX_MESSAGE },       { 101 - SLOTS, 7, UW_RX_EMPTY }, { 101 - SLOTS, 9, UW_RX_EMPTY },
		{ 101, 8, UW_RX_BAD },           { 101, 0, UW_RX_BAD },           { 101 - 2 * SLOTS, 7, UW_RX_BAD },
		{ 101 + SLOTS, 7, UW_RX_BAD },   { 100, 7, UW_RX_BAD },           { 102, 7, UW_RX_BAD },
		{ 0, 7, UW_RX_BAD },             { 0xffffffff, 7, UW_RX_BAD },    { 101 ^ 0x80000000, 7, UW_RX_BAD },
	};
	struct uw_slot m;
	struct ring r;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		open_ring(&r, 100);
		r.slots[100 % SLOTS].tag = cases[i].tag;
		r.slots[100 % SLOTS].epoch = cases[i].epoch;
		assert_int_equal(uw_rx_get(&r.rx, &m), cases[i].result);
		assert_int_equal(r.rx.pos, cases[i].result == UW_RX_MESSAGE ? 101 : 100);
		/* What is no silence keeps the reader awake, so that it is dealt with. */
		open_ring(&r, 100);
		r.slots[100 % SLOTS].tag = cases[i].tag;
		assert_int_equal(uw_rx_ready(&r.rx), cases[i].tag != 101 - SLOTS);
		assert_int_equal(uw_rx_sleep(&r.rx), cases[i].tag == 101 - SLOTS);
	}
}

/* What the peer may say of its position: between its last word and the head, by message and by page on their own. */
static void test_consumed_is_judged(void **state)
{
	static const struct {
		uint32_t first, second;
		bool first_ok, second_ok;
		uint32_t room;
	} cases[] = {
		{ 0, 0, true, true, 6 },   { 4, 10, true, true, 16 }, { 10, 10, true, true, 16 }, { 11, 0, false, true, 6 },
		{ 5, 4, true, false, 11 }, { 5, 5, true, true, 11 },  { 5, 11, true, false, 11 }, { 5, 0xffffffff, true, false, 11 },
		{ 0xffffffff, 3, false, true, 9 }, { 0x80000005, 10, false, true, 16 },
	};
	struct ring r;
	uint32_t s, i, n;

	(void)state;
	for (s = 0; s < UW_COUNT_OF(starts); s++)
		for (i = 0; i < UW_COUNT_OF(cases); i++) {
			open_ring(&r, starts[s]);
			for (n = 0; n < 10; n++)
				put(&r, n);
			assert_int_equal(uw_tx_said(&r.tx, starts[s] + cases[i].first), cases[i].first_ok);
			assert_int_equal(uw_tx_said(&r.tx, starts[s] + cases[i].second), cases[i].second_ok);
			assert_int_equal(uw_tx_room(&r.tx), cases[i].room);
			open_ring(&r, starts[s]);
			for (n = 0; n < 10; n++)
				put(&r, n);
			r.receiver.consumed = starts[s] + cases[i].first;
			assert_int_equal(uw_tx_look(&r.tx), cases[i].first_ok);
			r.receiver.consumed = starts[s] + cases[i].second;
			assert_int_equal(uw_tx_look(&r.tx), cases[i].second_ok);
			assert_int_equal(uw_tx_room(&r.tx), cases[i].room);
		}
}

/* The page and the messages are read in any order, so neither may seem to go back because of the other. */
static void test_page_and_messages_are_judged_apart(void **state)
{
	struct ring r;
	uint32_t n;

	(void)state;
	open_ring(&r, 0xfffffffc);
	for (n = 0; n < 10; n++)
		put(&r, n);
	r.receiver.consumed = 0xfffffffcu + 8;
	assert_true(uw_tx_look(&r.tx));
	assert_true(uw_tx_said(&r.tx, 0xfffffffcu + 3)); /* sent before the page was written */
	assert_int_equal(uw_tx_room(&r.tx), SLOTS - 2);
	assert_true(uw_tx_said(&r.tx, 0xfffffffcu + 9));
	assert_int_equal(uw_tx_room(&r.tx), SLOTS - 1);
	assert_true(uw_tx_look(&r.tx));
	assert_int_equal(uw_tx_room(&r.tx), SLOTS - 1);
}

static void test_passed(void **state)
{
	static const struct {
		uint32_t now, before, index;
		bool passed;
	} cases[] = {
		{ 1, 0, 0, true },   { 0, 0, 0, false },  { 5, 0, 4, true },   { 5, 0, 5, false },  { 5, 3, 2, false },
		{ 5, 3, 3, true },   { 5, 3, 0xffffffff, false }, { 2, 0xfffffffe, 0xfffffffd, false },
		{ 2, 0xfffffffe, 0xfffffffe, true }, { 2, 0xfffffffe, 1, true }, { 2, 0xfffffffe, 2, false },
		{ 0x80000001, 0x80000000, 0x80000000, true }, { 0x80000001, 0x80000000, 0, false },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++)
		assert_int_equal(uw_passed(cases[i].now, cases[i].before, cases[i].index), cases[i].passed);
	assert_int_equal(uw_ahead(3, 0xfffffffe), 5);
	assert_int_equal(uw_ahead(0xfffffffe, 3), -5);
}

static void test_a_sleeper_is_kicked_once(void **state)
{
	struct ring r;
	uint32_t s;

	(void)state;
	for (s = 0; s < UW_COUNT_OF(starts); s++) {
		open_ring(&r, starts[s]);
		assert_false(uw_tx_kick(&r.tx)); /* nothing put */
		assert_true(uw_rx_sleep(&r.rx));
		put(&r, 0);
		put(&r, 1);
		assert_true(uw_tx_kick(&r.tx));
		assert_false(uw_tx_kick(&r.tx));
		put(&r, 2);
		assert_false(uw_tx_kick(&r.tx)); /* it has been woken and has not slept since */
		get(&r, 0);
		get(&r, 1);
		assert_false(uw_rx_sleep(&r.rx)); /* one came meanwhile */
		get(&r, 2);
		assert_true(uw_rx_sleep(&r.rx));
		put(&r, 3);
		assert_true(uw_tx_kick(&r.tx));
	}
}

static void fill(struct ring *r)
{
	uint32_t n = 0;

	while (uw_tx_room(&r->tx))
		put(r, n++);
}

static void test_a_producer_without_room_is_kicked(void **state)
{
	struct ring r;
	uint32_t s;

	(void)state;
	for (s = 0; s < UW_COUNT_OF(starts); s++) {
		open_ring(&r, starts[s]);
		fill(&r);
		get(&r, 0);
		assert_false(uw_rx_tell(&r.rx)); /* nobody waits yet */
		assert_false(uw_rx_tell(&r.rx)); /* nothing new */
		assert_true(uw_tx_look(&r.tx));
		put(&r, 16);
		assert_true(uw_tx_wait(&r.tx));
		assert_int_equal(uw_tx_room(&r.tx), 0);
		get(&r, 1);
		assert_true(uw_rx_tell(&r.rx));
		get(&r, 2);
		assert_false(uw_rx_tell(&r.rx));
	}
}

/* A producer that needs more than one slot asks again when it found that the peer had read on, but not enough. */
static void test_waiting_for_more_than_one_slot(void **state)
{
	struct ring r;

	(void)state;
	open_ring(&r, 0xfffffffa);
	fill(&r);
	get(&r, 0);
	get(&r, 1);
	assert_false(uw_rx_tell(&r.rx));
	assert_true(uw_tx_wait(&r.tx)); /* finds two, wants more */
	assert_int_equal(uw_tx_room(&r.tx), 2);
	get(&r, 2);
	assert_true(uw_rx_tell(&r.rx));
}

static void test_waiting_for_a_liar(void **state)
{
	struct ring r;

	(void)state;
	open_ring(&r, 3);
	fill(&r);
	r.receiver.consumed = 3 + SLOTS + 1;
	assert_false(uw_tx_wait(&r.tx));
	assert_int_equal(uw_tx_room(&r.tx), 0);
}

/* Polls in vain make polling rarer, up to a limit; one that paid makes it usual again. */
static void test_spin_learns(void **state)
{
	struct uw_spin s = { 0, 0 };
	uint32_t chances, polls, round, skipped;

	(void)state;
	for (round = 0, polls = 0, skipped = 0; round < 20; polls++, round++, skipped = 0) {
		while (!uw_spin_begin(&s))
			skipped++;
		assert_int_equal(skipped, round < 11 ? (1u << round) - 1 : UW_SPIN_SKIP);
		uw_spin_end(&s, false);
	}
	for (chances = 0; !uw_spin_begin(&s); chances++)
		;
	assert_int_equal(chances, UW_SPIN_SKIP);
	uw_spin_end(&s, true);
	assert_true(uw_spin_begin(&s));
}

static void test_list(void **state)
{
	struct uw_list head, a, b;

	(void)state;
	uw_list_init(&head);
	uw_list_init(&a);
	uw_list_del(&a); /* on no list */
	assert_null(uw_list_pop(&head));
	uw_list_add(&head, &a);
	uw_list_add(&head, &b);
	assert_false(uw_list_empty(&head));
	assert_ptr_equal(uw_list_pop(&head), &a);
	assert_true(uw_list_empty(&a));
	uw_list_del(&b);
	assert_true(uw_list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clear_is_empty_for_a_whole_lap),
		cmocka_unit_test(test_messages_come_whole_and_in_order),
		cmocka_unit_test(test_room_ends_and_returns),
		cmocka_unit_test(test_what_does_not_belong),
		cmocka_unit_test(test_consumed_is_judged),
		cmocka_unit_test(test_page_and_messages_are_judged_apart),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_a_sleeper_is_kicked_once),
		cmocka_unit_test(test_a_producer_without_room_is_kicked),
		cmocka_unit_test(test_waiting_for_more_than_one_slot),
		cmocka_unit_test(test_waiting_for_a_liar),
		cmocka_unit_test(test_spin_learns),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
