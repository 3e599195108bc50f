/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where URBs come from, and what the stack below can do besides. Two files do this, of which a build has one: usbd.c with
 * a USBD handle, which needs Microsoft's usbdex library; legacy.c with memory of our own, for kits that lack it.
 *
 * The two are never mixed: a driver that has a handle sends no URB that was not allocated with it, and one allocated for
 * isochronous packets, for a configuration or for an interface serves for nothing else.
 */
#ifndef UW_FILTER_USBD_H
#define UW_FILTER_USBD_H

#include "desc.h"

#include <usb.h>

struct uw_filter;

struct uw_usbd {
	void *handle;                  /* USBD_HANDLE; NULL in legacy.c */
	uint32_t streams;              /* of an endpoint at most; 0: the stack or its controller has none */
	bool chains;                   /* a transfer's bytes may lie in several MDLs */
};

/* As soon as the device is attached, before any request. PASSIVE. */
NTSTATUS uw_usbd_open(struct uw_filter *f);
/* When all URBs have been freed, before the stack below is removed. PASSIVE. */
void uw_usbd_close(struct uw_filter *f);
/* What the stack below can do; it has started. PASSIVE. */
void uw_usbd_ask(struct uw_filter *f);

/* NULL: no memory. The last two have been filled in, and tell in the settings where the stack will list the pipes. */
UW_MUST_CHECK URB *uw_usbd_urb(struct uw_filter *f);
UW_MUST_CHECK URB *uw_usbd_urb_iso(struct uw_filter *f, uint32_t packets);
UW_MUST_CHECK URB *uw_usbd_urb_config(struct uw_filter *f, uint8_t *config, struct uw_setting *setting,
				      uint32_t settings);
UW_MUST_CHECK URB *uw_usbd_urb_interface(struct uw_filter *f, USBD_CONFIGURATION_HANDLE config,
					 struct uw_setting *setting);
void uw_usbd_urb_free(struct uw_filter *f, URB *urb);
/* The URB is what the request is about. */
void uw_usbd_assign(struct uw_filter *f, IO_STACK_LOCATION *stack, URB *urb);

#endif
