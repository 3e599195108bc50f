/* SPDX-License-Identifier: GPL-2.0-only */
/* The self-test as a driver with a USBD handle: who may send URBs, and the rules of streams and chains of MDLs. */
#include "selftest.h"

#define INVALID USBD_STATUS_INVALID_PARAMETER
#define NO_PIPE USBD_STATUS_INVALID_PIPE_HANDLE
#define IN_FLAGS (USBD_TRANSFER_DIRECTION_IN | USBD_SHORT_TRANSFER_OK)
#define STREAMS 4u

/* A handle that takes any URB, or none. */
struct fake {
	struct uwb_usbd client;
	bool refuses;
	uint32_t begun, ended;
};

static const char *begin(struct uwb_usbd *client, URB *urb, IRP *irp)
{
	struct fake *f = UW_CONTAINER(client, struct fake, client);

	(void)urb;
	(void)irp;
	if (f->refuses)
		return "an URB that a handle refuses";
	f->begun++;
	return NULL;
}

static void end(struct uwb_usbd *client, URB *urb)
{
	(void)urb;
	UW_CONTAINER(client, struct fake, client)->ended++;
}

/* ---- who sends ---- */

static bool refused_open(struct uw_test *t, struct fake *f)
{
	LONG before = uw_bus.refused;

	return !NT_SUCCESS(uw_client_open(t->dev, &f->client)) && uw_bus.refused - before == 1;
}

static void senders(struct uw_test *t, struct fake *f)
{
	uw_test_case(t, "a handle after requests without one", refused_open(t, f), 0);
	t->dev->mixed = false;
	uw_test_case(t, "a handle", NT_SUCCESS(uw_client_open(t->dev, &f->client)), 0);
	uw_test_case(t, "a second handle", refused_open(t, f), 0);
	f->refuses = true;
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	uw_test_bad(t, "an URB that is none of the handle's", INVALID);
	f->refuses = false;
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	uw_test_good(t, "an URB of the handle's");
	t->urb->UrbHeader.Function = 0xff;
	uw_test_bad(t, "one that makes no sense", USBD_STATUS_INVALID_URB_FUNCTION);
	uw_test_case(t, "each ends", f->begun == 2 && f->ended == 2, f->ended);
}

/* ---- streams ---- */

static struct _URB_OPEN_STATIC_STREAMS *open_streams(struct uw_test *t, uint32_t pipe, uint32_t count)
{
	struct _URB_OPEN_STATIC_STREAMS *u = &t->urb->UrbOpenStaticStreams;

	uw_zero(t->urb, sizeof(*t->urb));
	u->Hdr.Function = URB_FUNCTION_OPEN_STATIC_STREAMS;
	u->Hdr.Length = sizeof(*u);
	u->PipeHandle = t->pipe[pipe];
	u->NumberOfStreams = count;
	u->StreamInfoVersion = URB_OPEN_STATIC_STREAMS_VERSION_100;
	u->StreamInfoSize = sizeof(USBD_STREAM_INFORMATION);
	u->Streams = (USBD_STREAM_INFORMATION *)t->data;
	return u;
}

static USBD_PIPE_HANDLE stream(struct uw_test *t, uint32_t number)
{
	return ((USBD_STREAM_INFORMATION *)t->data)[number - 1].PipeHandle;
}

static void opens(struct uw_test *t)
{
	open_streams(t, 0, 0);
	uw_test_bad(t, "no streams", INVALID);
	open_streams(t, 0, 17);
	uw_test_bad(t, "more streams than the endpoint has", INVALID);
	open_streams(t, 0, STREAMS)->StreamInfoVersion++;
	uw_test_bad(t, "streams of another version", INVALID);
	open_streams(t, 0, STREAMS)->StreamInfoSize--;
	uw_test_bad(t, "streams of another size", INVALID);
	open_streams(t, 0, STREAMS)->Streams = NULL;
	uw_test_bad(t, "streams without a table", INVALID);
	open_streams(t, 2, STREAMS);
	uw_test_bad(t, "streams of an isochronous endpoint", INVALID);
	uw_test_pipe(t, URB_FUNCTION_CLOSE_STATIC_STREAMS, 0);
	uw_test_bad(t, "a close of streams that are not open", INVALID);
	open_streams(t, 0, STREAMS);
	uw_test_good(t, "streams");
	uw_test_case(t, "their handles", stream(t, 1) && stream(t, STREAMS) && stream(t, 1) != stream(t, 2), 0);
	open_streams(t, 0, STREAMS);
	uw_test_bad(t, "streams that are open", INVALID);
}

static void on_stream(struct uw_test *t, USBD_PIPE_HANDLE handle)
{
	uw_test_bulk(t, 0, IN_FLAGS, 64);
	t->urb->UrbBulkOrInterruptTransfer.PipeHandle = handle;
	t->urb->UrbBulkOrInterruptTransfer.TransferBuffer = t->data + 4096;
}

static void uses(struct uw_test *t)
{
	USBD_PIPE_HANDLE last = stream(t, STREAMS);

	on_stream(t, stream(t, 1));
	uw_test_good(t, "a transfer on a stream");
	on_stream(t, last);
	uw_test_good(t, "a transfer on the last stream");
	on_stream(t, (void *)((uintptr_t)last + 1));
	uw_test_bad(t, "a transfer on the stream after it", NO_PIPE);
	on_stream(t, t->pipe[0]);
	uw_test_bad(t, "a transfer by the endpoint's handle", NO_PIPE);
	uw_test_pipe(t, URB_FUNCTION_ABORT_PIPE, 0);
	uw_test_bad(t, "abort of an endpoint with streams", INVALID);
	uw_test_pipe(t, URB_FUNCTION_ABORT_PIPE, 0);
	t->urb->UrbPipeRequest.PipeHandle = last;
	uw_test_bad(t, "abort of a stream", NO_PIPE);
	uw_test_pipe(t, URB_FUNCTION_SYNC_RESET_PIPE_AND_CLEAR_STALL, 0);
	uw_test_good(t, "reset of an endpoint with streams");
	uw_test_pipe(t, URB_FUNCTION_CLOSE_STATIC_STREAMS, 0);
	uw_test_good(t, "a close of streams");
	on_stream(t, last);
	uw_test_bad(t, "a transfer on a stream that is closed", NO_PIPE);
	on_stream(t, t->pipe[0]);
	uw_test_bad(t, "a transfer by the endpoint's handle after the close", NO_PIPE);
	uw_test_select_interface(t, 1, 6);
	uw_test_good(t, "select interface after the close");
	uw_test_pipes(t, &t->urb->UrbSelectInterface.Interface);
	uw_test_bulk(t, 0, IN_FLAGS, 64);
	uw_test_good(t, "a transfer by the new handle");
}

static void streams(struct uw_test *t, struct fake *f)
{
	uint16_t most = 0;

	open_streams(t, 0, STREAMS);
	uw_test_bad(t, "streams that were not asked for", INVALID);
	uw_test_case(t, "the streams that there are",
		     NT_SUCCESS(f->client.ask_streams(f->client.bus, &most)) && most == uw_bus.streams, most);
	if (t->dev->model->dev.speed == UW_SPEED_SUPER) {
		opens(t);
		uses(t);
	} else {
		open_streams(t, 0, STREAMS);
		uw_test_bad(t, "streams below super speed", INVALID);
	}
}

/* ---- chains of MDLs ---- */

static void chained(struct uw_test *t, MDL *first, uint32_t length)
{
	uw_test_bulk(t, 0, IN_FLAGS, length);
	t->urb->UrbHeader.Function = URB_FUNCTION_BULK_OR_INTERRUPT_TRANSFER_USING_CHAINED_MDL;
	t->urb->UrbBulkOrInterruptTransfer.TransferBuffer = NULL;
	t->urb->UrbBulkOrInterruptTransfer.TransferBufferMDL = first;
}

static bool is_filled(const uint8_t *from, uint32_t bytes, uint8_t with)
{
	while (bytes && *from == with) {
		from++;
		bytes--;
	}
	return !bytes;
}

static void chains(struct uw_test *t, struct fake *f, MDL *first)
{
	chained(t, first, 64);
	uw_test_bad(t, "a chain that was not asked for", INVALID);
	uw_test_case(t, "chains are taken", NT_SUCCESS(f->client.ask_chains(f->client.bus)), 0);
	chained(t, first, 151);
	uw_test_bad(t, "a chain too short", INVALID);
	chained(t, NULL, 64);
	uw_test_bad(t, "no chain", INVALID);
	chained(t, first, 64);
	t->urb->UrbBulkOrInterruptTransfer.TransferBuffer = t->data;
	uw_test_bad(t, "a chain and a buffer", INVALID);
	chained(t, first, 64);
	t->urb->UrbHeader.Function = URB_FUNCTION_BULK_OR_INTERRUPT_TRANSFER;
	uw_test_bad(t, "a chain in an URB for one MDL", INVALID);
	RtlFillMemory(t->data, 1024, 0xee);
	chained(t, first, 150);
	uw_test_good(t, "a chain");
	uw_test_case(t, "its bytes", is_filled(t->data, 50, 0) && is_filled(t->data + 50, 462, 0xee) &&
		     is_filled(t->data + 512, 100, 0) && is_filled(t->data + 612, 412, 0xee), t->data[512]);
}

/* Two pieces of data with a gap between them. */
static void test_chains(struct uw_test *t, struct fake *f)
{
	MDL *first = IoAllocateMdl(t->data, 50, FALSE, FALSE, NULL);
	MDL *second = IoAllocateMdl(t->data + 512, 100, FALSE, FALSE, NULL);

	if (first && second && t->mdl) {
		MmBuildMdlForNonPagedPool(first);
		MmBuildMdlForNonPagedPool(second);
		first->Next = second;
		chains(t, f, first);
	}
	if (first)
		IoFreeMdl(first);
	if (second)
		IoFreeMdl(second);
}

void uw_test_usbd(struct uw_test *t)
{
	struct fake f = { .client = { .begin = begin, .end = end } };
	LONG before;

	uw_test_select_interface(t, 1, 6);
	uw_test_good(t, "select interface once more");
	uw_test_pipes(t, &t->urb->UrbSelectInterface.Interface);
	senders(t, &f);
	streams(t, &f);
	test_chains(t, &f);
	uw_test_case(t, "all have ended", f.begun == f.ended, f.begun - f.ended);
	before = uw_bus.refused;
	uw_client_gone(t->dev);
	uw_test_case(t, "a handle that is left open", uw_bus.refused - before == 1, 0);
}
