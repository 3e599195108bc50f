/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * URBs of a USBD handle, as the USB stack of Windows 8 and later wants them (contract 602): it keeps a context of its own
 * with each, and offers streams and chained MDLs to drivers that allocate so and have asked for them first.
 */
#include <initguid.h>

#include "filter.h"

#include <usbdlib.h>

NTSTATUS uw_usbd_open(struct uw_filter *f)
{
	USBD_HANDLE handle;
	NTSTATUS status;

	status = USBD_CreateHandle(f->self, f->lower, USBD_CLIENT_CONTRACT_VERSION_602, UW_FILTER_TAG, &handle);
	f->usbd.handle = NT_SUCCESS(status) ? handle : NULL;
	return status;
}

void uw_usbd_close(struct uw_filter *f)
{
	USBD_CloseHandle(f->usbd.handle);
	f->usbd.handle = NULL;
}

void uw_usbd_ask(struct uw_filter *f)
{
	USHORT streams = 0;
	NTSTATUS status;

	status = USBD_QueryUsbCapability(f->usbd.handle, &GUID_USB_CAPABILITY_STATIC_STREAMS, sizeof(streams),
					 (UCHAR *)&streams, NULL);
	f->usbd.streams = NT_SUCCESS(status) ? streams : 0;
	status = USBD_QueryUsbCapability(f->usbd.handle, &GUID_USB_CAPABILITY_CHAINED_MDLS, 0, NULL, NULL);
	f->usbd.chains = NT_SUCCESS(status);
}

/* ---- memory ---- */

URB *uw_usbd_urb(struct uw_filter *f)
{
	URB *urb;

	return NT_SUCCESS(USBD_UrbAllocate(f->usbd.handle, &urb)) ? urb : NULL;
}

/* One packet more than are sent: the length that Windows' own macro writes into the header counts one too many. */
URB *uw_usbd_urb_iso(struct uw_filter *f, uint32_t packets)
{
	URB *urb;

	return NT_SUCCESS(USBD_IsochUrbAllocate(f->usbd.handle, packets + 1, &urb)) ? urb : NULL;
}

void uw_usbd_urb_free(struct uw_filter *f, URB *urb)
{
	USBD_UrbFree(f->usbd.handle, urb);
}

void uw_usbd_assign(struct uw_filter *f, IO_STACK_LOCATION *stack, URB *urb)
{
	USBD_AssignUrbToIoStackLocation(f->usbd.handle, stack, urb);
}

/* ---- settings ---- */

static void take_info(struct uw_setting *s, USBD_INTERFACE_INFORMATION *info)
{
	uint32_t i;

	for (i = 0; i < info->NumberOfPipes; i++)
		info->Pipes[i].MaximumTransferSize = UW_TRANSFER_MAX;
	s->info = info;
}

/* The list ends with an entry that names no descriptor. */
URB *uw_usbd_urb_config(struct uw_filter *f, uint8_t *config, struct uw_setting *setting, uint32_t settings)
{
	uint32_t i, bytes = (settings + 1) * sizeof(USBD_INTERFACE_LIST_ENTRY);
	USBD_INTERFACE_LIST_ENTRY *list = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, UW_FILTER_TAG);
	URB *urb = NULL;
	NTSTATUS status;

	if (!list)
		return NULL;
	uw_zero(list, bytes);
	for (i = 0; i < settings; i++)
		list[i].InterfaceDescriptor = (USB_INTERFACE_DESCRIPTOR *)setting[i].descriptor;
	status = USBD_SelectConfigUrbAllocateAndBuild(f->usbd.handle, (USB_CONFIGURATION_DESCRIPTOR *)config, list, &urb);
	for (i = 0; NT_SUCCESS(status) && i < settings; i++)
		take_info(&setting[i], list[i].Interface);
	ExFreePoolWithTag(list, UW_FILTER_TAG);
	return NT_SUCCESS(status) ? urb : NULL;
}

URB *uw_usbd_urb_interface(struct uw_filter *f, USBD_CONFIGURATION_HANDLE config, struct uw_setting *setting)
{
	USBD_INTERFACE_LIST_ENTRY entry = { (USB_INTERFACE_DESCRIPTOR *)setting->descriptor, NULL };
	URB *urb;

	if (!NT_SUCCESS(USBD_SelectInterfaceUrbAllocateAndBuild(f->usbd.handle, config, &entry, &urb)))
		return NULL;
	take_info(setting, entry.Interface);
	return urb;
}
