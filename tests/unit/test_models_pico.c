/* SPDX-License-Identifier: GPL-2.0-only */
/* The serial model: class requests, the prompt, its arithmetic, and back-pressure. */
#include "model_host.h"

enum { OUT = 0x02, NOTIFY = 0x81, IN = 0x82 };

#define TRACE "Traceback (most recent call last):\r\n  File \"<stdin>\", line 1"
#define SYNTAX TRACE "\r\nSyntaxError: invalid syntax\r\n"
#define FAULT(text) TRACE ", in <module>\r\n" text "\r\n"
#define ZERO FAULT("ZeroDivisionError: divide by zero")
#define OVERFLOW FAULT("OverflowError: result does not fit 64 bits")
#define DEEP FAULT("RuntimeError: maximum recursion depth exceeded")

static int start(void **state) { return host_start(state, "pico"); }

static void type(struct host *h, const char *text)
{
	struct xfer x;

	bulk(h, &x, OUT, (void *)(uintptr_t)text, (uint32_t)strlen(text));
	assert_int_equal(x.done, 1);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.io.actual, strlen(text));
}

/* All output that waits, read in transfers of so many bytes. */
static const char *output_by(struct host *h, uint32_t bytes)
{
	static char all[65536];
	uint32_t used = 0;
	struct xfer x;

	for (;;) {
		uint8_t data[512];

		bulk(h, &x, IN, data, bytes);
		if (!x.done)
			break;
		assert_int_equal(x.io.status, UW_ST_OK);
		memcpy(all + used, data, x.io.actual);
		used += x.io.actual;
		assert_true(used < sizeof(all));
	}
	h->dev->ops->cancel(h->dev, &x.io);
	assert_int_equal(x.io.status, UW_ST_CANCELLED);
	all[used] = 0;
	return all;
}

static const char *output(struct host *h) { return output_by(h, 512); }

static void set_lines(struct host *h, uint16_t lines)
{
	assert_int_equal(control(h, 0x21, 0x22, lines, 0, NULL, 0), 0);
}

static void open_terminal(struct host *h)
{
	set_lines(h, 3);
	assert_non_null(strstr(output(h), "MicroPython"));
}

/* What the prompt answers to a line, without echo and next prompt. */
static const char *say(struct host *h, const char *line)
{
	static char answer[1024];
	char typed[512];
	const char *all;
	size_t echo, length;

	snprintf(typed, sizeof(typed), "%s\r", line);
	type(h, typed);
	all = output(h);
	echo = strlen(line);
	length = strlen(all);
	assert_true(length >= echo + 2 + 4);
	assert_memory_equal(all, line, echo);
	assert_memory_equal(all + echo, "\r\n", 2);
	assert_string_equal(all + length - 4, ">>> ");
	snprintf(answer, sizeof(answer), "%.*s", (int)(length - echo - 6), all + echo + 2);
	return answer;
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

static const struct {
	const char *line, *answer;
} sums[] = {
	{ "", "" },
	{ "   ", "" },
	{ "# nothing", "" },
	{ "1", "1\r\n" },
	{ " 1 + 2 # three", "3\r\n" },
	{ "00", "0\r\n" },
	{ "2+3*4", "14\r\n" },
	{ "(2+3)*4", "20\r\n" },
	{ "2-3-4", "-5\r\n" },
	{ "2*3%4", "2\r\n" },
	{ "100//7//2", "7\r\n" },
	{ "-7//2", "-4\r\n" },
	{ "7//-2", "-4\r\n" },
	{ "-7//-2", "3\r\n" },
	{ "-7%3", "2\r\n" },
	{ "7%-3", "-2\r\n" },
	{ "-6%3", "0\r\n" },
	{ "--1", "1\r\n" },
	{ "2--3", "5\r\n" },
	{ "2*-3", "-6\r\n" },
	{ "-(2+3)", "-5\r\n" },
	{ "+5", "5\r\n" },
	{ "- + - 5", "5\r\n" },
	{ "((((((1))))))", "1\r\n" },
	{ "9223372036854775807", "9223372036854775807\r\n" },
	{ "-9223372036854775807-1", "-9223372036854775808\r\n" },
	{ "3037000499*3037000499", "9223372030926249001\r\n" },
	{ "8/2", "4.0\r\n" },
	{ "7/2", "3.5\r\n" },
	{ "-7/2", "-3.5\r\n" },
	{ "1/3", "0.3333333\r\n" },
	{ "2/3", "0.6666667\r\n" },
	{ "-1/3", "-0.3333333\r\n" },
	{ "1/8", "0.125\r\n" },
	{ "1/3*3", "1.0\r\n" },
	{ "1/2+1/3", "0.8333333\r\n" },
	{ "7/2//1", "3.0\r\n" },
	{ "7/2%1", "0.5\r\n" },
	{ "0/5", "0.0\r\n" },
	{ "99999999/100000000", "1.0\r\n" },
	{ "999999999/10", "99999999.9\r\n" },
	{ "29999999999/30", "1000000000.0\r\n" },
	{ "1/1000", "0.001\r\n" },
	{ "10/4*2", "5.0\r\n" },
	{ "1/9223372036854775807", "0.0000000000000000001084202\r\n" },
	{ "9223372036854775807/2", "4611686018427387903.5\r\n" },
	{ "1/0", ZERO },
	{ "1//0", ZERO },
	{ "1%0", ZERO },
	{ "1/(2-2)", ZERO },
	{ "0/0+foo", ZERO },
	{ "9223372036854775807+1", OVERFLOW },
	{ "9223372036854775808", OVERFLOW },
	{ "99999999999999999999999999", OVERFLOW },
	{ "-9223372036854775807-2", OVERFLOW },
	{ "3037000500*3037000500", OVERFLOW },
	{ "(-9223372036854775807-1)//-1", OVERFLOW },
	{ "-(-9223372036854775807-1)", OVERFLOW },
	{ "1/(-9223372036854775807-1)", OVERFLOW },
	{ "(-9223372036854775807-1)/2", "-4611686018427387904.0\r\n" },
	{ "1+", SYNTAX },
	{ "+", SYNTAX },
	{ "1 2", SYNTAX },
	{ "(1", SYNTAX },
	{ "1)", SYNTAX },
	{ "()", SYNTAX },
	{ "1***2", SYNTAX },
	{ "2**3", SYNTAX },
	{ "*1", SYNTAX },
	{ "007", SYNTAX },
	{ "1a", SYNTAX },
	{ "1.5", SYNTAX },
	{ "1/0 (", SYNTAX },
	{ "3 $ 4", SYNTAX },
	{ "1\t+\t1", "2\r\n" },
	{ "foo", FAULT("NameError: name 'foo' isn't defined") },
	{ "1+_x9*2", FAULT("NameError: name '_x9' isn't defined") },
	{ "help()", SYNTAX },
};

static void test_sums(void **state)
{
	struct host *h = *state;

	open_terminal(h);
	for (size_t i = 0; i < UW_COUNT_OF(sums); i++)
		assert_string_equal(say(h, sums[i].line), sums[i].answer);
}

static void test_hundred_sums(void **state)
{
	struct host *h = *state;

	open_terminal(h);
	for (int i = 0; i < 100; i++) {
		char line[64], want[64];

		snprintf(line, sizeof(line), "%d+%d*(%d-%d)", i * 7919, i, i * 3, 50);
		snprintf(want, sizeof(want), "%d\r\n", i * 7919 + i * (i * 3 - 50));
		assert_string_equal(say(h, line), want);
	}
}

static void test_deep_line(void **state)
{
	struct host *h = *state;
	char line[241];

	open_terminal(h);
	memset(line, '(', 240);
	line[240] = 0;
	assert_string_equal(say(h, line), DEEP);
	memset(line, '-', 239);
	line[239] = '1';
	assert_string_equal(say(h, line), DEEP);
	memset(line, '(', 60);
	line[60] = '5';
	memset(line + 61, ')', 60);
	line[121] = 0;
	assert_string_equal(say(h, line), "5\r\n");
}

/* ---- the prompt ------------------------------------------------------------------------------------------------- */

#define BANNER                                                                                                         \
	"MicroPython v1.24.0 (UsbWarp model); Raspberry Pi Pico with RP2040\r\n"                                       \
	"Sums only: + - * / // % ( )\r\n>>> "

static const struct {
	const char *typed, *echoed;
} keys[] = {
	{ "12\b3\r", "12\b \b3\r\n13\r\n>>> " },
	{ "\x7f\b", "" },
	{ "1\r\n2\r", "1\r\n1\r\n>>> 2\r\n2\r\n>>> " },
	{ "1+\x03" "4\r", "1+\r\n>>> 4\r\n4\r\n>>> " },
	{ "\x04", "\r\nMPY: soft reboot\r\n" BANNER },
	{ "5\x04\r", "5\r\n5\r\n>>> " },
	{ "5\x02" "6\r", "5\r\n" BANNER "6\r\n6\r\n>>> " },
	{ "1\x1b[A\x1b[1;5C2\r", "12\r\n12\r\n>>> " },
	{ "1\x1bq2\r", "12\r\n12\r\n>>> " },
	{ "\x01\x05\x16", "" },
};

static void test_keys(void **state)
{
	struct host *h = *state;

	set_lines(h, 1);
	assert_string_equal(output(h), BANNER);
	for (size_t i = 0; i < UW_COUNT_OF(keys); i++) {
		type(h, keys[i].typed);
		assert_string_equal(output(h), keys[i].echoed);
	}
}

static void test_long_line(void **state)
{
	struct host *h = *state;
	char line[302] = "";

	open_terminal(h);
	memset(line, '1', 300);
	type(h, line);
	memset(line + 240, '\a', 60);
	assert_string_equal(output(h), line);
	type(h, "\r");
	assert_string_equal(output(h), "\r\n" OVERFLOW ">>> ");
}

static void test_terminal_comes_and_goes(void **state)
{
	struct host *h = *state;

	type(h, "1+1\r");
	assert_string_equal(output(h), "");
	set_lines(h, 2);
	assert_string_equal(output(h), "");
	set_lines(h, 3);
	type(h, "1+");
	set_lines(h, 0);
	set_lines(h, 1);
	assert_string_equal(output(h), BANNER);
	set_lines(h, 3);
	assert_string_equal(output(h), "");
	assert_int_equal(verb(h, UW_VERB_RESET, 0, 0, NULL), UW_ST_OK);
	configure(h, 1);
	type(h, "1");
	assert_string_equal(output(h), "");
}

/* A transfer that stops at a full packet is ended by an empty one. */
static void test_full_packet(void **state)
{
	struct host *h = *state;
	uint8_t data[512];
	char line[65] = "";
	struct xfer x;

	open_terminal(h);
	memset(line, '7', 64);
	type(h, line);
	bulk(h, &x, IN, data, 64);
	assert_int_equal(x.io.actual, 64);
	bulk(h, &x, IN, data, 64);
	assert_int_equal(x.done, 1);
	assert_int_equal(x.io.actual, 0);
	type(h, line);
	bulk(h, &x, IN, data, 512);
	assert_int_equal(x.done, 1);
	assert_int_equal(x.io.actual, 64);
	assert_string_equal(output(h), "");
}

static void test_babble(void **state)
{
	struct host *h = *state;
	uint8_t data[16];
	struct xfer x;

	open_terminal(h);
	type(h, "123456789012345678901234567890");
	bulk(h, &x, IN, data, 10);
	assert_int_equal(x.io.status, UW_ST_BABBLE);
	assert_int_equal(x.io.actual, 10);
}

/* While nobody reads, input waits; then all comes out, in order. */
static void test_back_pressure(void **state)
{
	struct host *h = *state;
	static struct xfer x[40];
	char text[201] = "", *want = calloc(1, 41000), *got = calloc(1, 41000);
	int held = 0;

	open_terminal(h);
	for (int i = 0; i < 100; i++)
		strcat(text, "7\r");
	for (int i = 0; i < 40; i++)
		bulk(h, &x[i], OUT, text, 200);
	for (int i = 0; i < 40; i++) {
		held += !x[i].done;
		for (int k = 0; k < 100; k++)
			strcat(want, "7\r\n7\r\n>>> ");
	}
	assert_true(held > 30);
	assert_int_equal(h->arms, 0);
	while (strlen(got) < strlen(want)) {
		const char *more = output_by(h, 64);

		assert_true(*more != 0);
		strcat(got, more);
	}
	assert_string_equal(got, want);
	for (int i = 0; i < 40; i++)
		assert_int_equal(x[i].done, 1);
	free(want);
	free(got);
}

/* ---- class requests --------------------------------------------------------------------------------------------- */

static void test_line_coding(void **state)
{
	struct host *h = *state;
	uint8_t coding[7] = { 0x80, 0x25, 0, 0, 2, 2, 7 }, got[16];

	assert_int_equal(control(h, 0xa1, 0x21, 0, 0, got, 7), 7);
	assert_memory_equal(got, "\x00\xc2\x01\x00\x00\x00\x08", 7);
	assert_int_equal(control(h, 0x21, 0x20, 0, 0, coding, 7), 7);
	assert_int_equal(control(h, 0xa1, 0x21, 0, 0, got, 16), 7);
	assert_memory_equal(got, coding, 7);
	assert_int_equal(control(h, 0xa1, 0x21, 0, 0, got, 4), 4);
	assert_int_equal(control(h, 0xa1, 0x21, 0, 0, NULL, 0), 0);
	assert_int_equal(control(h, 0x21, 0x20, 0, 0, coding, 6), -UW_ST_STALL);
	coding[6] = 9;
	assert_int_equal(control(h, 0x21, 0x20, 0, 0, coding, 7), -UW_ST_STALL);
	assert_int_equal(control(h, 0x21, 0x23, 0xffff, 0, NULL, 0), 0);
	assert_int_equal(control(h, 0x21, 0x22, 1, 1, NULL, 0), -UW_ST_STALL);
	assert_int_equal(control(h, 0x21, 0x55, 0, 0, NULL, 0), -UW_ST_STALL);
	configure(h, 0);
	assert_int_equal(control(h, 0xa1, 0x21, 0, 0, got, 7), -UW_ST_STALL);
}

/* The notification of ten bytes comes in two packets of at most eight. */
static void test_serial_state(void **state)
{
	struct host *h = *state;
	uint8_t data[16];
	struct xfer x;

	xfer_init(&x, UW_INTERRUPT, NOTIFY, data, 8);
	submit(h, &x);
	assert_int_equal(x.done, 0);
	set_lines(h, 1);
	assert_int_equal(x.io.status, UW_ST_OK);
	assert_int_equal(x.io.actual, 8);
	assert_memory_equal(data, "\xa1\x20\0\0\0\0\2\0", 8);
	xfer_init(&x, UW_INTERRUPT, NOTIFY, data, 8);
	submit(h, &x);
	assert_int_equal(x.io.actual, 2);
	assert_memory_equal(data, "\3\0", 2);
	set_lines(h, 0);
	xfer_init(&x, UW_INTERRUPT, NOTIFY, data, 16);
	submit(h, &x);
	assert_int_equal(x.io.actual, 10);
	assert_int_equal(data[8], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, start, host_stop),
		cmocka_unit_test_setup_teardown(test_hundred_sums, start, host_stop),
		cmocka_unit_test_setup_teardown(test_deep_line, start, host_stop),
		cmocka_unit_test_setup_teardown(test_keys, start, host_stop),
		cmocka_unit_test_setup_teardown(test_long_line, start, host_stop),
		cmocka_unit_test_setup_teardown(test_terminal_comes_and_goes, start, host_stop),
		cmocka_unit_test_setup_teardown(test_full_packet, start, host_stop),
		cmocka_unit_test_setup_teardown(test_babble, start, host_stop),
		cmocka_unit_test_setup_teardown(test_back_pressure, start, host_stop),
		cmocka_unit_test_setup_teardown(test_line_coding, start, host_stop),
		cmocka_unit_test_setup_teardown(test_serial_state, start, host_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
