/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The libusb backend: transfers on their way through the kernel.
 *
 * A transfer's buffer is the region itself, so the one copy left is usbfs' own between it and the kernel. Control
 * transfers have a buffer of their own, as usbfs wants the setup packet in front of the data; so have isochronous ones
 * whose packets do not lie one behind the other. What the kernel has no memory for waits here, in order.
 */
#include "usbdev.h"

#include <stdlib.h>

#include "sysfs.h"

#define OVERHEAD 1024u               /* what usbfs charges for a transfer besides its data, about */
#define PACKET 32u                   /* and for each isochronous packet */
#define PACKETS_AT_ONCE 128u         /* of one usbfs transfer; libusb makes several of more */
#define RETRY (10 * UW_MS)           /* when the memory is with other programs */

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

/* What usbfs will charge for it, about: bytes. */
static uint64_t charge(const struct uw_transfer_io *io)
{
	return io->length + (uint64_t)OVERHEAD * (1 + io->packets / PACKETS_AT_ONCE) + (uint64_t)PACKET * io->packets;
}

static void on_transfer(struct libusb_transfer *t);

static struct uw_flight *new_flight(struct uw_usb *u, uint32_t packets)
{
	struct uw_flight *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->usb = u;
	f->packets = packets;
	uw_list_init(&f->node);
	f->transfer = libusb_alloc_transfer((int)packets);
	if (f->transfer)
		return f;
	free(f);
	return NULL;
}

static void free_flight(struct uw_flight *f)
{
	libusb_free_transfer(f->transfer);
	free(f->own);
	free(f);
}

/* Allocates only when more is in flight than ever before, of packets or of transfers. */
static struct uw_flight *get_flight(struct uw_usb *u, uint32_t packets)
{
	struct uw_flight *f;
	struct uw_list *node;

	for (node = u->idle.next; node != &u->idle; node = node->next) {
		f = UW_CONTAINER(node, struct uw_flight, node);
		if (f->packets < packets)
			continue;
		uw_list_del(node);
		return f;
	}
	node = packets ? uw_list_pop(&u->idle) : NULL;
	if (node) /* one too small makes room for its successor, so that there are never more than were in flight at once */
		free_flight(UW_CONTAINER(node, struct uw_flight, node));
	return new_flight(u, packets);
}

static bool own_room(struct uw_flight *f, uint32_t bytes)
{
	uint8_t *own = bytes <= f->room ? f->own : realloc(f->own, bytes);

	if (!own && bytes)
		return false;
	f->own = own;
	f->room = bytes > f->room ? bytes : f->room;
	return true;
}

/* ---- isochronous packets ---- */

/* Do they lie one behind the other, as usbfs takes them? */
static bool is_row(const struct uw_transfer_io *io)
{
	uint32_t i, at = io->iso[0].offset;

	for (i = 0; i < io->packets; i++) {
		if (io->iso[i].offset != at)
			return false;
		at += io->iso[i].length;
	}
	return true;
}

static uint64_t bytes_of_packets(const struct uw_transfer_io *io)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < io->packets; i++)
		bytes += io->iso[i].length;
	return bytes;
}

/* Between the row in our own buffer and where the packets lie in the region. */
static void move_packets(struct uw_flight *f, const struct uw_transfer_io *io)
{
	uint8_t *at = f->own;
	uint32_t i;

	for (i = 0; i < io->packets; i++) {
		if (io->endpoint & 0x80)
			uw_copy(io->data + io->iso[i].offset, at, io->iso[i].actual);
		else
			uw_copy(at, io->data + io->iso[i].offset, io->iso[i].length);
		at += io->iso[i].length;
	}
}

static bool fill_packets(struct uw_flight *f, struct uw_transfer_io *io)
{
	struct libusb_transfer *t = f->transfer;
	uint32_t i, bytes = (uint32_t)bytes_of_packets(io);
	uint8_t *buffer = io->data + io->iso[0].offset;

	f->bounced = !is_row(io);
	if (f->bounced) {
		if (!own_room(f, bytes))
			return false;
		buffer = f->own;
		if (!(io->endpoint & 0x80))
			move_packets(f, io);
	}
	libusb_fill_iso_transfer(t, f->usb->handle, io->endpoint, buffer, (int)bytes, (int)io->packets, on_transfer, f, 0);
	for (i = 0; i < io->packets; i++) {
		t->iso_packet_desc[i].length = io->iso[i].length;
		t->iso_packet_desc[i].actual_length = 0;
		t->iso_packet_desc[i].status = LIBUSB_TRANSFER_CANCELLED; /* unless the kernel says otherwise */
	}
	return true;
}

/* libusb has one word for a packet that was damaged and for one whose time had passed. */
static void end_packets(struct uw_flight *f, struct uw_transfer_io *io)
{
	const struct libusb_iso_packet_descriptor *p = f->transfer->iso_packet_desc;
	uint32_t i;

	io->actual = 0;
	for (i = 0; i < io->packets; i++) {
		io->iso[i].actual = uw_min(p[i].actual_length, io->iso[i].length);
		io->iso[i].status = status_of_transfer(p[i].status);
		io->actual += io->iso[i].actual;
	}
	if (!f->bounced)
		return;
	io->copied = io->actual;
	if (io->endpoint & 0x80)
		move_packets(f, io);
}

/* ---- any transfer ---- */

static void retry_held(struct uw_usb_host *host);

static void on_transfer(struct libusb_transfer *t)
{
	struct uw_flight *f = t->user_data;
	struct uw_usb *u = f->usb;
	struct uw_usb_host *host = u->host;
	struct uw_transfer_io *io = f->io;
	bool in = io->endpoint & 0x80;

	io->actual = (uint32_t)t->actual_length;
	if (io->type == UW_CONTROL) {
		io->copied = io->actual;
		if (in)
			uw_copy(io->data, f->own + LIBUSB_CONTROL_SETUP_SIZE, io->actual);
	} else if (io->type == UW_ISOCH) {
		end_packets(f, io);
	}
	host->memory -= charge(io);
	uw_list_add(&u->idle, &f->node);
	uw_usb_answer(u, io, status_of_transfer(t->status));
	retry_held(host);
	uw_usb_shut_on(u);
}

static bool fill(struct uw_flight *f, struct uw_transfer_io *io)
{
	struct libusb_transfer *t = f->transfer;
	libusb_device_handle *handle = f->usb->handle;

	f->io = io;
	t->flags = 0;
	t->num_iso_packets = 0;
	if (io->type == UW_ISOCH)
		return fill_packets(f, io);
	if (io->type == UW_CONTROL) {
		if (!own_room(f, LIBUSB_CONTROL_SETUP_SIZE + io->length))
			return false;
		uw_copy(f->own, io->setup, LIBUSB_CONTROL_SETUP_SIZE);
		if (!(io->endpoint & 0x80))
			uw_copy(f->own + LIBUSB_CONTROL_SETUP_SIZE, io->data, io->length);
		libusb_fill_control_transfer(t, handle, f->own, on_transfer, f, 0);
		return true;
	}
	if (io->stream)
		libusb_fill_bulk_stream_transfer(t, handle, io->endpoint, io->stream, io->data, (int)io->length, on_transfer,
						 f, 0);
	else if (io->type == UW_BULK)
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
	return !host->memory_max || !host->memory || host->memory + charge(io) <= host->memory_max;
}

static int try_submit(struct uw_usb *u, struct uw_transfer_io *io)
{
	struct uw_flight *f = fits(u->host, io) ? get_flight(u, io->packets) : NULL;
	int result;

	if (!f)
		return LIBUSB_ERROR_NO_MEM;
	result = fill(f, io) ? libusb_submit_transfer(f->transfer) : LIBUSB_ERROR_NO_MEM;
	if (result) {
		uw_list_add(&u->idle, &f->node);
		return result;
	}
	io->own = f;
	u->host->memory += charge(io);
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
		uw_usb_answer(u, io, uw_usb_status_of_call(result, UW_ST_HOST));
	return true;
}

static void retry_device(struct uw_usb *u)
{
	while (!uw_list_empty(&u->held) && send_on(u, uw_usb_io_at(u->held.next)))
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

void uw_flight_timer(struct uw_device *device)
{
	retry_device(uw_usb_of(device));
	uw_usb_shut_on(uw_usb_of(device));
}

/* What is in one order with it: an endpoint's transfers, or a stream's. */
static bool order_held(const struct uw_usb *u, const struct uw_transfer_io *io)
{
	struct uw_list *node;

	for (node = u->held.next; node != &u->held; node = node->next)
		if (uw_usb_io_at(node)->endpoint == io->endpoint && uw_usb_io_at(node)->stream == io->stream)
			return true;
	return false;
}

/* More than usbfs takes at all would wait for ever; packets over one another would need more memory than they have. */
static bool possible(struct uw_usb_host *host, const struct uw_transfer_io *io)
{
	if (host->memory_max && io->length > host->memory_max)
		host->memory_max = uw_sysfs_usb_memory(); /* somebody may have raised it */
	return (!host->memory_max || io->length <= host->memory_max) && bytes_of_packets(io) <= io->length;
}

void uw_flight_submit(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_usb *u = uw_usb_of(device);

	uw_list_init(&io->node);
	io->own = NULL;
	if (u->lost || u->closed) {
		uw_usb_answer(u, io, UW_ST_NO_DEVICE);
	} else if (!possible(u->host, io)) {
		uw_usb_answer(u, io, UW_ST_UNSUPPORTED);
	} else if (!uw_usb_has_endpoint(u, io)) {
		uw_usb_answer(u, io, UW_ST_NO_ENDPOINT);
	} else if (order_held(u, io) || !send_on(u, io)) {
		uw_list_add(&u->held, &io->node);
		if (!u->host->memory)
			u->dev.host->arm(&u->dev, u->dev.host->now(&u->dev) + RETRY);
	}
}

void uw_flight_cancel(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_flight *f = io->own;

	if (f)
		libusb_cancel_transfer(f->transfer);
	else
		uw_usb_answer(uw_usb_of(device), io, UW_ST_CANCELLED);
}

void uw_flight_cancel_all(struct uw_usb *u)
{
	struct uw_list *node;

	while (!uw_list_empty(&u->held))
		uw_usb_answer(u, uw_usb_io_at(u->held.next), UW_ST_CANCELLED);
	for (node = u->active.next; node != &u->active; node = node->next)
		libusb_cancel_transfer(((struct uw_flight *)uw_usb_io_at(node)->own)->transfer);
}

void uw_flight_await_all(struct uw_usb *u)
{
	struct timeval step = { 0, 10000 };

	while (!uw_list_empty(&u->active) && u->host->loop->now < u->until) {
		libusb_handle_events_timeout_completed(u->host->context, &step, NULL);
		uw_loop_tick(u->host->loop);
	}
}

void uw_flight_drop(struct uw_usb *u)
{
	struct uw_list *node;

	while (!uw_list_empty(&u->active)) {
		u->host->memory -= charge(uw_usb_io_at(u->active.next));
		free_flight(uw_usb_io_at(u->active.next)->own);
		uw_usb_answer(u, uw_usb_io_at(u->active.next), UW_ST_CANCELLED);
	}
	while ((node = uw_list_pop(&u->idle)) != NULL)
		free_flight(UW_CONTAINER(node, struct uw_flight, node));
}
