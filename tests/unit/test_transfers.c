/* SPDX-License-Identifier: GPL-2.0-only */
/* Transfers, verbs and ports step by step: corners that the loop test reaches only by chance. */
#include "session_pair.h"

static uint32_t entries_in_use(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < layout.transfers; i++)
		n += host_memory.xfers[i].state != UW_XFER_FREE;
	return n;
}

/* A reset that waits for its turn, in an epoch that ends by a fault read in the same poll. */
static void test_a_waiting_reset_dies_with_its_epoch(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_BULK, 64);
	enqueue(&u, &ep, 1); /* so that the port is touched, and the reset a real one */
	turns(2);
	assert_true(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
	(void)uw_host_poll(&h, now, 64);
	h.fault = true;
	(void)uw_host_poll(&h, now, 64);
	assert_int_equal(h.phase, UW_PHASE_OFFER);
	assert_int_equal(entries_in_use(), 0);
	verbs = 0;
	turns(5);
	assert_int_equal(verbs, 0);
	assert_int_equal(g.phase, UW_GUEST_RUN);
	assert_int_equal(noted(UW_NOTE_REQUEST), 1);
	assert_int_equal(g.counters.value[UW_STAT_lies], 0);
}

static void test_a_reset_untouched_needs_no_device(void **state)
{
	(void)state;
	assert_true(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
	turns(2);
	assert_int_equal(verbs, 0);
	assert_int_equal(noted(UW_NOTE_REQUEST), 1);
	assert_int_equal(notes[note_count - 1].status, UW_ST_OK);
}

/* A real reset is worth one: the next is answered without the device, until something is submitted again. */
static void test_a_second_reset_needs_no_device(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;
	uint32_t i;

	(void)state;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_BULK, 64);
	enqueue(&u, &ep, 1);
	turns(2);
	verbs = 0;
	for (i = 0; i < 3; i++) {
		assert_true(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
		turns(3);
	}
	assert_int_equal(verbs, 1);
	assert_int_equal(noted(UW_NOTE_REQUEST), 3);
	enqueue(&u, &ep, 1);
	turns(2);
	assert_true(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
	turns(3);
	assert_int_equal(verbs, 3);
}

/* A transfer that was cancelled because its device left says so. */
static void test_unplugging_ends_transfers_as_gone(void **state)
{
	struct uw_urb active, later;
	struct uw_ep ep;

	(void)state;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x81, UW_BULK, 64);
	enqueue(&active, &ep, 8);
	turns(2);
	uw_host_detach(&h, FULL_SPEED_PORT, now);
	enqueue(&later, &ep, 8); /* the guest has not heard yet */
	turns(4);
	assert_int_equal(active.status, UW_ST_NO_DEVICE);
	assert_int_equal(later.status, UW_ST_NO_DEVICE);
	assert_int_equal(g.ports[FULL_SPEED_PORT].speed, UW_SPEED_NONE);
}

/* A new device at the port of another inherits neither an open breaker nor the need for a reset. */
static void test_a_new_device_starts_clean(void **state)
{
	struct uw_host_port *p = &h.ports[FULL_SPEED_PORT];

	(void)state;
	p->breaker.state = UW_BREAKER_OPEN;
	p->breaker.until = UW_NEVER;
	p->touched = true;
	p->counters.value[UW_STAT_errors] = 5;
	uw_host_detach(&h, FULL_SPEED_PORT, now);
	uw_host_attach(&h, FULL_SPEED_PORT, UW_SPEED_LOW, now);
	assert_int_equal(p->breaker.state, UW_BREAKER_CLOSED);
	assert_int_equal(p->counters.value[UW_STAT_errors], 0);
	turns(3);
	assert_true(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
	turns(3);
	assert_int_equal(verbs, 0);
}

/* Opening again resets the device. One that is unplugged before that is not opened. */
static void test_closed_devices_are_opened_for_the_next_session(void **state)
{
	struct uw_action a;

	(void)state;
	h.ports[FULL_SPEED_PORT].open = false; /* as after an orphan's end */
	h.ports[FULL_SPEED_PORT].touched = true;
	h.fault = true;
	turns(4);
	assert_int_equal(opens, 1);
	assert_true(uw_guest_port_request(&g, FULL_SPEED_PORT, UW_PORT_RESET, now));
	turns(3);
	assert_int_equal(verbs, 0);
	h.ports[FULL_SPEED_PORT].open = false;
	h.fault = true;
	(void)uw_host_poll(&h, now, 64);
	guest_turn();
	(void)uw_host_poll(&h, now, 64);
	assert_int_equal(h.phase, UW_PHASE_RUN);
	uw_host_detach(&h, FULL_SPEED_PORT, now);
	assert_false(uw_host_next(&h, &a, now));
}

static void test_streams_are_granted(void **state)
{
	static const uint8_t endpoints[] = { 0x81, 0x02 };
	uint8_t port;

	(void)state;
	port = uw_host_port_for(&h, UW_SPEED_SUPER);
	uw_host_attach(&h, port, UW_SPEED_SUPER, now);
	turns(2);
	answer_at_once = false;
	note_count = 0;
	assert_true(uw_guest_streams(&g, port, endpoints, 2, 16, now));
	assert_false(uw_guest_streams(&g, port, endpoints, 2, 16, now));
	turns(1);
	assert_int_equal(held->io.verb, UW_VERB_ALLOC_STREAMS);
	assert_int_equal(held->io.arg[0], 16);
	assert_int_equal(held->io.arg[1], 2);
	assert_memory_equal(held->io.endpoints, endpoints, 2);
	held->io.status = UW_ST_OK;
	held->io.actual = 9;
	uw_host_complete(&h, held, now);
	turns(1);
	assert_int_equal(notes[0].kind, UW_NOTE_REQUEST);
	assert_int_equal(notes[0].status, UW_ST_OK);
	assert_int_equal(notes[0].value, 9);
	assert_true(uw_guest_port_request(&g, port, UW_PORT_RESUME, now));
	uw_guest_abandon(&g, now);
	read_notes();
	assert_int_equal(notes[note_count - 1].kind, UW_NOTE_REQUEST);
	assert_int_equal(notes[note_count - 1].status, UW_ST_NO_DEVICE);
	assert_int_equal(notes[note_count - 1].value, 0); /* not the 9 of before */
}

static void test_latency_is_measured(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	now += 100 * UW_MS;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_BULK, 64);
	enqueue(&u, &ep, 1);
	turns(1);
	now += 5 * UW_MS;
	held->io.status = UW_ST_OK;
	uw_host_complete(&h, held, now);
	turns(2);
	assert_in_range(uw_histogram_at(&h.latency, 500), 5 * UW_MS, 7 * UW_MS);
	assert_in_range(uw_histogram_at(&h.ports[FULL_SPEED_PORT].latency, 500), 5 * UW_MS, 7 * UW_MS);
	assert_in_range(uw_histogram_at(&g.latency, 500), 5 * UW_MS, 7 * UW_MS);
}

/* The one transfer that a half-open breaker admits waits for a verb, and is cancelled there. */
static void test_a_cancelled_probe_does_not_wedge_the_breaker(void **state)
{
	struct uw_host_port *p = &h.ports[FULL_SPEED_PORT];
	struct uw_urb verb, probe, next;
	struct uw_xfer *resume;
	struct uw_ep ep;

	(void)state;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0, UW_CONTROL, 64);
	answer_at_once = false;
	make_urb(&verb, &ep, 0);
	memcpy(verb.setup, "\0\x09\1\0\0\0\0\0", 8);
	verb.endpoint = 0;
	assert_int_equal(uw_guest_enqueue(&g, &verb, now), UW_ST_OK);
	turns(2);
	resume = held;
	p->breaker.state = UW_BREAKER_OPEN;
	p->breaker.until = now;
	enqueue(&probe, &ep, 8);
	turns(2);
	assert_int_equal(p->breaker.state, UW_BREAKER_HALF);
	uw_guest_cancel(&g, &probe);
	turns(2);
	assert_int_equal(probe.status, UW_ST_CANCELLED);
	answer_at_once = true;
	enqueue(&next, &ep, 8);
	turns(1);
	resume->io.status = UW_ST_OK;
	uw_host_complete(&h, resume, now);
	turns(3);
	assert_int_equal(next.status, UW_ST_OK);
	assert_int_equal(next.actual, 8);
	assert_int_equal(p->breaker.state, UW_BREAKER_CLOSED);
}

/* Whatever a backend says of verbs and packets, the guest must be able to believe it. */
static void test_nonsense_of_a_backend_stays_here(void **state)
{
	struct uw_packet *table;
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0, UW_CONTROL, 64);
	make_urb(&u, &ep, 0);
	memcpy(u.setup, "\0\x09\1\0\0\0\0\0", 8);
	u.endpoint = 0;
	assert_int_equal(uw_guest_enqueue(&g, &u, now), UW_ST_OK);
	turns(2);
	held->io.status = UW_ST_OK;
	held->io.actual = 77;
	uw_host_complete(&h, held, now);
	turns(2);
	assert_int_equal(u.actual, 0);
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x81, UW_ISOCH, 1);
	make_urb(&u, &ep, 100);
	u.packets = 1;
	u.interval = 1;
	assert_int_equal(uw_guest_enqueue(&g, &u, now), UW_ST_OK);
	assert_ptr_equal(uw_guest_fill(&g, now), &u);
	table = (void *)(region + layout.data + u.space);
	memset(table, 0, sizeof(*table));
	table->length = uw_put32(100);
	u.table = u.space;
	u.data = u.space + 16;
	u.piece = 100;
	u.piece_packets = 1;
	uw_guest_filled(&g, &u, now);
	turns(2);
	held->io.status = 0x10000;
	held->io.actual = 1000;
	held->io.iso[0].status = 0x10001;
	held->io.iso[0].actual = 1000;
	uw_host_complete(&h, held, now);
	turns(2);
	assert_int_equal(u.status, UW_ST_HOST);
	assert_int_equal(u.actual, 100);
	assert_int_equal(u.errors, 1);
	assert_int_equal(uw_get16(table->status), UW_ST_HOST);
	assert_int_equal(uw_get32(table->actual), 100);
	assert_int_equal(g.phase, UW_GUEST_RUN);
}

/* The device has left its port and is not closed yet: it must not be closed a second time because it is slow. */
static void test_a_device_on_its_way_out_is_not_closed_again(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_CONTROL, 64);
	enqueue(&u, &ep, 10);
	turns(2);
	held->io.verb = UW_VERB_RESUME; /* something that hears no cancel */
	uw_host_detach(&h, FULL_SPEED_PORT, now);
	h.fault = true;
	host_turn();
	assert_int_equal(h.phase, UW_PHASE_DRAIN);
	now += 2 * limits.drain;
	host_turn();
	host_turn();
	assert_int_equal(closes, 0);
	uw_host_complete(&h, held, now);
	host_turn();
	assert_int_equal(h.phase, UW_PHASE_OFFER);
}

static void test_a_device_that_ends_nothing_is_closed(void **state)
{
	struct uw_urb u;
	struct uw_ep ep;

	(void)state;
	answer_at_once = false;
	uw_ep_init(&ep, FULL_SPEED_PORT, 0x01, UW_BULK, 64);
	enqueue(&u, &ep, 10);
	turns(2);
	held->cancel = true; /* asked for, and not heard */
	h.fault = true;
	host_turn();
	now += limits.drain + 1;
	host_turn();
	assert_int_equal(closes, 1);
	assert_int_equal(h.counters.value[UW_STAT_drains], 1);
	uw_host_complete(&h, held, now); /* from inside close */
	turns(5);
	assert_int_equal(opens, 1);
	assert_int_equal(g.phase, UW_GUEST_RUN);
}

/* Idle transfers of one device take much, and leave enough for control and for other ports. */
static void test_idle_transfers_leave_space(void **state)
{
	static struct uw_urb idle[64], control, other;
	struct uw_ep in, ep0, far;
	uint8_t port;
	uint32_t i;

	(void)state;
	port = uw_host_port_for(&h, UW_SPEED_HIGH);
	uw_host_attach(&h, port, UW_SPEED_HIGH, now);
	turns(2);
	answer_at_once = false;
	uw_ep_init(&in, FULL_SPEED_PORT, 0x81, UW_BULK, 512);
	uw_ep_init(&ep0, FULL_SPEED_PORT, 0, UW_CONTROL, 8);
	uw_ep_init(&far, port, 0x81, UW_BULK, 512);
	for (i = 0; i < UW_COUNT_OF(idle); i++)
		enqueue(&idle[i], &in, 256 << 10);
	turns(2);
	assert_false(uw_list_empty(&in.queued));
	enqueue(&control, &ep0, 18);
	enqueue(&other, &far, 16384);
	turns(2);
	assert_int_equal(control.state, UW_URB_FLYING);
	assert_int_equal(other.state, UW_URB_FLYING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_waiting_reset_dies_with_its_epoch),
		TEST(test_a_reset_untouched_needs_no_device),
		TEST(test_a_second_reset_needs_no_device),
		TEST(test_unplugging_ends_transfers_as_gone),
		TEST(test_a_new_device_starts_clean),
		TEST(test_closed_devices_are_opened_for_the_next_session),
		TEST(test_streams_are_granted),
		TEST(test_latency_is_measured),
		TEST(test_a_cancelled_probe_does_not_wedge_the_breaker),
		TEST(test_nonsense_of_a_backend_stays_here),
		TEST(test_a_device_on_its_way_out_is_not_closed_again),
		TEST(test_a_device_that_ends_nothing_is_closed),
		TEST(test_idle_transfers_leave_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
