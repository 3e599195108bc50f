/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the stand-in for usbdex.lib, which is linked into a driver, and the virtual bus below that driver. One internal
 * device control to the driver's next lower device makes them known to each other; from then on the bus takes from this
 * device what the handle vouches for, and nothing else.
 */
#ifndef UW_USBD_CONTRACT_H
#define UW_USBD_CONTRACT_H

#include <usb.h>

/* CTL_CODE(0x8558, 0x900, METHOD_NEITHER, FILE_ANY_ACCESS), IRP_MJ_INTERNAL_DEVICE_CONTROL. Argument1: struct uwb_usbd,
 * which stays where it is until it is closed. */
#define UWB_USBD_OPEN ((0x8558u << 16) | (0x900u << 2) | 3u)

struct uwb_usbd {
	/* The stand-in's, called at IRQL <= DISPATCH_LEVEL. begin: NULL, or why the URB may not be sent; it is active then
	 * until end, which the bus calls just before it completes the IRP. */
	const char *(*begin)(struct uwb_usbd *client, URB *urb, IRP *irp);
	void (*end)(struct uwb_usbd *client, URB *urb);
	/* The bus's, called at PASSIVE_LEVEL. What has been asked for with success may be used. */
	NTSTATUS (*ask_streams)(void *bus, uint16_t *most);
	NTSTATUS (*ask_chains)(void *bus);
	void (*close)(void *bus);
	void *bus;
};

#endif
