/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a URB asks for, and whether Windows would do it. What Windows' stack refuses is refused with the same status, and
 * with one line `uwbus: REFUSED` that says why: for the driver above such a URB is a fault, not an event.
 */
#include "bus.h"

/* "USB Transfer and Packet Sizes", the smallest of xHCI's and EHCI's for all that Windows still supports. */
#define BULK_MAX (4u << 20)
#define CONTROL_MAX 65536u
#define CONTROL_MAX_FULL 4096u

enum group { CONTROL, SELECT, ABORT, RESET, OPEN, CLOSE, FRAME, DATA, ISO, NOT_SUPPORTED };

struct rule {
	uint16_t function;
	uint16_t length;         /* UrbHeader.Length; 0: the group looks itself */
	enum group group;
};

#define REQUEST(function, type, group) { URB_FUNCTION_##function, sizeof(struct _URB_##type), group }
#define FEATURE(function) REQUEST(function, CONTROL_FEATURE_REQUEST, CONTROL)
#define GIVEN(function) REQUEST(function, CONTROL_VENDOR_OR_CLASS_REQUEST, CONTROL)
#define STATUS(function) REQUEST(function, CONTROL_GET_STATUS_REQUEST, CONTROL)
#define DESCRIPTOR(function) REQUEST(function, CONTROL_DESCRIPTOR_REQUEST, CONTROL)

static const struct rule rules[] = {
	{ URB_FUNCTION_SELECT_CONFIGURATION, 0, SELECT },
	{ URB_FUNCTION_SELECT_INTERFACE, 0, SELECT },
	REQUEST(ABORT_PIPE, PIPE_REQUEST, ABORT),
	REQUEST(SYNC_RESET_PIPE_AND_CLEAR_STALL, PIPE_REQUEST, RESET),
	REQUEST(SYNC_RESET_PIPE, PIPE_REQUEST, RESET),
	REQUEST(SYNC_CLEAR_STALL, PIPE_REQUEST, RESET),
	REQUEST(OPEN_STATIC_STREAMS, OPEN_STATIC_STREAMS, OPEN),
	REQUEST(CLOSE_STATIC_STREAMS, PIPE_REQUEST, CLOSE),
	REQUEST(GET_CURRENT_FRAME_NUMBER, GET_CURRENT_FRAME_NUMBER, FRAME),
	REQUEST(CONTROL_TRANSFER, CONTROL_TRANSFER, CONTROL),
	REQUEST(CONTROL_TRANSFER_EX, CONTROL_TRANSFER_EX, CONTROL),
	REQUEST(BULK_OR_INTERRUPT_TRANSFER, BULK_OR_INTERRUPT_TRANSFER, DATA),
	REQUEST(BULK_OR_INTERRUPT_TRANSFER_USING_CHAINED_MDL, BULK_OR_INTERRUPT_TRANSFER, DATA),
	{ URB_FUNCTION_ISOCH_TRANSFER, 0, ISO },
	{ URB_FUNCTION_ISOCH_TRANSFER_USING_CHAINED_MDL, 0, ISO },
	DESCRIPTOR(GET_DESCRIPTOR_FROM_DEVICE), DESCRIPTOR(GET_DESCRIPTOR_FROM_INTERFACE),
	DESCRIPTOR(GET_DESCRIPTOR_FROM_ENDPOINT), DESCRIPTOR(SET_DESCRIPTOR_TO_DEVICE),
	DESCRIPTOR(SET_DESCRIPTOR_TO_INTERFACE), DESCRIPTOR(SET_DESCRIPTOR_TO_ENDPOINT),
	FEATURE(SET_FEATURE_TO_DEVICE), FEATURE(SET_FEATURE_TO_INTERFACE), FEATURE(SET_FEATURE_TO_ENDPOINT),
	FEATURE(SET_FEATURE_TO_OTHER), FEATURE(CLEAR_FEATURE_TO_DEVICE), FEATURE(CLEAR_FEATURE_TO_INTERFACE),
	FEATURE(CLEAR_FEATURE_TO_ENDPOINT), FEATURE(CLEAR_FEATURE_TO_OTHER),
	STATUS(GET_STATUS_FROM_DEVICE), STATUS(GET_STATUS_FROM_INTERFACE), STATUS(GET_STATUS_FROM_ENDPOINT),
	STATUS(GET_STATUS_FROM_OTHER),
	GIVEN(VENDOR_DEVICE), GIVEN(VENDOR_INTERFACE), GIVEN(VENDOR_ENDPOINT), GIVEN(VENDOR_OTHER),
	GIVEN(CLASS_DEVICE), GIVEN(CLASS_INTERFACE), GIVEN(CLASS_ENDPOINT), GIVEN(CLASS_OTHER),
	REQUEST(GET_CONFIGURATION, CONTROL_GET_CONFIGURATION_REQUEST, CONTROL),
	REQUEST(GET_INTERFACE, CONTROL_GET_INTERFACE_REQUEST, CONTROL),
	REQUEST(GET_MS_FEATURE_DESCRIPTOR, OS_FEATURE_DESCRIPTOR_REQUEST, NOT_SUPPORTED),
};

static const struct rule *rule_of(uint16_t function)
{
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(rules); i++)
		if (rules[i].function == function)
			return &rules[i];
	return NULL;
}

/* As Windows' host controller stack translates. */
NTSTATUS uw_urb_status(USBD_STATUS status)
{
	switch (status) {
	case USBD_STATUS_SUCCESS:
		return STATUS_SUCCESS;
	case USBD_STATUS_INSUFFICIENT_RESOURCES:
		return STATUS_INSUFFICIENT_RESOURCES;
	case USBD_STATUS_DEVICE_GONE:
		return STATUS_DEVICE_NOT_CONNECTED;
	case USBD_STATUS_CANCELED:
		return STATUS_CANCELLED;
	case USBD_STATUS_TIMEOUT:
		return STATUS_IO_TIMEOUT;
	case USBD_STATUS_NOT_SUPPORTED:
		return STATUS_NOT_SUPPORTED;
	case USBD_STATUS_ERROR_BUSY:
		return STATUS_DEVICE_BUSY;
	case USBD_STATUS_INVALID_URB_FUNCTION:
	case USBD_STATUS_INVALID_PARAMETER:
	case USBD_STATUS_INVALID_PIPE_HANDLE:
	case USBD_STATUS_BAD_START_FRAME:
		return STATUS_INVALID_PARAMETER;
	default:
		return USBD_SUCCESS(status) ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
	}
}

/* ---- parts that several kinds share ---- */

struct uw_pipe *uw_pipe_find(struct uw_vdev *dev, USBD_PIPE_HANDLE handle)
{
	uint32_t i;

	for (i = 0; handle && i < UW_PIPES; i++)
		if (dev->pipe[i].handle == handle)
			return &dev->pipe[i];
	return NULL;
}

static struct uw_pipe *find_pipe(struct uw_vdev *dev, USBD_PIPE_HANDLE handle)
{
	KIRQL irql = uw_lock();
	struct uw_pipe *pipe = uw_pipe_find(dev, handle);

	uw_unlock(irql);
	if (!pipe)
		uw_refused("pipe handle %p, which is not a current one", handle);
	return pipe;
}

/* Of a transfer, which may be for a stream. */
static struct uw_pipe *find_target(struct uw_vdev *dev, USBD_PIPE_HANDLE handle, uint16_t *stream)
{
	struct uw_pipe *pipe;
	KIRQL irql = uw_lock();

	pipe = uw_stream_find(dev, handle, stream);
	uw_unlock(irql);
	if (pipe)
		return pipe;
	*stream = 0;
	pipe = find_pipe(dev, handle);
	if (!pipe || !pipe->spoiled)
		return pipe;
	uw_refused("a transfer by the handle of endpoint %02x, whose streams were opened", pipe->address);
	return NULL;
}

static USBD_STATUS mdl_bytes(MDL *mdl, const void *buffer, uint32_t length, uint8_t **bytes)
{
	if (!(mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL))) {
		uw_refused("an MDL whose pages nobody has locked");
		return USBD_STATUS_INVALID_PARAMETER;
	}
	if (MmGetMdlByteCount(mdl) < length || mdl->Next) {
		uw_refused("TransferBufferLength %u with an MDL of %u bytes%s", (unsigned int)length,
			   (unsigned int)MmGetMdlByteCount(mdl), mdl->Next ? ", and another" : "");
		return USBD_STATUS_INVALID_PARAMETER;
	}
	*bytes = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority | UW_MDL_NO_EXECUTE);
	if (!*bytes)
		return USBD_STATUS_INSUFFICIENT_RESOURCES;
	if (buffer && buffer != *bytes && buffer != MmGetMdlVirtualAddress(mdl)) {
		uw_refused("TransferBuffer and TransferBufferMDL are two different buffers");
		return USBD_STATUS_INVALID_PARAMETER;
	}
	return USBD_STATUS_SUCCESS;
}

/* The system's address of the transfer's bytes. */
uint8_t *uw_urb_bytes(void *buffer, MDL *mdl, uint32_t length, USBD_STATUS *status)
{
	uint8_t *bytes = buffer;

	*status = USBD_STATUS_SUCCESS;
	if (!length)
		return NULL;
	if (mdl) {
		*status = mdl_bytes(mdl, buffer, length, &bytes);
	} else if (!buffer) {
		uw_refused("%u bytes, but neither TransferBuffer nor TransferBufferMDL", (unsigned int)length);
		*status = USBD_STATUS_INVALID_PARAMETER;
	}
	return *status == USBD_STATUS_SUCCESS ? bytes : NULL;
}

static bool passive(const char *what)
{
	if (uw_irql() == PASSIVE_LEVEL)
		return true;
	uw_refused("%s above PASSIVE_LEVEL", what);
	return false;
}

/* ---- bulk and interrupt ---- */

static bool good_flags(const struct uw_pipe *pipe, uint32_t flags)
{
	if (flags & ~(uint32_t)(USBD_TRANSFER_DIRECTION | USBD_SHORT_TRANSFER_OK))
		uw_refused("TransferFlags %x on endpoint %02x", (unsigned int)flags, pipe->address);
	else if ((flags & USBD_TRANSFER_DIRECTION) && !(pipe->address & 0x80))
		uw_refused("the IN flag on endpoint %02x", pipe->address);
	else if (!(flags & USBD_TRANSFER_DIRECTION) && pipe->address & 0x80)
		uw_refused("the OUT flag on endpoint %02x", pipe->address);
	else
		return true;
	return false;
}

static uint8_t *find_bytes(struct uw_xfer *x, void *buffer, MDL *mdl, uint32_t length, USBD_STATUS *status)
{
	return uw_chain_used(x->urb) ? uw_chain_gather(x, length, status) : uw_urb_bytes(buffer, mdl, length, status);
}

static void fill_data(struct uw_xfer *x, const struct uw_pipe *pipe, uint32_t flags, uint32_t length)
{
	x->io.verb = UW_VERB_SUBMIT;
	x->io.endpoint = pipe->address;
	x->io.type = pipe->type;
	x->io.length = length;
	x->io.interval = pipe->interval;
	x->short_ok = flags & USBD_SHORT_TRANSFER_OK;
}

static USBD_STATUS data(struct uw_vdev *dev, struct uw_xfer *x)
{
	struct _URB_BULK_OR_INTERRUPT_TRANSFER *u = &x->urb->UrbBulkOrInterruptTransfer;
	USBD_STATUS status;

	x->pipe = find_target(dev, u->PipeHandle, &x->io.stream);
	if (!x->pipe)
		return USBD_STATUS_INVALID_PIPE_HANDLE;
	if (x->pipe->type != UW_BULK && x->pipe->type != UW_INTERRUPT) {
		uw_refused("a bulk or interrupt URB for endpoint %02x, which is isochronous", x->pipe->address);
		return USBD_STATUS_INVALID_PIPE_HANDLE;
	}
	if (!good_flags(x->pipe, u->TransferFlags))
		return USBD_STATUS_INVALID_PARAMETER;
	if (u->TransferBufferLength > BULK_MAX) {
		uw_refused("%u bytes in one transfer, %u at most", (unsigned int)u->TransferBufferLength, BULK_MAX);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	fill_data(x, x->pipe, u->TransferFlags, u->TransferBufferLength);
	x->io.data = find_bytes(x, u->TransferBuffer, u->TransferBufferMDL, u->TransferBufferLength, &status);
	return status;
}

static USBD_STATUS iso(struct uw_vdev *dev, struct uw_xfer *x)
{
	struct _URB_ISOCH_TRANSFER *u = &x->urb->UrbIsochronousTransfer;
	USBD_STATUS status;

	x->pipe = find_pipe(dev, u->PipeHandle);
	if (!x->pipe)
		return USBD_STATUS_INVALID_PIPE_HANDLE;
	status = uw_iso_check(dev, x->pipe, x->urb);
	if (status != USBD_STATUS_SUCCESS)
		return status;
	fill_data(x, x->pipe, u->TransferFlags, u->TransferBufferLength);
	x->packets = (uint16_t)u->NumberOfPackets;
	x->io.data = find_bytes(x, u->TransferBuffer, u->TransferBufferMDL, u->TransferBufferLength, &status);
	if (status == USBD_STATUS_SUCCESS)
		uw_iso_fill(x);
	return status;
}

/* ---- control, pipes, settings ---- */

static USBD_STATUS control(struct uw_vdev *dev, struct uw_xfer *x)
{
	struct _URB_CONTROL_TRANSFER *u = &x->urb->UrbControlTransfer;
	uint32_t max = dev->model->dev.speed == UW_SPEED_FULL ? CONTROL_MAX_FULL : CONTROL_MAX;
	USBD_STATUS status = uw_control_check(x);

	if (status != USBD_STATUS_SUCCESS)
		return status;
	x->io.verb = UW_VERB_SUBMIT;
	x->io.type = UW_CONTROL;
	x->io.endpoint = x->io.setup[0] & 0x80;
	if (x->io.length > max) {
		uw_refused("%u bytes in a control transfer, %u at most", (unsigned int)x->io.length, (unsigned int)max);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	if (!x->moved)
		return USBD_STATUS_SUCCESS;
	x->io.data = uw_urb_bytes(u->TransferBuffer, u->TransferBufferMDL, x->io.length, &status);
	return status;
}

static USBD_STATUS pipe_request(struct uw_vdev *dev, struct uw_xfer *x, enum uw_kind kind)
{
	x->kind = kind;
	if (!passive("a request for a pipe"))
		return USBD_STATUS_INVALID_PARAMETER;
	x->pipe = find_pipe(dev, x->urb->UrbPipeRequest.PipeHandle);
	if (!x->pipe)
		return USBD_STATUS_INVALID_PIPE_HANDLE;
	if (kind == UW_KIND_OPEN_STREAMS || kind == UW_KIND_CLOSE_STREAMS)
		return uw_streams_check(x);
	if (kind != UW_KIND_ABORT || !x->pipe->streams)
		return USBD_STATUS_SUCCESS;
	uw_refused("abort of endpoint %02x, which has streams", x->pipe->address);
	return USBD_STATUS_INVALID_PARAMETER;
}

static USBD_STATUS select(struct uw_xfer *x)
{
	if (!passive("select of a setting"))
		return USBD_STATUS_INVALID_PARAMETER;
	x->kind = x->urb->UrbHeader.Function == URB_FUNCTION_SELECT_CONFIGURATION ? UW_KIND_SELECT_CONFIG :
										    UW_KIND_SELECT_INTERFACE;
	return USBD_STATUS_SUCCESS;
}

/* ---- the whole ---- */

/* The header is right and the group known. Those that link URBs are none of Windows 2000's successors' business. */
static const struct rule *admit(struct uw_vdev *dev, const IRP *irp, const URB *urb, USBD_STATUS *status)
{
	const struct rule *rule = rule_of(urb->UrbHeader.Function);
	bool linked;

	*status = USBD_STATUS_INVALID_PARAMETER;
	if (!rule) {
		uw_refused("URB function %04x", urb->UrbHeader.Function);
		*status = USBD_STATUS_INVALID_URB_FUNCTION;
		return NULL;
	}
	if (rule->length && urb->UrbHeader.Length != rule->length) {
		uw_refused("URB function %04x with length %u, not %u", rule->function, urb->UrbHeader.Length,
			   rule->length);
		return NULL;
	}
	linked = (rule->group == CONTROL || rule->group == DATA || rule->group == ISO) &&
		 rule->function != URB_FUNCTION_CONTROL_TRANSFER_EX;
	if (linked && urb->UrbControlTransfer.UrbLink) {
		uw_refused("URB function %04x with UrbLink set", rule->function);
		return NULL;
	}
	if (irp->CurrentLocation < UW_STACK) {
		uw_refused("an IRP with %d stack locations left, %d are needed", irp->CurrentLocation, UW_STACK);
		return NULL;
	}
	if (dev->power != PowerDeviceD0 && rule->group != FRAME && rule->group != ABORT) {
		uw_refused("URB function %04x in D%d", rule->function, dev->power - PowerDeviceD0);
		return NULL;
	}
	*status = USBD_STATUS_SUCCESS;
	return rule;
}

static USBD_STATUS parse(struct uw_vdev *dev, struct uw_xfer *x, const struct rule *rule)
{
	switch (rule->group) {
	case CONTROL:
		return control(dev, x);
	case SELECT:
		return select(x);
	case ABORT:
		return pipe_request(dev, x, UW_KIND_ABORT);
	case RESET:
		return pipe_request(dev, x, UW_KIND_RESET_PIPE);
	case OPEN:
		return pipe_request(dev, x, UW_KIND_OPEN_STREAMS);
	case CLOSE:
		return pipe_request(dev, x, UW_KIND_CLOSE_STREAMS);
	case DATA:
		return data(dev, x);
	case ISO:
		return iso(dev, x);
	default:
		return USBD_STATUS_NOT_SUPPORTED;
	}
}

static NTSTATUS end(IRP *irp, URB *urb, USBD_STATUS status)
{
	NTSTATUS result = uw_urb_status(status);

	if (urb)
		urb->UrbHeader.Status = status;
	irp->IoStatus.Status = result;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return result;
}

/* One that was begun, and goes no further. */
static NTSTATUS reject(struct uw_vdev *dev, IRP *irp, URB *urb, USBD_STATUS status)
{
	uw_client_end(dev, urb);
	return end(irp, urb, status);
}

/* Large enough for what the URB says it holds; its count of packets is checked later. */
static struct uw_xfer *make(struct uw_vdev *dev, IRP *irp, URB *urb, const struct rule *rule)
{
	uint32_t packets = rule->group == ISO ? uw_min(urb->UrbIsochronousTransfer.NumberOfPackets, 1024) : 0;
	struct uw_xfer *x = uw_alloc(sizeof(*x) + packets * sizeof(x->iso[0]));

	if (!x)
		return NULL;
	x->dev = dev;
	x->irp = irp;
	x->urb = urb;
	x->kind = UW_KIND_TRANSFER;
	if (rule->group == DATA || rule->group == ISO)
		x->moved = (uint32_t *)&urb->UrbControlTransfer.TransferBufferLength;
	return x;
}

static USBD_STATUS frame_number(URB *urb)
{
	urb->UrbGetCurrentFrameNumber.FrameNumber = (ULONG)(uw_now() / UW_FRAME);
	return USBD_STATUS_SUCCESS;
}

/* Whoever sent it is known by now. */
static NTSTATUS submit(struct uw_vdev *dev, IRP *irp, URB *urb)
{
	const struct rule *rule;
	struct uw_xfer *x;
	USBD_STATUS status;

	rule = admit(dev, irp, urb, &status);
	if (!rule)
		return reject(dev, irp, urb, status);
	if (rule->group == FRAME)
		return reject(dev, irp, urb, frame_number(urb));
	x = make(dev, irp, urb, rule);
	if (!x)
		return reject(dev, irp, urb, USBD_STATUS_INSUFFICIENT_RESOURCES);
	status = parse(dev, x, rule);
	if (status != USBD_STATUS_SUCCESS) {
		uw_free(x->gathered);
		uw_free(x);
		return reject(dev, irp, urb, status);
	}
	urb->UrbHeader.Status = USBD_STATUS_PENDING;
	return uw_engine_post(x);
}

NTSTATUS uw_urb_submit(struct uw_vdev *dev, IRP *irp, URB *urb)
{
	if (!urb) {
		uw_refused("no URB");
		return end(irp, NULL, USBD_STATUS_INVALID_PARAMETER);
	}
	if (!uw_client_begin(dev, irp, urb))
		return end(irp, urb, USBD_STATUS_INVALID_PARAMETER);
	return submit(dev, irp, urb);
}
