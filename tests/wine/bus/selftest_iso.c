/* SPDX-License-Identifier: GPL-2.0-only */
/* The self-test's isochronous URBs. */
#include "selftest.h"

#define INVALID USBD_STATUS_INVALID_PARAMETER
#define ISO_IN 2u               /* pipes of the zero's second alternate setting */
#define ISO_OUT 3u
#define EACH 64u

static struct _URB_ISOCH_TRANSFER *iso(struct uw_test *t) { return &t->urb->UrbIsochronousTransfer; }

static void fill(struct uw_test *t, uint32_t pipe, uint32_t packets, uint32_t each)
{
	struct _URB_ISOCH_TRANSFER *u = iso(t);
	uint32_t i, n = uw_min(packets, 1100);

	uw_zero(u, sizeof(*u) + n * sizeof(USBD_ISO_PACKET_DESCRIPTOR));
	u->Hdr.Function = URB_FUNCTION_ISOCH_TRANSFER;
	u->Hdr.Length = (USHORT)(sizeof(*u) + packets * sizeof(USBD_ISO_PACKET_DESCRIPTOR));
	u->PipeHandle = t->pipe[pipe];
	u->TransferFlags = USBD_START_ISO_TRANSFER_ASAP | (pipe == ISO_IN ? USBD_TRANSFER_DIRECTION_IN : 0);
	u->TransferBuffer = t->data;
	u->TransferBufferLength = packets * each;
	u->NumberOfPackets = packets;
	for (i = 0; i < n; i++)
		u->IsoPacket[i].Offset = i * each;
}

static void shapes(struct uw_test *t)
{
	uint32_t i;

	fill(t, ISO_IN, 8, EACH);
	uw_test_good(t, "isochronous in");
	uw_test_case(t, "its packets", !iso(t)->ErrorCount && iso(t)->IsoPacket[7].Length == EACH && iso(t)->StartFrame,
		     iso(t)->IsoPacket[7].Length);
	fill(t, ISO_OUT, 8, EACH);
	uw_test_good(t, "isochronous out");
	fill(t, ISO_IN, 8, EACH);
	for (i = 0; i < 8; i++)
		iso(t)->IsoPacket[i].Offset += 4;
	uw_test_bad(t, "a first packet not at 0", INVALID);
	fill(t, ISO_IN, 8, EACH);
	iso(t)->IsoPacket[3].Offset = 0;
	uw_test_bad(t, "packets out of order", INVALID);
	fill(t, ISO_IN, 8, EACH);
	iso(t)->IsoPacket[3].Length = EACH - 1;
	uw_test_bad(t, "a gap", INVALID);
	fill(t, ISO_IN, 8, EACH);
	iso(t)->TransferBufferLength = 7 * EACH - 1;
	uw_test_bad(t, "a buffer shorter than its packets", INVALID);
	fill(t, ISO_IN, 8, 2048);
	uw_test_bad(t, "packets longer than the endpoint's", INVALID);
	fill(t, ISO_IN, 8, EACH);
	iso(t)->Hdr.Length = sizeof(struct _URB_ISOCH_TRANSFER);
	uw_test_bad(t, "a header length for one packet", INVALID);
	fill(t, 0, 8, EACH);
	uw_test_bad(t, "an isochronous URB for a bulk pipe", USBD_STATUS_INVALID_PIPE_HANDLE);
	fill(t, ISO_IN, 8, EACH);
	iso(t)->TransferFlags &= ~(ULONG)USBD_TRANSFER_DIRECTION_IN;
	uw_test_bad(t, "the wrong direction, isochronous", INVALID);
}

static void counts(struct uw_test *t)
{
	struct uw_pipe *pipe = uw_pipe_find(t->dev, t->pipe[ISO_OUT]);
	bool full = t->dev->model->dev.speed == UW_SPEED_FULL;
	uint8_t interval = pipe ? pipe->interval : 0, i;

	fill(t, ISO_OUT, 0, 0);
	uw_test_bad(t, "no packets", INVALID);
	fill(t, ISO_OUT, full ? 256 : 1025, 1);
	uw_test_bad(t, "too many packets", INVALID);
	fill(t, ISO_OUT, full ? 255 : 1024, 1);
	uw_test_good(t, "as many packets as there may be");
	for (i = 1; pipe && !full && i <= 4; i++) {
		pipe->interval = i;
		fill(t, ISO_OUT, (16u >> i) + 1, EACH);
		if (i < 4)
			uw_test_bad(t, "not whole frames", INVALID);
		else
			uw_test_good(t, "one packet in a frame");
		fill(t, ISO_OUT, 16u >> i, EACH);
		uw_test_good(t, "one whole frame");
	}
	if (pipe)
		pipe->interval = interval;
}

static uint32_t frame(void) { return (uint32_t)(uw_now() / UW_FRAME); }

static void at(struct uw_test *t, uint32_t start)
{
	fill(t, ISO_OUT, 8, EACH);
	iso(t)->TransferFlags &= ~(ULONG)USBD_START_ISO_TRANSFER_ASAP;
	iso(t)->StartFrame = start;
}

static void starts(struct uw_test *t)
{
	struct _URB_ISOCH_TRANSFER *u = iso(t);
	uint32_t next;

	fill(t, ISO_OUT, 8, EACH);
	uw_test_good(t, "as soon as possible");
	next = u->StartFrame + 8;
	/* A model is done with its last packet when that packet's frame begins. */
	uw_test_case(t, "paced", (int32_t)(frame() - next) >= -1, frame() - u->StartFrame);
	next = frame() + 100;
	at(t, next);
	uw_test_good(t, "in a frame to come");
	uw_test_case(t, "not before it", (int32_t)(frame() - next) >= 7 && !u->ErrorCount, frame() - next);
	at(t, frame() + 2000);
	uw_test_bad(t, "in a frame too far away", USBD_STATUS_BAD_START_FRAME);
	at(t, frame() - 2000);
	uw_test_bad(t, "in a frame long ago", USBD_STATUS_BAD_START_FRAME);
	at(t, frame() - 100);
	uw_test_status(t, "in a frame that is over", USBD_STATUS_ISOCH_REQUEST_FAILED);
	uw_test_case(t, "all late", u->ErrorCount == 8 && u->IsoPacket[0].Status == USBD_STATUS_ISO_NOT_ACCESSED_LATE,
		     u->ErrorCount);
}

static void overlaps(struct uw_test *t)
{
	struct uw_send *s = uw_alloc(sizeof(*s));
	URB *first = t->urb;
	URB *second = uw_alloc(sizeof(URB) + 8 * sizeof(USBD_ISO_PACKET_DESCRIPTOR));
	uint32_t start = frame() + 200;

	if (s && second) {
		at(t, start);
		uw_copy(second, first, sizeof(struct _URB_ISOCH_TRANSFER) + 8 * sizeof(USBD_ISO_PACKET_DESCRIPTOR));
		if (uw_test_begin(t, s, second)) {
			at(t, start + 4);
			uw_test_good(t, "frames of which another URB has half");
			uw_test_case(t, "the half is late",
				     iso(t)->ErrorCount == 4 && !iso(t)->IsoPacket[4].Status &&
					     iso(t)->IsoPacket[3].Status == USBD_STATUS_ISO_NOT_ACCESSED_LATE,
				     iso(t)->ErrorCount);
			at(t, frame() + 100);
			uw_test_good(t, "frames behind another's");
			uw_test_free(s);
			uw_test_case(t, "the other", second->UrbHeader.Status == USBD_STATUS_SUCCESS && s->ended == 1,
				     (uint32_t)second->UrbHeader.Status);
		}
	}
	uw_free(second);
	uw_free(s);
}

void uw_test_iso(struct uw_test *t)
{
	shapes(t);
	counts(t);
	starts(t);
	overlaps(t);
}
