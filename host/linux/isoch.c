/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Isochronous packets of real devices. libusb and usbfs know a packet by its length alone and take all bytes as one
 * run, while a guest's packets lie where their offsets say. Nearly always that is one run too, and then the buffer is
 * the region itself; packets that lie apart or share bytes are gathered in memory of the flight.
 */
#include "usbdev.h"

#define PACKET_MAX 98304u            /* usbfs refuses longer ones: 96 KiB, more than any device can have */
#define BYTES_MAX (16u << 20)        /* of all packets; only such as share bytes come so far */
#define PACKETS_PER_URB 128u         /* usbfs takes no more, so libusb cuts there */
#define UNTOUCHED ((enum libusb_transfer_status)0x7f) /* libusb has said nothing of this packet */

uint32_t uw_isoch_bytes(const struct uw_transfer_io *io)
{
	uint32_t i, bytes = 0;

	for (i = 0; i < io->packets; i++)
		bytes += io->iso[i].length;
	return bytes;
}

/* Sums no further than it may, so that no sum is too large for its type. */
bool uw_isoch_possible(const struct uw_transfer_io *io)
{
	uint32_t i, bytes = 0;

	for (i = 0; i < io->packets && bytes <= BYTES_MAX; i++) {
		if (io->iso[i].length > PACKET_MAX)
			return false;
		bytes += io->iso[i].length;
	}
	return io->packets && bytes <= BYTES_MAX;
}

uint32_t uw_isoch_urbs(const struct uw_transfer_io *io)
{
	return (io->packets + PACKETS_PER_URB - 1) / PACKETS_PER_URB;
}

static bool is_one_run(const struct uw_transfer_io *io)
{
	uint32_t i;

	for (i = 1; i < io->packets; i++)
		if (io->iso[i].offset != io->iso[i - 1].offset + io->iso[i - 1].length)
			return false;
	return true;
}

/* Between the packets and their run in the flight's memory. */
static void copy_packets(struct uw_flight *f, struct uw_transfer_io *io, bool in)
{
	const struct uw_iso *iso = io->iso, *end = iso + io->packets;
	uint8_t *at = f->buffer;

	for (; iso < end; at += iso->length, iso++) {
		if (in)
			uw_copy(io->data + iso->offset, at, uw_min(iso->actual, iso->length));
		else
			uw_copy(at, io->data + iso->offset, iso->length);
	}
}

bool uw_isoch_fill(struct uw_flight *f, struct uw_transfer_io *io, libusb_transfer_cb_fn done)
{
	uint32_t bytes = uw_isoch_bytes(io), i;
	uint8_t *data = io->data + io->iso[0].offset;
	struct libusb_transfer *t;

	f->gathered = !is_one_run(io);
	if (!uw_flight_packets(f, io->packets) || (f->gathered && !uw_flight_room(f, bytes)))
		return false;
	t = f->transfer;
	if (f->gathered) {
		data = f->buffer;
		if (!(io->endpoint & 0x80))
			copy_packets(f, io, false);
	}
	libusb_fill_iso_transfer(t, f->usb->handle, io->endpoint, data, (int)bytes, io->packets, done, f, 0);
	for (i = 0; i < io->packets; i++) {
		t->iso_packet_desc[i].length = io->iso[i].length;
		t->iso_packet_desc[i].actual_length = 0;
		t->iso_packet_desc[i].status = UNTOUCHED;
	}
	return true;
}

/*
 * When libusb could not submit all its parts, it calls back those it had and speaks of the others not at all. What the
 * guest sees are packets whose time has passed, as on a busy bus: the endpoint goes on with its next transfer.
 */
enum libusb_transfer_status uw_isoch_take(struct uw_flight *f, struct uw_transfer_io *io)
{
	const struct libusb_transfer *t = f->transfer;
	const struct libusb_iso_packet_descriptor *d;
	bool partly = false;
	uint32_t i;

	io->actual = 0;
	for (i = 0; i < io->packets; i++) {
		d = &t->iso_packet_desc[i];
		io->iso[i].actual = uw_min(d->actual_length, io->iso[i].length);
		io->iso[i].status = d->status == UNTOUCHED ? UW_ST_LATE : uw_usb_transfer_status(d->status);
		io->actual += io->iso[i].actual;
		partly |= d->status == UNTOUCHED;
	}
	if (f->gathered) {
		io->copied = io->endpoint & 0x80 ? io->actual : uw_isoch_bytes(io);
		if (io->endpoint & 0x80)
			copy_packets(f, io, true);
	}
	return partly && t->status == LIBUSB_TRANSFER_ERROR ? LIBUSB_TRANSFER_COMPLETED : t->status;
}
