/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Transfers of real devices in flight. What the kernel lends to all users of usbfs is finite: a transfer that finds too
 * little left waits here, in the order of its endpoint, and is never answered with that. A bulk transfer that might not
 * fit even when alone goes in pieces: what has moved so far stands in its actual.
 */
#include "usbdev.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define OVERHEAD 1024u               /* what usbfs charges for a transfer besides its data, about */
#define PACKET_OVERHEAD 16u          /* and for an isochronous packet */
#define PIECE_UNIT 65536u            /* so many bytes are whole packets and bursts of any bulk endpoint */
#define RETRY (10 * UW_MS)           /* when the memory is with other programs */

static struct uw_flight *new_flight(struct uw_usb *u)
{
	struct uw_flight *f = calloc(1, sizeof(*f));

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

static void free_flight(struct uw_flight *f)
{
	libusb_free_transfer(f->transfer);
	free(f->buffer);
	free(f);
}

/* Allocates only when more is in flight than ever before. */
static struct uw_flight *get_flight(struct uw_usb *u)
{
	struct uw_list *node = uw_list_pop(&u->idle);

	return node ? UW_CONTAINER(node, struct uw_flight, node) : new_flight(u);
}

bool uw_flight_room(struct uw_flight *f, uint32_t bytes)
{
	uint8_t *buffer = bytes <= f->room ? f->buffer : realloc(f->buffer, bytes);

	if (!buffer)
		return false;
	f->buffer = buffer;
	f->room = bytes > f->room ? bytes : f->room;
	return true;
}

bool uw_flight_packets(struct uw_flight *f, uint32_t packets)
{
	struct libusb_transfer *t = packets <= f->packets ? f->transfer : libusb_alloc_transfer((int)packets);

	if (!t)
		return false;
	if (t != f->transfer) {
		libusb_free_transfer(f->transfer);
		f->packets = packets;
	}
	f->transfer = t;
	return true;
}

static void retry_held(struct uw_usb_host *host);

static bool goes_on(const struct uw_flight *f)
{
	return f->more && !f->cancelled && f->transfer->status == LIBUSB_TRANSFER_COMPLETED &&
	       (uint32_t)f->transfer->actual_length == f->piece;
}

/* Its next piece goes before all that waits. */
static void put_back(struct uw_usb *u, struct uw_transfer_io *io)
{
	io->own = NULL;
	uw_list_del(&io->node);
	uw_list_add(u->held.next, &io->node);
}

/* A device that the host puts to sleep loses its transfers as one that is unplugged, but its node has not hung up. */
static bool has_left(const struct uw_usb *u)
{
	struct pollfd p = { .fd = u->fd, .events = POLLOUT };

	return u->lost || poll(&p, 1, 0) < 0 || (p.revents & POLLHUP);
}

/* The kernel ends what a verb takes the endpoint from, and libusb, which did not cancel it, calls that completed. */
static bool is_cut_off(const struct uw_flight *f, const struct uw_transfer_io *io)
{
	return (io->type == UW_BULK || io->type == UW_INTERRUPT) && !(io->endpoint & 0x80) &&
	       (uint32_t)f->transfer->actual_length < f->piece;
}

static void on_transfer(struct libusb_transfer *t)
{
	struct uw_flight *f = t->user_data;
	struct uw_usb *u = f->usb;
	struct uw_usb_host *host = u->host;
	struct uw_transfer_io *io = f->io;
	enum libusb_transfer_status status = t->status;

	host->memory -= f->cost;
	u->in_pieces -= f->more;
	uw_list_add(&u->idle, &f->node);
	if (io->type == UW_ISOCH)
		status = uw_isoch_take(f, io);
	else
		io->actual += (uint32_t)t->actual_length;
	if (goes_on(f)) {
		put_back(u, io);
		retry_held(host);
		return;
	}
	if (f->more && f->cancelled && status == LIBUSB_TRANSFER_COMPLETED)
		status = LIBUSB_TRANSFER_CANCELLED;
	if (status == LIBUSB_TRANSFER_NO_DEVICE && !has_left(u))
		status = LIBUSB_TRANSFER_ERROR;
	if (status == LIBUSB_TRANSFER_COMPLETED && is_cut_off(f, io))
		status = LIBUSB_TRANSFER_ERROR;
	if (io->type == UW_CONTROL) {
		io->copied = io->actual;
		if (io->endpoint & 0x80)
			uw_copy(io->data, f->buffer + LIBUSB_CONTROL_SETUP_SIZE, io->actual);
	}
	uw_usb_answer(u, io, uw_usb_transfer_status(status));
	retry_held(host);
	uw_usb_shut_on(u);
}

static bool fill_control(struct uw_flight *f, struct uw_transfer_io *io)
{
	if (!uw_flight_room(f, LIBUSB_CONTROL_SETUP_SIZE + io->length))
		return false;
	uw_copy(f->buffer, io->setup, LIBUSB_CONTROL_SETUP_SIZE);
	if (!(io->endpoint & 0x80))
		uw_copy(f->buffer + LIBUSB_CONTROL_SETUP_SIZE, io->data, io->length);
	libusb_fill_control_transfer(f->transfer, f->usb->handle, f->buffer, on_transfer, f, 0);
	return true;
}

/* Half of what there is lets two transfers take turns. */
static uint32_t piece_of(const struct uw_usb_host *host, const struct uw_transfer_io *io)
{
	uint32_t left = io->length - io->actual;
	uint64_t most = host->memory_max / 2 - host->memory_max / 2 % PIECE_UNIT;

	return io->type == UW_BULK && most && left > most ? (uint32_t)most : left;
}

static void fill_data(struct uw_flight *f, struct uw_transfer_io *io)
{
	struct libusb_transfer *t = f->transfer;
	libusb_device_handle *handle = f->usb->handle;
	uint8_t *data = io->data + io->actual;

	if (io->stream)
		libusb_fill_bulk_stream_transfer(t, handle, io->endpoint, io->stream, data, (int)f->piece,
						 on_transfer, f, 0);
	else if (io->type == UW_BULK)
		libusb_fill_bulk_transfer(t, handle, io->endpoint, data, (int)f->piece, on_transfer, f, 0);
	else
		libusb_fill_interrupt_transfer(t, handle, io->endpoint, data, (int)f->piece, on_transfer, f, 0);
	/* A short transfer is told by its length: libusb's SHORT_NOT_OK would make it look like a transaction error. */
	if ((io->flags & UW_SUBMIT_ZERO_PACKET) && !f->more)
		t->flags |= LIBUSB_TRANSFER_ADD_ZERO_PACKET;
}

static bool fill(struct uw_flight *f, struct uw_transfer_io *io)
{
	f->io = io;
	f->piece = piece_of(f->usb->host, io);
	f->more = io->type == UW_BULK && f->piece < io->length - io->actual;
	f->cancelled = false;
	f->transfer->flags = 0;
	if (io->type == UW_CONTROL)
		return fill_control(f, io);
	if (io->type == UW_ISOCH)
		return uw_isoch_fill(f, io, on_transfer);
	fill_data(f, io);
	return true;
}

/* What usbfs will charge for it, about. */
static uint32_t cost_of(const struct uw_usb_host *host, const struct uw_transfer_io *io)
{
	if (io->type != UW_ISOCH)
		return piece_of(host, io) + OVERHEAD;
	return uw_isoch_bytes(io) + io->packets * PACKET_OVERHEAD + uw_isoch_urbs(io) * OVERHEAD;
}

/* Would the kernel refuse it anyway? Asking first spares a transfer that libusb has cut up from failing half way. */
static bool fits(const struct uw_usb_host *host, uint32_t cost)
{
	return !host->memory_max || !host->memory || host->memory + cost <= host->memory_max;
}

/*
 * libusb has a name for the lack of memory, but uses it for its own alone: the kernel's is like any other failure, and
 * what the kernel said is to be asked.
 */
static int submit(struct uw_flight *f)
{
	int result;

	errno = 0;
	result = libusb_submit_transfer(f->transfer);
	return result == LIBUSB_ERROR_IO && errno == ENOMEM ? LIBUSB_ERROR_NO_MEM : result;
}

static int try_submit(struct uw_usb *u, struct uw_transfer_io *io)
{
	uint32_t cost = cost_of(u->host, io);
	struct uw_flight *f = fits(u->host, cost) ? get_flight(u) : NULL;
	int result;

	if (!f)
		return LIBUSB_ERROR_NO_MEM;
	result = fill(f, io) ? submit(f) : LIBUSB_ERROR_NO_MEM;
	if (result) {
		uw_list_add(&u->idle, &f->node);
		return result;
	}
	io->own = f;
	f->cost = cost;
	u->host->memory += cost;
	u->in_pieces += f->more;
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
		uw_usb_answer(u, io, uw_usb_call_status(result, UW_ST_HOST));
	return true;
}

static bool same_order(const struct uw_transfer_io *a, const struct uw_transfer_io *b)
{
	return a->endpoint == b->endpoint && a->stream == b->stream;
}

/* Does an earlier transfer of this endpoint and stream still have pieces to send? */
static bool behind_pieces(const struct uw_usb *u, const struct uw_transfer_io *io)
{
	struct uw_list *node;

	if (!u->in_pieces)
		return false;
	for (node = u->active.next; node != &u->active; node = node->next)
		if (((struct uw_flight *)uw_usb_io_at(node)->own)->more && same_order(uw_usb_io_at(node), io))
			return true;
	return false;
}

/*
 * Memory that others hold comes back without a word. And once a device's node has hung up, nothing tells of transfers
 * that the kernel has yet to end, one device of an unplugged hub after the other.
 */
static void rearm(struct uw_usb *u)
{
	uint64_t soon = u->dev.host->now(&u->dev) + RETRY, when = UW_NEVER;

	if (!uw_list_empty(&u->held) || (u->lost && !uw_list_empty(&u->active)))
		when = soon;
	else if (u->closed && !uw_list_empty(&u->active))
		when = u->until;
	u->dev.host->arm(&u->dev, uw_usb_is_lent(u) ? UW_NEVER : when);
}

void uw_usb_retry(struct uw_usb *u)
{
	struct uw_list *node = u->held.next, *next;

	while (node != &u->held && !uw_usb_is_lent(u)) {
		next = node->next;
		if (!behind_pieces(u, uw_usb_io_at(node)) && !send_on(u, uw_usb_io_at(node)))
			break;
		node = next;
	}
	rearm(u);
}

static void retry_held(struct uw_usb_host *host)
{
	struct uw_list *node;

	for (node = host->devices.next; node != &host->devices; node = node->next)
		uw_usb_retry(UW_CONTAINER(node, struct uw_usb, node));
}

void uw_usb_timer(struct uw_device *device)
{
	struct uw_usb *u = uw_usb_of(device);

	if (u->lost && !uw_usb_is_lent(u))
		uw_usb_reap(u, 0);
	uw_usb_retry(u);
	uw_usb_shut_on(u);
}

/* Order is kept within an endpoint, and with streams within each of them: the device chooses among streams. */
static bool must_queue(const struct uw_usb *u, const struct uw_transfer_io *io)
{
	struct uw_list *node;

	for (node = u->held.next; node != &u->held; node = node->next)
		if (same_order(uw_usb_io_at(node), io))
			return true;
	return behind_pieces(u, io);
}

/* What is above the limit even when alone would wait for ever. */
static bool is_possible(const struct uw_usb_host *host, const struct uw_transfer_io *io)
{
	return uw_isoch_possible(io) && (!host->memory_max || cost_of(host, io) <= host->memory_max);
}

void uw_usb_submit(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_usb *u = uw_usb_of(device);

	uw_list_init(&io->node);
	io->own = NULL;
	if (u->lost || u->closed) {
		uw_usb_answer(u, io, UW_ST_NO_DEVICE);
	} else if (!uw_usb_has_endpoint(u, io)) {
		uw_usb_answer(u, io, UW_ST_NO_ENDPOINT);
	} else if (io->type == UW_ISOCH && !is_possible(u->host, io)) {
		uw_usb_answer(u, io, UW_ST_UNSUPPORTED);
	} else if (uw_usb_is_lent(u) || must_queue(u, io) || !send_on(u, io)) {
		uw_list_add(&u->held, &io->node);
		rearm(u);
	}
}

static void cancel(struct uw_flight *f)
{
	f->cancelled = true;
	if (!uw_usb_is_lent(f->usb))
		libusb_cancel_transfer(f->transfer);
}

void uw_usb_cancel_again(struct uw_usb *u)
{
	struct uw_flight *f;
	struct uw_list *node;

	for (node = u->active.next; node != &u->active; node = node->next) {
		f = uw_usb_io_at(node)->own;
		if (f->cancelled)
			libusb_cancel_transfer(f->transfer);
	}
}

void uw_usb_cancel(struct uw_device *device, struct uw_transfer_io *io)
{
	if (io->own)
		cancel(io->own);
	else
		uw_usb_answer(uw_usb_of(device), io, UW_ST_CANCELLED);
}

void uw_usb_cancel_flights(struct uw_usb *u)
{
	struct uw_list *node;

	while (!uw_list_empty(&u->held))
		uw_usb_answer(u, uw_usb_io_at(u->held.next), UW_ST_CANCELLED);
	for (node = u->active.next; node != &u->active; node = node->next)
		cancel(uw_usb_io_at(node)->own);
}

void uw_usb_reap(struct uw_usb *u, uint32_t patience)
{
	struct timeval step = { 0, (suseconds_t)patience };

	libusb_handle_events_timeout_completed(u->context, &step, NULL);
}

void uw_usb_await_flights(struct uw_usb *u)
{
	while (!uw_list_empty(&u->active) && u->host->loop->now < u->until) {
		uw_usb_reap(u, 10000);
		uw_loop_tick(u->host->loop);
	}
}

void uw_usb_free_flights(struct uw_usb *u)
{
	struct uw_transfer_io *io;
	struct uw_list *node;

	while (!uw_list_empty(&u->active)) {
		io = uw_usb_io_at(u->active.next);
		u->host->memory -= ((struct uw_flight *)io->own)->cost;
		u->in_pieces -= ((struct uw_flight *)io->own)->more;
		free_flight(io->own);
		uw_usb_answer(u, io, UW_ST_CANCELLED);
	}
	while ((node = uw_list_pop(&u->idle)) != NULL)
		free_flight(UW_CONTAINER(node, struct uw_flight, node));
}
