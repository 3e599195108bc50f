/* SPDX-License-Identifier: GPL-2.0-only */
/* What a guest does with a device, one thing at a time. The device is the model zero with pattern 1. */
#include "client.h"

enum { BULK_OUT = 0x01, BULK_IN = 0x81, ISO_OUT = 0x02, ISO_IN = 0x82 };
enum { SINK = 3, LOOP = 2 };

static uint32_t packet_of(struct link *l)
{
	return l->peer->dev.speed == UW_SPEED_SUPER ? 1024 : l->peer->dev.speed == UW_SPEED_HIGH ? 512 : 64;
}

static uint8_t pattern(uint32_t i, uint32_t packet)
{
	return (uint8_t)(i % packet % 63);
}

static const char *connect_rules(struct link *l)
{
	DEVICE_OBJECT *device;
	struct uw_peer *peer;
	FILE_OBJECT *file;

	CHECK(NT_SUCCESS(uwc_find(&file, &device)));
	CHECK_IS(uwc_connect(device, file, sizeof(struct uw_peer_connect), UW_PEER_VERSION, &peer), STATUS_DEVICE_BUSY);
	CHECK_IS(uwc_connect(device, file, 8, UW_PEER_VERSION, &peer), STATUS_INVALID_PARAMETER);
	CHECK_IS(uwc_connect(device, file, sizeof(struct uw_peer_connect), UW_PEER_VERSION + 1, &peer),
		 STATUS_REVISION_MISMATCH);
	ObDereferenceObject(file);
	CHECK_IS(uwc_connect(l->device, l->file, sizeof(struct uw_peer_connect), UW_PEER_VERSION, &peer),
		 STATUS_DEVICE_BUSY);
	return NULL;
}

static const char *enumerate_once(struct link *l)
{
	const uint8_t *d = l->region;
	uint32_t actual, total;

	CHECK_IS(uwc_open(l), UW_ST_OK);
	CHECK_IS(uwc_control(l, 0x80, 6, 0x0100, 0, 18, &actual), UW_ST_OK);
	CHECK_IS(actual, 18);
	CHECK_IS(d[8] | d[9] << 8, l->peer->dev.vendor);
	CHECK_IS(d[10] | d[11] << 8, l->peer->dev.product);
	CHECK_IS(uwc_control(l, 0x80, 6, 0x0200, 0, 9, &actual), UW_ST_OK);
	total = (uint32_t)(d[2] | d[3] << 8);
	CHECK_IS(uwc_control(l, 0x80, 6, 0x0200, 0, 4096, &actual), UW_ST_OK);
	CHECK_IS(actual, total); /* a short answer is an answer */
	CHECK_IS(uwc_control(l, 0x80, 6, 0x7f00, 7, 64, &actual), UW_ST_STALL);
	CHECK_IS(uwc_control(l, 0x80, 8, 0, 0, 1, &actual), UW_ST_OK);
	CHECK_IS(d[0], 0);
	uwc_close(l);
	return NULL;
}

static const char *enumerate(struct link *l)
{
	const char *failed = NULL;
	uint32_t i;

	CHECK(l->peer->dev.vendor == 0x0525 && l->peer->dev.product == 0xa4a0);
	CHECK(l->peer->dev.description[0] == 'U');
	CHECK_IS(l->peer->dev.class_code, 0xff);
	for (i = 0; i < 3 && !failed; i++)
		failed = enumerate_once(l);
	return failed;
}

static uint32_t transfer(struct link *l, uint8_t endpoint, uint32_t length, uint8_t flags, uint32_t *actual)
{
	struct request *r = uwc_data(l, 0, endpoint, 0, length, flags);

	uwc_go(r);
	if (!uwc_wait(r))
		return UW_ST_COUNT;
	*actual = r->io.actual;
	return r->io.status;
}

static const char *configure(struct link *l)
{
	uint32_t actual;

	CHECK_IS(uwc_control(l, 0x80, 8, 0, 0, 1, NULL), UW_ST_OK);
	CHECK_IS(l->region[0], SINK);
	CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_OK);
	CHECK_IS(transfer(l, 0x85, 512, 0, &actual), UW_ST_NO_ENDPOINT);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 77, 0), UW_ST_NO_ENDPOINT);
	CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_OK); /* nothing was changed by that */
	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	CHECK_IS(uwc_control(l, 0x81, 10, 0, 0, 1, NULL), UW_ST_OK);
	CHECK_IS(l->region[0], 1);
	CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_OK);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 9), UW_ST_NO_ENDPOINT);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 7, 0), UW_ST_NO_ENDPOINT);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 0), UW_ST_OK);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, 0, 0), UW_ST_OK);
	CHECK_IS(uwc_control(l, 0x80, 8, 0, 0, 1, NULL), UW_ST_OK);
	CHECK_IS(l->region[0], 0);
	CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_NO_ENDPOINT);
	CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_IN, 0), UW_ST_NO_ENDPOINT);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, LOOP, 0), UW_ST_OK);
	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, SINK, 0), UW_ST_OK);
	CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_OK);
	return NULL;
}

static const char *bulk(struct link *l)
{
	static const uint32_t length[] = { 0, 1, 63, 511, 512, 513, 4095, 4096, 4097, 65536, 65537, 1 << 20 };
	uint32_t i, k, actual, packet = packet_of(l);

	for (i = 0; i < UW_COUNT_OF(length) * l->rounds; i++) {
		uint32_t n = length[i % UW_COUNT_OF(length)], at = uwc_random(l) % 8192;
		struct request *r = uwc_data(l, 0, BULK_IN, at, n, 0);

		uw_zero(l->region + at, n);
		l->region[at + n] = 0xa5;
		uwc_go(r);
		CHECK(uwc_wait(r));
		CHECK_IS(r->io.status, UW_ST_OK);
		CHECK_IS(r->io.actual, n);
		CHECK_IS(r->io.copied, 0);
		for (k = 0; k < n; k++)
			CHECK_IS(l->region[at + k], pattern(k, packet));
		CHECK_IS(l->region[at + n], 0xa5);
		for (k = 0; k < n; k++)
			l->region[k] = pattern(k, packet);
		CHECK_IS(transfer(l, BULK_OUT, n, 0, &actual), UW_ST_OK);
		CHECK_IS(actual, n);
	}
	return NULL;
}

/* Many at once on both endpoints, in the order in which they were submitted. */
static const char *queue(struct link *l)
{
	uint32_t i, k, round, packet = packet_of(l);

	for (k = 0; k < 4096; k++)
		l->region[k] = pattern(k, packet);
	for (round = 0; round < l->rounds; round++) {
		for (i = 0; i < 200; i++)
			uwc_go(i & 1 ? uwc_data(l, i, BULK_OUT, 0, 4096, 0) :
				       uwc_data(l, i, BULK_IN, 65536 + i * 8192, 1 + uwc_random(l) % 8192, 0));
		for (i = 0; i < 200; i++) {
			CHECK(uwc_wait(&l->request[i]));
			CHECK_IS(l->request[i].io.status, UW_ST_OK);
			CHECK_IS(l->request[i].io.actual, l->request[i].io.length);
		}
	}
	return NULL;
}

/* In the loop configuration a message ends with a short or an empty packet, and only then. */
static const char *empty_packet(struct link *l)
{
	uint32_t actual, packet = packet_of(l), i;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, LOOP, 0), UW_ST_OK);
	for (i = 0; i < l->rounds; i++) {
		CHECK_IS(transfer(l, BULK_OUT, packet, UW_SUBMIT_ZERO_PACKET, &actual), UW_ST_OK);
		CHECK_IS(actual, packet);
		CHECK_IS(transfer(l, BULK_IN, 3 * packet, 0, &actual), UW_ST_OK);
		CHECK_IS(actual, packet);
		CHECK_IS(transfer(l, BULK_OUT, packet, 0, &actual), UW_ST_OK);
		CHECK_IS(transfer(l, BULK_OUT, 7, UW_SUBMIT_ZERO_PACKET, &actual), UW_ST_OK);
		CHECK_IS(transfer(l, BULK_IN, 3 * packet, 0, &actual), UW_ST_OK);
		CHECK_IS(actual, packet + 7);
	}
	/* Several in a row keep their order, also behind an empty packet. */
	for (i = 0; i < 3; i++)
		uwc_go(uwc_data(l, 10 + i, BULK_OUT, 0, packet, i == 1 ? 0 : UW_SUBMIT_ZERO_PACKET));
	CHECK_IS(transfer(l, BULK_IN, 4 * packet, 0, &actual), UW_ST_OK);
	CHECK_IS(actual, packet);
	CHECK_IS(transfer(l, BULK_IN, 4 * packet, 0, &actual), UW_ST_OK);
	CHECK_IS(actual, 2 * packet);
	for (i = 0; i < 3; i++)
		CHECK(uwc_wait(&l->request[10 + i]) && l->request[10 + i].io.status == UW_ST_OK);
	return NULL;
}

static const char *control(struct link *l)
{
	static const uint16_t length[] = { 0, 1, 8, 64, 65, 512, 4096 };
	uint32_t i, k, actual, round;

	for (round = 0; round < l->rounds; round++)
		for (i = 0; i < UW_COUNT_OF(length); i++) {
			for (k = 0; k < length[i]; k++)
				l->region[k] = (uint8_t)(k * 7 + round);
			CHECK_IS(uwc_control(l, 0x40, 0x5b, 0, 0, length[i], &actual), UW_ST_OK);
			CHECK_IS(actual, length[i]);
			uw_zero(l->region, length[i]);
			CHECK_IS(uwc_control(l, 0xc0, 0x5c, 0, 0, length[i], &actual), UW_ST_OK);
			CHECK_IS(actual, length[i]);
			for (k = 0; k < length[i]; k++)
				CHECK_IS(l->region[k], (uint8_t)(k * 7 + round));
		}
	return NULL;
}

/* The sink stalls for bytes that are not its pattern. */
static const char *halt(struct link *l)
{
	uint32_t actual, i;

	for (i = 0; i < l->rounds; i++) {
		l->region[0] = 200;
		CHECK_IS(transfer(l, BULK_OUT, 16, 0, &actual), UW_ST_STALL);
		CHECK_IS(transfer(l, BULK_OUT, 16, 0, &actual), UW_ST_STALL);
		CHECK_IS(transfer(l, BULK_IN, 16, 0, &actual), UW_ST_OK);
		CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_OUT, 0), UW_ST_OK);
		uw_zero(l->region, 1);
		CHECK_IS(transfer(l, BULK_OUT, 1, 0, &actual), UW_ST_OK);
		/* By the host's own request. */
		CHECK_IS(uwc_control(l, 0x02, 3, 0, BULK_IN, 0, NULL), UW_ST_OK);
		CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_STALL);
		CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_IN, 0), UW_ST_OK);
		CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_OK);
		CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_IN, 0), UW_ST_OK); /* of one that is not halted */
	}
	return NULL;
}

/* An endpoint whose halt is cleared gives up what it has, and takes what comes meanwhile. */
static const char *clear_busy(struct link *l)
{
	struct request *verb = uwc_request(l, 50);
	uint32_t i, round;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, LOOP, 0), UW_ST_OK);
	for (round = 0; round < l->rounds; round++) {
		for (i = 0; i < 20; i++)
			uwc_go(uwc_data(l, i, BULK_IN, 0, 512, 0));
		verb = uwc_request(l, 50);
		verb->io.verb = UW_VERB_CLEAR_HALT;
		verb->io.arg[0] = BULK_IN;
		uwc_go(verb);
		for (i = 20; i < 30; i++)
			uwc_go(uwc_data(l, i, BULK_IN, 0, 512, 0));
		CHECK(uwc_wait(verb));
		CHECK_IS(verb->io.status, UW_ST_OK);
		for (i = 0; i < 20; i++) {
			CHECK(uwc_wait(&l->request[i]));
			CHECK_IS(l->request[i].io.status, UW_ST_CANCELLED);
		}
		for (i = 20; i < 30; i++)
			uwc_cancel(&l->request[i]);
		for (i = 20; i < 30; i++)
			CHECK(uwc_wait(&l->request[i]));
	}
	return NULL;
}

static const char *reset(struct link *l)
{
	uint32_t actual, i;

	for (i = 0; i < l->rounds; i++) {
		CHECK_IS(uwc_verb(l, UW_VERB_RESET, 0, 0), UW_ST_OK);
		CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_NO_ENDPOINT);
		CHECK_IS(uwc_control(l, 0x80, 6, 0x0100, 0, 18, &actual), UW_ST_OK);
		CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, SINK, 0), UW_ST_OK);
		CHECK_IS(transfer(l, BULK_IN, 512, 0, &actual), UW_ST_OK);
	}
	CHECK_IS(uwc_verb(l, UW_VERB_SUSPEND, 0, 0), UW_ST_OK);
	CHECK_IS(uwc_verb(l, UW_VERB_RESUME, 0, 0), UW_ST_OK);
	CHECK_IS(uwc_verb(l, UW_VERB_ALLOC_STREAMS, 16, 0), UW_ST_UNSUPPORTED);
	CHECK_IS(uwc_verb(l, UW_VERB_FREE_STREAMS, 0, 0), UW_ST_UNSUPPORTED);
	CHECK_IS(l->gone, 0);
	return NULL;
}

/* ---- isochronous ---- */

/* Each submission is one URB here, and each packet a run of its own when there are gaps. */
static const char *check_iso(struct link *l, struct request *r, uint32_t gaps)
{
	uint32_t i, k, sum = 0, runs = gaps ? r->io.packets : 1;

	CHECK(uwc_wait(r));
	CHECK_IS(r->io.status, UW_ST_OK);
	for (i = 0; i < r->io.packets; i++) {
		struct uw_iso *p = &r->iso[i];

		if (p->status == UW_ST_LATE)
			continue;
		CHECK_IS(p->status, UW_ST_OK);
		CHECK_IS(p->actual, p->length);
		sum += p->actual;
		for (k = 0; r->io.endpoint & 0x80 && k < p->actual; k++)
			CHECK_IS(r->io.data[p->offset + k], pattern(k, 1024));
	}
	CHECK_IS(r->io.actual, sum);
	CHECK_IS(r->io.copied, runs > (l->chains ? RUNS : 1) ? sum : 0);
	return NULL;
}

/* Eight submissions of various length in flight, each sent again when it is back. */
static const char *stream(struct link *l, uint8_t endpoint, uint32_t length, uint32_t stride)
{
	const char *failed = NULL;
	uint32_t i, k;

	for (k = 0; k < 8 * 65536u; k++)
		l->region[k] = pattern(k % stride, 1024);
	for (i = 0; i < 8; i++)
		uwc_go(uwc_iso(l, i, endpoint, i * 65536, 1 + uwc_random(l) % 32, length, stride));
	for (i = 0; i < 30 * l->rounds && !failed; i++) {
		failed = check_iso(l, &l->request[i % 8], stride - length);
		if (!failed)
			uwc_go(uwc_iso(l, i % 8, endpoint, i % 8 * 65536, 1 + uwc_random(l) % 32, length, stride));
	}
	for (i = 0; i < 8; i++)
		CHECK(uwc_wait(&l->request[i]));
	return failed;
}

static const char *iso(struct link *l)
{
	uint32_t length = l->peer->dev.speed == UW_SPEED_FULL ? 256 : 1024;
	const char *failed;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	failed = stream(l, ISO_IN, length, length);
	if (!failed)
		failed = stream(l, ISO_OUT, length, length);
	if (!failed)
		failed = stream(l, ISO_IN, length - 24, length); /* gaps */
	return failed ? failed : stream(l, ISO_OUT, 100, 128);
}

/* What the bus cannot do is told packet by packet. */
static const char *iso_odd(struct link *l)
{
	uint32_t length = l->peer->dev.speed == UW_SPEED_FULL ? 256 : 1024, i;
	struct request *r;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	r = uwc_iso(l, 0, ISO_OUT, 0, 8, 10, 2048);
	r->iso[3].length = length + 1;
	r->iso[5].length = 0;
	uwc_go(r);
	CHECK(uwc_wait(r));
	CHECK_IS(r->io.status, UW_ST_OK);
	for (i = 0; i < 8; i++)
		CHECK_IS(r->iso[i].status, i == 3 ? UW_ST_INVALID : UW_ST_OK);
	CHECK_IS(r->io.actual, 60);
	r = uwc_iso(l, 0, ISO_IN, 0, 8, length + 500, 4096);
	uwc_go(r);
	CHECK(uwc_wait(r));
	CHECK_IS(r->io.status, UW_ST_OK);
	CHECK_IS(r->io.actual, 8 * length);
	for (i = 0; i < 16; i++) {
		r = uwc_iso(l, 0, ISO_OUT, 0, 16, 0, 8); /* silence */
		uwc_go(r);
		CHECK(uwc_wait(r));
		CHECK_IS(r->io.status, UW_ST_OK);
	}
	return NULL;
}

const struct script uwc_basic[] = {
	{ "connect", false, connect_rules },
	{ "enumerate", false, enumerate },
	{ "configure", true, configure },
	{ "bulk", true, bulk },
	{ "queue", true, queue },
	{ "empty-packet", true, empty_packet },
	{ "control", true, control },
	{ "halt", true, halt },
	{ "clear-busy", true, clear_busy },
	{ "reset", true, reset },
	{ "iso", true, iso },
	{ "iso-odd", true, iso_odd },
	{ NULL, false, NULL },
};
