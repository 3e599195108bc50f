// SPDX-License-Identifier: GPL-2.0-only
/* The root hubs: what a hub driver may ask, what it reads, and what becomes of a port by the host's events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hub.h"

enum {
	GET_STATUS = 0xa300,
	SET = 0x2303,
	CLEAR = 0x2301,
};

/* Features by the numbers of the specifications. */
enum {
	F_ENABLE = 1, F_SUSPEND = 2, F_RESET = 4, F_LINK = 5, F_POWER = 8, F_C_CONNECTION = 16, F_C_ENABLE = 17,
	F_C_SUSPEND = 18, F_C_OVERCURRENT = 19, F_C_RESET = 20, F_TEST = 21, F_INDICATOR = 22, F_U1 = 23, F_U2 = 24,
	F_C_LINK = 25, F_C_CONFIG = 26, F_WAKE_MASK = 27, F_WARM = 28, F_C_WARM = 29,
};

#define U0 0x0000
#define U3 0x0060
#define DISABLED 0x0080
#define RX_DETECT 0x00a0
#define INACTIVE 0x00c0

static int ask(struct uw_hub *h, uint16_t request, uint16_t value, uint16_t index, uint16_t length, uint8_t *answer)
{
	struct uw_hub_setup s = { request, value, index, length };

	return uw_hub_control(h, &s, answer);
}

static int set(struct uw_hub *h, uint16_t feature, uint16_t index)
{
	uint8_t answer[UW_HUB_ANSWER];

	return ask(h, SET, feature, index, 0, answer);
}

static int clear(struct uw_hub *h, uint16_t feature, uint16_t port)
{
	uint8_t answer[UW_HUB_ANSWER];

	return ask(h, CLEAR, feature, port, 0, answer);
}

/* wPortStatus in the low half, wPortChange in the high one. */
static uint32_t status(struct uw_hub *h, uint16_t port)
{
	uint8_t a[UW_HUB_ANSWER];

	assert_int_equal(ask(h, GET_STATUS, 0, port, 4, a), 4);
	return a[0] | a[1] << 8 | a[2] << 16 | (uint32_t)a[3] << 24;
}

#define READS(h, port, word, change) assert_int_equal(status(h, port), (word) | (uint32_t)(change) << 16)

static void init(struct uw_hub *h, bool usb3)
{
	uint16_t port;

	uw_hub_init(h, usb3, usb3 ? 15 : 31, usb3 ? 31 : 0);
	uw_hub_up(h, true);
	for (port = 1; port <= h->ports; port++)
		assert_int_equal(set(h, F_POWER, port), 0);
	assert_false(uw_hub_take_changed(h));
}

/* The one request that is to be sent, or 0; it is under way then. */
static int sent(struct uw_hub *h, uint8_t port)
{
	uint8_t at, request;

	if (!uw_hub_next(h, 0, &at, &request))
		return 0;
	assert_int_equal(at, port);
	assert_false(uw_hub_next(h, 0, &at, &request));
	return request;
}

static void enable(struct uw_hub *h, uint8_t port, uint8_t speed)
{
	uw_hub_event(h, port, speed, UW_EVENT_CONNECT);
	assert_int_equal(clear(h, F_C_CONNECTION, port), 0);
	assert_int_equal(set(h, F_RESET, port), 0);
	assert_int_equal(sent(h, port), UW_PORT_RESET);
	uw_hub_answered(h, port, UW_ST_OK);
	assert_int_equal(clear(h, F_C_RESET, port), 0);
	uw_hub_take_changed(h);
}

/* ---- requests that hold no state ---- */

static const struct request_case {
	const char *name;
	bool usb3;
	struct uw_hub_setup s;
	int bytes;
	uint8_t answer[UW_HUB_ANSWER];
} request_cases[] = {
	{ "hub status", false, { 0xa000, 0, 0, 4 }, 4, { 0 } },
	{ "hub status 3", true, { 0xa000, 0, 0, 4 }, 4, { 0 } },
	{ "hub descriptor", false, { 0xa006, 0x2900, 0, 15 }, 15,
	  { 15, 0x29, 31, 9, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff } },
	{ "hub descriptor 3", true, { 0xa006, 0x2a00, 0, 12 }, 12, { 12, 0x2a, 15, 9, 0, 0, 0, 0, 0, 0, 0, 0 } },
	{ "hub descriptor cut", true, { 0xa006, 0x2a00, 0, 3 }, 3, { 12, 0x2a, 15 } },
	{ "BOS", true, { 0x8006, 0x0f00, 0, 15 }, 15, { 5, 0x0f, 15, 0, 1, 10, 0x10, 3, 0, 8, 0, 3, 0, 0, 0 } },
	{ "BOS head", true, { 0x8006, 0x0f00, 0, 5 }, 5, { 5, 0x0f, 15, 0, 1 } },
	{ "BOS of USB 2", false, { 0x8006, 0x0f00, 0, 15 }, UW_HUB_STALL, { 0 } },
	{ "another descriptor", true, { 0x8006, 0x0100, 0, 15 }, UW_HUB_STALL, { 0 } },
	{ "hub depth", true, { 0x200c, 3, 0, 0 }, 0, { 0 } },
	{ "hub depth of USB 2", false, { 0x200c, 3, 0, 0 }, UW_HUB_STALL, { 0 } },
	{ "C_HUB_LOCAL_POWER", false, { 0x2001, 0, 0, 0 }, 0, { 0 } },
	{ "C_HUB_OVER_CURRENT", true, { 0x2001, 1, 0, 0 }, 0, { 0 } },
	{ "no such hub feature", true, { 0x2001, 2, 0, 0 }, UW_HUB_STALL, { 0 } },
	{ "error count", true, { 0xa30d, 0, 1, 2 }, 2, { 0 } },
	{ "error count of USB 2", false, { 0xa30d, 0, 1, 2 }, UW_HUB_STALL, { 0 } },
	{ "port status", false, { 0xa300, 0, 31, 4 }, 4, { 0, 1 } },
	{ "port status 3", true, { 0xa300, 0, 15, 4 }, 4, { RX_DETECT, 2 } },
	{ "extended port status", true, { 0xa300, 2, 1, 8 }, 8, { RX_DETECT, 2 } },
	{ "extended of USB 2", false, { 0xa300, 2, 1, 8 }, UW_HUB_STALL, { 0 } },
	{ "power delivery status", true, { 0xa300, 1, 1, 8 }, UW_HUB_STALL, { 0 } },
	{ "port 0", false, { 0xa300, 0, 0, 4 }, UW_HUB_STALL, { 0 } },
	{ "port 32", false, { 0xa300, 0, 32, 4 }, UW_HUB_STALL, { 0 } },
	{ "port 16 of USB 3", true, { 0x2303, F_RESET, 16, 0 }, UW_HUB_STALL, { 0 } },
	{ "port 255", false, { 0x2301, F_ENABLE, 255, 0 }, UW_HUB_STALL, { 0 } },
	{ "test mode", false, { 0x2303, F_TEST, 0x0101, 0 }, UW_HUB_STALL, { 0 } },
	{ "indicator off", false, { 0x2301, F_INDICATOR, 1, 0 }, 0, { 0 } },
	{ "feature 256 + 4", false, { 0x2303, 0x104, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "suspend of an empty port", false, { 0x2303, F_SUSPEND, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "suspend feature of USB 3", true, { 0x2303, F_SUSPEND, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "U3 of an empty port", true, { 0x2303, F_LINK, 0x0301, 0 }, UW_HUB_STALL, { 0 } },
	{ "U1 of an empty port", true, { 0x2303, F_LINK, 0x0101, 0 }, UW_HUB_STALL, { 0 } },
	{ "compliance mode", true, { 0x2303, F_LINK, 0x0a01, 0 }, UW_HUB_STALL, { 0 } },
	{ "U1 timeout", true, { 0x2303, F_U1, 0x7f01, 0 }, 0, { 0 } },
	{ "U2 timeout", true, { 0x2303, F_U2, 0xfe01, 0 }, 0, { 0 } },
	{ "wake mask", true, { 0x2303, F_WAKE_MASK, 0x0701, 0 }, 0, { 0 } },
	{ "warm reset of USB 2", false, { 0x2303, F_WARM, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "clear C_PORT_ENABLE of USB 3", true, { 0x2301, F_C_ENABLE, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "clear C_PORT_LINK_STATE of USB 2", false, { 0x2301, F_C_LINK, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "clear C_PORT_CONFIG_ERROR", true, { 0x2301, F_C_CONFIG, 1, 0 }, 0, { 0 } },
	{ "clear TT buffer", false, { 0x2308, 0, 1, 0 }, UW_HUB_STALL, { 0 } },
	{ "set hub descriptor", false, { 0x2007, 0x2900, 0, 15 }, UW_HUB_STALL, { 0 } },
	{ "nonsense", true, { 0xffff, 0xffff, 0xffff, 0xffff }, UW_HUB_STALL, { 0 } },
};

static void requests(void **state)
{
	const struct request_case *c;
	uint8_t answer[UW_HUB_ANSWER];
	struct uw_hub h;

	(void)state;
	for (c = request_cases; c < request_cases + UW_COUNT_OF(request_cases); c++) {
		init(&h, c->usb3);
		memset(answer, 0xa5, sizeof(answer));
		if (uw_hub_control(&h, &c->s, answer) != c->bytes)
			fail_msg("%s: wrong length", c->name);
		if (c->bytes > 0 && memcmp(answer, c->answer, (size_t)c->bytes))
			fail_msg("%s: wrong bytes", c->name);
		assert_int_equal(sent(&h, 1), 0);
	}
}

/* Every request with every feature, port and selector leaves a hub that still reads as one. */
static void any_request(void **state)
{
	static const uint16_t request[] = { SET, CLEAR, GET_STATUS, 0xa000, 0xa006, 0x8006, 0x2001, 0x200c, 0xa30d, 0x2303 };
	uint8_t answer[UW_HUB_ANSWER], port, sent_request;
	uint32_t seed = 1, i;
	struct uw_hub h;
	int bytes;

	(void)state;
	for (i = 0; i < 200000; i++) {
		if (i % 1000 == 0)
			init(&h, i % 2000 == 0);
		seed = seed * 1103515245 + 12345;
		bytes = ask(&h, request[(seed >> 16) % UW_COUNT_OF(request)], (seed >> 8) % 33, seed % 35 | (seed >> 20) << 8,
			    (uint16_t)((seed >> 12) % 20), answer);
		assert_in_range(bytes + 1, 0, UW_HUB_ANSWER + 1);
		if (seed % 3 == 0)
			uw_hub_event(&h, 1 + seed / 3 % h.ports, seed / 64 % 2 ? 0 : h.usb3 ? UW_SPEED_SUPER : UW_SPEED_HIGH,
				     seed / 128 % 16);
		if (seed % 5 == 0 && uw_hub_next(&h, 0, &port, &sent_request))
			uw_hub_answered(&h, port, seed / 512 % 2);
		if (seed % 500 == 0)
			uw_hub_down(&h);
	}
}

/* ---- connection ---- */

static void usb2_enumeration(void **state)
{
	static const struct { uint8_t speed; uint32_t connected, enabled; } cases[] = {
		{ UW_SPEED_LOW, 0x301, 0x303 },
		{ UW_SPEED_FULL, 0x101, 0x103 },
		{ UW_SPEED_HIGH, 0x101, 0x503 },
	};
	struct uw_hub h;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		init(&h, false);
		uw_hub_event(&h, 3, cases[i].speed, UW_EVENT_CONNECT);
		assert_true(uw_hub_take_changed(&h));
		READS(&h, 3, cases[i].connected, 1);
		clear(&h, F_C_CONNECTION, 3);
		READS(&h, 3, cases[i].connected, 0);
		assert_int_equal(set(&h, F_RESET, 3), 0);
		READS(&h, 3, cases[i].connected | 0x10, 0);
		assert_int_equal(set(&h, F_RESET, 3), 0); /* asked again while it lasts: no second one */
		assert_int_equal(sent(&h, 3), UW_PORT_RESET);
		assert_int_equal(set(&h, F_RESET, 3), 0);
		assert_int_equal(sent(&h, 3), 0);
		uw_hub_answered(&h, 3, UW_ST_OK);
		READS(&h, 3, cases[i].enabled, 0x10);
		clear(&h, F_C_RESET, 3);
		assert_int_equal(clear(&h, F_ENABLE, 3), 0);
		READS(&h, 3, cases[i].connected, 0);
	}
}

static void usb3_enumeration(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, true);
	uw_hub_event(&h, 15, UW_SPEED_SUPER, UW_EVENT_CONNECT);
	READS(&h, 15, 0x203 | U0, 1);
	clear(&h, F_C_CONNECTION, 15);
	assert_int_equal(set(&h, F_WARM, 15), 0);
	READS(&h, 15, 0x211 | U0, 0);
	assert_int_equal(sent(&h, 15), UW_PORT_RESET);
	uw_hub_answered(&h, 15, UW_ST_OK);
	READS(&h, 15, 0x203 | U0, 0x30);
	clear(&h, F_C_WARM, 15);
	clear(&h, F_C_RESET, 15);
	READS(&h, 15, 0x203 | U0, 0);
	uw_hub_event(&h, 15, UW_SPEED_NONE, UW_EVENT_CONNECT);
	READS(&h, 15, 0x200 | RX_DETECT, 1);
}

static void bitmap(void **state)
{
	uint8_t b[UW_HUB_BITMAP];
	struct uw_hub h;

	(void)state;
	init(&h, false);
	assert_int_equal(uw_hub_changes(&h, b), 0);
	uw_hub_event(&h, 1, UW_SPEED_FULL, UW_EVENT_CONNECT);
	uw_hub_event(&h, 31, UW_SPEED_LOW, UW_EVENT_CONNECT);
	assert_int_equal(uw_hub_changes(&h, b), 4);
	assert_memory_equal(b, "\x02\0\0\x80", 4);
	clear(&h, F_C_CONNECTION, 1);
	assert_int_equal(uw_hub_changes(&h, b), 4);
	assert_memory_equal(b, "\0\0\0\x80", 4);
	init(&h, true);
	uw_hub_event(&h, 8, UW_SPEED_SUPER, UW_EVENT_CONNECT);
	assert_int_equal(uw_hub_changes(&h, b), 2);
	assert_memory_equal(b, "\0\x01", 2);
}

/* Another device in the port, told in one event: the hub driver must first see the port empty. */
static void replug(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, true);
	enable(&h, 2, UW_SPEED_SUPER);
	uw_hub_event(&h, 2, UW_SPEED_SUPER, UW_EVENT_CONNECT);
	READS(&h, 2, 0x200 | RX_DETECT, 1);
	uw_hub_take_changed(&h);
	clear(&h, F_C_CONNECTION, 2);
	assert_true(uw_hub_take_changed(&h));
	READS(&h, 2, 0x203 | U0, 1);
	clear(&h, F_C_CONNECTION, 2);
	READS(&h, 2, 0x203 | U0, 0);

	/* Gone for good before the hub driver looked. */
	uw_hub_event(&h, 2, UW_SPEED_SUPER, UW_EVENT_CONNECT);
	uw_hub_event(&h, 2, UW_SPEED_NONE, UW_EVENT_CONNECT);
	clear(&h, F_C_CONNECTION, 2);
	READS(&h, 2, 0x200 | RX_DETECT, 0);

	/* An event that says only the new speed. */
	init(&h, false);
	enable(&h, 2, UW_SPEED_HIGH);
	uw_hub_event(&h, 2, UW_SPEED_FULL, 0);
	READS(&h, 2, 0x100, 1);
	clear(&h, F_C_CONNECTION, 2);
	READS(&h, 2, 0x101, 1);
}

static void resets_that_fail(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	assert_int_equal(set(&h, F_RESET, 1), 0); /* an empty port */
	READS(&h, 1, 0x100, 0x10);
	assert_int_equal(sent(&h, 1), 0);

	enable(&h, 2, UW_SPEED_HIGH);
	set(&h, F_RESET, 2);
	sent(&h, 2);
	uw_hub_answered(&h, 2, UW_ST_HOST);
	READS(&h, 2, 0x101, 0x10);

	enable(&h, 3, UW_SPEED_HIGH); /* the device goes while it is reset, before and after the request is sent */
	set(&h, F_RESET, 3);
	uw_hub_event(&h, 3, UW_SPEED_NONE, UW_EVENT_CONNECT);
	READS(&h, 3, 0x100, 0x11);
	assert_int_equal(sent(&h, 3), 0);
	enable(&h, 4, UW_SPEED_HIGH);
	set(&h, F_RESET, 4);
	sent(&h, 4);
	uw_hub_event(&h, 4, UW_SPEED_NONE, UW_EVENT_CONNECT);
	READS(&h, 4, 0x110, 1);
	uw_hub_answered(&h, 4, UW_ST_NO_DEVICE);
	READS(&h, 4, 0x100, 0x11);

	init(&h, true);
	enable(&h, 1, UW_SPEED_SUPER);
	set(&h, F_RESET, 1);
	sent(&h, 1);
	uw_hub_answered(&h, 1, UW_ST_PROTOCOL);
	READS(&h, 1, 0x201 | INACTIVE, 0x10);
}

/* ---- suspend ---- */

static void suspend_and_resume(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	enable(&h, 1, UW_SPEED_FULL);
	assert_int_equal(set(&h, F_SUSPEND, 1), 0);
	assert_true(uw_hub_settling(&h, 1));
	assert_int_equal(sent(&h, 1), UW_PORT_SUSPEND);
	assert_true(uw_hub_settling(&h, 1));
	uw_hub_answered(&h, 1, UW_ST_OK);
	assert_false(uw_hub_settling(&h, 1));
	assert_true(uw_hub_suspended(&h, 1));
	READS(&h, 1, 0x107, 0);
	assert_int_equal(clear(&h, F_SUSPEND, 1), 0);
	READS(&h, 1, 0x107, 0);
	assert_int_equal(sent(&h, 1), UW_PORT_RESUME);
	assert_int_equal(clear(&h, F_SUSPEND, 1), 0);
	uw_hub_answered(&h, 1, UW_ST_OK);
	READS(&h, 1, 0x103, 4);
	assert_int_equal(sent(&h, 1), 0);

	init(&h, true);
	enable(&h, 1, UW_SPEED_SUPER);
	assert_int_equal(set(&h, F_LINK, 0x0301), 0);
	assert_int_equal(sent(&h, 1), UW_PORT_SUSPEND);
	uw_hub_answered(&h, 1, UW_ST_OK);
	READS(&h, 1, 0x203 | U3, 0);
	assert_int_equal(set(&h, F_LINK, 0x0001), 0);
	assert_int_equal(sent(&h, 1), UW_PORT_RESUME);
	uw_hub_answered(&h, 1, UW_ST_OK);
	READS(&h, 1, 0x203 | U0, 0x40);
	assert_int_equal(set(&h, F_LINK, 0x0201), 0); /* U2 is the link's own affair */
	assert_int_equal(sent(&h, 1), 0);
}

static void wake_up(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	enable(&h, 1, UW_SPEED_FULL);
	uw_hub_event(&h, 1, UW_SPEED_FULL, UW_EVENT_WAKEUP); /* not asleep */
	assert_int_equal(sent(&h, 1), 0);
	set(&h, F_SUSPEND, 1);
	sent(&h, 1);
	uw_hub_answered(&h, 1, UW_ST_OK);
	uw_hub_event(&h, 1, UW_SPEED_FULL, UW_EVENT_WAKEUP);
	assert_int_equal(sent(&h, 1), UW_PORT_RESUME);
	uw_hub_event(&h, 1, UW_SPEED_FULL, UW_EVENT_WAKEUP);
	uw_hub_answered(&h, 1, UW_ST_OK);
	assert_int_equal(sent(&h, 1), 0);
	assert_true(uw_hub_take_changed(&h));
	READS(&h, 1, 0x103, 4);
}

/* A device that stays awake will not ask for resume, so its port must not read as suspended. */
static void suspend_refused(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	enable(&h, 1, UW_SPEED_FULL);
	set(&h, F_SUSPEND, 1);
	sent(&h, 1);
	uw_hub_answered(&h, 1, UW_ST_UNSUPPORTED);
	READS(&h, 1, 0x103, 4);
	uw_hub_up(&h, false);
	assert_int_equal(set(&h, F_SUSPEND, 1), UW_HUB_STALL);
	READS(&h, 1, 0x103, 4);
}

/* ---- the rest ---- */

static void lost_power(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	enable(&h, 1, UW_SPEED_HIGH);
	uw_hub_event(&h, 1, UW_SPEED_HIGH, UW_EVENT_LOST_POWER);
	READS(&h, 1, 0x101, 1);
	enable(&h, 2, UW_SPEED_HIGH);
	set(&h, F_SUSPEND, 2);
	uw_hub_event(&h, 2, UW_SPEED_HIGH, UW_EVENT_LOST_POWER | UW_EVENT_WAKEUP);
	READS(&h, 2, 0x101, 0);

	init(&h, true);
	enable(&h, 1, UW_SPEED_SUPER);
	uw_hub_event(&h, 1, UW_SPEED_SUPER, UW_EVENT_LOST_POWER);
	READS(&h, 1, 0x201 | INACTIVE, 0x40);
}

static void overcurrent(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	uw_hub_event(&h, 9, UW_SPEED_NONE, UW_EVENT_OVERCURRENT);
	READS(&h, 9, 0x100, 8);
	clear(&h, F_C_OVERCURRENT, 9);
	READS(&h, 9, 0x100, 0);
}

static void power(void **state)
{
	struct uw_hub h;

	(void)state;
	uw_hub_init(&h, false, 4, 0);
	uw_hub_event(&h, 1, UW_SPEED_FULL, UW_EVENT_CONNECT);
	READS(&h, 1, 0, 0);
	set(&h, F_POWER, 1); /* the first one is no news to the host */
	assert_int_equal(sent(&h, 1), 0);
	READS(&h, 1, 0x101, 1);
	clear(&h, F_POWER, 1);
	READS(&h, 1, 0, 0);
	assert_int_equal(sent(&h, 1), UW_PORT_POWER_OFF);
	uw_hub_answered(&h, 1, UW_ST_OK);
	assert_int_equal(set(&h, F_RESET, 1), UW_HUB_STALL);
	uw_hub_down(&h);
	uw_hub_up(&h, true); /* a new session knows nothing of it */
	assert_int_equal(sent(&h, 1), UW_PORT_POWER_OFF);
	uw_hub_answered(&h, 1, UW_ST_OK);
	uw_hub_event(&h, 1, UW_SPEED_FULL, UW_EVENT_CONNECT);
	READS(&h, 1, 0, 0);
	set(&h, F_POWER, 1);
	assert_int_equal(sent(&h, 1), UW_PORT_POWER_ON);
	READS(&h, 1, 0x101, 1);
}

static void session_ends(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, false);
	enable(&h, 1, UW_SPEED_FULL);
	enable(&h, 2, UW_SPEED_FULL);
	set(&h, F_RESET, 1);
	sent(&h, 1);
	set(&h, F_SUSPEND, 2);
	uw_hub_down(&h);
	READS(&h, 1, 0x110, 1);
	READS(&h, 2, 0x100, 1);
	assert_false(uw_hub_settling(&h, 2));
	uw_hub_answered(&h, 1, UW_ST_NO_DEVICE);
	READS(&h, 1, 0x100, 0x11);
	assert_int_equal(sent(&h, 1), 0);
}

static void streams_go_first(void **state)
{
	uint8_t port, request;
	struct uw_hub h;

	(void)state;
	init(&h, true);
	uw_hub_event(&h, 2, UW_SPEED_SUPER, UW_EVENT_CONNECT);
	set(&h, F_RESET, 2);
	assert_false(uw_hub_next(&h, 1ull << 33, &port, &request));
	assert_true(uw_hub_next(&h, 1ull << 2, &port, &request));
	assert_int_equal(port, 2);
}

static void link_disabled(void **state)
{
	struct uw_hub h;

	(void)state;
	init(&h, true);
	enable(&h, 1, UW_SPEED_SUPER);
	assert_int_equal(set(&h, F_LINK, 0x0401), 0);
	READS(&h, 1, 0x200 | DISABLED, 0);
	assert_int_equal(set(&h, F_LINK, 0x0501), 0);
	READS(&h, 1, 0x203 | U0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(any_request),
		cmocka_unit_test(usb2_enumeration),
		cmocka_unit_test(usb3_enumeration),
		cmocka_unit_test(bitmap),
		cmocka_unit_test(replug),
		cmocka_unit_test(resets_that_fail),
		cmocka_unit_test(suspend_and_resume),
		cmocka_unit_test(wake_up),
		cmocka_unit_test(suspend_refused),
		cmocka_unit_test(lost_power),
		cmocka_unit_test(overcurrent),
		cmocka_unit_test(power),
		cmocka_unit_test(session_ends),
		cmocka_unit_test(streams_go_first),
		cmocka_unit_test(link_disabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
