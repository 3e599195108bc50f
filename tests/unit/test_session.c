/* SPDX-License-Identifier: GPL-2.0-only */
/* Sessions step by step: what each end must do in corners that the loop test reaches only by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guest.h"
#include "host.h"

#define REGION UW_REGION_MIN
#define FULL_SPEED_PORT 1u

static struct uw_layout layout;
static struct uw_host h;
static struct uw_guest g;
static struct uw_host_limits limits;
static struct uw_host_memory host_memory;
static struct uw_guest_memory guest_memory;
static uint8_t *region;
static uint64_t now;
static struct uw_note notes[32];
static uint32_t note_count;
static bool answer_at_once;   /* the device does */
static struct uw_xfer *held;  /* else: the last transfer it was given */
static uint32_t verbs, cancels, closes, opens;

/* ---- the two owners ---- */

static void host_turn(void)
{
	struct uw_action a;

	(void)uw_host_poll(&h, now, 64);
	while (uw_host_next(&h, &a, now))
		switch (a.kind) {
		case UW_ACT_VERB:
			verbs++;
			held = a.xfer;
			if (!answer_at_once)
				break;
			a.xfer->io.status = UW_ST_OK;
			a.xfer->io.actual = a.xfer->io.length;
			uw_host_complete(&h, a.xfer, now);
			break;
		case UW_ACT_CANCEL:
			cancels++;
			a.xfer->io.status = UW_ST_CANCELLED;
			uw_host_complete(&h, a.xfer, now);
			break;
		case UW_ACT_CLOSE:
			closes++;
			break;
		default:
			opens++;
			uw_host_opened(&h, a.port);
			break;
		}
	(void)!uw_host_kick(&h);
}

static void read_notes(void)
{
	while (note_count < UW_COUNT_OF(notes) && uw_guest_note(&g, &notes[note_count]))
		note_count++;
}

static uint32_t noted(enum uw_note_kind kind)
{
	uint32_t i, n = 0;

	for (i = 0; i < note_count; i++)
		n += notes[i].kind == kind;
	return n;
}

static void guest_turn(void)
{
	struct uw_urb *u;

	(void)uw_guest_poll(&g, now, 64);
	read_notes();
	while ((u = uw_guest_fill(&g, now)))
		uw_guest_filled(&g, u, now);
	while ((u = uw_guest_done(&g)))
		(void)!uw_guest_drained(&g, u, now);
	(void)!uw_guest_kick(&g);
}

static void turns(uint32_t n)
{
	while (n--) {
		now += 1000;
		guest_turn();
		host_turn();
	}
}

static void start_host(uint32_t epoch)
{
	uw_host_init(&h, &layout, &limits, &host_memory, "test host", epoch, now);
	uw_host_link(&h, true, now);
}

static void load_guest(void)
{
	struct uw_guest_sizes sizes;
	struct uw_layout seen;

	assert_int_equal(uw_guest_sizes(region, REGION, &seen, &sizes), UW_LAYOUT_OK);
	assert_int_equal(sizes.entries, layout.transfers);
	guest_memory.region = region;
	guest_memory.mapped = REGION;
	guest_memory.urbs = calloc(sizes.entries, sizeof(*guest_memory.urbs));
	guest_memory.uses = calloc(sizes.entries, sizeof(*guest_memory.uses));
	guest_memory.free = calloc(sizes.entries, sizeof(*guest_memory.free));
	guest_memory.bitmap = calloc(sizes.words, sizeof(*guest_memory.bitmap));
	uw_guest_init(&g, &seen, &guest_memory, "test guest");
	uw_guest_begin(&g, now);
}

static int setup(void **state)
{
	(void)state;
	now = 1000;
	note_count = verbs = cancels = closes = opens = 0;
	answer_at_once = true;
	uw_layout_default(&layout, REGION);
	layout.start = 0xfffffffa;
	uw_host_limits_default(&limits);
	region = aligned_alloc(UW_PAGE, REGION);
	memset(region, 0, REGION);
	host_memory.region = region;
	host_memory.xfers = calloc(layout.transfers, sizeof(*host_memory.xfers));
	host_memory.isos = calloc((size_t)layout.isoch_max * layout.packets_max, sizeof(*host_memory.isos));
	host_memory.iso_free = calloc(layout.isoch_max, sizeof(*host_memory.iso_free));
	start_host(0);
	uw_host_attach(&h, FULL_SPEED_PORT, UW_SPEED_FULL, now);
	load_guest();
	turns(4);
	assert_int_equal(g.phase, UW_GUEST_RUN);
	assert_int_equal(g.ports[FULL_SPEED_PORT].speed, UW_SPEED_FULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(host_memory.xfers);
	free(host_memory.isos);
	free(host_memory.iso_free);
	free(guest_memory.urbs);
	free(guest_memory.uses);
	free(guest_memory.free);
	free(guest_memory.bitmap);
	free(region);
	return 0;
}

/* ---- URBs ---- */

static void make_urb(struct uw_urb *u, struct uw_ep *ep, uint32_t length)
{
	memset(u, 0, sizeof(*u));
	u->ep = ep;
	u->endpoint = ep->address;
	u->length = length;
	u->direct = UW_NOT_DIRECT;
	if (ep->transfer == UW_CONTROL) {
		u->endpoint = 0x80;
		u->setup[0] = 0x80;
		u->setup[6] = (uint8_t)length;
		u->setup[7] = (uint8_t)(length >> 8);
	}
}

static void enqueue(struct uw_urb *u, struct uw_ep *ep, uint32_t length)
{
	make_urb(u, ep, length);
	assert_int_equal(uw_guest_enqueue(&g, u, now), UW_ST_OK);
}

/* ---- tests ---- */

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(test_a_layout_that_changes_is_told),
		TEST(test_a_version_that_is_not_spoken_is_refused),
		TEST(test_a_guest_that_takes_no_epoch_is_orphaned),
		TEST(test_a_silent_guest_is_orphaned),
		TEST(test_a_device_on_its_way_out_is_not_closed_again),
		TEST(test_a_device_that_ends_nothing_is_closed),
		TEST(test_idle_transfers_leave_space),
		TEST(test_a_guest_without_a_session_rests),
		TEST(test_a_silent_host_is_probed_and_given_up),
		TEST(test_a_host_that_stops_says_so),
		TEST(test_epochs_skip_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
