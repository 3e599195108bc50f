/* SPDX-License-Identifier: GPL-2.0-only */
/* A device whose thread is at work, or that has left: what the loop does meanwhile, which must never wait for it. */
#include "usb_lab.h"

/* ---- a verb takes long ---- */

static void test_submits_wait_for_the_verb(void **state)
{
	(void)state;
	fake.slow = true;
	begin_verb(UW_VERB_CLEAR_HALT, 0x83, 0);
	submit(0, 0x81, UW_BULK, 100);
	submit(1, 0x81, UW_BULK, 100);
	assert_int_equal(fake.count, 0);
	lab->device->ops->timer(lab->device);
	assert_int_equal(fake.count, 0);
	assert_true(lab->armed == UW_NEVER);
	fake.slow = false;
	assert_int_equal(end_verb(), UW_ST_OK);
	assert_int_equal(fake.count, 2);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
	assert_int_equal(lab->answers[0], 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
}

static void test_cancels_are_made_up_for(void **state)
{
	struct timeval none = { 0, 0 };
	struct uw_transfer_io *flying, *held;

	(void)state;
	flying = submit(0, 0x81, UW_BULK, 100);
	fake.slow = true;
	begin_verb(UW_VERB_CLEAR_HALT, 0x83, 0);
	held = submit(1, 0x81, UW_BULK, 100);
	lab->device->ops->cancel(lab->device, held);
	assert_int_equal(held->status, UW_ST_CANCELLED);
	lab->device->ops->cancel(lab->device, flying);
	assert_int_equal(fake.flying[0]->status, LIBUSB_TRANSFER_COMPLETED); /* libusb was not told */
	fake.slow = false;
	assert_int_equal(end_verb(), UW_ST_OK);
	libusb_handle_events_timeout_completed(&context, &none, NULL);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(flying->status, UW_ST_CANCELLED);
}

/* Nothing that the kernel reports at the node may call the loop away to it. */
static void test_the_node_is_not_looked_at(void **state)
{
	struct uw_usb *u = uw_usb_of(lab->device);
	struct epoll_event event;

	(void)state;
	assert_int_equal(epoll_wait(lab->loop.epoll, &event, 1, 0), 1); /* an eventfd may be written to, now as ever */
	fake.slow = true;
	begin_verb(UW_VERB_SET_INTERFACE, 1, 1);
	assert_int_equal(epoll_wait(lab->loop.epoll, &event, 1, 0), 0);
	fake.slow = false;
	assert_int_equal(end_verb(), UW_ST_OK);
	assert_int_equal(epoll_wait(lab->loop.epoll, &event, 1, 1000), 1);
	assert_ptr_equal(event.data.ptr, &u->source);
}

static uint32_t shut;

static void on_shut_device(struct uw_device *device)
{
	assert_ptr_equal(device, lab->device);
	shut++;
}

static void test_shut_waits_for_the_verb(void **state)
{
	struct timeval none = { 0, 0 };

	(void)state;
	shut = 0;
	submit(0, 0x81, UW_BULK, 100);
	fake.slow = true;
	begin_verb(UW_VERB_CLEAR_HALT, 0x83, 0);
	uw_usb_shut(lab->device, on_shut_device);
	assert_int_equal(fake.flying[0]->status, LIBUSB_TRANSFER_COMPLETED);
	fake.slow = false;
	assert_int_equal(end_verb(), UW_ST_OK);
	assert_int_equal(lab->answers[0], 0);
	libusb_handle_events_timeout_completed(&context, &none, NULL);
	assert_int_equal(lab->io[0].status, UW_ST_CANCELLED);
	while (!shut)
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->answers[0], 1);
}

/* ---- devices that have left, and those that have not ---- */

/* The node hangs up, as usbfs' does once the device is unplugged. */
static void hang_up(void)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	close(ends[1]);
	uw_loop_del(&lab->loop, &uw_usb_of(lab->device)->source);
	assert_int_equal(dup2(ends[0], uw_usb_of(lab->device)->fd), uw_usb_of(lab->device)->fd);
	close(ends[0]);
	assert_int_equal(uw_loop_add(&lab->loop, &uw_usb_of(lab->device)->source, uw_usb_of(lab->device)->fd, EPOLLOUT), 0);
}

/* A host that sleeps ends transfers with the same word. */
static void test_only_a_node_that_hung_up_has_no_device(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	io = submit(0, 0x81, UW_BULK, 100);
	land(0, LIBUSB_TRANSFER_NO_DEVICE, 0);
	assert_int_equal(io->status, UW_ST_PROTOCOL);
	io = submit(1, 0x81, UW_BULK, 100);
	hang_up();
	land(0, LIBUSB_TRANSFER_NO_DEVICE, 0);
	assert_int_equal(io->status, UW_ST_NO_DEVICE);
}

/* The kernel has yet to end some transfers when the node hangs up, and will not say so. */
static void test_what_is_left_of_an_unplugged_device_is_fetched(void **state)
{
	(void)state;
	submit(0, 0x81, UW_BULK, 100);
	hang_up();
	uw_loop_wait(&lab->loop, 0);
	assert_int_equal(lab->gone, 1);
	assert_int_equal(uw_usb_of(lab->device)->source.fd, -1);
	assert_int_equal(lab->armed, lab->loop.now + 10 * UW_MS);
	lab->device->ops->timer(lab->device);
	assert_int_equal(lab->armed, lab->loop.now + 10 * UW_MS);
	fake.flying[0]->status = LIBUSB_TRANSFER_CANCELLED; /* the kernel gives it back */
	lab->device->ops->timer(lab->device);
	assert_int_equal(lab->answers[0], 1);
	assert_true(lab->armed == UW_NEVER);
}

/* The kernel has cut it off, and libusb knows no word for that. */
static void test_out_transfers_do_not_end_early(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	io = submit(0, 0x02, UW_BULK, 100);
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(io->status, UW_ST_PROTOCOL);
	io = submit(1, 0x02, UW_BULK, 100);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
	assert_int_equal(io->status, UW_ST_OK);
}

/* ---- memory ---- */

/* What of ours is under way need not end soon, as that of an idle keyboard. */
static void test_memory_of_others_while_ours_is_under_way(void **state)
{
	(void)state;
	submit(0, 0x83, UW_INTERRUPT, 8);
	fake.room = 0;
	submit(1, 0x81, UW_BULK, 100);
	assert_int_equal(fake.count, 1);
	assert_int_equal(lab->armed, lab->loop.now + 10 * UW_MS);
	fake.room = 1;
	lab->device->ops->timer(lab->device);
	assert_int_equal(fake.count, 2);
	assert_true(lab->armed == UW_NEVER);
	land(1, LIBUSB_TRANSFER_COMPLETED, 100);
	land(0, LIBUSB_TRANSFER_COMPLETED, 8);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_open, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_submits_wait_for_the_verb),
		CASE(test_cancels_are_made_up_for),
		CASE(test_the_node_is_not_looked_at),
		CASE(test_shut_waits_for_the_verb),
		CASE(test_only_a_node_that_hung_up_has_no_device),
		CASE(test_what_is_left_of_an_unplugged_device_is_fetched),
		CASE(test_out_transfers_do_not_end_early),
		CASE(test_memory_of_others_while_ours_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
