/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line's portable parts: strict UTF-8, JSON, tables, suggestions, and what it says of every status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client.h"
#include "json.h"
#include "suggest.h"
#include "table.h"
#include "text.h"
#include "transport.h"

/* ---- a daemon that says what a case wants ---- */

static uint8_t said[4096];
static uint32_t said_bytes, said_at;

const char uw_transport_peer[] = "daemon";

void uw_transport_begin(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
}

bool uw_transport_open(const char *where, char *why)
{
	(void)where;
	(void)why;
	return true;
}

bool uw_transport_send(const void *bytes, uint32_t count)
{
	(void)bytes;
	(void)count;
	return true;
}

bool uw_transport_receive(void *bytes, uint32_t count, uint32_t patience)
{
	(void)patience;
	if (count > said_bytes - said_at)
		return false;
	if (count)
		memcpy(bytes, said + said_at, count);
	said_at += count;
	return true;
}

void uw_transport_pause(uint32_t milliseconds)
{
	(void)milliseconds;
}

uint64_t uw_transport_clock(void)
{
	return 0;
}

static void say_header(uint16_t type, uint32_t length, uint16_t version)
{
	const struct uw_ctl_header header = {
		.magic = UW_CTL_MAGIC, .version = version, .type = type, .id = 1, .length = length,
	};

	memcpy(said + said_bytes, &header, sizeof(header));
	said_bytes += sizeof(header);
}

static void say(uint16_t type, const void *body, uint32_t length)
{
	say_header(type, length, UW_CTL_VERSION);
	memcpy(said + said_bytes, body, length);
	said_bytes += length;
}

static void say_end(uint16_t status)
{
	struct uw_ctl_end end = { .status = status };

	say(UW_CTL_END, &end, sizeof(end));
}

static int ask(struct uw_reply *reply)
{
	said_at = 0;
	uw_client_ask(NULL, UW_CTL_LIST, NULL, 0, reply);
	said_bytes = 0;
	return reply->code;
}

/* ---- client ---- */

static void test_every_status_has_a_word(void **state)
{
	struct uw_reply reply;
	uint16_t i, j;

	(void)state;
	for (i = 0; i < UW_CTL_STATUS_COUNT; i++) {
		assert_non_null(uw_client_status(i));
		for (j = 0; j < i; j++)
			assert_string_not_equal(uw_client_status(i), uw_client_status(j));
		say_end(i);
		assert_int_equal(ask(&reply), i == UW_CTL_OK ? UW_EXIT_OK :
				 i == UW_CTL_BAD_VERSION ? UW_EXIT_PROTOCOL : UW_EXIT_REFUSED);
		uw_client_free(&reply);
	}
	assert_string_equal(uw_client_status(UW_CTL_STATUS_COUNT), "unknown");
	assert_string_equal(uw_client_status(0xffff), "unknown");
}

static void test_records_are_kept_in_order(void **state)
{
	struct uw_ctl_device device = { 0 };
	struct uw_reply reply;
	uint32_t i;

	(void)state;
	for (i = 0; i < 7; i++) {
		device.port = (uint8_t)i;
		say(UW_CTL_DEVICE, &device, sizeof(device));
	}
	say_end(UW_CTL_OK);
	assert_int_equal(ask(&reply), UW_EXIT_OK);
	assert_int_equal(reply.count, 7);
	for (i = 0; i < 7; i++)
		assert_int_equal(reply.records[i].u.device.port, i);
	uw_client_free(&reply);
}

/* A field without an end gets one before anybody prints it. */
static void test_endless_texts_end(void **state)
{
	struct uw_ctl_vm vm;
	struct uw_reply reply;

	(void)state;
	memset(&vm, 'x', sizeof(vm));
	say(UW_CTL_VM, &vm, sizeof(vm));
	say_end(UW_CTL_OK);
	assert_int_equal(ask(&reply), UW_EXIT_OK);
	assert_int_equal(strlen((char *)reply.records[0].u.vm.name), UW_CTL_NAME - 1);
	assert_int_equal(strlen((char *)reply.records[0].u.vm.guest), UW_CTL_NAME - 1);
	assert_int_equal(strlen((char *)reply.records[0].u.vm.path), UW_CTL_PATH - 1);
	uw_client_free(&reply);
}

static void test_nonsense_is_noticed(void **state)
{
	static const struct {
		uint16_t type, version;
		uint32_t length;
		int code;
	} cases[] = {
		{ UW_CTL_END, UW_CTL_VERSION, UW_CTL_BODY_MAX + 1, UW_EXIT_PROTOCOL },
		{ UW_CTL_END, UW_CTL_VERSION, UINT32_MAX, UW_EXIT_PROTOCOL },
		{ UW_CTL_END, UW_CTL_VERSION + 1, 0, UW_EXIT_PROTOCOL },
		{ UW_CTL_END, UW_CTL_VERSION, 0, UW_EXIT_PROTOCOL },
		{ UW_CTL_BIND, UW_CTL_VERSION, 0, UW_EXIT_PROTOCOL },
		{ UW_CTL_END, UW_CTL_VERSION, 520, UW_EXIT_UNREACHABLE },
	};
	struct uw_reply reply;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say_header(cases[i].type, cases[i].length, cases[i].version);
		assert_int_equal(ask(&reply), cases[i].code);
		assert_true(*reply.text);
		uw_client_free(&reply);
	}
	assert_int_equal(ask(&reply), UW_EXIT_UNREACHABLE);
	uw_client_free(&reply);
}

/* ---- text ---- */

#define R UW_REPLACEMENT

static const struct {
	const char *bytes;
	uint32_t characters[8]; /* up to 0 */
} utf8[] = {
	{ "az", { 'a', 'z' } },
	{ "\x7f\xc2\x80", { 0x7f, 0x80 } },
	{ "\xdf\xbf\xe0\xa0\x80", { 0x7ff, 0x800 } },
	{ "\xed\x9f\xbf\xee\x80\x80", { 0xd7ff, 0xe000 } },
	{ "\xef\xbf\xbf\xf0\x90\x80\x80", { 0xffff, 0x10000 } },
	{ "\xf4\x8f\xbf\xbf", { 0x10ffff } },
	{ "\xf4\x90\x80\x80", { R, R, R, R } },         /* above U+10FFFF */
	{ "\xed\xa0\x80", { R, R, R } },                /* a surrogate */
	{ "\xc0\x80\xc1\xbf", { R, R, R, R } },         /* longer than need be */
	{ "\xe0\x9f\xbf", { R, R, R } },
	{ "\xf0\x8f\xbf\xbf", { R, R, R, R } },
	{ "\x80\xbf", { R, R } },                       /* nothing before them */
	{ "\xc3", { R } },                              /* cut off */
	{ "\xe2\x82", { R, R } },
	{ "\xf0\x9f\x98", { R, R, R } },
	{ "\xc3(", { R, '(' } },
	{ "\xf8\x88\x80\x80\x80", { R, R, R, R, R } },
	{ "\xfe\xff", { R, R } },
	{ "", { 0 } },
};

static void test_utf8(void **state)
{
	const char *at;
	char bytes[4];
	size_t i, n;
	uint32_t c;

	(void)state;
	for (i = 0; i < sizeof(utf8) / sizeof(utf8[0]); i++) {
		at = utf8[i].bytes;
		for (n = 0; (c = uw_utf8_next(&at)) != 0; n++)
			assert_int_equal(c, utf8[i].characters[n]);
		assert_int_equal(utf8[i].characters[n], 0);
		assert_int_equal(uw_text_width(utf8[i].bytes), n);
	}
	for (c = 1; c <= 0x10ffff; c += c < 0x900 ? 1 : 97) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		n = uw_utf8_put(bytes, c);
		at = memcpy((char[5]){ 0 }, bytes, n);
		assert_int_equal(uw_utf8_next(&at), c);
		assert_int_equal(*at, 0);
	}
}

static void test_clean_text(void **state)
{
	char text[32], small[8];

	(void)state;
	uw_text_clean(text, sizeof(text), "a\x1b[0m\xc2\x9b\xe2\x80\xae" "b\x7f");
	assert_string_equal(text, "a\xef\xbf\xbd[0m\xef\xbf\xbd\xef\xbf\xbd" "b\xef\xbf\xbd");
	uw_text_clean(small, sizeof(small), "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80");
	assert_string_equal(small, "\xf0\x9f\x98\x80");
	uw_text_clean(small, 1, "abc");
	assert_string_equal(small, "");
}

/* ---- JSON and tables ---- */

static char *printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	print(out);
	fclose(out);
	return text;
}

static void print_json(FILE *out)
{
	struct uw_json j = { .out = out };

	uw_json_open(&j, NULL, '{');
	uw_json_text(&j, "a\"\\/", "\x01\n\t\x7f\"\\/\xc3\xa9\xf0\x9f\x98\x80\xff\xe2\x80\xa8");
	uw_json_open(&j, "empty", '[');
	uw_json_close(&j, ']');
	uw_json_open(&j, "list", '[');
	uw_json_number(&j, NULL, 0);
	uw_json_number(&j, NULL, UINT64_MAX);
	uw_json_bool(&j, NULL, true);
	uw_json_open(&j, NULL, '{');
	uw_json_close(&j, '}');
	uw_json_close(&j, ']');
	uw_json_bool(&j, "last", false);
	uw_json_close(&j, '}');
}

static void test_json(void **state)
{
	char *text = printed(print_json);

	(void)state;
	assert_string_equal(text,
			    "{\n"
			    "  \"a\\\"\\\\/\": "
			    "\"\\u0001\\u000a\\u0009\\u007f\\\"\\\\/\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\\u2028\",\n"
			    "  \"empty\": [],\n"
			    "  \"list\": [\n"
			    "    0,\n"
			    "    18446744073709551615,\n"
			    "    true,\n"
			    "    {}\n"
			    "  ],\n"
			    "  \"last\": false\n"
			    "}\n");
	free(text);
}

static void print_table(FILE *out)
{
	static const char *const headers[] = { "NAME", ">N", "WHAT", NULL };
	struct uw_table t;
	int i;

	uw_table_begin(&t, "  ", headers);
	for (i = 0; i < 2; i++) {
		uw_table_cell(&t, "%s", i ? "\xc3\xa9t\xc3\xa9 long" : "a");
		uw_table_cell(&t, "%d", i ? 1000 : 1);
		uw_table_cell(&t, "%s", i ? "" : "text\nwith an end");
	}
	uw_table_end(&t, out);
}

static void print_empty_table(FILE *out)
{
	static const char *const headers[] = { "NAME", NULL };
	struct uw_table t;

	uw_table_begin(&t, "", headers);
	uw_table_end(&t, out);
}

static void test_tables(void **state)
{
	char *text = printed(print_table), *empty = printed(print_empty_table);

	(void)state;
	assert_string_equal(text, "  NAME         N  WHAT\n"
				  "  a            1  text\xef\xbf\xbdwith an end\n"
				  "  \xc3\xa9t\xc3\xa9 long  1000  \n");
	assert_string_equal(empty, "");
	free(text);
	free(empty);
}

/* ---- suggestions ---- */

static const struct {
	const char *a, *b;
	uint32_t distance;
} distances[] = {
	{ "", "", 0 }, { "", "abc", 3 }, { "abc", "", 3 }, { "list", "list", 0 }, { "lits", "list", 1 },
	{ "lst", "list", 1 }, { "lisst", "list", 1 }, { "last", "list", 1 }, { "ilts", "list", 2 },
	{ "kitten", "sitting", 3 }, { "ca", "abc", 3 },
	{ "1-4.2", "1-4.3", 1 }, { "pico-1", "zero-1", 3 },
};

static void test_distances(void **state)
{
	char longest[UW_SUGGEST_MAX + 1], longer[UW_SUGGEST_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		assert_int_equal(uw_suggest_distance(distances[i].a, distances[i].b), distances[i].distance);
		assert_int_equal(uw_suggest_distance(distances[i].b, distances[i].a), distances[i].distance);
	}
	memset(longest, 'x', sizeof(longest));
	longest[UW_SUGGEST_MAX] = 0;
	memset(longer, 'x', sizeof(longer));
	longer[UW_SUGGEST_MAX + 1] = 0;
	assert_int_equal(uw_suggest_distance(longest, ""), UW_SUGGEST_MAX);
	assert_int_equal(uw_suggest_distance(longest, longest), 0);
	assert_int_equal(uw_suggest_distance(longer, "x"), UINT32_MAX);
}

static void test_nearest_wins(void **state)
{
	const char *best = NULL;
	uint32_t distance = 0;

	(void)state;
	uw_suggest_offer("sttus", "stats", &best, &distance);
	assert_string_equal(best, "stats");
	uw_suggest_offer("sttus", "status", &best, &distance);
	assert_string_equal(best, "status");
	uw_suggest_offer("sttus", "stats", &best, &distance);
	assert_string_equal(best, "status");
	best = NULL;
	uw_suggest_offer("frobnicate", "list", &best, &distance);
	assert_null(best);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_status_has_a_word),
		cmocka_unit_test(test_records_are_kept_in_order),
		cmocka_unit_test(test_endless_texts_end),
		cmocka_unit_test(test_nonsense_is_noticed),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_clean_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_distances),
		cmocka_unit_test(test_nearest_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
