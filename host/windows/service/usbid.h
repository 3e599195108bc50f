/* SPDX-License-Identifier: GPL-2.0-only */
/* What Windows calls USB devices, taken apart. Pure logic. */
#ifndef UW_USBID_H
#define UW_USBID_H

#include "usbwarp/ctl.h"
#include "base.h"

#define UW_INSTANCE 224u       /* bytes of a device instance id, UTF-8, at least one zero; Windows allows 200 units */
#define UW_HARDWARE_ID 32u     /* "USB\VID_2E8A&PID_0003" */

/*
 * The bus id is what users of usbipd-win know: HUB-PORT of the location "Port_#0004.Hub_#0002", here "2-4". The hub's
 * number is Windows' own, and stays as long as no hub comes or goes. False: there is no such location.
 */
bool uw_usbid_bus(const char *location, char bus_id[UW_CTL_NAME]);

enum uw_usbid_kind {
	UW_USBID_OTHER,        /* no USB device */
	UW_USBID_DEVICE,
	UW_USBID_HUB,          /* a root hub; others are told by their class */
	UW_USBID_FUNCTION,     /* one interface of a composite device: its parent is the device */
};

/* Of a device instance id; vendor and product are set for devices and functions. */
enum uw_usbid_kind uw_usbid_instance(const char *instance, uint16_t *vendor, uint16_t *product);
/* "USB\Class_08&SubClass_06&Prot_50" and the like; false: not of this form. */
bool uw_usbid_class(const char *compatible, uint8_t class_code[3]);
/* bcdDevice of a hardware id "USB\VID_x&PID_x&REV_0100". */
bool uw_usbid_release(const char *hardware, uint16_t *release);
/* What UsbWarp.sys calls the interface of UsbWarpFilter.sys on this instance. Count: UTF-16 units of link. False: too long. */
bool uw_usbid_link(const char *instance, uw_le16 *link, uint32_t count);

#endif
