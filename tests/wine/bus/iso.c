/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Isochronous URBs: _URB_ISOCH_TRANSFER. Packets follow each other without a gap, so a packet's length is the distance to
 * the next one's offset; a URB holds whole frames; it begins as soon as possible or in a frame it names.
 */
#include "bus.h"

#define PACKETS_MAX 1024u
#define PACKETS_MAX_FULL 255u

static uint64_t frame_now(void) { return uw_now() / UW_FRAME; }

static bool full_speed(const struct uw_vdev *dev) { return dev->model->dev.speed == UW_SPEED_FULL; }

/* Packets in a frame: 8, 4, 2 or 1; and frames of a packet where the interval is longer than one. */
static uint32_t per_frame(const struct uw_vdev *dev, const struct uw_pipe *pipe)
{
	return full_speed(dev) || pipe->interval > 3 ? 1 : 8u >> (pipe->interval - 1);
}

static uint32_t frames_each(const struct uw_vdev *dev, const struct uw_pipe *pipe)
{
	uint32_t exponent = pipe->interval - 1;

	if (full_speed(dev))
		return 1u << exponent;
	return exponent > 3 ? 1u << (exponent - 3) : 1;
}

static uint32_t frames_of(const struct uw_vdev *dev, const struct uw_pipe *pipe, uint32_t packets)
{
	return packets / per_frame(dev, pipe) * frames_each(dev, pipe);
}

/* Bytes of one service interval, at most: USB 2.0 table 9-13, USB 3.2 table 9-27. */
static uint32_t service(const struct uw_vdev *dev, const struct uw_pipe *pipe)
{
	uint32_t bytes = (pipe->packet & 0x7ffu) * (1u + (pipe->packet >> 11 & 3u));

	return dev->model->dev.speed == UW_SPEED_SUPER ? bytes * (1u + pipe->burst) : bytes;
}

/* ---- checks ---- */

static bool good_count(const struct uw_vdev *dev, const struct uw_pipe *pipe, const URB *urb)
{
	uint32_t n = urb->UrbIsochronousTransfer.NumberOfPackets;
	uint32_t max = full_speed(dev) ? PACKETS_MAX_FULL : PACKETS_MAX;
	uint32_t bytes = (uint32_t)(FIELD_OFFSET(struct _URB_ISOCH_TRANSFER, IsoPacket) +
				    n * sizeof(USBD_ISO_PACKET_DESCRIPTOR));

	if (!n || n > max)
		uw_refused("%u isochronous packets, 1 to %u", (unsigned int)n, (unsigned int)max);
	else if (n % per_frame(dev, pipe))
		uw_refused("%u isochronous packets, not a multiple of %u", (unsigned int)n,
			   (unsigned int)per_frame(dev, pipe));
	else if (urb->UrbHeader.Length < bytes ||
		 urb->UrbHeader.Length > sizeof(struct _URB_ISOCH_TRANSFER) + n * sizeof(USBD_ISO_PACKET_DESCRIPTOR))
		uw_refused("an isochronous URB of %u bytes for %u packets", urb->UrbHeader.Length, (unsigned int)n);
	else
		return true;
	return false;
}

static uint32_t end_of(const struct _URB_ISOCH_TRANSFER *u, uint32_t i)
{
	return i + 1 < u->NumberOfPackets ? u->IsoPacket[i + 1].Offset : u->TransferBufferLength;
}

/* Windows does not read Length; but who fills it in with something else means something else. */
static bool good_packets(const struct uw_vdev *dev, const struct uw_pipe *pipe, const URB *urb)
{
	const struct _URB_ISOCH_TRANSFER *u = &urb->UrbIsochronousTransfer;
	uint32_t i;

	if (u->IsoPacket[0].Offset) {
		uw_refused("the first isochronous packet is at offset %u", (unsigned int)u->IsoPacket[0].Offset);
		return false;
	}
	for (i = 0; i < u->NumberOfPackets; i++) {
		uint32_t at = u->IsoPacket[i].Offset, end = end_of(u, i);

		if (end < at || end - at > service(dev, pipe)) {
			uw_refused("isochronous packet %u from offset %u to %u", (unsigned int)i, (unsigned int)at,
				   (unsigned int)end);
			return false;
		}
		if (u->IsoPacket[i].Length && u->IsoPacket[i].Length != end - at) {
			uw_refused("isochronous packet %u of %u bytes with a gap behind it", (unsigned int)i,
				   (unsigned int)u->IsoPacket[i].Length);
			return false;
		}
	}
	return true;
}

/* The 64-bit frame that a URB means by its 32 bits: the one nearest to now. */
static uint64_t frame_meant(uint32_t frame)
{
	uint64_t now = frame_now();

	return now + (uint64_t)(int64_t)(int32_t)(frame - (uint32_t)now);
}

static bool good_start(const URB *urb)
{
	const struct _URB_ISOCH_TRANSFER *u = &urb->UrbIsochronousTransfer;
	int32_t ahead = (int32_t)(u->StartFrame - (uint32_t)frame_now());

	if (u->TransferFlags & USBD_START_ISO_TRANSFER_ASAP)
		return true;
	if (ahead <= USBD_ISO_START_FRAME_RANGE && ahead >= -USBD_ISO_START_FRAME_RANGE)
		return true;
	uw_refused("StartFrame %u, %d frames from now", (unsigned int)u->StartFrame, (int)ahead);
	return false;
}

USBD_STATUS uw_iso_check(struct uw_vdev *dev, struct uw_pipe *pipe, URB *urb)
{
	const uint32_t known = USBD_TRANSFER_DIRECTION | USBD_SHORT_TRANSFER_OK | USBD_START_ISO_TRANSFER_ASAP;
	uint32_t flags = urb->UrbIsochronousTransfer.TransferFlags;

	if (pipe->type != UW_ISOCH) {
		uw_refused("an isochronous URB for endpoint %02x, which is not", pipe->address);
		return USBD_STATUS_INVALID_PIPE_HANDLE;
	}
	if (flags & ~known || (flags & USBD_TRANSFER_DIRECTION) != (uint32_t)pipe->address >> 7) {
		uw_refused("TransferFlags %x on endpoint %02x", (unsigned int)flags, pipe->address);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	if (!good_count(dev, pipe, urb) || !good_packets(dev, pipe, urb))
		return USBD_STATUS_INVALID_PARAMETER;
	return good_start(urb) ? USBD_STATUS_SUCCESS : USBD_STATUS_BAD_START_FRAME;
}

/* ---- the transfer ---- */

/* Packets whose frames are over when the URB comes, or another URB's, are lost. */
static uint32_t late_packets(const struct uw_xfer *x, uint64_t frames)
{
	uint64_t late = frames / frames_each(x->dev, x->pipe) * per_frame(x->dev, x->pipe);

	return late < x->packets ? (uint32_t)late : x->packets;
}

/* Under the lock. */
static uint64_t first_free(const struct uw_pipe *pipe)
{
	uint64_t next = frame_now() + 1;

	return pipe->pending && pipe->next_frame > next ? pipe->next_frame : next;
}

static void copy_packets(struct uw_xfer *x)
{
	const struct _URB_ISOCH_TRANSFER *u = &x->urb->UrbIsochronousTransfer;
	uint32_t i;

	for (i = 0; i < x->packets; i++) {
		x->iso[i].offset = u->IsoPacket[i].Offset;
		x->iso[i].length = end_of(u, i) - u->IsoPacket[i].Offset;
		x->iso[i].actual = 0;
		x->iso[i].status = UW_ST_LATE;
	}
}

/* Takes its frames, and remembers its packets. A URB that others precede without a gap goes to the model at once, which
 * keeps the rhythm; any other waits for its first frame. */
void uw_iso_fill(struct uw_xfer *x)
{
	struct _URB_ISOCH_TRANSFER *u = &x->urb->UrbIsochronousTransfer;
	struct uw_pipe *pipe = x->pipe;
	uint64_t start, first, end;
	uint32_t late = 0;
	KIRQL irql;

	copy_packets(x);
	irql = uw_lock();
	first = first_free(pipe);
	if (u->TransferFlags & USBD_START_ISO_TRANSFER_ASAP) {
		u->StartFrame = (ULONG)first;
		end = first + frames_of(x->dev, pipe, x->packets);
	} else {
		start = frame_meant(u->StartFrame);
		end = start + frames_of(x->dev, pipe, x->packets);
		if (start < first)
			late = late_packets(x, first - start);
		else
			first = start;
	}
	if (!pipe->pending || first != pipe->next_frame)
		x->start = first * UW_FRAME;
	if (end > pipe->next_frame)
		pipe->next_frame = end;
	uw_unlock(irql);
	x->io.iso = x->iso + late;
	x->io.packets = (uint16_t)(x->packets - late);
}

static USBD_STATUS packet_status(uint32_t status)
{
	switch (status) {
	case UW_ST_OK:
		return USBD_STATUS_SUCCESS;
	case UW_ST_LATE:
		return USBD_STATUS_ISO_NOT_ACCESSED_LATE;
	case UW_ST_BABBLE:
		return USBD_STATUS_BABBLE_DETECTED;
	case UW_ST_CANCELLED:
	case UW_ST_NO_DEVICE:
		return USBD_STATUS_ISO_NOT_ACCESSED_BY_HW;
	default:
		return USBD_STATUS_XACT_ERROR;
	}
}

/* Tells each packet's fate; Length of an IN packet becomes what it brought. */
void uw_iso_end(struct uw_xfer *x)
{
	struct _URB_ISOCH_TRANSFER *u = &x->urb->UrbIsochronousTransfer;
	bool cancelled = x->status == USBD_STATUS_CANCELED || x->status == USBD_STATUS_DEVICE_GONE;
	uint32_t i;

	u->ErrorCount = 0;
	for (i = 0; i < x->packets; i++) {
		if (cancelled && x->iso[i].status == UW_ST_LATE)
			x->iso[i].status = UW_ST_CANCELLED;
		u->IsoPacket[i].Length = x->iso[i].actual;
		u->IsoPacket[i].Status = packet_status(x->iso[i].status);
		u->ErrorCount += x->iso[i].status != UW_ST_OK;
	}
	if (x->status == USBD_STATUS_SUCCESS && u->ErrorCount == x->packets)
		u->Hdr.Status = x->status = USBD_STATUS_ISOCH_REQUEST_FAILED;
}
