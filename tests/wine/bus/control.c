/* SPDX-License-Identifier: GPL-2.0-only */
/* URBs for endpoint 0 become setup packets: USB 2.0 9.3, 9.4. */
#include "bus.h"

enum shape { RAW, RAW_EX, DESCRIPTOR, FEATURE, STATUS, GIVEN, CONFIGURATION, SETTING };

/* type is bmRequestType without its direction where the flags say it. */
static const struct request {
	uint16_t function;
	uint8_t shape, type, request;
} requests[] = {
	{ URB_FUNCTION_CONTROL_TRANSFER, RAW, 0, 0 },
	{ URB_FUNCTION_CONTROL_TRANSFER_EX, RAW_EX, 0, 0 },
	{ URB_FUNCTION_GET_DESCRIPTOR_FROM_DEVICE, DESCRIPTOR, 0x80, 6 },
	{ URB_FUNCTION_GET_DESCRIPTOR_FROM_INTERFACE, DESCRIPTOR, 0x81, 6 },
	{ URB_FUNCTION_GET_DESCRIPTOR_FROM_ENDPOINT, DESCRIPTOR, 0x82, 6 },
	{ URB_FUNCTION_SET_DESCRIPTOR_TO_DEVICE, DESCRIPTOR, 0x00, 7 },
	{ URB_FUNCTION_SET_DESCRIPTOR_TO_INTERFACE, DESCRIPTOR, 0x01, 7 },
	{ URB_FUNCTION_SET_DESCRIPTOR_TO_ENDPOINT, DESCRIPTOR, 0x02, 7 },
	{ URB_FUNCTION_SET_FEATURE_TO_DEVICE, FEATURE, 0x00, 3 },
	{ URB_FUNCTION_SET_FEATURE_TO_INTERFACE, FEATURE, 0x01, 3 },
	{ URB_FUNCTION_SET_FEATURE_TO_ENDPOINT, FEATURE, 0x02, 3 },
	{ URB_FUNCTION_SET_FEATURE_TO_OTHER, FEATURE, 0x03, 3 },
	{ URB_FUNCTION_CLEAR_FEATURE_TO_DEVICE, FEATURE, 0x00, 1 },
	{ URB_FUNCTION_CLEAR_FEATURE_TO_INTERFACE, FEATURE, 0x01, 1 },
	{ URB_FUNCTION_CLEAR_FEATURE_TO_ENDPOINT, FEATURE, 0x02, 1 },
	{ URB_FUNCTION_CLEAR_FEATURE_TO_OTHER, FEATURE, 0x03, 1 },
	{ URB_FUNCTION_GET_STATUS_FROM_DEVICE, STATUS, 0x80, 0 },
	{ URB_FUNCTION_GET_STATUS_FROM_INTERFACE, STATUS, 0x81, 0 },
	{ URB_FUNCTION_GET_STATUS_FROM_ENDPOINT, STATUS, 0x82, 0 },
	{ URB_FUNCTION_GET_STATUS_FROM_OTHER, STATUS, 0x83, 0 },
	{ URB_FUNCTION_VENDOR_DEVICE, GIVEN, 0x40, 0 },
	{ URB_FUNCTION_VENDOR_INTERFACE, GIVEN, 0x41, 0 },
	{ URB_FUNCTION_VENDOR_ENDPOINT, GIVEN, 0x42, 0 },
	{ URB_FUNCTION_VENDOR_OTHER, GIVEN, 0x43, 0 },
	{ URB_FUNCTION_CLASS_DEVICE, GIVEN, 0x20, 0 },
	{ URB_FUNCTION_CLASS_INTERFACE, GIVEN, 0x21, 0 },
	{ URB_FUNCTION_CLASS_ENDPOINT, GIVEN, 0x22, 0 },
	{ URB_FUNCTION_CLASS_OTHER, GIVEN, 0x23, 0 },
	{ URB_FUNCTION_GET_CONFIGURATION, CONFIGURATION, 0x80, 8 },
	{ URB_FUNCTION_GET_INTERFACE, SETTING, 0x81, 10 },
};

static const struct request *request_of(uint16_t function)
{
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(requests) - 1; i++)
		if (requests[i].function == function)
			break;
	return &requests[i];
}

static void setup(struct uw_xfer *x, uint32_t type, uint32_t request, uint32_t value, uint32_t index, uint32_t length)
{
	const uint8_t s[8] = {
		(uint8_t)type, (uint8_t)request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
		(uint8_t)(index >> 8), (uint8_t)length, (uint8_t)(length >> 8),
	};

	uw_copy(x->io.setup, s, sizeof(s));
	x->io.length = length;
}

/* ---- raw ones ---- */

/* What the host's own books depend on has URBs of its own. */
static const char *forbidden(const uint8_t *s)
{
	switch (s[0] << 8 | s[1]) {
	case 0x0005:
		return "SET_ADDRESS";
	case 0x0009:
		return "SET_CONFIGURATION";
	case 0x010b:
		return "SET_INTERFACE";
	default:
		return NULL;
	}
}

static USBD_STATUS raw(struct uw_xfer *x)
{
	const struct _URB_CONTROL_TRANSFER *u = &x->urb->UrbControlTransfer;
	bool ex = x->urb->UrbHeader.Function == URB_FUNCTION_CONTROL_TRANSFER_EX;
	const uint8_t *s = ex ? x->urb->UrbControlTransferEx.SetupPacket : u->SetupPacket;
	uint32_t asked = (uint32_t)s[6] | (uint32_t)s[7] << 8;
	const uint32_t known = USBD_TRANSFER_DIRECTION | USBD_SHORT_TRANSFER_OK | USBD_DEFAULT_PIPE_TRANSFER;

	if (u->PipeHandle || !(u->TransferFlags & USBD_DEFAULT_PIPE_TRANSFER)) {
		uw_refused("a control transfer with pipe handle %p and flags %x", u->PipeHandle,
			   (unsigned int)u->TransferFlags);
		return USBD_STATUS_INVALID_PIPE_HANDLE;
	}
	if (forbidden(s))
		uw_refused("%s as a control transfer", forbidden(s));
	else if (u->TransferFlags & ~known)
		uw_refused("TransferFlags %x in a control transfer", (unsigned int)u->TransferFlags);
	else if (asked != u->TransferBufferLength)
		uw_refused("wLength %u with TransferBufferLength %u", (unsigned int)asked,
			   (unsigned int)u->TransferBufferLength);
	else if (asked && (u->TransferFlags & USBD_TRANSFER_DIRECTION) != (uint32_t)s[0] >> 7)
		uw_refused("bmRequestType %02x with TransferFlags %x", s[0], (unsigned int)u->TransferFlags);
	else
		goto good;
	return USBD_STATUS_INVALID_PARAMETER;
good:
	uw_copy(x->io.setup, s, 8);
	x->io.length = asked;
	x->short_ok = u->TransferFlags & USBD_SHORT_TRANSFER_OK;
	if (ex && x->urb->UrbControlTransferEx.Timeout)
		x->expires = uw_now() + x->urb->UrbControlTransferEx.Timeout * UW_MS;
	return USBD_STATUS_SUCCESS;
}

/* ---- named ones ---- */

static USBD_STATUS fixed(struct uw_xfer *x, const struct request *r, uint32_t index, uint32_t length)
{
	uint32_t given = x->urb->UrbControlTransfer.TransferBufferLength;

	if (given != length) {
		uw_refused("URB function %04x with %u bytes, not %u", r->function, (unsigned int)given,
			   (unsigned int)length);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	setup(x, r->type, r->request, 0, index, length);
	return USBD_STATUS_SUCCESS;
}

static USBD_STATUS given(struct uw_xfer *x, const struct request *r)
{
	const struct _URB_CONTROL_VENDOR_OR_CLASS_REQUEST *u = &x->urb->UrbControlVendorClassRequest;
	uint32_t in = u->TransferFlags & USBD_TRANSFER_DIRECTION ? 0x80 : 0;

	if (u->TransferFlags & ~(ULONG)(USBD_TRANSFER_DIRECTION | USBD_SHORT_TRANSFER_OK) ||
	    u->RequestTypeReservedBits & 0xe0 || u->TransferBufferLength > 65535) {
		uw_refused("URB function %04x with flags %x, reserved bits %x, %u bytes", r->function,
			   (unsigned int)u->TransferFlags, u->RequestTypeReservedBits,
			   (unsigned int)u->TransferBufferLength);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	setup(x, in | r->type, u->Request, u->Value, u->Index, u->TransferBufferLength);
	x->short_ok = u->TransferFlags & USBD_SHORT_TRANSFER_OK;
	return USBD_STATUS_SUCCESS;
}

static USBD_STATUS descriptor(struct uw_xfer *x, const struct request *r)
{
	const struct _URB_CONTROL_DESCRIPTOR_REQUEST *u = &x->urb->UrbControlDescriptorRequest;

	if (u->TransferBufferLength > 65535) {
		uw_refused("a descriptor of %u bytes", (unsigned int)u->TransferBufferLength);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	setup(x, r->type, r->request, (uint32_t)u->DescriptorType << 8 | u->Index, u->LanguageId,
	      u->TransferBufferLength);
	return USBD_STATUS_SUCCESS;
}

USBD_STATUS uw_control_check(struct uw_xfer *x)
{
	const struct request *r = request_of(x->urb->UrbHeader.Function);
	const struct _URB_CONTROL_FEATURE_REQUEST *f = &x->urb->UrbControlFeatureRequest;

	x->short_ok = true;
	if (r->shape != FEATURE)
		x->moved = (uint32_t *)&x->urb->UrbControlTransfer.TransferBufferLength;
	switch (r->shape) {
	case RAW:
	case RAW_EX:
		return raw(x);
	case DESCRIPTOR:
		return descriptor(x, r);
	case FEATURE:
		setup(x, r->type, r->request, f->FeatureSelector, f->Index, 0);
		return USBD_STATUS_SUCCESS;
	case STATUS:
		return fixed(x, r, x->urb->UrbControlGetStatusRequest.Index, 2);
	case CONFIGURATION:
		return fixed(x, r, 0, 1);
	case SETTING:
		return fixed(x, r, x->urb->UrbControlGetInterfaceRequest.Interface, 1);
	default:
		return given(x, r);
	}
}
