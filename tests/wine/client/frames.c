/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Isochronous submissions that are no whole frames, to an endpoint with several packets in one. The stack below takes
 * whole frames only, so packets of several submissions share an URB, and each has to get its own bytes and its own answer.
 */
#include "client.h"

enum { ISO_OUT = 0x02, ISO_IN = 0x82 };
enum { IN_FLIGHT = 12, ROOM = 65536 };

static const char *check(struct link *l, struct request *r, uint32_t offered)
{
	uint32_t i, k, sum = 0;

	CHECK(uwc_wait(r));
	CHECK_IS(r->io.status, UW_ST_OK);
	for (i = 0; i < r->io.packets; i++) {
		const struct uw_iso *p = &r->iso[i];

		if (p->status == UW_ST_LATE)
			continue;
		CHECK_IS(p->status, UW_ST_OK);
		CHECK_IS(p->actual, offered);
		sum += p->actual;
		for (k = 0; r->io.endpoint & 0x80 && k < p->actual; k++)
			CHECK_IS(r->io.data[p->offset + k], (uint8_t)(k % 1024 % 63));
		for (k = p->actual; r->io.endpoint & 0x80 && k < p->length; k++)
			CHECK_IS(r->io.data[p->offset + k], 0xa5);
	}
	CHECK_IS(r->io.actual, sum);
	if (l->chains && !(r->io.endpoint & 0x80)) /* what fills a frame up has bytes in the other direction only */
		CHECK_IS(r->io.copied, 0);
	return NULL;
}

static struct request *next(struct link *l, uint32_t n, uint8_t endpoint, uint32_t packets, uint32_t length)
{
	uint32_t k;

	for (k = 0; k < ROOM; k++)
		l->region[n * ROOM + k] = endpoint & 0x80 ? 0xa5 : (uint8_t)(k % length % 63);
	return uwc_iso(l, n, endpoint, n * ROOM, packets, length, length);
}

/* One to eleven packets each: none begins where a frame does, except by chance. */
static const char *stream(struct link *l, uint8_t endpoint, uint32_t length)
{
	const char *failed = NULL;
	uint32_t i;

	for (i = 0; i < IN_FLIGHT; i++)
		uwc_go(next(l, i, endpoint, 1 + uwc_random(l) % 11, length));
	for (i = 0; i < 20 * IN_FLIGHT * l->rounds && !failed; i++) {
		failed = check(l, &l->request[i % IN_FLIGHT], length);
		if (!failed)
			uwc_go(next(l, i % IN_FLIGHT, endpoint, 1 + uwc_random(l) % 11, length));
	}
	for (i = 0; i < IN_FLIGHT && !failed; i++)
		failed = check(l, &l->request[(i + 20 * IN_FLIGHT * l->rounds) % IN_FLIGHT], length);
	return failed;
}

/* Alone, each has to be filled up before the bus takes it. */
static const char *alone(struct link *l, uint8_t endpoint)
{
	const char *failed = NULL;
	uint32_t i;

	for (i = 1; i < 16 && !failed; i++) {
		uwc_go(next(l, 0, endpoint, i, 100));
		failed = check(l, &l->request[0], 100);
		uwc_sleep(i % 4);
	}
	return failed;
}

/* Those that share an URB with one that is cancelled may lose what was in it, and are answered like all others. */
static const char *cancelled(struct link *l)
{
	uint32_t i, round, status;

	for (round = 0; round < 10 * l->rounds; round++) {
		for (i = 0; i < 9; i++)
			uwc_go(next(l, i, ISO_IN, 3, 200));
		uwc_cancel(&l->request[uwc_random(l) % 9]);
		uwc_cancel(&l->request[uwc_random(l) % 9]);
		for (i = 0; i < 9; i++) {
			CHECK(uwc_wait(&l->request[i]));
			status = l->request[i].io.status;
			CHECK(status == UW_ST_OK || status == UW_ST_CANCELLED);
		}
	}
	return NULL;
}

static const char *frames(struct link *l)
{
	const char *failed;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	failed = stream(l, ISO_IN, 1024);
	if (!failed)
		failed = stream(l, ISO_OUT, 1024);
	if (!failed)
		failed = alone(l, ISO_IN);
	if (!failed)
		failed = alone(l, ISO_OUT);
	return failed ? failed : cancelled(l);
}

/* The end comes while a frame waits for more. */
static const char *frame_waits(struct link *l)
{
	uint32_t i;

	for (i = 0; i < 20 * l->rounds; i++) {
		if (!l->open) {
			CHECK_IS(uwc_open(l), UW_ST_OK);
			CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 3, 0), UW_ST_OK);
		}
		CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
		uwc_go(next(l, 0, ISO_IN, 3, 100));
		if (i & 1)
			uwc_sleep(1 + i % 3);
		if (i & 2)
			CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 0), UW_ST_OK);
		uwc_close(l);
		CHECK(uwc_wait(&l->request[0]));
	}
	return NULL;
}

const struct script uwc_frames[] = {
	{ "frames", true, frames },
	{ "frame-waits", true, frame_waits },
	{ NULL, false, NULL },
};
