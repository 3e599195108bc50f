/* SPDX-License-Identifier: GPL-2.0-only */
/* Sessions step by step: what each end must do in corners that the loop test reaches only by chance. */
#include "session_pair.h"

static void test_names_and_features_are_agreed(void **state)
{
	(void)state;
	assert_string_equal(g.host_name, "test host");
	assert_string_equal(h.guest_name, "test guest");
	assert_int_equal(g.features, layout.features);
	assert_int_equal(h.features, layout.features);
	assert_int_equal(noted(UW_NOTE_UP), 1);
}

static void test_all_counters_of_the_host_arrive(void **state)
{
	(void)state;
	uw_guest_ask_stats(&g);
	uw_guest_ask_stats(&g); /* the second is part of the first */
	assert_true(g.stats_wanted);
	turns(10);
	assert_false(g.stats_wanted);
	assert_int_equal(g.host_stats[UW_STAT_epochs], h.counters.value[UW_STAT_epochs]);
	assert_int_equal(g.host_stats[UW_STAT_port_events], 1);
	assert_int_equal(g.free_entries, layout.transfers);
}

static void test_a_bye_ends_what_waits_with_a_device(void **state)
{
	struct uw_urb u, late;
	struct uw_ep ep;

	(void)state;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x81, UW_BULK, 64);
	enqueue(&u, &ep, 64);
	turns(2);
	assert_int_equal(h.active, 1);
	uw_guest_end(&g, now);
	make_urb(&late, &ep, 64);
	assert_int_equal(uw_guest_enqueue(&g, &late, now), UW_ST_NO_DEVICE);
	assert_false(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
	turns(4);
	assert_int_equal(cancels, 1);
	assert_true(uw_guest_ended(&g));
	assert_int_equal(uw_read32(&g.own->incarnation), 0);
}

/* The epoch to be left ends by itself: then it has been left, and nobody waits for the answer to the bye. */
static void test_a_bye_overtaken_by_an_epoch(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;
	bool down;

	(void)state;
	for (down = false;; down = true) {
		answer_at_once = false;
		uw_ep_init(&ep, FULL_SPEED_PORT, 0x81, UW_BULK, 64);
		enqueue(&u, &ep, 64);
		turns(2);
		uw_guest_end(&g, now);
		if (down)
			uw_host_stop(&h, now);
		h.fault = true;
		host_turn();
		assert_false(uw_guest_ended(&g));
		host_turn();
		guest_turn();
		assert_true(uw_guest_ended(&g));
		assert_int_equal(u.status, UW_ST_NO_DEVICE);
		if (down)
			break;
		uw_guest_begin(&g, now);
		turns(4);
		assert_int_equal(g.phase, UW_GUEST_RUN);
	}
}

/* The transfer ends outside of a poll; the owner then asks whether it may sleep. */
static void test_the_host_stays_awake_for_a_bye(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x81, UW_BULK, 64);
	enqueue(&u, &ep, 64);
	turns(2);
	uw_guest_end(&g, now);
	guest_turn();
	(void)uw_host_poll(&h, now, 64);
	held->io.status = UW_ST_OK;
	uw_host_complete(&h, held, now);
	assert_false(uw_host_sleep(&h));
	host_turn();
	assert_true(uw_host_sleep(&h));
	guest_turn();
	assert_true(uw_guest_ended(&g));
}

static void test_the_host_stays_awake_for_a_device(void **state)
{
	(void)state;
	assert_true(uw_host_sleep(&h));
	uw_host_attach(&h, uw_host_port_for(&h, UW_SPEED_SUPER), UW_SPEED_SUPER, now);
	assert_false(uw_host_sleep(&h));
	turns(2);
	assert_true(uw_host_sleep(&h));
}

/* An event that has not been acknowledged keeps later ones back, and nobody awake. */
static void test_events_wait_for_the_last_one(void **state)
{
	uint8_t port;

	(void)state;
	port = uw_host_port_for(&h, UW_SPEED_HIGH);
	uw_host_attach(&h, port, UW_SPEED_HIGH, now);
	host_turn();
	uw_host_detach(&h, port, now);
	uw_host_attach(&h, port, UW_SPEED_LOW, now);
	host_turn();
	assert_true(uw_host_sleep(&h));
	note_count = 0;
	turns(3);
	assert_int_equal(noted(UW_NOTE_PORT), 2);
	assert_int_equal(notes[0].speed, UW_SPEED_HIGH);
	assert_int_equal(notes[1].speed, UW_SPEED_LOW);
	assert_int_equal(notes[1].changes, UW_EVENT_CONNECT);
}

/* Gone and back before the host looks: the newcomer must not pass for the guest that left. */
static void test_a_quick_return_is_seen(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		uw_guest_end(&g, now);
		guest_turn();
		host_turn();
		host_turn();
		guest_turn();
		assert_true(uw_guest_ended(&g));
		uw_guest_begin(&g, now); /* the host has not looked since */
		assert_int_not_equal(g.incarnation, h.incarnation);
		turns(4);
		assert_int_equal(g.phase, UW_GUEST_RUN);
	}
}

static void test_a_return_to_a_silent_host_is_seen(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		uw_guest_end(&g, now);
		uw_guest_abandon(&g, now);
		uw_guest_begin(&g, now);
	}
	turns(4);
	assert_int_equal(g.phase, UW_GUEST_RUN);
	uw_guest_abandon(&g, now); /* twice in one epoch */
	uw_guest_abandon(&g, now);
	assert_int_not_equal(g.incarnation, h.incarnation);
	turns(4);
	assert_int_equal(g.phase, UW_GUEST_RUN);
}

static void test_a_layout_that_changes_is_told(void **state)
{
	struct uw_host_page *page = (void *)region;

	(void)state;
	note_count = 0;
	h.layout.data_size -= UW_PAGE;
	h.fault = true;
	(void)uw_host_poll(&h, now, 64);
	(void)uw_guest_poll(&g, now, 64);
	assert_int_equal(g.phase, UW_GUEST_WAIT);
	uw_write32(&page->head.epoch, h.epoch + 1); /* and once more, before anybody has read the note */
	(void)uw_guest_poll(&g, now, 64);
	read_notes();
	assert_int_equal(noted(UW_NOTE_LAYOUT), 1);
	assert_int_equal(noted(UW_NOTE_DOWN), 1);
	h.layout.data_size += UW_PAGE;
	h.epoch++;
	h.fault = true;
	turns(4);
	assert_int_equal(g.phase, UW_GUEST_RUN);
}

static void test_a_version_that_is_not_spoken_is_refused(void **state)
{
	(void)state;
	h.layout.version_min = h.layout.version_max = 2;
	h.phase = UW_PHASE_GREET; /* as if the hello were still to come */
	h.fault = true;
	note_count = 0;
	turns(1);
	h.layout.version_min = h.layout.version_max = 2;
	g.layout.version_min = g.layout.version_max = 2; /* a guest that overlooked it */
	turns(3);
	assert_int_equal(g.phase, UW_GUEST_REFUSED);
	assert_int_equal(h.phase, UW_PHASE_CLOSED);
	assert_int_equal(noted(UW_NOTE_REFUSED), 1);
	assert_int_equal(notes[note_count - 1].status, UW_ST_UNSUPPORTED);
	h.layout.version_min = h.layout.version_max = g.layout.version_min = g.layout.version_max = 1;
	h.fault = true;
	turns(4);
	assert_int_equal(g.phase, UW_GUEST_RUN);
}

/* Hung before the echo: nothing is unread, and still nobody is there. */
static void test_a_guest_that_takes_no_epoch_is_orphaned(void **state)
{
	(void)state;
	h.fault = true;
	host_turn();
	assert_int_equal(h.phase, UW_PHASE_OFFER);
	host_turn();
	assert_int_equal(uw_host_deadline(&h, now), now + limits.orphan);
	now += limits.orphan;
	host_turn();
	assert_int_equal(closes, 1);
	assert_true(h.orphan);
	host_turn();
	assert_true(uw_host_deadline(&h, now) == UW_NEVER); /* once is enough */
	turns(4);
	assert_int_equal(opens, 1);
	assert_int_equal(g.phase, UW_GUEST_RUN);
	assert_int_equal(g.ports[FULL_SPEED_PORT].speed, UW_SPEED_FULL);
}

static void test_a_silent_guest_is_orphaned(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_BULK, 64);
	enqueue(&u, &ep, 10);
	guest_turn();
	host_turn();
	host_turn();
	now += limits.orphan - 1;
	host_turn();
	assert_int_equal(closes, 0);
	now += 2;
	host_turn();
	assert_int_equal(closes, 1);
	assert_int_equal(h.counters.value[UW_STAT_orphans], 1);
}

/* In a page that lies, with no session to lose, there is no deadline to miss again and again. */
static void test_a_guest_without_a_session_rests(void **state)
{
	struct uw_host_page *page = (void *)region;

	(void)state;
	h.fault = true;
	host_turn();
	guest_turn(); /* hello is written, its answer is not there yet */
	assert_int_equal(g.phase, UW_GUEST_GREET);
	uw_write32(&page->hot.consumed, 0x12345678);
	now += UW_PROBE_AFTER;
	(void)uw_guest_poll(&g, now, 64);
	assert_int_equal(g.phase, UW_GUEST_WAIT);
	(void)uw_guest_poll(&g, now, 64);
	assert_true(uw_guest_deadline(&g) == UW_NEVER);
}

static void test_a_silent_host_is_probed_and_given_up(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;
	uint32_t i;

	(void)state;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_BULK, 64);
	enqueue(&u, &ep, 10);
	guest_turn();
	for (i = 1; i <= UW_PROBES; i++) {
		assert_int_equal(uw_guest_deadline(&g), now + UW_PROBE_AFTER);
		now += UW_PROBE_AFTER;
		(void)uw_guest_poll(&g, now, 64);
		assert_true(uw_guest_kick(&g));
		assert_int_equal(u.state, UW_URB_FLYING);
	}
	now += UW_PROBE_AFTER;
	guest_turn();
	assert_int_equal(u.state, UW_URB_IDLE);
	assert_int_equal(u.status, UW_ST_NO_DEVICE);
	assert_int_equal(noted(UW_NOTE_DOWN), 1);
	assert_true(uw_guest_deadline(&g) == UW_NEVER);
	turns(4); /* it was only slow */
	assert_int_equal(g.phase, UW_GUEST_RUN);
	assert_int_equal(g.ports[FULL_SPEED_PORT].speed, UW_SPEED_FULL);
}

static void test_a_host_that_stops_says_so(void **state)
{
	struct uw_host_page *page = (void *)region;

	(void)state;
	uw_host_stop(&h, now);
	host_turn();
	assert_true(uw_host_stopped(&h));
	assert_int_equal(uw_read32(&page->head.state), UW_HOST_DOWN);
	guest_turn();
	assert_int_equal(noted(UW_NOTE_DOWN), 1);
	start_host(uw_read32(&page->head.epoch));
	uw_host_attach(&h, FULL_SPEED_PORT, UW_SPEED_FULL, now);
	turns(4);
	assert_int_equal(g.phase, UW_GUEST_RUN);
}

static void test_epochs_skip_0(void **state)
{
	(void)state;
	h.epoch = 0xffffffff;
	h.fault = true;
	turns(4);
	assert_int_equal(h.epoch, 1);
	assert_int_equal(g.phase, UW_GUEST_RUN);
	h.epoch = 0xffffffff;
	uw_write32(&((struct uw_host_page *)(void *)region)->head.epoch, 0xffffffff);
	g.epoch = 0xffffffff;
	uw_guest_abandon(&g, now);
	assert_int_not_equal(g.incarnation, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names_and_features_are_agreed),
		TEST(test_all_counters_of_the_host_arrive),
		TEST(test_a_bye_ends_what_waits_with_a_device),
		TEST(test_a_bye_overtaken_by_an_epoch),
		TEST(test_the_host_stays_awake_for_a_bye),
		TEST(test_the_host_stays_awake_for_a_device),
		TEST(test_events_wait_for_the_last_one),
		TEST(test_a_quick_return_is_seen),
		TEST(test_a_return_to_a_silent_host_is_seen),
		TEST(test_a_layout_that_changes_is_told),
		TEST(test_a_version_that_is_not_spoken_is_refused),
		TEST(test_a_guest_that_takes_no_epoch_is_orphaned),
		TEST(test_a_silent_guest_is_orphaned),
		TEST(test_a_guest_without_a_session_rests),
		TEST(test_a_silent_host_is_probed_and_given_up),
		TEST(test_a_host_that_stops_says_so),
		TEST(test_epochs_skip_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
