/* SPDX-License-Identifier: GPL-2.0-only */
/* Bulk streams of a zero at super speed, with pattern 1 and 16 streams, in configuration 3. */
#include "client.h"

enum { BULK_OUT = 0x01, BULK_IN = 0x81, ISO_IN = 0x82 };
enum { STREAMS = 16, BYTES = 16384, PACKET = 1024 };

static const uint8_t both[] = { BULK_IN, BULK_OUT };

static uint32_t verb(struct link *l, uint8_t verb, uint16_t wanted, const uint8_t *endpoints, uint16_t count,
		     uint32_t *granted)
{
	struct request *r = uwc_request(l, REQUESTS - 1);

	r->io.verb = verb;
	r->io.arg[0] = wanted;
	r->io.arg[1] = count;
	r->io.endpoints = endpoints;
	uwc_go(r);
	if (!uwc_wait(r))
		return UW_ST_COUNT;
	*granted = r->io.actual;
	return r->io.status;
}

static struct request *on_stream(struct link *l, uint32_t n, uint8_t endpoint, uint16_t stream)
{
	struct request *r = uwc_data(l, n, endpoint, n * BYTES, BYTES, 0);

	r->io.stream = stream;
	return r;
}

static uint32_t one(struct link *l, uint8_t endpoint, uint16_t stream)
{
	struct request *r = on_stream(l, 200, endpoint, stream);

	uwc_go(r);
	return uwc_wait(r) ? r->io.status : UW_ST_COUNT;
}

/* One transfer on each stream of both endpoints, all at once. */
static const char *use_all(struct link *l, uint32_t count)
{
	uint32_t i, k;

	for (k = 0; k < 2 * count * BYTES; k++)
		l->region[k] = (uint8_t)(k % PACKET % 63);
	for (i = 0; i < 2 * count; i++)
		uwc_go(on_stream(l, i, both[i % 2], (uint16_t)(i / 2 + 1)));
	for (i = 0; i < 2 * count; i++) {
		CHECK(uwc_wait(&l->request[i]));
		CHECK_IS(l->request[i].io.status, UW_ST_OK);
		CHECK_IS(l->request[i].io.actual, BYTES);
		CHECK_IS(l->request[i].io.copied, 0);
	}
	for (k = 0; k < 2 * count * BYTES; k++)
		CHECK_IS(l->region[k], (uint8_t)(k % PACKET % 63));
	return NULL;
}

static const char *streams(struct link *l)
{
	static const uint16_t wanted[] = { 2, STREAMS, 300 };
	const char *failed;
	uint32_t i, count;

	CHECK_IS(one(l, BULK_IN, 1), UW_ST_NO_ENDPOINT);
	for (i = 0; i < UW_COUNT_OF(wanted); i++) {
		CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, wanted[i], both, 2, &count), UW_ST_OK);
		CHECK_IS(count, uw_min(wanted[i], STREAMS));
		failed = use_all(l, count);
		if (failed)
			return failed;
		CHECK_IS(one(l, BULK_IN, (uint16_t)(count + 1)), UW_ST_NO_ENDPOINT);
		CHECK_IS(one(l, BULK_IN, 0), UW_ST_NO_ENDPOINT);
		if (i) /* the first ones are replaced without having been given back */
			CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, both, 2, &count), UW_ST_OK);
	}
	CHECK_IS(one(l, BULK_IN, 1), UW_ST_NO_ENDPOINT);
	CHECK_IS(one(l, BULK_IN, 0), UW_ST_OK);
	CHECK_IS(one(l, BULK_OUT, 0), UW_ST_OK);
	return NULL;
}

/* Of one endpoint alone, and in the setting with endpoints of other kinds. */
static const char *single(struct link *l)
{
	static const uint8_t iso[] = { BULK_IN, ISO_IN }, none[] = { 0x85 };
	uint32_t count;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, 4, iso, 2, &count), UW_ST_UNSUPPORTED);
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, 4, none, 1, &count), UW_ST_UNSUPPORTED);
	CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, none, 1, &count), UW_ST_UNSUPPORTED);
	CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, both, 2, &count), UW_ST_OK); /* of none */
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, 4, both, 1, &count), UW_ST_OK);
	CHECK_IS(one(l, BULK_IN, 4), UW_ST_OK);
	CHECK_IS(one(l, BULK_OUT, 0), UW_ST_OK);
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, 4, both + 1, 1, &count), UW_ST_OK);
	CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, both, 1, &count), UW_ST_OK);
	CHECK_IS(one(l, BULK_IN, 0), UW_ST_NO_ENDPOINT); /* until the other has none either */
	CHECK_IS(one(l, BULK_OUT, 3), UW_ST_OK);
	CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, both, 2, &count), UW_ST_OK);
	CHECK_IS(one(l, BULK_OUT, 0), UW_ST_OK);
	CHECK_IS(uwc_control(l, 0x81, 10, 0, 0, 1, NULL), UW_ST_OK);
	CHECK_IS(l->region[0], 1);
	return NULL;
}

/* Whatever deconfigures the endpoints takes their streams away. */
static const char *dropped(struct link *l)
{
	static const uint8_t verbs[][2] = {
		{ UW_VERB_SET_CONFIGURATION, 3 }, { UW_VERB_SET_INTERFACE, 0 }, { UW_VERB_RESET, 0 },
	};
	uint32_t i, count;

	for (i = 0; i < UW_COUNT_OF(verbs); i++) {
		CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_OK);
		CHECK_IS(one(l, BULK_IN, 5), UW_ST_OK);
		CHECK_IS(uwc_verb(l, verbs[i][0], verbs[i][1], 0), UW_ST_OK);
		CHECK_IS(one(l, BULK_IN, 5), UW_ST_NO_ENDPOINT);
		if (verbs[i][0] == UW_VERB_RESET)
			CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 3, 0), UW_ST_OK);
		CHECK_IS(one(l, BULK_IN, 0), UW_ST_OK);
	}
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_OK);
	uwc_close(l);
	CHECK_IS(uwc_open(l), UW_ST_OK);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 3, 0), UW_ST_OK);
	CHECK_IS(one(l, BULK_IN, 1), UW_ST_NO_ENDPOINT);
	CHECK_IS(one(l, BULK_IN, 0), UW_ST_OK);
	return NULL;
}

/* A halt stops all streams of the endpoint, and clearing it ends what they have. */
static const char *halted(struct link *l)
{
	uint32_t count;

	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_OK);
	l->region[200 * BYTES] = 200;
	CHECK_IS(one(l, BULK_OUT, 7), UW_ST_STALL);
	uw_zero(l->region + 200 * BYTES, 1);
	CHECK_IS(one(l, BULK_OUT, 8), UW_ST_STALL);
	CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_OUT, 0), UW_ST_OK);
	CHECK_IS(one(l, BULK_IN, 8), UW_ST_OK);
	return NULL;
}

/* Transfers that wait for ever on many streams: cancelled, and ended by each verb that needs the pipe. */
static const char *waiting(struct link *l)
{
	uint32_t i, round, count;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK); /* it sends back what it was sent */
	for (round = 0; round < 4 * l->rounds; round++) {
		CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_OK);
		for (i = 0; i < 2 * STREAMS; i++)
			uwc_go(on_stream(l, i, BULK_IN, (uint16_t)(i % STREAMS + 1)));
		for (i = 0; i < STREAMS; i++)
			uwc_cancel(&l->request[uwc_random(l) % (2 * STREAMS)]);
		if (round % 4 == 0)
			CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_IN, 0), UW_ST_OK);
		else if (round % 4 == 1)
			CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, both, 2, &count), UW_ST_OK);
		else if (round % 4 == 2)
			CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, 2, both, 2, &count), UW_ST_OK);
		else
			CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 0), UW_ST_OK);
		for (i = 0; i < 2 * STREAMS; i++) {
			CHECK(uwc_wait(&l->request[i]));
			CHECK_IS(l->request[i].io.status, UW_ST_CANCELLED);
		}
	}
	return NULL;
}

/* What comes for the plain endpoint while it gets streams, is too late for it. */
static const char *too_late(struct link *l)
{
	struct request *alloc;
	uint32_t i, status;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK);
	for (i = 0; i < 8; i++)
		uwc_go(on_stream(l, i, BULK_IN, 0));
	alloc = uwc_request(l, REQUESTS - 1);
	alloc->io.verb = UW_VERB_ALLOC_STREAMS;
	alloc->io.arg[0] = STREAMS;
	alloc->io.arg[1] = 2;
	alloc->io.endpoints = both;
	uwc_go(alloc);
	uwc_sleep(10);
	for (i = 8; i < 16; i++)
		uwc_go(on_stream(l, i, BULK_IN, 0));
	CHECK(uwc_wait(alloc));
	CHECK_IS(alloc->io.status, UW_ST_OK);
	for (i = 0; i < 16; i++) {
		CHECK(uwc_wait(&l->request[i]));
		status = l->request[i].io.status;
		CHECK(status == UW_ST_CANCELLED || (i >= 8 && status == UW_ST_NO_ENDPOINT));
	}
	return NULL;
}

/* Now the plug is pulled, or the host sleeps and wakes up: then the configuration is there again, without streams. */
static const char *interrupted(struct link *l)
{
	uint32_t i, count;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK);
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_OK);
	for (i = 0; i < STREAMS; i++)
		uwc_go(on_stream(l, i, BULK_IN, (uint16_t)(i + 1)));
	DbgPrint("uwclient: ready\n");
	for (i = 0; i < 200 && !l->gone && !l->lost_power; i++)
		uwc_sleep(50);
	CHECK_IS(l->gone + l->lost_power, 1);
	for (i = 0; i < STREAMS; i++) {
		CHECK(uwc_wait(&l->request[i]));
		CHECK_IS(l->request[i].io.status, l->gone ? UW_ST_NO_DEVICE : UW_ST_CANCELLED);
	}
	if (l->gone)
		return NULL;
	CHECK_IS(one(l, BULK_OUT, 1), UW_ST_NO_ENDPOINT);
	CHECK_IS(one(l, BULK_OUT, 0), UW_ST_OK);
	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_OK);
	return NULL;
}

/* Where the stack below, or this driver, has none. */
static const char *no_streams(struct link *l)
{
	uint32_t count;

	CHECK_IS(verb(l, UW_VERB_ALLOC_STREAMS, STREAMS, both, 2, &count), UW_ST_UNSUPPORTED);
	CHECK_IS(count, 0);
	CHECK_IS(verb(l, UW_VERB_FREE_STREAMS, 0, both, 2, &count), UW_ST_UNSUPPORTED);
	CHECK_IS(one(l, BULK_IN, 1), UW_ST_NO_ENDPOINT);
	CHECK_IS(one(l, BULK_IN, 0), UW_ST_OK);
	return NULL;
}

/* What may fail in the middle, and then leaves an endpoint that can be used, or none. */
static const char *streams_come_and_go(struct link *l)
{
	uint32_t count, status;

	if (verb(l, UW_VERB_ALLOC_STREAMS, 4, both, 2, &count) == UW_ST_OK)
		CHECK_IS(count, 4);
	status = verb(l, UW_VERB_FREE_STREAMS, 0, both, 2, &count);
	if (status == UW_ST_OK)
		status = one(l, BULK_IN, 0);
	CHECK(status == UW_ST_OK || status == UW_ST_HOST || status == UW_ST_UNSUPPORTED);
	return NULL;
}

const struct script uwc_streams[] = {
	{ "streams", true, streams },
	{ "streams-single", true, single },
	{ "streams-dropped", true, dropped },
	{ "streams-halted", true, halted },
	{ "streams-waiting", true, waiting },
	{ "streams-too-late", true, too_late },
	{ "streams-interrupted", true, interrupted },
	{ "no-streams", true, no_streams },
	{ "streams-fail", true, streams_come_and_go },
	{ NULL, false, NULL },
};
