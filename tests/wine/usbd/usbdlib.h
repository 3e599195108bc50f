/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of the driver kit's usbdlib.h that UsbWarpFilter.sys uses and mingw's lacks; what is declared here usbdex.c
 * implements.
 */
#ifndef UW_USBDLIB_H
#define UW_USBDLIB_H

#include <usb.h>

#define USBD_CLIENT_CONTRACT_VERSION_602 0x602

DECLARE_HANDLE(USBD_HANDLE);

typedef struct _USBD_INTERFACE_LIST_ENTRY {
	PUSB_INTERFACE_DESCRIPTOR InterfaceDescriptor;
	PUSBD_INTERFACE_INFORMATION Interface;
} USBD_INTERFACE_LIST_ENTRY, *PUSBD_INTERFACE_LIST_ENTRY;

DEFINE_GUID(GUID_USB_CAPABILITY_CHAINED_MDLS, 0xf5ceeb23, 0xad90, 0x458c, 0x97, 0x9a, 0xd5, 0x9b, 0x3a, 0xd6, 0x88, 0x4f);
DEFINE_GUID(GUID_USB_CAPABILITY_STATIC_STREAMS, 0x09051e1f, 0x0dc9, 0x4e6b, 0x8b, 0x12, 0x96, 0x0c, 0xbd, 0x81, 0xaa,
	    0x8f);

NTSTATUS USBD_CreateHandle(PDEVICE_OBJECT device, PDEVICE_OBJECT target, ULONG version, ULONG tag, USBD_HANDLE *handle);
VOID USBD_CloseHandle(USBD_HANDLE handle);
NTSTATUS USBD_QueryUsbCapability(USBD_HANDLE handle, const GUID *capability, ULONG room, PUCHAR buffer, PULONG length);
NTSTATUS USBD_UrbAllocate(USBD_HANDLE handle, PURB *urb);
NTSTATUS USBD_IsochUrbAllocate(USBD_HANDLE handle, ULONG packets, PURB *urb);
NTSTATUS USBD_SelectConfigUrbAllocateAndBuild(USBD_HANDLE handle, PUSB_CONFIGURATION_DESCRIPTOR config,
					      PUSBD_INTERFACE_LIST_ENTRY list, PURB *urb);
NTSTATUS USBD_SelectInterfaceUrbAllocateAndBuild(USBD_HANDLE handle, USBD_CONFIGURATION_HANDLE config,
						 PUSBD_INTERFACE_LIST_ENTRY entry, PURB *urb);
VOID USBD_UrbFree(USBD_HANDLE handle, PURB urb);
VOID USBD_AssignUrbToIoStackLocation(USBD_HANDLE handle, PIO_STACK_LOCATION stack, PURB urb);

#endif
