/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Real USB devices, by libusb on device nodes that the keeper opens.
 *
 * A transfer's buffer is the region itself, so the one copy left is usbfs' own between it and the kernel. Only control
 * transfers have a buffer of their own, as usbfs wants the setup packet in front of the data.
 *
 * libusb is used for its knowledge of usbfs, not for its events: its device list and threads are off, and the node's
 * descriptor stands in the daemon's loop. Calls that block run on the device's thread, and none of them handles events.
 */
#include "usb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dev.h"
#include "log.h"
#include "pass.h"
#include "sysfs.h"
#include "field.h"

#define OVERHEAD 1024u               /* what usbfs charges for a transfer besides its data, about */
#define RETRY (10 * UW_MS)           /* when the memory is with other programs */
#define CLOSE_GRACE (2000 * UW_MS)   /* for cancelled transfers to come back */
#define ENDPOINTS 32u                /* 0..15 OUT, 16..31 IN */
#define INTERFACES 32u
#define NOT_AN_ENDPOINT 0xff

struct uw_usb {
	struct uw_device dev;
	struct uw_list node;   /* of the host's open devices */
	struct uw_usb_host *host;
	struct uw_thread *thread;
	libusb_device_handle *handle; /* NULL: closed */
	struct uw_source source;      /* the node; readiness means finished transfers */
	int fd;
	bool lost;             /* unplugged */
	_Atomic bool fresh;    /* the kernel has just reset and configured it, and no endpoint but 0 was used since */
	uint8_t configuration; /* bConfigurationValue, 0: none */
	uint32_t claimed;      /* one bit an interface number */
	uint8_t alternate[INTERFACES];
	uint8_t endpoint[ENDPOINTS]; /* enum uw_transfer, or NOT_AN_ENDPOINT */
	struct uw_list active; /* of io: with the kernel */
	struct uw_list held;   /* of io: wait for the kernel's memory */
	struct uw_list idle;   /* of struct flight */
	struct uw_list verbs;  /* of io: the first one is on the thread */
	struct uw_job job;     /* the first verb */
	char reason[96];
};

/* One libusb transfer, kept for the next use. */
struct flight {
	struct uw_list node;
	struct uw_usb *usb;
	struct uw_transfer_io *io;
	struct libusb_transfer *transfer;
	uint8_t *control;      /* setup packet and data */
	uint32_t room;         /* bytes of control */
};

static struct uw_usb *usb_of(struct uw_device *device)
{
	return UW_CONTAINER(device, struct uw_usb, dev);
}

static uint32_t index_of(uint8_t address)
{
	return (address & 0x0fu) | (address & 0x80u ? 16u : 0u);
}

static struct uw_transfer_io *io_at(struct uw_list *node)
{
	return UW_CONTAINER(node, struct uw_transfer_io, node);
}

static void answer(struct uw_usb *u, struct uw_transfer_io *io, uint32_t status)
{
	uw_list_del(&io->node);
	io->status = status;
	u->dev.host->complete(&u->dev, io);
}

static void lose(struct uw_usb *u)
{
	if (u->lost)
		return;
	u->lost = true;
	u->dev.host->gone(&u->dev);
}

/* ---- what libusb says, in our words ---- */

/* The end of a transfer: libusb_transfer_status. */
static uint32_t status_of_transfer(enum libusb_transfer_status status)
{
	static const uint8_t table[] = {
		[LIBUSB_TRANSFER_COMPLETED] = UW_ST_OK,
		[LIBUSB_TRANSFER_ERROR] = UW_ST_PROTOCOL,
		[LIBUSB_TRANSFER_TIMED_OUT] = UW_ST_HOST, /* never asked for */
		[LIBUSB_TRANSFER_CANCELLED] = UW_ST_CANCELLED,
		[LIBUSB_TRANSFER_STALL] = UW_ST_STALL,
		[LIBUSB_TRANSFER_NO_DEVICE] = UW_ST_NO_DEVICE,
		[LIBUSB_TRANSFER_OVERFLOW] = UW_ST_BABBLE,
	};

	return (uint32_t)status < UW_COUNT_OF(table) ? table[status] : UW_ST_HOST;
}

/*
 * The result of a call. other: what a failure without a name of its own means there. For requests to the device that
 * is nearly always a STALL, an answer, which must not count as a fault.
 */
static uint32_t status_of_call(int result, uint32_t other)
{
	switch (result) {
	case LIBUSB_SUCCESS:
		return UW_ST_OK;
	case LIBUSB_ERROR_NO_DEVICE:
		return UW_ST_NO_DEVICE;
	case LIBUSB_ERROR_NOT_FOUND:
		return UW_ST_NO_ENDPOINT;
	case LIBUSB_ERROR_INVALID_PARAM: /* a control transfer above libusb's 4096 bytes */
	case LIBUSB_ERROR_NOT_SUPPORTED:
		return UW_ST_UNSUPPORTED;
	case LIBUSB_ERROR_PIPE:
		return UW_ST_STALL;
	case LIBUSB_ERROR_OTHER:
		return other;
	default:
		return UW_ST_HOST;
	}
}

/* ---- configuration and endpoints, from descriptors that libusb holds ---- */

static struct libusb_config_descriptor *descriptor_of(struct uw_usb *u, uint8_t value)
{
	struct libusb_config_descriptor *config = NULL;

	if (!value || libusb_get_config_descriptor_by_value(libusb_get_device(u->handle), value, &config))
		return NULL;
	return config;
}

static void note_alternate(struct uw_usb *u, const struct libusb_interface_descriptor *d, bool present)
{
	uint32_t i;

	for (i = 0; i < d->bNumEndpoints; i++)
		u->endpoint[index_of(d->endpoint[i].bEndpointAddress)] =
			present ? d->endpoint[i].bmAttributes & 3 : NOT_AN_ENDPOINT;
}

/* Endpoints of one interface at the setting it has now. */
static void note_interface(struct uw_usb *u, const struct libusb_interface *itf)
{
	const struct libusb_interface_descriptor *d;
	int i;

	for (i = 0; i < itf->num_altsetting; i++)
		note_alternate(u, &itf->altsetting[i], false);
	for (i = 0; i < itf->num_altsetting; i++) {
		d = &itf->altsetting[i];
		if (d->bInterfaceNumber < INTERFACES && d->bAlternateSetting == u->alternate[d->bInterfaceNumber])
			note_alternate(u, d, true);
	}
}

static void note_endpoints(struct uw_usb *u)
{
	struct libusb_config_descriptor *config = descriptor_of(u, u->configuration);
	uint32_t i;

	memset(u->endpoint, NOT_AN_ENDPOINT, sizeof(u->endpoint));
	for (i = 0; config && i < config->bNumInterfaces; i++)
		note_interface(u, &config->interface[i]);
	if (config)
		libusb_free_config_descriptor(config);
}

static bool has_endpoint(const struct uw_usb *u, const struct uw_transfer_io *io)
{
	uint8_t type = u->endpoint[index_of(io->endpoint)];

	return io->type == UW_CONTROL ? !(io->endpoint & 0x0f) : (io->endpoint & 0x0f) && type == io->type;
}

/* ---- transfers ---- */

static struct flight *new_flight(struct uw_usb *u)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->usb = u;
	uw_list_init(&f->node);
	f->transfer = libusb_alloc_transfer(0);
	if (f->transfer)
		return f;
	free(f);
	return NULL;
}

static void free_flight(struct flight *f)
{
	libusb_free_transfer(f->transfer);
	free(f->control);
	free(f);
}

/* Allocates only when more is in flight than ever before. */
static struct flight *get_flight(struct uw_usb *u)
{
	struct uw_list *node = uw_list_pop(&u->idle);

	return node ? UW_CONTAINER(node, struct flight, node) : new_flight(u);
}

static bool control_room(struct flight *f, uint32_t bytes)
{
	uint8_t *control = bytes <= f->room ? f->control : realloc(f->control, bytes);

	if (!control)
		return false;
	f->control = control;
	f->room = bytes > f->room ? bytes : f->room;
	return true;
}

static void retry_held(struct uw_usb_host *host);

static void on_transfer(struct libusb_transfer *t)
{
	struct flight *f = t->user_data;
	struct uw_usb *u = f->usb;
	struct uw_usb_host *host = u->host;
	struct uw_transfer_io *io = f->io;
	bool in = io->endpoint & 0x80;

	io->actual = (uint32_t)t->actual_length;
	if (io->type == UW_CONTROL) {
		io->copied = io->actual;
		if (in)
			uw_copy(io->data, f->control + LIBUSB_CONTROL_SETUP_SIZE, io->actual);
	}
	host->memory -= io->length + OVERHEAD;
	uw_list_add(&u->idle, &f->node);
	answer(u, io, status_of_transfer(t->status));
	retry_held(host);
}

static bool fill(struct flight *f, struct uw_transfer_io *io)
{
	struct libusb_transfer *t = f->transfer;
	libusb_device_handle *handle = f->usb->handle;

	f->io = io;
	t->flags = 0;
	if (io->type == UW_CONTROL) {
		if (!control_room(f, LIBUSB_CONTROL_SETUP_SIZE + io->length))
			return false;
		uw_copy(f->control, io->setup, LIBUSB_CONTROL_SETUP_SIZE);
		if (!(io->endpoint & 0x80))
			uw_copy(f->control + LIBUSB_CONTROL_SETUP_SIZE, io->data, io->length);
		libusb_fill_control_transfer(t, handle, f->control, on_transfer, f, 0);
		return true;
	}
	if (io->type == UW_BULK)
		libusb_fill_bulk_transfer(t, handle, io->endpoint, io->data, (int)io->length, on_transfer, f, 0);
	else
		libusb_fill_interrupt_transfer(t, handle, io->endpoint, io->data, (int)io->length, on_transfer, f, 0);
	/* A short transfer is told by its length: libusb's SHORT_NOT_OK would make it look like a transaction error. */
	if (io->flags & UW_SUBMIT_ZERO_PACKET)
		t->flags |= LIBUSB_TRANSFER_ADD_ZERO_PACKET;
	return true;
}

/* Would the kernel refuse it anyway? Asking first spares a transfer that libusb has cut up from failing half way. */
static bool fits(const struct uw_usb_host *host, const struct uw_transfer_io *io)
{
	return !host->memory_max || !host->memory || host->memory + io->length + OVERHEAD <= host->memory_max;
}

static int try_submit(struct uw_usb *u, struct uw_transfer_io *io)
{
	struct flight *f = fits(u->host, io) ? get_flight(u) : NULL;
	int result;

	if (!f)
		return LIBUSB_ERROR_NO_MEM;
	result = fill(f, io) ? libusb_submit_transfer(f->transfer) : LIBUSB_ERROR_NO_MEM;
	if (result) {
		uw_list_add(&u->idle, &f->node);
		return result;
	}
	io->own = f;
	u->host->memory += io->length + OVERHEAD;
	if (io->type != UW_CONTROL)
		u->fresh = false;
	uw_list_del(&io->node);
	uw_list_add(&u->active, &io->node);
	return 0;
}

/* False: it has to wait for memory. */
static bool send_on(struct uw_usb *u, struct uw_transfer_io *io)
{
	int result = try_submit(u, io);

	if (result == LIBUSB_ERROR_NO_MEM)
		return false;
	if (result)
		answer(u, io, status_of_call(result, UW_ST_HOST));
	return true;
}

static void retry_device(struct uw_usb *u)
{
	while (!uw_list_empty(&u->held) && send_on(u, io_at(u->held.next)))
		;
	/* Nothing of ours will come back and make room: others have the memory. */
	if (!uw_list_empty(&u->held) && !u->host->memory)
		u->dev.host->arm(&u->dev, u->dev.host->now(&u->dev) + RETRY);
}

static void retry_held(struct uw_usb_host *host)
{
	struct uw_list *node;

	for (node = host->devices.next; node != &host->devices; node = node->next)
		retry_device(UW_CONTAINER(node, struct uw_usb, node));
}

static void usb_timer(struct uw_device *device)
{
	retry_device(usb_of(device));
}

static bool endpoint_held(const struct uw_usb *u, uint8_t endpoint)
{
	struct uw_list *node;

	for (node = u->held.next; node != &u->held; node = node->next)
		if (io_at(node)->endpoint == endpoint)
			return true;
	return false;
}

static void usb_submit(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_usb *u = usb_of(device);

	uw_list_init(&io->node);
	io->own = NULL;
	if (u->lost) {
		answer(u, io, UW_ST_NO_DEVICE);
	} else if (io->type == UW_ISOCH || io->stream) {
		answer(u, io, UW_ST_UNSUPPORTED);
	} else if (!has_endpoint(u, io)) {
		answer(u, io, UW_ST_NO_ENDPOINT);
	} else if (endpoint_held(u, io->endpoint) || !send_on(u, io)) {
		uw_list_add(&u->held, &io->node);
		if (!u->host->memory)
			u->dev.host->arm(&u->dev, u->dev.host->now(&u->dev) + RETRY);
	}
}

static void usb_cancel(struct uw_device *device, struct uw_transfer_io *io)
{
	struct flight *f = io->own;

	if (f)
		libusb_cancel_transfer(f->transfer);
	else
		answer(usb_of(device), io, UW_ST_CANCELLED);
}

static void on_node(struct uw_source *source, uint32_t events)
{
	struct uw_usb *u = UW_CONTAINER(source, struct uw_usb, source);
	struct timeval none = { 0, 0 };

	if (events & EPOLLHUP) {
		uw_loop_del(u->host->loop, source); /* it would be ready for ever */
		lose(u);
	}
	libusb_handle_events_timeout_completed(u->host->context, &none, NULL);
}

/* ---- verbs, on the device's thread ---- */

/* The interfaces of a configuration, one bit each. */
static uint32_t interfaces_of(struct uw_usb *u, uint8_t configuration)
{
	struct libusb_config_descriptor *config = descriptor_of(u, configuration);
	uint32_t i, bits = 0, number;

	for (i = 0; config && i < config->bNumInterfaces; i++) {
		number = config->interface[i].num_altsetting ? config->interface[i].altsetting[0].bInterfaceNumber : 0;
		if (number < INTERFACES)
			bits |= 1u << number;
	}
	if (config)
		libusb_free_config_descriptor(config);
	return bits;
}

/* Takes every interface, from kernel drivers too. */
static int claim(struct uw_usb *u)
{
	uint32_t wanted = interfaces_of(u, u->configuration) & ~u->claimed;
	int i, result;

	for (i = 0; i < (int)INTERFACES; i++) {
		if (!(wanted & 1u << i))
			continue;
		result = libusb_claim_interface(u->handle, i);
		if (result)
			return result;
		u->claimed |= 1u << i;
	}
	return 0;
}

static void release(struct uw_usb *u)
{
	int i;

	for (i = 0; i < (int)INTERFACES; i++)
		if (u->claimed & 1u << i)
			libusb_release_interface(u->handle, i);
	u->claimed = 0;
}

static int set_interface(struct uw_usb *u, uint16_t number, uint16_t alternate)
{
	int result;

	if (number >= INTERFACES || !(u->claimed & 1u << number))
		return LIBUSB_ERROR_NOT_FOUND;
	result = libusb_set_interface_alt_setting(u->handle, number, alternate);
	if (!result)
		u->alternate[number] = (uint8_t)alternate;
	return result;
}

/*
 * The kernel wants all interfaces free for this. It takes the value that is set already for a request to begin anew:
 * it sends it on, and both sides' data toggles and alternate settings start from 0.
 */
static int change_configuration(struct uw_usb *u, uint8_t value)
{
	int result, claimed;

	libusb_set_auto_detach_kernel_driver(u->handle, 0); /* or releasing would call the kernel's drivers back */
	release(u);
	result = libusb_set_configuration(u->handle, value ? value : -1);
	libusb_set_auto_detach_kernel_driver(u->handle, 1);
	if (!result) {
		u->configuration = value;
		memset(u->alternate, 0, sizeof(u->alternate));
	}
	claimed = claim(u);
	return result ? result : claimed;
}

/*
 * After a port reset the kernel has set the former configuration by itself. Then a guest that sets the same gets what
 * it asks for without a second request, which some devices take badly: toggles are at 0 since the reset, and of the
 * alternate settings, which the kernel restored as well, those that are not 0 are set.
 */
static int set_configuration(struct uw_usb *u, uint8_t value)
{
	uint16_t i;
	int result = 0;

	if (!value || !u->fresh || value != u->configuration)
		return change_configuration(u, value);
	for (i = 0; i < INTERFACES && !result; i++)
		if (u->alternate[i])
			result = set_interface(u, i, 0);
	return result;
}

static uint32_t reset(struct uw_usb *u)
{
	int result = libusb_reset_device(u->handle);

	u->fresh = !result;
	/* Not found: it came back as another device, as after a change of firmware. */
	return result == LIBUSB_ERROR_NOT_FOUND ? UW_ST_NO_DEVICE : status_of_call(result, UW_ST_PROTOCOL);
}

static void run_verb(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, job);
	struct uw_transfer_io *io = io_at(u->verbs.next);

	switch (io->verb) {
	case UW_VERB_RESET:
		io->status = reset(u);
		break;
	case UW_VERB_SET_CONFIGURATION:
		io->status = status_of_call(set_configuration(u, (uint8_t)io->arg[0]), UW_ST_STALL);
		u->fresh = false;
		break;
	case UW_VERB_SET_INTERFACE:
		io->status = status_of_call(set_interface(u, io->arg[0], io->arg[1]), UW_ST_STALL);
		u->fresh = false;
		break;
	default:
		io->status = status_of_call(libusb_clear_halt(u->handle, (unsigned char)io->arg[0]), UW_ST_STALL);
		u->fresh = false;
		break;
	}
}

static void on_verb(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, job);
	struct uw_transfer_io *io = io_at(u->verbs.next);

	if (io->verb != UW_VERB_CLEAR_HALT)
		note_endpoints(u);
	if (io->status == UW_ST_NO_DEVICE)
		lose(u);
	uw_list_del(&io->node);
	if (!uw_list_empty(&u->verbs))
		uw_thread_post(u->thread, &u->job);
	answer(u, io, io->status);
}

static void usb_verb(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_usb *u = usb_of(device);
	bool first = uw_list_empty(&u->verbs);

	uw_list_init(&io->node);
	if (u->lost) {
		answer(u, io, UW_ST_NO_DEVICE);
		return;
	}
	uw_list_add(&u->verbs, &io->node);
	if (first)
		uw_thread_post(u->thread, &u->job);
}

/* Streams come with isochronous transfers; a guest whose suspend fails leaves the device awake, which is safe. */
static void usb_unsupported(struct uw_device *device, struct uw_transfer_io *io)
{
	uw_list_init(&io->node);
	answer(usb_of(device), io, UW_ST_UNSUPPORTED);
}

/* ---- open and close ---- */

static int fail(struct uw_usb *u, const char *what, const char *why)
{
	snprintf(u->reason, sizeof(u->reason), "%s: %s", what, why);
	return UW_ST_HOST;
}

/* The keeper has the rights to open device nodes; one question is under way at a time. */
static int ask_keeper(struct uw_usb_host *host, const struct uw_open_ask *ask)
{
	struct uw_open_answer reply = { .error = EPIPE };
	int fd = -1;

	pthread_mutex_lock(&host->opener);
	if (uw_pass_send(host->start->opener, ask, sizeof(*ask), -1) &&
	    !uw_pass_receive(host->start->opener, &reply, sizeof(reply), &fd))
		reply.error = EPIPE;
	pthread_mutex_unlock(&host->opener);
	errno = reply.error;
	return fd;
}

static void close_node(struct uw_usb *u)
{
	if (u->handle)
		libusb_close(u->handle);
	if (u->fd >= 0)
		close(u->fd);
	u->handle = NULL;
	u->fd = -1;
	u->claimed = 0;
}

/* The device may have come back under another number, or another device may have taken its port. */
static int find_again(struct uw_usb *u, struct uw_open_ask *ask)
{
	struct uw_sysfs_device d;

	if (!uw_sysfs_read(u->dev.bus_id, &d) || d.vendor != u->dev.vendor || d.product != u->dev.product)
		return fail(u, "open", "it is no longer there");
	ask->bus = d.bus;
	ask->device = d.number;
	u->configuration = d.configuration;
	memset(u->alternate, 0, sizeof(u->alternate));
	return 0;
}

static int take_device(struct uw_usb *u)
{
	int result;

	libusb_set_auto_detach_kernel_driver(u->handle, 1);
	result = claim(u);
	if (result == LIBUSB_ERROR_BUSY)
		return fail(u, "claim", "another program uses it");
	if (result)
		return fail(u, "claim", libusb_strerror(result));
	result = libusb_reset_device(u->handle);
	if (result)
		return fail(u, "reset", libusb_strerror(result));
	u->fresh = true;
	return 0;
}

/* On the device's thread. */
static int usb_open(struct uw_device *device)
{
	struct uw_usb *u = usb_of(device);
	struct uw_open_ask ask;
	int result = find_again(u, &ask);

	if (result)
		return result;
	u->fd = ask_keeper(u->host, &ask);
	if (u->fd < 0)
		return fail(u, "open", strerror(errno));
	result = libusb_wrap_sys_device(u->host->context, u->fd, &u->handle);
	result = result ? fail(u, "open", libusb_strerror(result)) : take_device(u);
	if (result) {
		if (u->handle)
			release(u);
		close_node(u);
	}
	return result;
}

void uw_usb_opened(struct uw_device *device)
{
	struct uw_usb *u = usb_of(device);

	u->lost = false;
	note_endpoints(u);
	uw_list_add(&u->host->devices, &u->node);
	/* Readable means nothing here: usbfs says "writable" when a transfer can be reaped. */
	if (uw_loop_add(u->host->loop, &u->source, u->fd, EPOLLOUT))
		lose(u);
}

static void cancel_all(struct uw_usb *u)
{
	struct timeval step = { 0, 10000 };
	struct uw_list *node;
	uint64_t until;

	uw_loop_tick(u->host->loop);
	until = u->host->loop->now + CLOSE_GRACE;
	while (!uw_list_empty(&u->held))
		answer(u, io_at(u->held.next), UW_ST_CANCELLED);
	for (node = u->active.next; node != &u->active; node = node->next)
		libusb_cancel_transfer(((struct flight *)io_at(node)->own)->transfer);
	while (!uw_list_empty(&u->active) && u->host->loop->now < until) {
		libusb_handle_events_timeout_completed(u->host->context, &step, NULL);
		uw_loop_tick(u->host->loop);
	}
}

/*
 * Closing waits for a verb under way and for cancelled transfers: until they have ended bytes may move, and the promise
 * to the guest is that none do. Both are bounded by the kernel's own limits. What is left even then ends with the node:
 * the kernel kills it before close returns.
 */
static void usb_close(struct uw_device *device)
{
	struct uw_usb *u = usb_of(device);
	struct uw_list *node;

	while (!uw_list_empty(&u->verbs))
		uw_returns_wait(u->thread->returns);
	cancel_all(u);
	uw_loop_del(u->host->loop, &u->source);
	uw_list_del(&u->node);
	if (uw_list_empty(&u->active) && !u->lost)
		release(u);
	close_node(u);
	while (!uw_list_empty(&u->active)) {
		u->host->memory -= io_at(u->active.next)->length + OVERHEAD;
		free_flight(io_at(u->active.next)->own);
		answer(u, io_at(u->active.next), UW_ST_CANCELLED);
	}
	while ((node = uw_list_pop(&u->idle)) != NULL)
		free_flight(UW_CONTAINER(node, struct flight, node));
}

static const struct uw_backend backend = {
	.name = UW_USB_BACKEND,
	.open = usb_open,
	.close = usb_close,
	.submit = usb_submit,
	.cancel = usb_cancel,
	.reset = usb_verb,
	.set_configuration = usb_verb,
	.set_interface = usb_verb,
	.clear_halt = usb_verb,
	.alloc_streams = usb_unsupported,
	.free_streams = usb_unsupported,
	.suspend = usb_unsupported,
	.resume = usb_unsupported,
	.timer = usb_timer,
};

static void describe(const struct uw_sysfs_device *d, struct uw_device *device)
{
	device->speed = d->speed;
	device->class_code = d->class_code;
	device->subclass = d->subclass;
	device->protocol = d->protocol;
	device->vendor = d->vendor;
	device->product = d->product;
	device->release = d->release;
	UW_TEXT_PUT(device->bus_id, d->bus_id);
}

struct uw_device *uw_usb_new(struct uw_usb_host *host, struct uw_thread *thread, const char *bus_id,
			     struct uw_outcome *outcome)
{
	struct uw_sysfs_device d;
	struct uw_usb *u;

	if (!host->context || !uw_sysfs_read(bus_id, &d))
		return NULL;
	if (d.hub) {
		uw_usb_refuse_hub(bus_id, outcome);
		return NULL;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	describe(&d, &u->dev);
	u->dev.ops = &backend;
	u->host = host;
	u->thread = thread;
	u->fd = u->source.fd = -1;
	u->source.ready = on_node;
	u->job.run = run_verb;
	u->job.done = on_verb;
	uw_list_init(&u->node);
	uw_list_init(&u->active);
	uw_list_init(&u->held);
	uw_list_init(&u->idle);
	uw_list_init(&u->verbs);
	return &u->dev;
}

void uw_usb_free(struct uw_device *device)
{
	free(usb_of(device));
}

const char *uw_usb_reason(struct uw_device *device)
{
	return usb_of(device)->reason;
}

/* ---- the whole ---- */

void uw_usb_init(struct uw_usb_host *host, struct uw_loop *loop, const struct uw_start *start)
{
	int result;

	host->loop = loop;
	host->start = start;
	host->memory_max = uw_sysfs_usb_memory();
	pthread_mutex_init(&host->opener, NULL);
	uw_list_init(&host->devices);
	if (!start->config->usb)
		return;
	libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY);
	result = libusb_init(&host->context);
	if (!result)
		return;
	uw_log(UW_LOG_WARNING, "libusb: %s; only model devices are served", libusb_strerror(result));
	host->context = NULL;
}

void uw_usb_fini(struct uw_usb_host *host)
{
	if (host->context)
		libusb_exit(host->context);
	pthread_mutex_destroy(&host->opener);
}
