/* SPDX-License-Identifier: GPL-2.0-only */
/* A host core and a guest core over one region, moved by hand: what the tests of sessions and transfers stand on. */
#ifndef UW_TEST_SESSION_PAIR_H
#define UW_TEST_SESSION_PAIR_H

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

static inline void host_turn(void)
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

static inline void read_notes(void)
{
	while (note_count < UW_COUNT_OF(notes) && uw_guest_note(&g, &notes[note_count]))
		note_count++;
}

static inline uint32_t noted(enum uw_note_kind kind)
{
	uint32_t i, n = 0;

	for (i = 0; i < note_count; i++)
		n += notes[i].kind == kind;
	return n;
}

static inline void guest_turn(void)
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

static inline void turns(uint32_t n)
{
	while (n--) {
		now += 1000;
		guest_turn();
		host_turn();
	}
}

static inline void start_host(uint32_t epoch)
{
	uw_host_init(&h, &layout, &limits, &host_memory, "test host", epoch, now);
	uw_host_link(&h, true, now);
}

static inline void load_guest(void)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void make_urb(struct uw_urb *u, struct uw_ep *ep, uint32_t length)
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

static inline void enqueue(struct uw_urb *u, struct uw_ep *ep, uint32_t length)
{
	make_urb(u, ep, length);
	assert_int_equal(uw_guest_enqueue(&g, u, now), UW_ST_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
