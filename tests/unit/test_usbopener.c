/* SPDX-License-Identifier: GPL-2.0-only */
/* What the keeper opens for a worker, and what it does not, whatever a worker that was taken over may ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "opener.h"
#include "pass.h"

static struct uw_loop loop;
static struct uw_opener opener;
static int worker;

static int setup_with(bool usb)
{
	int ends[2];

	memset(&opener, 0, sizeof(opener));
	assert_int_equal(uw_loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	uw_opener_init(&opener, &loop, usb);
	assert_int_equal(uw_loop_add(&loop, &opener.source, ends[0], EPOLLIN), 0);
	worker = ends[1];
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_with(true);
}

static int setup_without(void **state)
{
	(void)state;
	return setup_with(false);
}

static int teardown(void **state)
{
	(void)state;
	uw_opener_settle(&opener);
	uw_loop_close(&loop, &opener.source);
	uw_loop_fini(&loop);
	close(worker);
	return 0;
}

/* The error; a descriptor that comes with it is closed. */
static int asks(uint32_t what, uint32_t bus, uint32_t device)
{
	struct uw_open_ask ask = { .what = what, .bus = bus, .device = device };
	struct uw_open_answer answer = { .error = -1 };
	int fd;

	assert_true(uw_pass_send(worker, &ask, sizeof(ask), -1));
	uw_loop_wait(&loop, UW_NEVER);
	assert_true(uw_pass_receive(worker, &answer, sizeof(answer), &fd));
	assert_int_equal(fd >= 0, !answer.error && what != UW_OPEN_POWER_BACK);
	if (fd >= 0)
		close(fd);
	return answer.error;
}

static void test_numbers_that_are_no_device(void **state)
{
	uint32_t what;

	(void)state;
	for (what = UW_OPEN_NODE; what <= UW_OPEN_POWER_BACK; what++) {
		assert_int_equal(asks(what, 0, 1), EACCES);
		assert_int_equal(asks(what, 1000, 1), EACCES);
		assert_int_equal(asks(what, 1, 0), EACCES);
		assert_int_equal(asks(what, 1, 129), EACCES);
		assert_int_equal(asks(what, ~0u, ~0u), EACCES);
	}
	assert_int_equal(asks(UW_OPEN_POWER_BACK + 1, 1, 1), EACCES);
}

static void test_devices_that_are_not_there(void **state)
{
	(void)state;
	assert_int_equal(asks(UW_OPEN_NODE, 999, 128), ENOENT);
	assert_int_equal(asks(UW_OPEN_POWER, 999, 128), ENOENT);
	assert_int_equal(asks(UW_OPEN_POWER_BACK, 999, 128), 0); /* it may have left meanwhile */
	assert_int_equal(opener.loans, 0);
}

static void test_nothing_where_usb_is_off(void **state)
{
	uint32_t what;

	(void)state;
	for (what = UW_OPEN_NODE; what <= UW_OPEN_POWER_BACK; what++)
		assert_int_equal(asks(what, 1, 1), EACCES);
}

/* No worker of ours sends less than a question: it is heard no more. */
static void test_words_cut_short(void **state)
{
	uint32_t word = UW_OPEN_NODE;

	(void)state;
	assert_true(uw_pass_send(worker, &word, sizeof(word), -1));
	uw_loop_wait(&loop, UW_NEVER);
	assert_int_equal(opener.source.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers_that_are_no_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_devices_that_are_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_where_usb_is_off, setup_without, teardown),
		cmocka_unit_test_setup_teardown(test_words_cut_short, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
