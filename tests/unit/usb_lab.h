/* SPDX-License-Identifier: GPL-2.0-only */
/* The libusb, sysfs and host that tests of the libusb backend run on: for one test program, which includes it once. */
#ifndef UW_TEST_USB_LAB_H
#define UW_TEST_USB_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev.h"
#include "pass.h"
#include "sysfs.h"
#include "usbdev.h"

#include <cmocka.h> /* last: it takes common words for macros */

#define MANY 64

/* ---- the libusb of these tests ---- */

static struct {
	struct libusb_transfer *flying[MANY];
	uint32_t count;
	char calls[1024];              /* what was called, in short */
	int submit_result;             /* of the next submits */
	uint32_t stream;               /* of the last transfer that had one */
	int submit_errno;              /* what the kernel said */
	uint32_t room;                 /* submits until the memory is used up */
	int call_result;               /* of the next blocking call */
	bool deaf;                     /* cancelled transfers do not come back */
	_Atomic bool slow;             /* blocking calls do not come back */
	bool was_auto;
	uint32_t claimed;
} fake;

struct libusb_device_handle {
	int none;
};
struct libusb_context {
	int none;
};

static struct libusb_device_handle handle;
static struct libusb_context context;

static void called(const char *format, ...)
{
	size_t used = strlen(fake.calls);
	va_list args;

	va_start(args, format);
	vsnprintf(fake.calls + used, sizeof(fake.calls) - used, format, args);
	va_end(args);
}

#define EP(address, kind, size) { .bEndpointAddress = address, .bmAttributes = kind, .wMaxPacketSize = size }

static const struct libusb_endpoint_descriptor ends0[] = { EP(0x81, 2, 512), EP(0x02, 2, 512) };
static const struct libusb_endpoint_descriptor ends1[] = { EP(0x83, 3, 64) };
static const struct libusb_endpoint_descriptor ends2[] = { EP(0x83, 3, 64), EP(0x84, 1, 64), EP(0x05, 1, 64) };
static const struct libusb_interface_descriptor alternates0[] = {
	{ .bInterfaceNumber = 0, .bNumEndpoints = 2, .endpoint = ends0 },
};
static const struct libusb_interface_descriptor alternates1[] = {
	{ .bInterfaceNumber = 1, .bNumEndpoints = 1, .endpoint = ends1 },
	{ .bInterfaceNumber = 1, .bAlternateSetting = 1, .bNumEndpoints = 3, .endpoint = ends2 },
};
static const struct libusb_interface interfaces[] = {
	{ .altsetting = alternates0, .num_altsetting = 1 }, { .altsetting = alternates1, .num_altsetting = 2 },
};
static struct libusb_config_descriptor configurations[] = {
	{ .bConfigurationValue = 1, .bNumInterfaces = 2, .interface = interfaces },
	{ .bConfigurationValue = 2, .bNumInterfaces = 1, .interface = interfaces },
};

int libusb_get_config_descriptor_by_value(libusb_device *dev, uint8_t value, struct libusb_config_descriptor **config)
{
	(void)dev;
	if (value < 1 || value > 2)
		return LIBUSB_ERROR_NOT_FOUND;
	*config = &configurations[value - 1];
	return 0;
}

void libusb_free_config_descriptor(struct libusb_config_descriptor *config) { (void)config; }
libusb_device *libusb_get_device(libusb_device_handle *h) { (void)h; return NULL; }
const char *libusb_strerror(int code) { return code == LIBUSB_ERROR_NOT_FOUND ? "Entity not found" : "trouble"; }
int libusb_set_option(libusb_context *c, enum libusb_option option, ...) { (void)c; (void)option; return 0; }
void libusb_exit(libusb_context *c) { (void)c; }

int libusb_init(libusb_context **c)
{
	*c = &context;
	return 0;
}

int libusb_wrap_sys_device(libusb_context *c, intptr_t fd, libusb_device_handle **h)
{
	(void)c;
	(void)fd;
	*h = &handle;
	return 0;
}

void libusb_close(libusb_device_handle *h)
{
	(void)h;
	called("close ");
}

static int call_result(void)
{
	int result = fake.call_result;

	while (fake.slow)
		usleep(1000);
	fake.call_result = 0;
	return result;
}

int libusb_set_auto_detach_kernel_driver(libusb_device_handle *h, int enable)
{
	(void)h;
	fake.was_auto = enable;
	return 0;
}

int libusb_claim_interface(libusb_device_handle *h, int number)
{
	(void)h;
	assert_true(fake.was_auto);
	called("claim%d ", number);
	fake.claimed |= 1u << number;
	return 0;
}

int libusb_release_interface(libusb_device_handle *h, int number)
{
	(void)h;
	called("%s%d ", fake.was_auto ? "giveback" : "release", number);
	fake.claimed &= ~(1u << number);
	return 0;
}

int libusb_set_configuration(libusb_device_handle *h, int value)
{
	(void)h;
	called("config%d ", value);
	return fake.claimed ? LIBUSB_ERROR_BUSY : call_result();
}

int libusb_set_interface_alt_setting(libusb_device_handle *h, int number, int alternate)
{
	(void)h;
	called("alt%d.%d ", number, alternate);
	return call_result();
}

int libusb_clear_halt(libusb_device_handle *h, unsigned char endpoint)
{
	(void)h;
	called("clear%02x ", endpoint);
	return call_result();
}

int libusb_alloc_streams(libusb_device_handle *h, uint32_t streams, unsigned char *endpoints, int count)
{
	int result = call_result();

	(void)h;
	called("streams%u.%02x.%d ", streams, endpoints[0], count);
	return result ? result : (int)streams - 1;
}

int libusb_free_streams(libusb_device_handle *h, unsigned char *endpoints, int count)
{
	(void)h;
	called("free%02x ", endpoints[0]);
	assert_int_equal(count, 1);
	return call_result();
}

void libusb_transfer_set_stream_id(struct libusb_transfer *t, uint32_t id)
{
	(void)t;
	fake.stream = id;
}

int libusb_reset_device(libusb_device_handle *h)
{
	(void)h;
	called("reset ");
	return call_result();
}

struct libusb_transfer *libusb_alloc_transfer(int packets)
{
	return calloc(1, sizeof(struct libusb_transfer) + (size_t)packets * sizeof(struct libusb_iso_packet_descriptor));
}

void libusb_free_transfer(struct libusb_transfer *t) { free(t); }

int libusb_submit_transfer(struct libusb_transfer *t)
{
	assert_int_equal(t->timeout, 0);
	errno = fake.submit_errno;
	if (fake.submit_result)
		return fake.submit_result;
	if (!fake.room)
		return LIBUSB_ERROR_NO_MEM;
	fake.room--;
	t->actual_length = 0;
	t->status = LIBUSB_TRANSFER_COMPLETED;
	fake.flying[fake.count++] = t;
	return 0;
}

static void land(uint32_t i, enum libusb_transfer_status status, int actual)
{
	struct libusb_transfer *t = fake.flying[i];

	memmove(&fake.flying[i], &fake.flying[i + 1], (--fake.count - i) * sizeof(fake.flying[0]));
	fake.room++;
	t->status = status;
	t->actual_length = actual;
	t->callback(t);
}

int libusb_cancel_transfer(struct libusb_transfer *t)
{
	if (!fake.deaf)
		t->status = LIBUSB_TRANSFER_CANCELLED;
	return 0;
}

int libusb_handle_events_timeout_completed(libusb_context *c, struct timeval *tv, int *completed)
{
	uint32_t i = 0;

	(void)c;
	(void)completed;
	while (i < fake.count)
		if (fake.flying[i]->status == LIBUSB_TRANSFER_CANCELLED)
			land(i, LIBUSB_TRANSFER_CANCELLED, 3);
		else
			i++;
	if (tv->tv_usec)
		usleep((useconds_t)tv->tv_usec);
	return 0;
}

/* ---- the sysfs and the host of these tests ---- */

static struct uw_sysfs_device plugged;

bool uw_sysfs_read(const char *bus_id, struct uw_sysfs_device *d)
{
	*d = plugged;
	return !strcmp(bus_id, plugged.bus_id);
}

void uw_sysfs_each(void (*each)(void *ctx, const struct uw_sysfs_device *device), void *ctx)
{
	each(ctx, &plugged);
}

static enum uw_sysfs_power power;

enum uw_sysfs_power uw_sysfs_power(const char *bus_id)
{
	(void)bus_id;
	return power;
}

bool uw_sysfs_has_class(const struct uw_sysfs_device *d, uint8_t class_code)
{
	return d->class_code == class_code;
}

uint8_t uw_sysfs_configuration(const char *bus_id)
{
	assert_string_equal(bus_id, "1-4");
	return plugged.configuration;
}

void uw_sysfs_describe(const char *bus_id, char *text, size_t size)
{
	(void)bus_id;
	memset(text, 0, size);
}

bool uw_sysfs_parent(const char *bus_id, uint32_t *hub, uint32_t *port)
{
	assert_string_equal(bus_id, "1-4");
	*hub = 1;
	*port = 4;
	return true;
}

uint64_t uw_sysfs_usb_memory(void)
{
	return 1 << 20;
}

struct lab {
	struct uw_loop loop;
	struct uw_returns returns;
	struct uw_thread thread;
	struct uw_usb_host host;
	struct uw_config config;
	struct uw_start start;
	struct uw_device *device;
	struct uw_transfer_io io[MANY];
	struct uw_iso iso[1024];
	uint32_t answers[MANY];        /* how often each was answered */
	uint8_t data[2 << 20];
	uint64_t armed;
	uint32_t gone, wakeups;
	int keeper;                    /* its end of the opener */
	pthread_t opener;
	uint32_t opens;
	int control;                   /* power/control of the device, or 0: the keeper has none to give */
	uint32_t controls_back;
};

static struct lab *lab;

static uint64_t host_now(struct uw_device *d) { (void)d; return lab->loop.now; }
static void host_arm(struct uw_device *d, uint64_t when) { (void)d; lab->armed = when; }
static void host_gone(struct uw_device *d) { (void)d; lab->gone++; }
static void host_wakeup(struct uw_device *d) { (void)d; lab->wakeups++; }

static void host_complete(struct uw_device *d, struct uw_transfer_io *io)
{
	(void)d;
	lab->answers[io - lab->io]++;
}

static const struct uw_device_host device_host = {
	.now = host_now, .arm = host_arm, .complete = host_complete, .gone = host_gone, .wakeup = host_wakeup,
};

static void answer_power(const struct uw_open_ask *ask)
{
	struct uw_open_answer answer = { .error = EACCES };
	int fd = -1;

	assert_int_equal(ask->device, 7);
	if (ask->what == UW_OPEN_POWER && lab->control)
		fd = dup(lab->control);
	if (ask->what == UW_OPEN_POWER_BACK)
		lab->controls_back++;
	if (fd >= 0 || ask->what == UW_OPEN_POWER_BACK)
		answer.error = 0;
	assert_true(uw_pass_send(lab->keeper, &answer, sizeof(answer), fd));
	if (fd >= 0)
		close(fd);
}

/* The keeper: answers with a descriptor, as many times as it is told to, then with an error. */
static void *open_nodes(void *ctx)
{
	struct uw_open_answer answer = { 0 };
	struct uw_open_ask ask;
	int fd;

	(void)ctx;
	while (recv(lab->keeper, &ask, sizeof(ask), 0) == sizeof(ask)) {
		assert_int_equal(ask.bus, 1);
		if (ask.what != UW_OPEN_NODE) {
			answer_power(&ask);
			continue;
		}
		assert_true(ask.device == 7 || ask.device == 1); /* itself, or the hub */
		fd = lab->opens ? eventfd(0, EFD_CLOEXEC) : -1;
		answer.error = lab->opens ? 0 : EACCES;
		lab->opens -= lab->opens && ask.device == 7 ? 1 : 0;
		assert_true(uw_pass_send(lab->keeper, &answer, sizeof(answer), fd));
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static int setup(void **state)
{
	struct uw_outcome outcome;
	int ends[2];

	memset(&fake, 0, sizeof(fake));
	fake.room = MANY;
	plugged = (struct uw_sysfs_device){ .bus_id = "1-4",
					    .vendor = 0x1234, .product = 0x5678,
					    .speed = UW_SPEED_HIGH, .configuration = 1, .bus = 1, .number = 7 };
	lab = calloc(1, sizeof(*lab));
	lab->config.usb = true;
	lab->start.config = &lab->config;
	lab->opens = 2;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	lab->start.opener = ends[0];
	lab->keeper = ends[1];
	assert_int_equal(uw_loop_init(&lab->loop), 0);
	assert_int_equal(uw_returns_open(&lab->returns, &lab->loop), 0);
	assert_int_equal(uw_thread_start(&lab->thread, &lab->returns), 0);
	assert_int_equal(pthread_create(&lab->opener, NULL, open_nodes, NULL), 0);
	uw_usb_init(&lab->host, &lab->loop, &lab->start);
	lab->device = uw_usb_new(&lab->host, &lab->thread, "1-4", &outcome);
	assert_non_null(lab->device);
	lab->device->host = &device_host;
	*state = lab;
	return 0;
}

static void open_device(void)
{
	assert_int_equal(lab->device->ops->open(lab->device), 0);
	uw_usb_opened(lab->device);
	assert_string_equal(fake.calls, "claim0 claim1 reset ");
	*fake.calls = 0;
}

static int setup_open(void **state)
{
	setup(state);
	open_device();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (uw_usb_of(lab->device)->handle)
		lab->device->ops->close(lab->device);
	assert_int_equal(lab->host.memory, 0);
	uw_thread_join(&lab->thread);
	uw_usb_free(lab->device);
	uw_usb_fini(&lab->host);
	uw_returns_close(&lab->returns);
	uw_loop_fini(&lab->loop);
	close(lab->start.opener);
	pthread_join(lab->opener, NULL);
	close(lab->keeper);
	free(lab);
	return 0;
}

static struct uw_transfer_io *submit(uint32_t i, uint8_t endpoint, uint8_t type, uint32_t length)
{
	struct uw_transfer_io *io = &lab->io[i];

	memset(io, 0, sizeof(*io));
	io->endpoint = endpoint;
	io->type = type;
	io->length = length;
	io->data = lab->data;
	io->setup[0] = endpoint & 0x80;
	io->setup[6] = (uint8_t)length;
	io->setup[7] = (uint8_t)(length >> 8);
	lab->answers[i] = 0;
	lab->device->ops->submit(lab->device, io);
	return io;
}

static const uint8_t stream_endpoints[] = { 0x81, 0x02 };

static void begin_verb(uint8_t kind, uint16_t a, uint16_t b)
{
	struct uw_transfer_io *io = &lab->io[MANY - 1];

	memset(io, 0, sizeof(*io));
	io->verb = kind;
	io->arg[0] = a;
	io->arg[1] = b;
	io->endpoints = stream_endpoints;
	lab->answers[MANY - 1] = 0;
	uw_device_begin(lab->device, io);
}

/* Its status. */
static uint32_t end_verb(void)
{
	while (!lab->answers[MANY - 1])
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->answers[MANY - 1], 1);
	return lab->io[MANY - 1].status;
}

static inline uint32_t verb(uint8_t kind, uint16_t a, uint16_t b)
{
	begin_verb(kind, a, b);
	return end_verb();
}

#endif
