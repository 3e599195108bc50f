/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The libusb backend on a libusb made of a few lines here: every status, memory that runs out, cancels, configurations,
 * devices that vanish or never answer. Real hardware is for the VM tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/eventfd.h>
#include <sys/socket.h>

#include "endpoints.c"
#include "flight.c"
#include "verbs.c"
#include "usb.c"

#include <cmocka.h> /* last: it takes common words for macros */

#define MANY 64

/* ---- the libusb of these tests ---- */

static struct {
	struct libusb_transfer *flying[MANY];
	uint32_t count;
	char calls[1024];              /* what was called, in short */
	int submit_result;             /* of the next submits */
	uint32_t room;                 /* submits until the memory is used up */
	int call_result;               /* of the next blocking call */
	bool deaf;                     /* cancelled transfers do not come back */
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
static const struct libusb_endpoint_descriptor ends2[] = { EP(0x83, 3, 64), EP(0x84, 1, 64) };
static const struct libusb_interface_descriptor alternates0[] = {
	{ .bInterfaceNumber = 0, .bNumEndpoints = 2, .endpoint = ends0 },
};
static const struct libusb_interface_descriptor alternates1[] = {
	{ .bInterfaceNumber = 1, .bNumEndpoints = 1, .endpoint = ends1 },
	{ .bInterfaceNumber = 1, .bAlternateSetting = 1, .bNumEndpoints = 2, .endpoint = ends2 },
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

void libusb_transfer_set_stream_id(struct libusb_transfer *t, uint32_t stream)
{
	(void)t;
	called("stream%u ", stream);
}

int libusb_alloc_streams(libusb_device_handle *h, uint32_t streams, unsigned char *endpoints, int count)
{
	(void)h;
	called("alloc%u.%d.%02x ", streams, count, endpoints[0]);
	return fake.call_result ? call_result() : (int)streams / 2;
}

int libusb_free_streams(libusb_device_handle *h, unsigned char *endpoints, int count)
{
	(void)h;
	called("free%d.%02x ", count, endpoints[0]);
	return call_result();
}

void libusb_free_transfer(struct libusb_transfer *t) { free(t); }

int libusb_submit_transfer(struct libusb_transfer *t)
{
	assert_int_equal(t->timeout, 0);
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

bool uw_sysfs_has_class(const struct uw_sysfs_device *d, uint8_t class_code)
{
	return d->class_code == class_code;
}

void uw_sysfs_describe(const char *bus_id, char *text, size_t size)
{
	(void)bus_id;
	memset(text, 0, size);
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
	uint32_t answers[MANY];        /* how often each was answered */
	uint8_t data[2 << 20];
	uint64_t armed;
	uint32_t gone;
	uint32_t shut;
	int keeper;                    /* its end of the opener */
	pthread_t opener;
	uint32_t opens;
};

static struct lab *lab;

static uint64_t host_now(struct uw_device *d) { (void)d; return lab->loop.now; }
static void host_arm(struct uw_device *d, uint64_t when) { (void)d; lab->armed = when; }
static void host_gone(struct uw_device *d) { (void)d; lab->gone++; }

static void host_complete(struct uw_device *d, struct uw_transfer_io *io)
{
	(void)d;
	lab->answers[io - lab->io]++;
}

static const struct uw_device_host device_host = {
	.now = host_now, .arm = host_arm, .complete = host_complete, .gone = host_gone,
};

/* The keeper: answers with a descriptor, as many times as it is told to, then with an error. */
static void *open_nodes(void *ctx)
{
	struct uw_open_answer answer = { 0 };
	struct uw_open_ask ask;
	int fd;

	(void)ctx;
	while (recv(lab->keeper, &ask, sizeof(ask), 0) == sizeof(ask)) {
		assert_int_equal(ask.bus, 1);
		assert_int_equal(ask.device, 7);
		fd = lab->opens ? eventfd(0, EFD_CLOEXEC) : -1;
		answer.error = lab->opens ? 0 : EACCES;
		lab->opens -= lab->opens ? 1 : 0;
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

static struct uw_transfer_io *submit_packets(uint32_t i, uint8_t endpoint, struct uw_iso *iso, uint16_t packets,
					     uint32_t length)
{
	struct uw_transfer_io *io = &lab->io[i];

	memset(io, 0, sizeof(*io));
	io->endpoint = endpoint;
	io->type = UW_ISOCH;
	io->length = length;
	io->data = lab->data;
	io->iso = iso;
	io->packets = packets;
	lab->answers[i] = 0;
	lab->device->ops->submit(lab->device, io);
	return io;
}

static void submit_stream(uint32_t i, uint8_t endpoint, uint16_t stream)
{
	struct uw_transfer_io *io = &lab->io[i];

	memset(io, 0, sizeof(*io));
	io->endpoint = endpoint;
	io->type = UW_BULK;
	io->length = 1;
	io->data = lab->data;
	io->stream = stream;
	lab->answers[i] = 0;
	lab->device->ops->submit(lab->device, io);
}

/* Runs a verb to its end; its status. */
static uint32_t verb_on(uint8_t kind, uint16_t a, uint16_t b, const uint8_t *endpoints)
{
	struct uw_transfer_io *io = &lab->io[MANY - 1];

	memset(io, 0, sizeof(*io));
	io->verb = kind;
	io->arg[0] = a;
	io->arg[1] = b;
	io->endpoints = endpoints;
	lab->answers[MANY - 1] = 0;
	lab->device->ops->reset(lab->device, io); /* one function for all verbs that block */
	while (!lab->answers[MANY - 1])
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->answers[MANY - 1], 1);
	return io->status;
}

static uint32_t verb(uint8_t kind, uint16_t a, uint16_t b)
{
	return verb_on(kind, a, b, NULL);
}

/* ---- statuses ---- */

static void test_ends_of_transfers(void **state)
{
	static const struct {
		enum libusb_transfer_status from;
		uint32_t to;
	} cases[] = {
		{ LIBUSB_TRANSFER_COMPLETED, UW_ST_OK }, { LIBUSB_TRANSFER_ERROR, UW_ST_PROTOCOL },
		{ LIBUSB_TRANSFER_TIMED_OUT, UW_ST_HOST }, { LIBUSB_TRANSFER_CANCELLED, UW_ST_CANCELLED },
		{ LIBUSB_TRANSFER_STALL, UW_ST_STALL }, { LIBUSB_TRANSFER_NO_DEVICE, UW_ST_NO_DEVICE },
		{ LIBUSB_TRANSFER_OVERFLOW, UW_ST_BABBLE }, { (enum libusb_transfer_status)99, UW_ST_HOST },
	};
	struct uw_transfer_io *io;
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		io = submit(i, 0x81, UW_BULK, 64);
		assert_int_equal(lab->answers[i], 0);
		land(0, cases[i].from, 17);
		assert_int_equal(lab->answers[i], 1);
		assert_int_equal(io->status, cases[i].to);
		assert_int_equal(io->actual, 17);
	}
}

static void test_refused_submits(void **state)
{
	static const struct {
		int from;
		uint32_t to;
	} cases[] = {
		{ LIBUSB_ERROR_NO_DEVICE, UW_ST_NO_DEVICE }, { LIBUSB_ERROR_NOT_SUPPORTED, UW_ST_UNSUPPORTED },
		{ LIBUSB_ERROR_INVALID_PARAM, UW_ST_UNSUPPORTED }, { LIBUSB_ERROR_IO, UW_ST_HOST },
		{ LIBUSB_ERROR_BUSY, UW_ST_HOST }, { LIBUSB_ERROR_OTHER, UW_ST_HOST },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		fake.submit_result = cases[i].from;
		assert_int_equal(submit(i, 0x81, UW_BULK, 64)->status, cases[i].to);
		assert_int_equal(lab->answers[i], 1);
	}
}

static void test_results_of_verbs(void **state)
{
	static const struct {
		uint8_t verb;
		int from;
		uint32_t to;
	} cases[] = {
		{ UW_VERB_CLEAR_HALT, 0, UW_ST_OK }, { UW_VERB_CLEAR_HALT, LIBUSB_ERROR_NOT_FOUND, UW_ST_NO_ENDPOINT },
		{ UW_VERB_CLEAR_HALT, LIBUSB_ERROR_OTHER, UW_ST_STALL },
		{ UW_VERB_CLEAR_HALT, LIBUSB_ERROR_PIPE, UW_ST_STALL },
		{ UW_VERB_RESET, 0, UW_ST_OK }, { UW_VERB_RESET, LIBUSB_ERROR_OTHER, UW_ST_PROTOCOL },
		{ UW_VERB_SET_INTERFACE, LIBUSB_ERROR_OTHER, UW_ST_STALL },
		{ UW_VERB_SET_CONFIGURATION, LIBUSB_ERROR_OTHER, UW_ST_STALL },
		{ UW_VERB_SET_CONFIGURATION, LIBUSB_ERROR_NOT_FOUND, UW_ST_NO_ENDPOINT },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(cases); i++) {
		submit(0, 0x81, UW_BULK, 1); /* no longer fresh */
		land(0, LIBUSB_TRANSFER_COMPLETED, 1);
		fake.call_result = cases[i].from;
		assert_int_equal(verb(cases[i].verb, 1, 0), cases[i].to);
	}
	assert_int_equal(lab->gone, 0);
}

/* ---- transfers ---- */

static void test_buffers_are_the_region(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	io = submit(0, 0x81, UW_BULK, 4096);
	assert_ptr_equal(fake.flying[0]->buffer, lab->data);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_BULK);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
	assert_int_equal(io->copied, 0);
	submit(1, 0x83, UW_INTERRUPT, 8);
	assert_ptr_equal(fake.flying[0]->buffer, lab->data);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_INTERRUPT);
	land(0, LIBUSB_TRANSFER_COMPLETED, 8);
}

static void test_control_has_its_setup_packet(void **state)
{
	struct uw_transfer_io *io;

	(void)state;
	io = submit(0, 0x80, UW_CONTROL, 18);
	assert_memory_equal(fake.flying[0]->buffer, io->setup, 8);
	assert_int_equal(fake.flying[0]->length, 26);
	memcpy(fake.flying[0]->buffer + 8, "eighteen bytes 123", 18);
	land(0, LIBUSB_TRANSFER_COMPLETED, 10);
	assert_memory_equal(lab->data, "eighteen b\0", 11);
	assert_int_equal(io->copied, 10);
	memcpy(lab->data, "out", 3);
	submit(1, 0x00, UW_CONTROL, 3);
	assert_memory_equal(fake.flying[0]->buffer + 8, "out", 3);
	land(0, LIBUSB_TRANSFER_STALL, 0);
	assert_int_equal(lab->io[1].status, UW_ST_STALL);
}

static void test_zero_packets(void **state)
{
	(void)state;
	submit(0, 0x02, UW_BULK, 512);
	assert_int_equal(fake.flying[0]->flags, 0);
	land(0, LIBUSB_TRANSFER_COMPLETED, 512);
	memset(&lab->io[1], 0, sizeof(lab->io[1]));
	lab->io[1] = (struct uw_transfer_io){ .endpoint = 2, .type = UW_BULK, .length = 512, .data = lab->data,
					      .flags = UW_SUBMIT_ZERO_PACKET | UW_SUBMIT_SHORT_NOT_OK };
	lab->device->ops->submit(lab->device, &lab->io[1]);
	assert_int_equal(fake.flying[0]->flags, LIBUSB_TRANSFER_ADD_ZERO_PACKET);
	land(0, LIBUSB_TRANSFER_COMPLETED, 512);
}

static void test_endpoints_that_are_not_there(void **state)
{
	(void)state;
	assert_int_equal(submit(0, 0x85, UW_BULK, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(1, 0x81, UW_INTERRUPT, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(2, 0x01, UW_CONTROL, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit(3, 0x00, UW_BULK, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(submit_packets(4, 0x84, (struct uw_iso[1]){ { 0 } }, 1, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK);
	assert_int_equal(submit(5, 0x83, UW_INTERRUPT, 1)->status, UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 0, 0), UW_ST_OK);
	assert_int_equal(submit(6, 0x81, UW_BULK, 1)->status, UW_ST_NO_ENDPOINT);
}

static void test_what_is_not_supported_is_answered(void **state)
{
	(void)state;
	lab->device->ops->suspend(lab->device, &lab->io[1]);
	assert_int_equal(lab->io[1].status, UW_ST_UNSUPPORTED);
	assert_int_equal(lab->answers[1], 1);
}

/* ---- isochronous ---- */

static void to_isochronous(void)
{
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 1), UW_ST_OK);
	*fake.calls = 0;
}

static void test_packets_in_a_row_need_no_copy(void **state)
{
	static struct uw_iso iso[300];
	struct libusb_transfer *t;
	struct uw_transfer_io *io;
	uint32_t i;

	(void)state;
	to_isochronous();
	for (i = 0; i < UW_COUNT_OF(iso); i++)
		iso[i] = (struct uw_iso){ .offset = 5 + (i > 7 ? i - 1 : i) * 10, .length = i == 7 ? 0 : 10 };
	io = submit_packets(0, 0x84, iso, UW_COUNT_OF(iso), 3000);
	assert_int_equal(lab->answers[0], 0);
	t = fake.flying[0];
	assert_int_equal(t->type, LIBUSB_TRANSFER_TYPE_ISOCHRONOUS);
	assert_int_equal(t->num_iso_packets, 300);
	assert_int_equal(t->length, 2990);
	assert_ptr_equal(t->buffer, lab->data + 5);
	for (i = 0; i < 300; i++) {
		assert_int_equal(t->iso_packet_desc[i].length, i == 7 ? 0 : 10);
		t->iso_packet_desc[i].actual_length = i % 10;
		t->iso_packet_desc[i].status = LIBUSB_TRANSFER_COMPLETED;
	}
	t->iso_packet_desc[1].status = LIBUSB_TRANSFER_ERROR;
	t->iso_packet_desc[2].status = LIBUSB_TRANSFER_OVERFLOW;
	t->iso_packet_desc[2].actual_length = 4000; /* is not believed */
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(io->status, UW_ST_OK);
	assert_int_equal(iso[0].status, UW_ST_OK);
	assert_int_equal(iso[1].status, UW_ST_PROTOCOL);
	assert_int_equal(iso[2].status, UW_ST_BABBLE);
	assert_int_equal(iso[2].actual, 10);
	assert_int_equal(iso[7].actual, 0);
	assert_int_equal(io->actual, 30 * 45 + (10 - 2) - 7);
	assert_int_equal(io->copied, 0);
}

static void test_scattered_packets_are_gathered(void **state)
{
	struct uw_iso iso[] = { { .offset = 20, .length = 4 }, { .offset = 0, .length = 8 }, { .offset = 10, .length = 2 } };
	struct libusb_transfer *t;
	struct uw_transfer_io *io;

	(void)state;
	to_isochronous();
	memset(lab->data, 'x', 32);
	io = submit_packets(0, 0x84, iso, 3, 32);
	t = fake.flying[0];
	assert_int_equal(t->length, 14);
	memcpy(t->buffer, "AAAABBBBBBBBCC", 14);
	t->iso_packet_desc[0] = (struct libusb_iso_packet_descriptor){ 4, 3, LIBUSB_TRANSFER_COMPLETED };
	t->iso_packet_desc[1] = (struct libusb_iso_packet_descriptor){ 8, 8, LIBUSB_TRANSFER_COMPLETED };
	t->iso_packet_desc[2] = (struct libusb_iso_packet_descriptor){ 2, 0, LIBUSB_TRANSFER_COMPLETED };
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
	assert_int_equal(io->actual, 11);
	assert_int_equal(io->copied, 11);
	assert_memory_equal(lab->data, "BBBBBBBBxxxxxxxxxxxxAAAx", 24);
}

static void test_packets_over_one_another_are_refused(void **state)
{
	struct uw_iso iso[] = { { .offset = 0, .length = 30 }, { .offset = 1, .length = 30 } };

	(void)state;
	to_isochronous();
	assert_int_equal(submit_packets(0, 0x84, iso, 2, 32)->status, UW_ST_UNSUPPORTED);
	assert_int_equal(fake.count, 0);
}

static void test_packets_of_a_cancelled_transfer(void **state)
{
	struct uw_iso iso[] = { { .offset = 0, .length = 10 }, { .offset = 10, .length = 10 } };

	(void)state;
	to_isochronous();
	submit_packets(0, 0x84, iso, 2, 20);
	fake.flying[0]->iso_packet_desc[0] = (struct libusb_iso_packet_descriptor){ 10, 10, LIBUSB_TRANSFER_COMPLETED };
	land(0, LIBUSB_TRANSFER_CANCELLED, 0);
	assert_int_equal(lab->io[0].status, UW_ST_CANCELLED);
	assert_int_equal(lab->io[0].actual, 10);
	assert_int_equal(iso[0].status, UW_ST_OK);
	assert_int_equal(iso[1].status, UW_ST_CANCELLED);
}

static void test_transfers_of_all_sizes_share_room(void **state)
{
	static struct uw_iso iso[200];
	uint32_t i, packets;

	(void)state;
	to_isochronous();
	for (i = 0; i < UW_COUNT_OF(iso); i++)
		iso[i] = (struct uw_iso){ .offset = i, .length = 1 };
	for (packets = 1; packets <= UW_COUNT_OF(iso); packets += 33) {
		submit_packets(0, 0x84, iso, (uint16_t)packets, 200);
		submit(1, 0x81, UW_BULK, 10);
		assert_int_equal(fake.flying[1]->num_iso_packets, 0);
		land(0, LIBUSB_TRANSFER_COMPLETED, 0);
		land(0, LIBUSB_TRANSFER_COMPLETED, 10);
		assert_int_equal(lab->io[1].status, UW_ST_OK);
	}
}

/* ---- streams ---- */

static void test_streams(void **state)
{
	static const uint8_t endpoints[] = { 0x81, 0x02 };

	(void)state;
	assert_int_equal(verb_on(UW_VERB_ALLOC_STREAMS, 16, 2, endpoints), UW_ST_OK);
	assert_int_equal(lab->io[MANY - 1].actual, 8);
	submit_stream(0, 0x81, 3);
	assert_int_equal(fake.flying[0]->type, LIBUSB_TRANSFER_TYPE_BULK_STREAM);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1);
	assert_int_equal(lab->io[0].status, UW_ST_OK);
	assert_int_equal(verb_on(UW_VERB_FREE_STREAMS, 0, 2, endpoints), UW_ST_OK);
	assert_string_equal(fake.calls, "alloc16.2.81 stream3 free2.81 ");
	fake.call_result = LIBUSB_ERROR_NOT_SUPPORTED;
	assert_int_equal(verb_on(UW_VERB_ALLOC_STREAMS, 16, 2, endpoints), UW_ST_UNSUPPORTED);
	fake.call_result = LIBUSB_ERROR_OTHER;
	assert_int_equal(verb_on(UW_VERB_ALLOC_STREAMS, 16, 2, endpoints), UW_ST_UNSUPPORTED);
}

/* A stream that waits for memory holds back itself alone. */
static void test_streams_have_an_order_each(void **state)
{
	(void)state;
	fake.room = 0;
	submit_stream(0, 0x81, 1);
	fake.room = 1;
	submit_stream(1, 0x81, 2);
	assert_int_equal(fake.count, 1);
	fake.room = 1;
	submit_stream(2, 0x81, 1); /* behind the first, though there is room */
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1);
	assert_int_equal(lab->answers[1], 1);
	assert_int_equal(fake.count, 2);
	assert_ptr_equal(((struct uw_flight *)lab->io[0].own)->transfer, fake.flying[0]);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1);
	assert_int_equal(lab->answers[0] + lab->answers[2], 2);
}

/* ---- memory that runs out ---- */

static void test_no_memory_is_never_an_answer(void **state)
{
	uint32_t i;

	(void)state;
	fake.room = 2;
	for (i = 0; i < 10; i++)
		submit(i, 0x81, UW_BULK, 100);
	assert_int_equal(fake.count, 2);
	for (i = 0; i < 10; i++) {
		assert_ptr_equal(((struct uw_flight *)fake.flying[0]->user_data)->io, &lab->io[i]);
		land(0, LIBUSB_TRANSFER_COMPLETED, 100);
		assert_int_equal(lab->answers[i], 1);
	}
	assert_int_equal(fake.count, 0);
}

static void test_the_limit_is_respected_beforehand(void **state)
{
	(void)state;
	submit(0, 0x81, UW_BULK, 900000);
	submit(1, 0x81, UW_BULK, 900000);
	assert_int_equal(fake.count, 1);
	submit(2, 0x02, UW_BULK, 1000); /* another endpoint, and there is room */
	assert_int_equal(fake.count, 2);
	land(1, LIBUSB_TRANSFER_COMPLETED, 1000);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 900000);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 900000);
	assert_int_equal(submit(3, 0x81, UW_BULK, 2 << 20)->status, UW_ST_UNSUPPORTED); /* it would wait for ever */
	assert_int_equal(fake.count, 0);
	submit(3, 0x81, UW_BULK, 1 << 20); /* the limit itself; alone it is for the kernel to judge */
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 0);
}

static void test_others_have_the_memory(void **state)
{
	(void)state;
	fake.room = 0;
	submit(0, 0x81, UW_BULK, 100);
	assert_int_equal(lab->armed, lab->loop.now + RETRY);
	lab->armed = UW_NEVER;
	lab->device->ops->timer(lab->device);
	assert_int_equal(lab->armed, lab->loop.now + RETRY);
	fake.room = 1;
	lab->device->ops->timer(lab->device);
	assert_int_equal(fake.count, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 100);
	assert_int_equal(lab->answers[0], 1);
}

static void test_cancels(void **state)
{
	struct uw_transfer_io *flying = submit(0, 0x81, UW_BULK, 100), *held;
	struct timeval none = { 0, 0 };

	(void)state;
	fake.room = 0;
	held = submit(1, 0x81, UW_BULK, 100);
	lab->device->ops->cancel(lab->device, held);
	assert_int_equal(lab->answers[1], 1);
	assert_int_equal(held->status, UW_ST_CANCELLED);
	lab->device->ops->cancel(lab->device, flying);
	lab->device->ops->cancel(lab->device, flying);
	assert_int_equal(lab->answers[0], 0);
	libusb_handle_events_timeout_completed(&context, &none, NULL);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(flying->status, UW_ST_CANCELLED);
	assert_int_equal(flying->actual, 3);
}

/* ---- configurations ---- */

static void test_configuration_after_a_reset(void **state)
{
	(void)state;
	/* The kernel has set it already. */
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "");
	/* A second time it is the guest's wish to begin anew. */
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 release1 config1 claim0 claim1 ");
}

static void test_alternate_settings_start_from_0(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 1), UW_ST_OK);
	assert_int_equal(uw_usb_of(lab->device)->endpoint[uw_usb_index(0x84)], UW_ISOCH);
	assert_int_equal(verb(UW_VERB_RESET, 0, 0), UW_ST_OK);
	*fake.calls = 0;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "alt1.0 ");
	assert_int_equal(uw_usb_of(lab->device)->endpoint[uw_usb_index(0x84)], UW_NOT_AN_ENDPOINT);
}

static void test_use_ends_freshness(void **state)
{
	(void)state;
	submit(0, 0x80, UW_CONTROL, 18);
	land(0, LIBUSB_TRANSFER_COMPLETED, 18);
	assert_true(uw_usb_of(lab->device)->fresh);
	submit(0, 0x81, UW_BULK, 1);
	land(0, LIBUSB_TRANSFER_COMPLETED, 1);
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 1, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 release1 config1 claim0 claim1 ");
}

static void test_other_configurations(void **state)
{
	(void)state;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 2, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 release1 config2 claim0 ");
	*fake.calls = 0;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 0, 0), UW_ST_OK);
	assert_string_equal(fake.calls, "release0 config-1 ");
	*fake.calls = 0;
	fake.call_result = LIBUSB_ERROR_NOT_FOUND;
	assert_int_equal(verb(UW_VERB_SET_CONFIGURATION, 9, 0), UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 1, 0), UW_ST_NO_ENDPOINT);
	assert_int_equal(verb(UW_VERB_SET_INTERFACE, 200, 0), UW_ST_NO_ENDPOINT);
}

/* ---- open, close, and devices that go ---- */

static void test_opens_that_fail(void **state)
{
	const struct uw_backend *ops = lab->device->ops;

	(void)state;
	fake.call_result = LIBUSB_ERROR_NOT_FOUND;
	assert_int_not_equal(ops->open(lab->device), 0);
	assert_string_equal(fake.calls, "claim0 claim1 reset giveback0 giveback1 close ");
	assert_string_equal(uw_usb_reason(lab->device), "reset: Entity not found");
	plugged.product++;
	assert_int_not_equal(ops->open(lab->device), 0);
	assert_string_equal(uw_usb_reason(lab->device), "open: it is no longer there");
	plugged.product--;
	lab->opens = 0;
	assert_int_not_equal(ops->open(lab->device), 0);
	assert_string_equal(uw_usb_reason(lab->device), "open: Permission denied");
	lab->opens = 1;
	*fake.calls = 0;
	open_device();
}

static void test_close_ends_everything_once(void **state)
{
	uint32_t i;

	(void)state;
	fake.room = 4;
	for (i = 0; i < 10; i++)
		submit(i, 0x81, UW_BULK, 100);
	lab->device->ops->close(lab->device);
	for (i = 0; i < 10; i++) {
		assert_int_equal(lab->answers[i], 1);
		assert_int_equal(lab->io[i].status, UW_ST_CANCELLED);
	}
	assert_string_equal(fake.calls, "giveback0 giveback1 close ");
	*fake.calls = 0;
	open_device();
}

/* The kernel ends what is left when the node is closed. Takes as long as such transfers are waited for. */
static void test_close_of_a_device_that_never_answers(void **state)
{
	uint32_t i;

	(void)state;
	fake.deaf = true;
	for (i = 0; i < 3; i++)
		submit(i, 0x81, UW_BULK, 100);
	lab->device->ops->close(lab->device);
	for (i = 0; i < 3; i++) {
		assert_int_equal(lab->answers[i], 1);
		assert_int_equal(lab->io[i].status, UW_ST_CANCELLED);
	}
	assert_string_equal(fake.calls, "close ");
}

static void on_shut_device(struct uw_device *device)
{
	assert_ptr_equal(device, lab->device);
	lab->shut++;
}

/* Without waiting: what is under way ends first, then the thread gives back, then it is told. */
static void test_shut(void **state)
{
	(void)state;
	fake.deaf = true;
	submit(0, 0x81, UW_BULK, 100);
	fake.room = 0;
	submit(1, 0x81, UW_BULK, 100);
	fake.room = MANY;
	uw_usb_shut(lab->device, on_shut_device);
	assert_int_equal(lab->answers[1], 1);
	assert_int_equal(lab->io[1].status, UW_ST_CANCELLED);
	assert_int_equal(submit(2, 0x81, UW_BULK, 1)->status, UW_ST_NO_DEVICE);
	assert_int_equal(lab->answers[0], 0);
	assert_string_equal(fake.calls, "");
	land(0, LIBUSB_TRANSFER_CANCELLED, 3);
	while (!lab->shut)
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->shut, 1);
	assert_int_equal(lab->answers[0], 1);
	assert_string_equal(fake.calls, "giveback0 giveback1 close ");
}

static void test_shut_of_a_device_that_never_answers(void **state)
{
	(void)state;
	fake.deaf = true;
	submit(0, 0x81, UW_BULK, 100);
	uw_usb_shut(lab->device, on_shut_device);
	assert_int_not_equal(lab->armed, UW_NEVER);
	lab->loop.now = lab->armed;
	lab->device->ops->timer(lab->device);
	while (!lab->shut)
		uw_returns_wait(&lab->returns);
	assert_int_equal(lab->answers[0], 1);
	assert_int_equal(lab->io[0].status, UW_ST_CANCELLED);
	assert_string_equal(fake.calls, "close ");
}

static void test_unplugged(void **state)
{
	(void)state;
	fake.call_result = LIBUSB_ERROR_NOT_FOUND;
	assert_int_equal(verb(UW_VERB_RESET, 0, 0), UW_ST_NO_DEVICE);
	assert_int_equal(lab->gone, 1);
	assert_int_equal(submit(0, 0x81, UW_BULK, 1)->status, UW_ST_NO_DEVICE);
	lab->device->ops->clear_halt(lab->device, &lab->io[1]);
	assert_int_equal(lab->io[1].status, UW_ST_NO_DEVICE);
	assert_int_equal(lab->gone, 1);
}

static void test_hubs_are_refused(void **state)
{
	struct uw_outcome outcome = { 0 };

	(void)state;
	plugged.hub = true;
	assert_null(uw_usb_new(&lab->host, &lab->thread, "1-4", &outcome));
	assert_int_equal(outcome.status, UW_CTL_HUB);
	assert_non_null(strstr(outcome.text, "1-4 is a hub"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup_open, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_ends_of_transfers),
		CASE(test_refused_submits),
		CASE(test_results_of_verbs),
		CASE(test_buffers_are_the_region),
		CASE(test_control_has_its_setup_packet),
		CASE(test_zero_packets),
		CASE(test_endpoints_that_are_not_there),
		CASE(test_what_is_not_supported_is_answered),
		CASE(test_packets_in_a_row_need_no_copy),
		CASE(test_scattered_packets_are_gathered),
		CASE(test_packets_over_one_another_are_refused),
		CASE(test_packets_of_a_cancelled_transfer),
		CASE(test_transfers_of_all_sizes_share_room),
		CASE(test_streams),
		CASE(test_streams_have_an_order_each),
		CASE(test_no_memory_is_never_an_answer),
		CASE(test_the_limit_is_respected_beforehand),
		CASE(test_others_have_the_memory),
		CASE(test_cancels),
		CASE(test_configuration_after_a_reset),
		CASE(test_alternate_settings_start_from_0),
		CASE(test_use_ends_freshness),
		CASE(test_other_configurations),
		cmocka_unit_test_setup_teardown(test_opens_that_fail, setup, teardown),
		CASE(test_close_ends_everything_once),
		CASE(test_close_of_a_device_that_never_answers),
		CASE(test_shut),
		CASE(test_shut_of_a_device_that_never_answers),
		CASE(test_unplugged),
		CASE(test_hubs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
