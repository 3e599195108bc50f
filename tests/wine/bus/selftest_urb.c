/* SPDX-License-Identifier: GPL-2.0-only */
/* The self-test's URBs, but for the isochronous ones. */
#include "selftest.h"

#include <usbbusif.h>

#define INVALID USBD_STATUS_INVALID_PARAMETER
#define NO_PIPE USBD_STATUS_INVALID_PIPE_HANDLE
#define TO_HOST USBD_TRANSFER_DIRECTION_IN
#define SHORT USBD_SHORT_TRANSFER_OK

/* ---- control ---- */

static struct _URB_CONTROL_TRANSFER_EX *raw(struct uw_test *t) { return &t->urb->UrbControlTransferEx; }

static void raw_requests(struct uw_test *t)
{
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	uw_test_good(t, "get status, raw");
	uw_test_raw(t, 0x80, 6, 0x100, 0, 64);
	uw_test_good(t, "a short answer that may be");
	uw_test_case(t, "its length", raw(t)->TransferBufferLength == 18 && t->data[8] == 0x25 && t->data[9] == 5,
		     raw(t)->TransferBufferLength);
	uw_test_raw(t, 0x80, 6, 0x100, 0, 64);
	raw(t)->TransferFlags &= ~(ULONG)SHORT;
	uw_test_status(t, "a short answer that may not be", USBD_STATUS_ERROR_SHORT_TRANSFER);
	uw_test_raw(t, 0x80, 6, 0x7700, 0, 64);
	uw_test_status(t, "a request that the device does not know", USBD_STATUS_STALL_PID);
	uw_test_raw(t, 0x00, 5, 9, 0, 0);
	uw_test_bad(t, "SET_ADDRESS", INVALID);
	uw_test_raw(t, 0x00, 9, 3, 0, 0);
	uw_test_bad(t, "SET_CONFIGURATION", INVALID);
	uw_test_raw(t, 0x01, 11, 1, 0, 0);
	uw_test_bad(t, "SET_INTERFACE", INVALID);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->TransferFlags &= ~(ULONG)USBD_DEFAULT_PIPE_TRANSFER;
	uw_test_bad(t, "no pipe and no default pipe", NO_PIPE);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->PipeHandle = t;
	uw_test_bad(t, "a pipe that is none", NO_PIPE);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->SetupPacket[6] = 3;
	uw_test_bad(t, "wLength and buffer differ", INVALID);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->TransferFlags &= ~(ULONG)TO_HOST;
	uw_test_bad(t, "two directions", INVALID);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->TransferFlags |= 0x80;
	uw_test_bad(t, "an unknown flag", INVALID);
}

static void headers(struct uw_test *t)
{
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	t->urb->UrbHeader.Length--;
	uw_test_bad(t, "a header length too short", INVALID);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	t->urb->UrbHeader.Length = sizeof(URB) + 8;
	uw_test_bad(t, "a header length too long", INVALID);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	t->urb->UrbHeader.Function = 0xff;
	uw_test_bad(t, "an unknown function", USBD_STATUS_INVALID_URB_FUNCTION);
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	uw_test_case(t, "too few stack locations",
		     uw_test_control(t, IOCTL_INTERNAL_USB_SUBMIT_URB, t->urb, 1) == STATUS_INVALID_PARAMETER &&
			     uw_bus.refused - t->refused == 1, 1);
	uw_test_case(t, "no URB",
		     uw_test_control(t, IOCTL_INTERNAL_USB_SUBMIT_URB, NULL, UW_STACK) == STATUS_INVALID_PARAMETER &&
			     uw_bus.refused - t->refused == 1, 1);
	t->dev->power = PowerDeviceD3;
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	uw_test_bad(t, "a transfer in D3", INVALID);
	t->dev->power = PowerDeviceD0;
}

static void given_requests(struct uw_test *t)
{
	struct _URB_CONTROL_VENDOR_OR_CLASS_REQUEST *u = &t->urb->UrbControlVendorClassRequest;

	uw_zero(t->urb, sizeof(*t->urb));
	u->Hdr.Function = URB_FUNCTION_VENDOR_DEVICE;
	u->Hdr.Length = sizeof(*u);
	u->TransferFlags = 0;
	u->TransferBufferLength = 16;
	u->TransferBuffer = t->data;
	u->RequestTypeReservedBits = 0;
	u->Request = 0x5b;
	u->Value = u->Index = 0;
	uw_test_good(t, "a vendor's request");
	u->TransferFlags = 0x40;
	uw_test_bad(t, "a vendor's request with unknown flags", INVALID);
	u->TransferFlags = 0;
	u->Reserved1 = 0;
	t->urb->UrbControlTransfer.UrbLink = t->urb;
	uw_test_bad(t, "a link to another URB", INVALID);
}

static void get_config(struct uw_test *t)
{
	struct _URB_CONTROL_DESCRIPTOR_REQUEST *d = &t->urb->UrbControlDescriptorRequest;

	uw_zero(t->urb, sizeof(*t->urb));
	d->Hdr.Function = URB_FUNCTION_GET_DESCRIPTOR_FROM_DEVICE;
	d->Hdr.Length = sizeof(*d);
	d->TransferBuffer = t->data;
	d->TransferBufferLength = 255;
	d->DescriptorType = 2;
	uw_test_good(t, "get descriptor");
	uw_copy(t->config, t->data, sizeof(t->config) < 255 ? sizeof(t->config) : 255);
	uw_test_case(t, "the configuration", t->config[1] == 2 && d->TransferBufferLength > 9, t->config[1]);
}

static void status_requests(struct uw_test *t)
{
	struct _URB_CONTROL_GET_STATUS_REQUEST *u = &t->urb->UrbControlGetStatusRequest;

	uw_test_raw(t, 0, 0, 0, 0, 0);
	uw_zero(t->urb, sizeof(*t->urb));
	u->Hdr.Function = URB_FUNCTION_GET_STATUS_FROM_DEVICE;
	u->Hdr.Length = sizeof(*u);
	u->TransferBuffer = t->data;
	u->TransferBufferLength = 2;
	uw_test_good(t, "get status");
	u->TransferBufferLength = 1;
	uw_test_bad(t, "get status with one byte", INVALID);
	u->Hdr.Function = URB_FUNCTION_GET_CONFIGURATION;
	u->Hdr.Length = sizeof(struct _URB_CONTROL_GET_CONFIGURATION_REQUEST);
	u->TransferBufferLength = 1;
	t->data[0] = 9;
	uw_test_good(t, "get configuration");
	uw_test_case(t, "no configuration", t->data[0] == 0, t->data[0]);
	uw_zero(t->urb, sizeof(*t->urb));
	t->urb->UrbHeader.Function = URB_FUNCTION_GET_MS_FEATURE_DESCRIPTOR;
	t->urb->UrbHeader.Length = sizeof(struct _URB_OS_FEATURE_DESCRIPTOR_REQUEST);
	uw_test_status(t, "get Microsoft's feature descriptor", USBD_STATUS_NOT_SUPPORTED);
	uw_zero(t->urb, sizeof(*t->urb));
	t->urb->UrbHeader.Function = URB_FUNCTION_GET_CURRENT_FRAME_NUMBER;
	t->urb->UrbHeader.Length = sizeof(struct _URB_GET_CURRENT_FRAME_NUMBER);
	uw_test_good(t, "get current frame number");
}

/* ---- buffers ---- */

static void mdl_buffers(struct uw_test *t)
{
	if (!t->mdl) {
		t->result->skipped += 5;
		return;
	}
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->TransferBuffer = NULL;
	raw(t)->TransferBufferMDL = t->mdl;
	uw_test_good(t, "an MDL alone");
	raw(t)->TransferBufferMDL = t->mdl;
	raw(t)->TransferBuffer = t->data;
	uw_test_good(t, "an MDL and its own buffer");
	raw(t)->TransferBuffer = t->data + 8;
	uw_test_bad(t, "an MDL and another buffer", INVALID);
	raw(t)->TransferBuffer = NULL;
	t->mdl->ByteCount = 1;
	uw_test_bad(t, "an MDL too short", INVALID);
	t->mdl->ByteCount = UW_TEST_BYTES;
	t->mdl->MdlFlags &= ~MDL_SOURCE_IS_NONPAGED_POOL;
	uw_test_bad(t, "an MDL without pages", INVALID);
	t->mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}

static void buffers(struct uw_test *t)
{
	uint32_t max = t->dev->model->dev.speed == UW_SPEED_FULL ? 4096 : 65536;

	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->TransferBuffer = NULL;
	uw_test_bad(t, "no buffer", INVALID);
	mdl_buffers(t);
	uw_test_raw(t, 0xc0, 0x5c, 0, 0, uw_min(max, 65535));
	uw_test_good(t, "the longest control transfer");
	if (max > 65535)
		return;
	uw_test_raw(t, 0xc0, 0x5c, 0, 0, max + 1);
	uw_test_bad(t, "a control transfer too long", INVALID);
}

void uw_test_requests(struct uw_test *t)
{
	raw_requests(t);
	headers(t);
	get_config(t);
	status_requests(t);
}

/* ---- settings ---- */

static struct _URB_SELECT_CONFIGURATION *config(struct uw_test *t) { return &t->urb->UrbSelectConfiguration; }

static void configurations(struct uw_test *t)
{
	t->pipe[0] = t;
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_bad(t, "a transfer before a configuration", NO_PIPE);
	uw_test_select_config(t);
	t->config[7] ^= 1;
	uw_test_bad(t, "another device's configuration", USBD_STATUS_INAVLID_CONFIGURATION_DESCRIPTOR);
	t->config[7] ^= 1;
	uw_test_select_config(t);
	config(t)->Hdr.Length = FIELD_OFFSET(struct _URB_SELECT_CONFIGURATION, Interface);
	uw_test_bad(t, "a configuration without interfaces", INVALID);
	uw_test_select_config(t);
	config(t)->Interface.Length -= sizeof(USBD_PIPE_INFORMATION);
	uw_test_bad(t, "an interface without room for its pipes", INVALID);
	uw_test_select_config(t);
	config(t)->Hdr.Length--;
	uw_test_bad(t, "an interface beyond the URB", INVALID);
	uw_test_select_config(t);
	config(t)->Interface.InterfaceNumber = 3;
	uw_test_bad(t, "an interface that is not there", INVALID);
	uw_test_select_config(t);
	uw_test_good(t, "select configuration");
	t->handle = config(t)->ConfigurationHandle;
	uw_test_case(t, "its pipes", config(t)->Interface.NumberOfPipes == 2 && t->handle,
		     config(t)->Interface.NumberOfPipes);
	uw_test_pipes(t, &config(t)->Interface);
}

static void interfaces(struct uw_test *t)
{
	USBD_PIPE_HANDLE old = t->pipe[0];

	uw_test_select_interface(t, 7, 6);
	uw_test_bad(t, "an alternate setting that is not there", INVALID);
	uw_test_select_interface(t, 1, 5);
	uw_test_bad(t, "an alternate setting without room", INVALID);
	uw_test_select_interface(t, 1, 6);
	t->urb->UrbSelectInterface.ConfigurationHandle = t;
	uw_test_bad(t, "another configuration's handle", INVALID);
	uw_test_select_interface(t, 1, 6);
	t->urb->UrbSelectInterface.Interface.Pipes[2].PipeFlags = 0x100;
	uw_test_bad(t, "unknown pipe flags", INVALID);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_good(t, "the first setting still works");
	uw_test_select_interface(t, 1, 6);
	uw_test_good(t, "select interface");
	uw_test_pipes(t, &t->urb->UrbSelectInterface.Interface);
	uw_test_case(t, "six pipes",
		     t->urb->UrbSelectInterface.Interface.NumberOfPipes == 6 && t->pipe[5] && t->pipe[0] != old, 0);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	t->urb->UrbBulkOrInterruptTransfer.PipeHandle = old;
	uw_test_bad(t, "a pipe handle of yesterday", NO_PIPE);
}

static void raised(struct uw_test *t)
{
	KSPIN_LOCK lock;
	KIRQL irql;

	KeInitializeSpinLock(&lock);
	KeAcquireSpinLock(&lock, &irql);
	if (uw_irql() == PASSIVE_LEVEL) {
		KeReleaseSpinLock(&lock, irql);
		t->result->skipped += 2;
		return;
	}
	uw_test_select_interface(t, 1, 6);
	uw_test_bad(t, "a select at DISPATCH_LEVEL", INVALID);
	uw_test_pipe(t, URB_FUNCTION_SYNC_RESET_PIPE_AND_CLEAR_STALL, 0);
	uw_test_bad(t, "a reset of a pipe at DISPATCH_LEVEL", INVALID);
	KeReleaseSpinLock(&lock, irql);
}

void uw_test_settings(struct uw_test *t)
{
	configurations(t);
	interfaces(t);
	raised(t);
}

/* ---- transfers ---- */

static void lengths(struct uw_test *t)
{
	t->data[100] = 7;
	uw_test_bulk(t, 0, TO_HOST | SHORT, 4096);
	uw_test_good(t, "bulk in");
	uw_test_case(t, "its bytes",
		     t->data[100] == 0 && t->urb->UrbBulkOrInterruptTransfer.TransferBufferLength == 4096, 0);
	uw_test_bulk(t, 1, 0, 4096);
	uw_test_good(t, "bulk out");
	uw_test_bulk(t, 1, 0, 0);
	uw_test_good(t, "an empty packet");
	uw_test_bulk(t, 0, SHORT, 64);
	uw_test_bad(t, "the wrong direction, out", INVALID);
	uw_test_bulk(t, 1, TO_HOST, 64);
	uw_test_bad(t, "the wrong direction, in", INVALID);
	uw_test_bulk(t, 0, TO_HOST | SHORT | USBD_START_ISO_TRANSFER_ASAP, 64);
	uw_test_bad(t, "flags of another kind", INVALID);
	uw_test_bulk(t, 0, TO_HOST | SHORT, (4u << 20) + 1);
	uw_test_bad(t, "a transfer too long", INVALID);
	uw_test_bulk(t, 2, TO_HOST | SHORT, 64);
	uw_test_bad(t, "a bulk URB for an isochronous pipe", NO_PIPE);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	t->urb->UrbBulkOrInterruptTransfer.UrbLink = t->urb;
	uw_test_bad(t, "a linked bulk URB", INVALID);
}

static void halts(struct uw_test *t)
{
	uw_test_feature(t, URB_FUNCTION_SET_FEATURE_TO_ENDPOINT, 0, UW_ADDRESSED(t, 0));
	uw_test_good(t, "set feature: endpoint halt");
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_status(t, "a stall", USBD_STATUS_STALL_PID);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_status(t, "a halted pipe", USBD_STATUS_ENDPOINT_HALTED);
	uw_test_pipe(t, URB_FUNCTION_SYNC_CLEAR_STALL, 0);
	uw_test_good(t, "the device's halt is cleared");
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_status(t, "the host's is not", USBD_STATUS_ENDPOINT_HALTED);
	uw_test_pipe(t, URB_FUNCTION_SYNC_RESET_PIPE, 0);
	uw_test_good(t, "the host's halt is cleared");
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_good(t, "it works again");
	uw_test_feature(t, URB_FUNCTION_SET_FEATURE_TO_ENDPOINT, 0, UW_ADDRESSED(t, 1));
	uw_test_good(t, "set feature: endpoint halt, out");
	uw_test_bulk(t, 1, 0, 64);
	uw_test_status(t, "a stall, out", USBD_STATUS_STALL_PID);
	uw_test_pipe(t, URB_FUNCTION_SYNC_RESET_PIPE_AND_CLEAR_STALL, 1);
	uw_test_good(t, "both are cleared");
	uw_test_bulk(t, 1, 0, 64);
	uw_test_good(t, "it works again, out");
	uw_test_pipe(t, URB_FUNCTION_SYNC_RESET_PIPE_AND_CLEAR_STALL, 1);
	t->urb->UrbPipeRequest.PipeHandle = t;
	uw_test_bad(t, "reset of no pipe", NO_PIPE);
}

static void set_nak(struct uw_test *t, uint8_t nak, uint32_t ignore)
{
	KIRQL irql = uw_lock();

	t->dev->nak = nak;
	t->dev->ignore_cancel = ignore;
	t->dev->look = true;
	uw_unlock(irql);
	uw_engine_kick();
}

static void finish(struct uw_test *t, struct uw_send *s, const char *name, USBD_STATUS status)
{
	bool ended = uw_test_await(s, 5000);
	USBD_STATUS got;

	uw_test_free(s);
	got = s->urb->UrbHeader.Status;
	uw_test_case(t, name, ended && s->ended == 1 && got == status, (uint32_t)got);
	uw_free(s->urb);
}

#define TRIES 20u

/* Unless the bus's own thread is in the device just then, which ends the request a moment later. */
static void ends_inside(struct uw_test *t, const char *name, bool cancel)
{
	bool inside = false, ended = true;
	struct uw_send s;
	uint32_t i;

	for (i = 0; i < TRIES && ended && !inside; i++) {
		if (!uw_test_send(t, &s))
			return;
		if (cancel)
			IoCancelIrp(s.irp);
		inside = s.ended == 1;
		ended = uw_test_await(&s, 5000);
		uw_test_free(&s);
		uw_free(s.urb);
	}
	uw_test_case(t, name, inside, i);
}

/* In the inline mode the answer comes inside the call; with a delay it does not. */
static void modes(struct uw_test *t)
{
	struct uw_send s;

	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	if (!uw_test_send(t, &s))
		return;
	if (uw_bus.mode == UWB_DELAY && uw_bus.delay)
		uw_test_case(t, "it ends later", s.ended == 0, (uint32_t)s.ended);
	finish(t, &s, "in this mode", USBD_STATUS_SUCCESS);
	if (uw_bus.mode == UWB_INLINE)
		ends_inside(t, "it ends inside the call", false);
	set_nak(t, 1, 0);
	if (!uw_test_send(t, &s))
		return;
	IoCancelIrp(s.irp);
	finish(t, &s, "cancelled in this mode", USBD_STATUS_CANCELED);
	if (uw_bus.mode == UWB_INLINE)
		ends_inside(t, "it ends inside the cancel", true);
	set_nak(t, 0, 0);
}

static void cancels(struct uw_test *t)
{
	struct uw_send s;
	uint64_t before;

	set_nak(t, 1, 0);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	if (!uw_test_send(t, &s))
		return;
	uw_test_case(t, "it waits", !uw_test_await(&s, 20), 0);
	IoCancelIrp(s.irp);
	finish(t, &s, "cancel", USBD_STATUS_CANCELED);
	set_nak(t, 1, 50);
	if (!uw_test_send(t, &s))
		return;
	before = uw_now();
	IoCancelIrp(s.irp);
	finish(t, &s, "a cancel that is heard late", USBD_STATUS_CANCELED);
	uw_test_case(t, "by 50 ms", uw_now() - before >= 50 * UW_MS, (uint32_t)((uw_now() - before) / UW_MS));
	if (!uw_test_send(t, &s))
		return;
	set_nak(t, 0, 0);
	finish(t, &s, "it goes on", USBD_STATUS_SUCCESS);
}

static void aborts(struct uw_test *t)
{
	struct uw_send s[3];
	uint32_t i, waiting = 0;

	set_nak(t, 1, 0);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	for (i = 0; i < 3; i++)
		if (!uw_test_send(t, &s[i]))
			return;
	uw_test_pipe(t, URB_FUNCTION_SYNC_RESET_PIPE_AND_CLEAR_STALL, 0);
	uw_test_bad(t, "reset of a pipe at work", USBD_STATUS_ERROR_BUSY);
	uw_test_select_interface(t, 0, 2);
	uw_test_bad(t, "select of an interface at work", USBD_STATUS_ERROR_BUSY);
	uw_test_select_config(t);
	uw_test_bad(t, "select of a configuration at work", USBD_STATUS_ERROR_BUSY);
	uw_test_pipe(t, URB_FUNCTION_ABORT_PIPE, 0);
	uw_test_good(t, "abort of a pipe");
	for (i = 0; i < 3; i++)
		waiting += !uw_test_await(&s[i], 0);
	uw_test_case(t, "all ended before it", !waiting, waiting);
	for (i = 0; i < 3; i++)
		finish(t, &s[i], "an aborted transfer", USBD_STATUS_CANCELED);
	set_nak(t, 0, 0);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_good(t, "after the abort");
}

static void failures(struct uw_test *t)
{
	t->dev->fail_in = 2;
	t->dev->fail_with = USBD_STATUS_XACT_ERROR;
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_good(t, "the one before the planned failure");
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_status(t, "the planned failure", USBD_STATUS_XACT_ERROR);
	uw_test_bulk(t, 0, TO_HOST | SHORT, 64);
	uw_test_good(t, "the one after");
	t->dev->nak = 2;
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	raw(t)->Timeout = 30;
	uw_test_status(t, "a control transfer that takes too long", USBD_STATUS_TIMEOUT);
	t->dev->nak = 0;
}

static void resets(struct uw_test *t)
{
	NTSTATUS status = uw_test_control(t, IOCTL_INTERNAL_USB_RESET_PORT, NULL, UW_STACK);

	uw_test_case(t, "reset of the port", status == STATUS_SUCCESS, (uint32_t)status);
	uw_test_bulk(t, 4, TO_HOST | SHORT, 64);
	uw_test_good(t, "handles stay good, and the alternate setting");
	uw_test_select_config(t);
	uw_test_good(t, "select configuration again");
	t->handle = config(t)->ConfigurationHandle;
	uw_test_bulk(t, 4, TO_HOST | SHORT, 64);
	uw_test_bad(t, "pipes of the former configuration", NO_PIPE);
	uw_test_select_config(t);
	config(t)->ConfigurationDescriptor = NULL;
	uw_test_good(t, "no configuration");
	uw_test_select_interface(t, 1, 6);
	uw_test_bad(t, "an interface without a configuration", INVALID);
	uw_test_select_config(t);
	uw_test_good(t, "a configuration");
	t->handle = config(t)->ConfigurationHandle;
	uw_test_select_interface(t, 1, 6);
	uw_test_good(t, "its second alternate setting");
	uw_test_pipes(t, &t->urb->UrbSelectInterface.Interface);
}

void uw_test_transfers(struct uw_test *t)
{
	given_requests(t);
	buffers(t);
	lengths(t);
	halts(t);
	modes(t);
	cancels(t);
	aborts(t);
	failures(t);
	resets(t);
}

/* ---- the hub ---- */

/* Each version has its size, and nothing behind it is written. */
static void bus_interface(struct uw_test *t)
{
	static const uint32_t sizes[] = { sizeof(USB_BUS_INTERFACE_USBDI_V0), sizeof(USB_BUS_INTERFACE_USBDI_V1),
					  sizeof(USB_BUS_INTERFACE_USBDI_V2), sizeof(USB_BUS_INTERFACE_USBDI_V3) };
	USB_BUS_INTERFACE_USBDI_V3 i;
	IO_STACK_LOCATION at;
	uint8_t *bytes = (uint8_t *)&i;
	uint32_t v;
	ULONG frame = 0;
	bool good;

	uw_zero(&at, sizeof(at));
	at.Parameters.QueryInterface.InterfaceType = &USB_BUS_INTERFACE_USBDI_GUID;
	at.Parameters.QueryInterface.Interface = (INTERFACE *)&i;
	for (v = 0; v < UW_COUNT_OF(sizes); v++) {
		RtlFillMemory(&i, sizeof(i), 0xee);
		at.Parameters.QueryInterface.Version = (USHORT)v;
		at.Parameters.QueryInterface.Size = (USHORT)(sizes[v] - 1);
		good = !NT_SUCCESS(uw_pdo_interface(t->dev, &at));
		at.Parameters.QueryInterface.Size = (USHORT)sizes[v];
		good = good && NT_SUCCESS(uw_pdo_interface(t->dev, &at)) && i.Size == sizes[v] && i.Version == v;
		good = good && (sizes[v] == sizeof(i) || bytes[sizes[v]] == 0xee);
		uw_test_case(t, "the bus's interface", good, v);
	}
	uw_test_case(t, "its clock", NT_SUCCESS(i.QueryBusTime(i.BusContext, &frame)) && frame, frame);
	uw_test_case(t, "its speed",
		     i.IsDeviceHighSpeed(i.BusContext) == (t->dev->model->dev.speed >= UW_SPEED_HIGH), 0);
	at.Parameters.QueryInterface.Version = 4;
	uw_test_case(t, "a version to come", !NT_SUCCESS(uw_pdo_interface(t->dev, &at)), 4);
}

void uw_test_hub(struct uw_test *t)
{
	USB_TOPOLOGY_ADDRESS where = { .PciBusNumber = 0 };
	void *handle = NULL;
	ULONG count = 0, port = 0;

	bus_interface(t);
	uw_test_case(t, "topology address",
		     uw_test_control(t, IOCTL_INTERNAL_USB_GET_TOPOLOGY_ADDRESS, &where, UW_STACK) == STATUS_SUCCESS &&
			     where.RootHubPortNumber == t->dev->port, where.RootHubPortNumber);
	uw_test_case(t, "device handle",
		     uw_test_control(t, IOCTL_INTERNAL_USB_GET_DEVICE_HANDLE, &handle, UW_STACK) == STATUS_SUCCESS &&
			     handle,
		     0);
	uw_test_case(t, "hub count",
		     uw_test_control(t, IOCTL_INTERNAL_USB_GET_HUB_COUNT, &count, UW_STACK) == STATUS_SUCCESS &&
			     count == 1,
		     count);
	uw_test_case(t, "port status",
		     uw_test_control(t, IOCTL_INTERNAL_USB_GET_PORT_STATUS, &port, UW_STACK) == STATUS_SUCCESS, port);
	uw_test_case(t, "idle notification",
		     uw_test_control(t, IOCTL_INTERNAL_USB_SUBMIT_IDLE_NOTIFICATION, NULL, UW_STACK) ==
			     STATUS_NOT_SUPPORTED,
		     0);
}
