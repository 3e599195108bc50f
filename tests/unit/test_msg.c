/* SPDX-License-Identifier: GPL-2.0-only */
/* The codec: what goes in comes out, every reserved byte counts, and every malformed field has its reason, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "msg.h"

#define SIZE (8u << 20)

static struct uw_layout layout;

static int setup(void **state)
{
	(void)state;
	uw_layout_default(&layout, SIZE);
	return 0;
}

/* ---- good messages ---- */

enum kind { HELLO, CONTROL_IN, CONTROL_NONE, BULK_OUT, BULK_STREAM, INTERRUPT, ISOCH, CANCEL, PORT, ALLOC, FREE, ACK, STATS,
	    BYE, KINDS };

static struct uw_ask submit(uint8_t transfer, uint8_t endpoint, uint32_t length)
{
	struct uw_ask a = { .type = UW_SUB_SUBMIT, .id = UW_ID(5, 3), .port = 2 };

	a.u.submit.transfer = transfer;
	a.u.submit.endpoint = endpoint;
	a.u.submit.data = 4096;
	a.u.submit.length = length;
	return a;
}

static struct uw_ask good(enum kind k)
{
	struct uw_ask a = { .type = UW_SUB_BYE };

	switch (k) {
	case HELLO:
		a.type = UW_SUB_HELLO;
		a.u.hello.version_min = a.u.hello.version_max = 1;
		a.u.hello.incarnation = 0x12345678;
		a.u.hello.features = UW_FEATURE_STATS;
		memcpy(a.u.hello.name, "a guest of 32 letters, no more!!", 33);
		break;
	case CONTROL_IN:
		a = submit(UW_CONTROL, 0x80, 18);
		memcpy(a.u.submit.setup, "\x80\x06\0\1\0\0\x12\0", 8);
		break;
	case CONTROL_NONE:
		a = submit(UW_CONTROL, 0, 0);
		memcpy(a.u.submit.setup, "\0\x09\1\0\0\0\0\0", 8);
		break;
	case BULK_OUT:
		a = submit(UW_BULK, 0x01, 512);
		a.flags = UW_SUBMIT_ZERO_PACKET;
		break;
	case BULK_STREAM:
		a = submit(UW_BULK, 0x8f, 1000);
		a.flags = UW_SUBMIT_SHORT_NOT_OK;
		a.u.submit.stream = UW_STREAMS_MAX;
		break;
	case INTERRUPT:
		a = submit(UW_INTERRUPT, 0x83, 8);
		a.u.submit.interval = 8;
		break;
	case ISOCH:
		a = submit(UW_ISOCH, 0x84, 300);
		a.u.submit.table = 4096 + 512;
		a.u.submit.packets = 3;
		a.u.submit.interval = 1;
		break;
	case CANCEL:
		a.type = UW_SUB_CANCEL;
		a.id = 0xffffffff;
		break;
	case PORT:
		a.type = UW_SUB_PORT;
		a.id = UW_ID(4095, 0xffff);
		a.port = 30;
		a.u.request = UW_PORT_POWER_OFF;
		break;
	case ALLOC:
	case FREE:
		a.type = k == ALLOC ? UW_SUB_STREAMS_ALLOC : UW_SUB_STREAMS_FREE;
		a.id = 7;
		a.port = 16;
		a.u.streams.streams = k == ALLOC ? 16 : 0;
		a.u.streams.count = UW_STREAM_ENDPOINTS;
		memset(a.u.streams.endpoint, 0x81, sizeof(a.u.streams.endpoint));
		break;
	case ACK:
		a.type = UW_SUB_EVENT_ACK;
		a.port = 1;
		a.u.seq = 0xfffffffe;
		break;
	case STATS:
		a.type = UW_SUB_STATS;
		a.id = 9;
		a.u.first = 0xffff;
		break;
	default:
		break;
	}
	return a;
}

static void encode(enum kind k, struct uw_slot *slot)
{
	struct uw_ask a = good(k);

	memset(slot, 0xa5, sizeof(*slot));
	uw_ask_encode(&a, slot);
	uw_msg_stamp(slot, 0x10007, 99);
}

static void test_round_trip(void **state)
{
	struct uw_ask a, b;
	struct uw_slot slot;
	int k;

	(void)state;
	for (k = 0; k < KINDS; k++) {
		a = good((enum kind)k);
		encode((enum kind)k, &slot);
		memset(&b, 0, sizeof(b));
		assert_int_equal(uw_ask_decode(&slot, &layout, &b), UW_WHY_NONE);
		assert_int_equal(b.type, a.type);
		assert_int_equal(b.id, a.id);
		assert_int_equal(b.flags, a.flags);
		assert_int_equal(b.port, a.port);
		assert_memory_equal(&b.u, &a.u, a.type == UW_SUB_BYE || a.type == UW_SUB_CANCEL ? 0 : sizeof(a.u));
		assert_int_equal(slot.epoch, 7);
		assert_int_equal(slot.consumed, 99);
	}
}

/* ---- reserved bytes ---- */

static void test_every_reserved_byte_counts(void **state)
{
	static const struct {
		enum kind kind;
		uint8_t first, last; /* of the body */
	} cases[] = {
		{ CONTROL_IN, 27, 27 }, { CONTROL_IN, 30, 47 },   { CONTROL_IN, 8, 15 },  { BULK_OUT, 27, 27 }, { BULK_OUT, 30, 47 },
		{ BULK_OUT, 8, 13 },    { BULK_OUT, 16, 23 },     { BULK_STREAM, 16, 23 }, { INTERRUPT, 8, 23 }, { ISOCH, 14, 23 },
		{ ISOCH, 27, 27 },      { ISOCH, 30, 47 },        { CANCEL, 0, 47 },      { PORT, 2, 47 },      { ALLOC, 34, 47 },
		{ FREE, 34, 47 },       { ACK, 1, 3 },            { ACK, 8, 47 },         { STATS, 2, 47 },     { BYE, 0, 47 },
	};
	struct uw_slot slot;
	struct uw_ask a;
	uint32_t i, at, bit;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++)
		for (at = cases[i].first; at <= cases[i].last; at++)
			for (bit = 0; bit < 8; bit++) {
				encode(cases[i].kind, &slot);
				slot.u.body[at] = (uint8_t)(1 << bit);
				if (uw_ask_decode(&slot, &layout, &a) != UW_WHY_RESERVED)
					fail_msg("kind %d byte %u bit %u is not checked", cases[i].kind, at, bit);
				assert_int_equal(a.id, good(cases[i].kind).id); /* the answer needs it */
			}
}

/* ---- fields ---- */

enum { DATA = 0, LENGTH = 4, TABLE = 8, PACKETS = 12, STREAM = 14, SETUP = 16, PORT_AT = 24, ENDPOINT = 25, TRANSFER = 26,
       INTERVAL = 28 };

struct change {
	enum kind kind;
	uint8_t at, bytes;
	uint32_t value;
	enum uw_why why;
};

/* Of a data part of data_size bytes, transfer_max 1 MiB, 30 ports, packets_max 1024. */
static const struct change changes[] = {
	{ CONTROL_IN, PORT_AT, 1, 0, UW_WHY_PORT },
	{ CONTROL_IN, PORT_AT, 1, 30, UW_WHY_NONE },
	{ CONTROL_IN, PORT_AT, 1, 31, UW_WHY_PORT },
	{ CONTROL_IN, PORT_AT, 1, 255, UW_WHY_PORT },
	{ CONTROL_IN, ENDPOINT, 1, 0x90, UW_WHY_ENDPOINT },
	{ CONTROL_IN, ENDPOINT, 1, 0xc0, UW_WHY_ENDPOINT },
	{ CONTROL_IN, ENDPOINT, 1, 0x83, UW_WHY_NONE },
	{ CONTROL_IN, ENDPOINT, 1, 0x00, UW_WHY_SETUP },
	{ CONTROL_IN, TRANSFER, 1, UW_BULK, UW_WHY_RESERVED },
	{ CONTROL_IN, TRANSFER, 1, 4, UW_WHY_ENDPOINT },
	{ CONTROL_IN, LENGTH, 4, 17, UW_WHY_SETUP },
	{ CONTROL_IN, LENGTH, 4, 18 + 65536, UW_WHY_SETUP },
	{ CONTROL_IN, SETUP, 1, 0x00, UW_WHY_SETUP },
	{ CONTROL_IN, SETUP + 6, 2, 19, UW_WHY_SETUP },
	{ CONTROL_IN, INTERVAL, 2, 1, UW_WHY_INTERVAL },
	{ CONTROL_IN, DATA, 4, 0xffffffff, UW_WHY_RANGE },
	{ CONTROL_NONE, SETUP, 1, 0x80, UW_WHY_NONE }, /* no data stage: the direction says nothing */
	{ CONTROL_NONE, SETUP, 2, 0x0500, UW_WHY_SETUP }, /* SET_ADDRESS */
	{ CONTROL_NONE, SETUP, 2, 0x0501, UW_WHY_NONE },
	{ CONTROL_NONE, ENDPOINT, 1, 0x80, UW_WHY_NONE },
	{ BULK_OUT, ENDPOINT, 1, 0x00, UW_WHY_ENDPOINT },
	{ BULK_OUT, ENDPOINT, 1, 0x81, UW_WHY_ENDPOINT }, /* zero packet on IN */
	{ BULK_OUT, ENDPOINT, 1, 0x0f, UW_WHY_NONE },
	{ BULK_OUT, ENDPOINT, 1, 0x41, UW_WHY_ENDPOINT },
	{ BULK_OUT, TRANSFER, 1, UW_INTERRUPT, UW_WHY_ENDPOINT }, /* zero packet on interrupt */
	{ BULK_OUT, LENGTH, 4, 0, UW_WHY_NONE },
	{ BULK_OUT, LENGTH, 4, 1u << 20, UW_WHY_NONE },
	{ BULK_OUT, LENGTH, 4, (1u << 20) + 1, UW_WHY_LENGTH },
	{ BULK_OUT, LENGTH, 4, 0xffffffff, UW_WHY_LENGTH },
	{ BULK_OUT, LENGTH, 4, 0xfffff000, UW_WHY_LENGTH },
	{ BULK_OUT, DATA, 4, SIZE, UW_WHY_RANGE },
	{ BULK_OUT, DATA, 4, 0xffffff00, UW_WHY_RANGE },
	{ BULK_OUT, STREAM, 2, UW_STREAMS_MAX + 1, UW_WHY_STREAM },
	{ BULK_OUT, STREAM, 2, 1, UW_WHY_NONE },
	{ BULK_OUT, INTERVAL, 2, 1, UW_WHY_INTERVAL },
	{ BULK_STREAM, ENDPOINT, 1, 0x0f, UW_WHY_ENDPOINT }, /* short not ok on OUT */
	{ INTERRUPT, INTERVAL, 2, 0, UW_WHY_INTERVAL },
	{ INTERRUPT, INTERVAL, 2, 0xffff, UW_WHY_NONE },
	{ INTERRUPT, TRANSFER, 1, UW_ISOCH, UW_WHY_PACKETS },
	{ INTERRUPT, TRANSFER, 1, 4, UW_WHY_TRANSFER },
	{ INTERRUPT, TRANSFER, 1, 255, UW_WHY_TRANSFER },
	{ ISOCH, PACKETS, 2, 0, UW_WHY_PACKETS },
	{ ISOCH, PACKETS, 2, 1024, UW_WHY_NONE },
	{ ISOCH, PACKETS, 2, 1025, UW_WHY_PACKETS },
	{ ISOCH, PACKETS, 2, 0xffff, UW_WHY_PACKETS },
	{ ISOCH, TABLE, 4, 4096 + 520, UW_WHY_TABLE },
	{ ISOCH, TABLE, 4, 4096, UW_WHY_TABLE },
	{ ISOCH, TABLE, 4, 4096 - 48, UW_WHY_NONE },
	{ ISOCH, TABLE, 4, 4096 - 32, UW_WHY_TABLE },
	{ ISOCH, TABLE, 4, 4096 + 288, UW_WHY_TABLE },
	{ ISOCH, TABLE, 4, 4096 + 304, UW_WHY_NONE },
	{ ISOCH, TABLE, 4, 0xfffffff0, UW_WHY_TABLE },
	{ ISOCH, TABLE, 4, SIZE, UW_WHY_TABLE },
	{ ISOCH, LENGTH, 4, 0, UW_WHY_NONE },
	{ ISOCH, INTERVAL, 2, 0, UW_WHY_INTERVAL },
	{ ISOCH, TRANSFER, 1, UW_INTERRUPT, UW_WHY_RESERVED },
	{ PORT, 0, 1, 0, UW_WHY_PORT },
	{ PORT, 0, 1, 31, UW_WHY_PORT },
	{ PORT, 1, 1, 0, UW_WHY_REQUEST },
	{ PORT, 1, 1, 6, UW_WHY_REQUEST },
	{ PORT, 1, 1, 255, UW_WHY_REQUEST },
	{ ALLOC, 0, 1, 0, UW_WHY_PORT },
	{ ALLOC, 0, 1, 31, UW_WHY_PORT },
	{ ALLOC, 1, 1, 0, UW_WHY_RESERVED }, /* endpoints past count */
	{ ALLOC, 1, 1, 29, UW_WHY_RESERVED },
	{ ALLOC, 1, 1, 31, UW_WHY_ENDPOINT },
	{ ALLOC, 1, 1, 255, UW_WHY_ENDPOINT },
	{ ALLOC, 2, 2, 0, UW_WHY_STREAM },
	{ ALLOC, 2, 2, UW_STREAMS_MAX, UW_WHY_NONE },
	{ ALLOC, 2, 2, UW_STREAMS_MAX + 1, UW_WHY_STREAM },
	{ ALLOC, 2, 2, 0xffff, UW_WHY_STREAM },
	{ ALLOC, 4, 1, 0x80, UW_WHY_ENDPOINT },
	{ ALLOC, 33, 1, 0x11, UW_WHY_ENDPOINT },
	{ FREE, 2, 2, 1, UW_WHY_STREAM },
	{ ACK, 0, 1, 0, UW_WHY_PORT },
	{ ACK, 0, 1, 31, UW_WHY_PORT },
	{ HELLO, 16, 1, 0x1f, UW_WHY_RESERVED }, /* names are printable, then zeros */
	{ HELLO, 16, 1, 0, UW_WHY_RESERVED },
	{ HELLO, 47, 1, 0, UW_WHY_NONE },
	{ HELLO, 47, 1, 0x7f, UW_WHY_RESERVED },
	{ HELLO, 47, 1, 0xe4, UW_WHY_RESERVED },
};

static void test_fields(void **state)
{
	struct uw_slot slot;
	struct uw_ask a;
	enum uw_why why;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(changes); i++) {
		encode(changes[i].kind, &slot);
		memcpy(slot.u.body + changes[i].at, &changes[i].value, changes[i].bytes);
		why = uw_ask_decode(&slot, &layout, &a);
		if (why != changes[i].why)
			fail_msg("case %u: why %d, expected %d", i, why, changes[i].why);
	}
}

static void test_data_ends_with_the_data_part(void **state)
{
	struct uw_slot slot;
	struct uw_ask a;

	(void)state;
	encode(BULK_OUT, &slot);
	slot.u.submit.data = layout.data_size - 512;
	assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_NONE);
	slot.u.submit.data++;
	assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_RANGE);
	slot.u.submit.length = 0;
	slot.u.submit.data = layout.data_size;
	assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_NONE);
	encode(ISOCH, &slot);
	slot.u.submit.table = layout.data_size - 48;
	assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_NONE);
	slot.u.submit.table += 16;
	assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_TABLE);
}

static void test_header(void **state)
{
	struct uw_slot slot;
	struct uw_ask a;
	uint32_t type, bit;
	int k;

	(void)state;
	for (type = 0; type < 256; type++) {
		encode(BYE, &slot);
		slot.type = (uint8_t)type;
		if (type < UW_SUB_HELLO || type > UW_SUB_BYE)
			assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_TYPE);
	}
	for (k = 0; k < KINDS; k++)
		for (bit = 0; bit < 8; bit++) {
			encode((enum kind)k, &slot);
			slot.flags = (uint8_t)(1 << bit);
			if (good((enum kind)k).type != UW_SUB_SUBMIT || bit > 1)
				assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_FLAGS);
		}
	for (k = 0; k < KINDS; k++) {
		encode((enum kind)k, &slot);
		slot.id = UW_ID(layout.transfers, 1);
		type = good((enum kind)k).type;
		assert_int_equal(uw_ask_decode(&slot, &layout, &a),
				 type == UW_SUB_CANCEL ? UW_WHY_NONE
				 : type == UW_SUB_HELLO || type == UW_SUB_EVENT_ACK || type == UW_SUB_BYE ? UW_WHY_RESERVED
													: UW_WHY_ID);
		assert_int_equal(a.id, UW_ID(layout.transfers, 1));
	}
}

/* A submit with every fault at once; put right one by one, each reason comes in its turn. */
static void test_reasons_come_in_order(void **state)
{
	enum uw_why why, last = UW_WHY_NONE;
	struct uw_slot slot;
	struct uw_ask a;
	int repair;

	(void)state;
	encode(ISOCH, &slot);
	slot.id = 0xffff;
	slot.flags = 0xff;
	slot.u.submit.reserved0 = 1;
	slot.u.submit.port = 0;
	slot.u.submit.endpoint = 0xf0;
	slot.u.submit.transfer = 9;
	slot.u.submit.length = slot.u.submit.data = slot.u.submit.table = 0xffffffff;
	slot.u.submit.packets = 0xffff;
	slot.u.submit.interval = 0;
	for (repair = 0; repair < 11; repair++) {
		why = uw_ask_decode(&slot, &layout, &a);
		assert_true(why > last);
		last = why;
		switch (repair) {
		case 0: slot.id = 5; break;
		case 1: slot.flags = 0; break;
		case 2: slot.u.submit.reserved0 = 0; break;
		case 3: slot.u.submit.port = 1; break;
		case 4: slot.u.submit.endpoint = 0x84; break;
		case 5: slot.u.submit.transfer = UW_ISOCH; break;
		case 6: slot.u.submit.length = 300; break;
		case 7: slot.u.submit.data = 4096; break;
		case 8: slot.u.submit.packets = 3; break;
		case 9: slot.u.submit.table = 8192; break;
		default: slot.u.submit.interval = 1; break;
		}
	}
	assert_int_equal(last, UW_WHY_INTERVAL);
	assert_int_equal(uw_ask_decode(&slot, &layout, &a), UW_WHY_NONE);
}

/* ---- completions ---- */

static struct uw_answer answer(uint8_t type)
{
	struct uw_answer a = { .type = type };
	uint32_t i;

	switch (type) {
	case UW_COMP_WELCOME:
		a.u.welcome.version = 1;
		a.u.welcome.epoch = 0xfffffff7;
		a.u.welcome.features = 3;
		memcpy(a.u.welcome.name, "host", 5);
		break;
	case UW_COMP_COMPLETE:
		a.id = 0x70005;
		a.u.complete.status = UW_ST_INVALID;
		a.u.complete.why = UW_WHY_STATE;
		a.u.complete.actual = 0xffffffff;
		a.u.complete.errors = 3;
		break;
	case UW_COMP_EVENT:
		a.port = 15;
		a.u.event.speed = UW_SPEED_HIGH;
		a.u.event.changes = UW_EVENTS;
		a.u.event.seq = 9;
		break;
	case UW_COMP_STATS:
		a.id = 1;
		a.u.stats.first = 20;
		a.u.stats.count = 5;
		a.u.stats.total = 28;
		for (i = 0; i < 5; i++)
			a.u.stats.value[i] = ~(uint64_t)i;
		break;
	default:
		break;
	}
	return a;
}

static void encode_answer(uint8_t type, struct uw_slot *slot)
{
	struct uw_answer a = answer(type);

	memset(slot, 0xa5, sizeof(*slot));
	uw_answer_encode(&a, slot);
	uw_msg_stamp(slot, 7, 3);
}

static void test_answers_round_trip(void **state)
{
	struct uw_answer a, b;
	struct uw_slot slot;
	uint8_t type;

	(void)state;
	for (type = UW_COMP_WELCOME; type <= UW_COMP_BYE; type++) {
		a = answer(type);
		encode_answer(type, &slot);
		memset(&b, 0, sizeof(b));
		assert_true(uw_answer_decode(&slot, &layout, &b));
		assert_int_equal(b.id, a.id);
		assert_int_equal(b.port, a.port);
		assert_memory_equal(&b.u, &a.u, sizeof(a.u));
	}
}

static void test_impossible_answers(void **state)
{
	static const struct {
		uint8_t type, at, bytes; /* of the slot */
		uint32_t value;
		bool good;
	} cases[] = {
		{ UW_COMP_WELCOME, 7, 1, 1, false },        { UW_COMP_WELCOME, 12, 4, 1, false },
		{ UW_COMP_WELCOME, 18, 2, UW_ST_COUNT, false }, { UW_COMP_WELCOME, 18, 2, UW_ST_HOST, true },
		{ UW_COMP_WELCOME, 32, 1, 7, false },       { UW_COMP_WELCOME, 37, 1, 'x', false },
		{ UW_COMP_COMPLETE, 7, 1, 0x80, false },    { UW_COMP_COMPLETE, 16, 2, UW_ST_COUNT, false },
		{ UW_COMP_COMPLETE, 16, 2, UW_ST_OK, false }, { UW_COMP_COMPLETE, 18, 2, UW_WHY_COUNT, false },
		{ UW_COMP_COMPLETE, 18, 2, 0, false },      { UW_COMP_COMPLETE, 18, 2, UW_WHY_ID, true },
		{ UW_COMP_COMPLETE, 28, 1, 1, false },      { UW_COMP_COMPLETE, 63, 1, 1, false },
		{ UW_COMP_EVENT, 12, 4, 5, false },         { UW_COMP_EVENT, 16, 1, 0, false },
		{ UW_COMP_EVENT, 16, 1, 31, false },        { UW_COMP_EVENT, 16, 1, 16, false }, /* high speed on USB 3 */
		{ UW_COMP_EVENT, 17, 1, UW_SPEED_SUPER, false }, { UW_COMP_EVENT, 17, 1, 5, false },
		{ UW_COMP_EVENT, 17, 1, UW_SPEED_NONE, true }, { UW_COMP_EVENT, 18, 2, 16, false },
		{ UW_COMP_EVENT, 18, 2, 0, true },          { UW_COMP_EVENT, 24, 1, 1, false },
		{ UW_COMP_EVENT, 63, 1, 1, false },         { UW_COMP_STATS, 18, 2, 6, false },
		{ UW_COMP_STATS, 18, 2, 0xffff, false },    { UW_COMP_STATS, 22, 1, 1, false },
		{ UW_COMP_STATS, 16, 2, 0xffff, true },     { UW_COMP_BYE, 16, 1, 1, false },
		{ UW_COMP_BYE, 63, 1, 1, false },           { UW_COMP_BYE, 12, 4, 1, false },
	};
	struct uw_answer a;
	struct uw_slot slot;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		encode_answer(cases[i].type, &slot);
		memcpy((uint8_t *)&slot + cases[i].at, &cases[i].value, cases[i].bytes);
		if (uw_answer_decode(&slot, &layout, &a) != cases[i].good)
			fail_msg("case %u", i);
	}
	for (i = 0; i < 256; i++) {
		encode_answer(UW_COMP_BYE, &slot);
		slot.type = (uint8_t)i;
		if (i < UW_COMP_WELCOME || i > UW_COMP_BYE)
			assert_false(uw_answer_decode(&slot, &layout, &a));
	}
}

/* A super-speed device fits the USB 3 ports and no other. */
static void test_event_speeds(void **state)
{
	struct uw_answer a;
	struct uw_slot slot;
	uint32_t port, speed;

	(void)state;
	for (port = 1; port <= 30; port++)
		for (speed = UW_SPEED_LOW; speed <= UW_SPEED_SUPER; speed++) {
			encode_answer(UW_COMP_EVENT, &slot);
			slot.u.event.port = (uint8_t)port;
			slot.u.event.speed = (uint8_t)speed;
			assert_int_equal(uw_answer_decode(&slot, &layout, &a), (speed == UW_SPEED_SUPER) == (port > 15));
		}
}

static void test_who_is_answered(void **state)
{
	uint32_t type;

	(void)state;
	for (type = 0; type < 256; type++)
		assert_int_equal(uw_ask_answered((uint8_t)type), type != UW_SUB_CANCEL && type != UW_SUB_EVENT_ACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_reserved_byte_counts),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_data_ends_with_the_data_part),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_reasons_come_in_order),
		cmocka_unit_test(test_answers_round_trip),
		cmocka_unit_test(test_impossible_answers),
		cmocka_unit_test(test_event_speeds),
		cmocka_unit_test(test_who_is_answered),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
