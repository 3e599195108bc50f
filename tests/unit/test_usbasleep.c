/* SPDX-License-Identifier: GPL-2.0-only */
/* Sleep of real devices on a usbfs made of a few lines here: who is told of a wake-up, and what sysfs says meanwhile. */
#include <linux/usbdevice_fs.h>
#include <semaphore.h>
#include <sys/ioctl.h>

#include "usb_lab.h"

/* ---- the usbfs of these tests ---- */

static struct {
	sem_t awake;                   /* posted: a call that waits for the device to wake comes back */
	sem_t waiting;                 /* posted by each such call */
	bool late;                     /* resume lets such a call hang, as on a busy machine */
	int sleeps;                    /* result of USBDEVFS_ALLOW_SUSPEND */
	uint32_t port;                 /* that is claimed */
	bool port_taken;               /* another program has it */
	bool gone;
} fs;

static int sysfs_follows(void)
{
	char text[16] = { 0 };
	ssize_t count = lab->control ? pread(lab->control, text, sizeof(text) - 1, 0) : 0;

	power = count < 4 || strcmp(text + count - 4, "auto") ? power : UW_SYSFS_SUSPENDED;
	return fs.sleeps;
}

/* In the place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	(void)fd;
	errno = fs.gone ? ENODEV : EBUSY;
	switch (request) {
	case USBDEVFS_CLAIM_PORT:
		va_start(args, request);
		fs.port = *va_arg(args, const uint32_t *);
		va_end(args);
		return fs.port_taken ? -1 : 0;
	case USBDEVFS_ALLOW_SUSPEND:
		return sysfs_follows();
	case USBDEVFS_FORBID_SUSPEND:
		if (!fs.late)
			sem_post(&fs.awake);
		return fs.gone ? -1 : 0;
	case USBDEVFS_WAIT_FOR_RESUME:
		sem_post(&fs.waiting);
		sem_wait(&fs.awake);
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int start(void **state)
{
	memset(&fs, 0, sizeof(fs));
	sem_init(&fs.awake, 0, 0);
	sem_init(&fs.waiting, 0, 0);
	power = UW_SYSFS_SUSPENDED;
	return setup_open(state);
}

static void suspend(void)
{
	assert_int_equal(verb(UW_VERB_SUSPEND, 0, 0), UW_ST_OK);
	assert_true(uw_usb_of(lab->device)->asleep);
}

static void watcher_returns(void)
{
	sem_wait(&fs.waiting);
	sem_post(&fs.awake);
	uw_returns_wait(&lab->returns);
}

/* ---- wake-up ---- */

static void test_a_device_that_wakes_by_itself(void **state)
{
	(void)state;
	suspend();
	assert_int_equal(lab->wakeups, 0);
	watcher_returns();
	assert_int_equal(lab->wakeups, 1);
	assert_int_equal(verb(UW_VERB_RESUME, 0, 0), UW_ST_OK);
	assert_int_equal(lab->wakeups, 1);
}

static void test_the_guest_wakes_it(void **state)
{
	(void)state;
	suspend();
	assert_int_equal(verb(UW_VERB_RESUME, 0, 0), UW_ST_OK);
	while (uw_usb_of(lab->device)->watching)
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->wakeups, 0);
}

/* The watcher comes back from the first sleep when the second has begun: that is no wake-up, and it has to watch anew. */
static void test_it_sleeps_again_at_once(void **state)
{
	(void)state;
	fs.late = true;
	suspend();
	assert_int_equal(verb(UW_VERB_RESUME, 0, 0), UW_ST_OK);
	suspend();
	watcher_returns();
	assert_int_equal(lab->wakeups, 0);
	watcher_returns();
	assert_int_equal(lab->wakeups, 1);
}

static void test_closed_while_it_sleeps(void **state)
{
	(void)state;
	suspend();
	lab->device->ops->close(lab->device);
	assert_int_equal(lab->wakeups, 0);
	assert_false(uw_usb_of(lab->device)->watched);
}

static void test_unplugged_while_it_sleeps(void **state)
{
	(void)state;
	suspend();
	fs.gone = true;
	assert_int_equal(verb(UW_VERB_RESUME, 0, 0), UW_ST_NO_DEVICE);
	assert_int_equal(lab->gone, 1);
	assert_int_equal(submit(0, 0x81, UW_BULK, 1)->status, UW_ST_NO_DEVICE);
	assert_int_equal(lab->wakeups, 0);
}

/* ---- power/control ---- */

/* The file has an offset here, so its text is everything that was ever written. */
static void says(const char *text)
{
	char said[32] = { 0 };

	assert_true(pread(lab->control, said, sizeof(said) - 1, 0) >= 0);
	assert_string_equal(said, text);
}

static int start_kept_awake(void **state)
{
	int result = start(state);

	power = UW_SYSFS_KEPT_AWAKE;
	lab->control = memfd_create("control", MFD_CLOEXEC);
	assert_true(lab->control > 0);
	return result;
}

static int stop_kept_awake(void **state)
{
	close(lab->control);
	return teardown(state);
}

static void test_control_is_auto_for_a_sleep(void **state)
{
	(void)state;
	suspend();
	says("auto");
	assert_int_equal(lab->controls_back, 0);
	assert_int_equal(verb(UW_VERB_RESUME, 0, 0), UW_ST_OK);
	says("autoon");
	assert_int_equal(lab->controls_back, 1);
}

static void test_control_is_put_right_by_close(void **state)
{
	(void)state;
	suspend();
	watcher_returns();
	lab->device->ops->close(lab->device);
	says("autoon");
	assert_int_equal(lab->controls_back, 1);
}

/* The kernel allows no suspend: twice, to see that each attempt asks anew. */
static void test_control_is_put_right_after_an_attempt(void **state)
{
	(void)state;
	fs.sleeps = -1;
	assert_int_equal(verb(UW_VERB_SUSPEND, 0, 0), UW_ST_UNSUPPORTED);
	says("autoon");
	power = UW_SYSFS_KEPT_AWAKE;
	assert_int_equal(verb(UW_VERB_SUSPEND, 0, 0), UW_ST_UNSUPPORTED);
	says("autoonautoon");
	assert_int_equal(lab->controls_back, 2);
	assert_false(uw_usb_of(lab->device)->asleep);
}

static void test_a_host_whose_devices_never_sleep(void **state)
{
	(void)state;
	power = UW_SYSFS_NEVER_SLEEPS;
	assert_int_equal(verb(UW_VERB_SUSPEND, 0, 0), UW_ST_UNSUPPORTED);
	says("");
}

static void test_a_keeper_that_does_not_allow_it(void **state)
{
	(void)state;
	power = UW_SYSFS_KEPT_AWAKE;
	assert_int_equal(verb(UW_VERB_SUSPEND, 0, 0), UW_ST_UNSUPPORTED);
}

/* The guest's word comes while the device is awake, and must not disturb the host's setting. */
static void test_resume_without_a_suspend(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_RESUME, 0, 0), UW_ST_OK);
	says("");
	assert_int_equal(lab->controls_back, 0);
}

/* ---- the port of its hub ---- */

static void test_the_port_is_owned(void **state)
{
	(void)state;
	assert_true(uw_usb_of(lab->device)->hub >= 0);
	assert_int_equal(fs.port, 4);
	lab->device->ops->close(lab->device);
	assert_int_equal(uw_usb_of(lab->device)->hub, -1);
}

/* Not owning it is no reason to do without the device. */
static void test_the_port_of_another_program(void **state)
{
	(void)state;
	lab->device->ops->close(lab->device);
	*fake.calls = 0;
	fs.port_taken = true;
	open_device();
	assert_int_equal(uw_usb_of(lab->device)->hub, -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, teardown)
#define CASE_KEPT_AWAKE(f) cmocka_unit_test_setup_teardown(f, start_kept_awake, stop_kept_awake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_device_that_wakes_by_itself),
		CASE(test_the_guest_wakes_it),
		CASE(test_it_sleeps_again_at_once),
		CASE(test_closed_while_it_sleeps),
		CASE(test_unplugged_while_it_sleeps),
		CASE_KEPT_AWAKE(test_control_is_auto_for_a_sleep),
		CASE_KEPT_AWAKE(test_control_is_put_right_by_close),
		CASE_KEPT_AWAKE(test_control_is_put_right_after_an_attempt),
		CASE_KEPT_AWAKE(test_a_host_whose_devices_never_sleep),
		CASE_KEPT_AWAKE(test_resume_without_a_suspend),
		CASE(test_a_keeper_that_does_not_allow_it),
		CASE(test_the_port_is_owned),
		CASE(test_the_port_of_another_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
