// SPDX-License-Identifier: GPL-2.0-only
/* Payload between URBs and the data part of the region, isochronous packet tables, and the table of error codes. */
#include <linux/build_bug.h>
#include <linux/scatterlist.h>

#include "usbwarp.h"

/*
 * One line for each enum uw_status. Failures of the host and an open circuit breaker look like a device that does not
 * answer, because class drivers back off from that and resubmit at once after codes they do not know.
 */
#define ERRNOS(X) \
	X(OK, 0) \
	X(STALL, -EPIPE) \
	X(CANCELLED, -ECONNRESET) \
	X(BABBLE, -EOVERFLOW) \
	X(PROTOCOL, -EPROTO) \
	X(NO_DEVICE, -ESHUTDOWN) \
	X(NO_ENDPOINT, -EPROTO) \
	X(BUSY, -ENOSR) \
	X(INVALID, -EINVAL) \
	X(UNSUPPORTED, -EOPNOTSUPP) \
	X(BLOCKED, -EPROTO) \
	X(LATE, -EXDEV) \
	X(HOST, -EPROTO)

#define X(name, code) | 1u << UW_ST_##name
static_assert((0 ERRNOS(X)) == (1u << UW_ST_COUNT) - 1, "every status has a code");
#undef X

int uw_errno(u32 status)
{
	static const int table[] = {
#define X(name, code) [UW_ST_##name] = code,
		ERRNOS(X)
#undef X
	};

	return status < ARRAY_SIZE(table) ? table[status] : -EPROTO;
}

/* ---- bytes ---- */

static unsigned int sg_entries(const struct urb *urb)
{
	return urb->num_sgs ? urb->num_sgs : 1;
}

static void gather(const struct urb *urb, u32 offset, void *to, u32 bytes)
{
	if (urb->num_sgs || !urb->transfer_buffer)
		sg_pcopy_to_buffer(urb->sg, sg_entries(urb), to, bytes, offset);
	else
		memcpy(to, urb->transfer_buffer + offset, bytes);
}

static void scatter(const struct urb *urb, u32 offset, const void *from, u32 bytes)
{
	if (urb->num_sgs || !urb->transfer_buffer)
		sg_pcopy_from_buffer(urb->sg, sg_entries(urb), from, bytes, offset);
	else
		memcpy(urb->transfer_buffer + offset, from, bytes);
}

/* ---- isochronous packets ---- */

static bool is_direct(const struct uw_req *req)
{
	return req->u.direct != UW_NOT_DIRECT;
}

/* Where the bytes of a packet that is one of this piece lie, from the start of the piece's data. Bounced packets are
 * packed, whatever gaps the class driver left; those in the pool lie where they are. */
static u32 packet_bytes(const struct uw_req *req, u32 index, u32 packed)
{
	return is_direct(req) ? req->urb->iso_frame_desc[index].offset - req->u.offset : packed;
}

/* How many packets the granted space takes, and how many bytes they span. */
static void choose_packets(struct uw_req *req, u32 packets_max, u32 transfer_max)
{
	struct uw_urb *u = &req->u;
	u32 most = min(u->packets - u->first_packet, packets_max), room = transfer_max, span, n;

	if (!is_direct(req))
		room = u->granted - most * (u32)sizeof(struct uw_packet);
	u->piece = 0;
	if (is_direct(req))
		u->offset = req->urb->iso_frame_desc[u->first_packet].offset;
	for (n = 0; n < most; n++) {
		span = packet_bytes(req, u->first_packet + n, u->piece) +
		       req->urb->iso_frame_desc[u->first_packet + n].length;
		if (span > room)
			break;
		u->piece = max(u->piece, span);
	}
	u->piece_packets = n;
}

static void write_table(struct uw_dev *d, struct uw_req *req)
{
	struct uw_packet *table = (void *)uw_data(d, req->u.table);
	u32 i, packed = 0;

	for (i = 0; i < req->u.piece_packets; i++) {
		struct usb_iso_packet_descriptor *desc = &req->urb->iso_frame_desc[req->u.first_packet + i];
		struct uw_packet p = {
			.offset = cpu_to_le32(packet_bytes(req, req->u.first_packet + i, packed)),
			.length = cpu_to_le32(desc->length),
		};

		memcpy(&table[i], &p, sizeof(p));
		packed += desc->length;
	}
}

static u32 pack(struct uw_dev *d, struct uw_req *req)
{
	u32 i, packed = 0;

	for (i = 0; i < req->u.piece_packets; i++) {
		struct usb_iso_packet_descriptor *desc = &req->urb->iso_frame_desc[req->u.first_packet + i];

		gather(req->urb, desc->offset, uw_data(d, req->u.data + packed), desc->length);
		packed += desc->length;
	}
	return packed;
}

static u32 fill_packets(struct uw_dev *d, struct uw_req *req)
{
	struct uw_urb *u = &req->u;

	choose_packets(req, d->g.layout.packets_max, d->g.layout.transfer_max);
	u->table = u->space;
	u->data = is_direct(req) ? u->direct + u->offset :
				   u->space + min(u->packets - u->first_packet, (u32)d->g.layout.packets_max) *
						      (u32)sizeof(struct uw_packet);
	write_table(d, req);
	return is_direct(req) || usb_urb_dir_in(req->urb) ? 0 : pack(d, req);
}

/* The host's entry is copied once, then judged. */
static u32 take_packet(struct uw_dev *d, struct uw_req *req, u32 i, u32 packed)
{
	struct usb_iso_packet_descriptor *desc = &req->urb->iso_frame_desc[req->u.first_packet + i];
	struct uw_packet p;

	memcpy(&p, uw_data(d, req->u.table + i * (u32)sizeof(p)), sizeof(p));
	desc->actual_length = le32_to_cpu(p.actual);
	desc->status = uw_errno(le16_to_cpu(p.status));
	if (desc->actual_length > desc->length) {
		desc->actual_length = 0;
		desc->status = -EPROTO;
	}
	if (desc->status)
		req->urb->error_count++;
	req->urb->actual_length += desc->actual_length;
	if (is_direct(req) || !usb_urb_dir_in(req->urb))
		return 0;
	scatter(req->urb, desc->offset, uw_data(d, req->u.data + packed), desc->actual_length);
	return desc->actual_length;
}

static u32 drain_packets(struct uw_dev *d, struct uw_req *req)
{
	u32 i, packed = 0, copied = 0;

	for (i = 0; i < req->u.piece_packets; i++) {
		copied += take_packet(d, req, i, packed);
		packed += req->urb->iso_frame_desc[req->u.first_packet + i].length;
	}
	return copied;
}

/* ---- what the URB path calls ---- */

bool uw_copies_out(const struct uw_req *req)
{
	return req->u.packets || (req->u.piece && !is_direct(req) && usb_urb_dir_out(req->urb));
}

/* Any context, without the lock. Returns the payload bytes that were copied. */
u32 uw_copy_out(struct uw_dev *d, struct uw_req *req)
{
	if (req->u.packets)
		return fill_packets(d, req);
	gather(req->urb, req->u.offset, uw_data(d, req->u.data), req->u.piece);
	return req->u.piece;
}

bool uw_copies_in(const struct uw_req *req)
{
	if (!req->u.answered)
		return false;
	return req->u.packets || (req->u.moved && !is_direct(req) && usb_urb_dir_in(req->urb));
}

/* Softirq context, without the lock. Returns the payload bytes that were copied. */
u32 uw_copy_in(struct uw_dev *d, struct uw_req *req)
{
	if (req->u.packets)
		return drain_packets(d, req);
	scatter(req->urb, req->u.offset, uw_data(d, req->u.data), req->u.moved);
	return req->u.moved;
}
