/* SPDX-License-Identifier: GPL-2.0-only */
/* The USB devices that Windows has now. */
#ifndef UW_USBLIST_H
#define UW_USBLIST_H

#include <windows.h>

#include "record.h"

#define UW_USB_MAX 128u
#define UW_FILTER_SERVICE "UsbWarpFilter"

struct uw_usb_info {
	char instance[UW_INSTANCE];
	char bus_id[UW_CTL_NAME];
	char hub[UW_INSTANCE];         /* instance id of the parent */
	char id[UW_HARDWARE_ID];
	char name[UW_CTL_DESCRIPTION];
	uint32_t port;                 /* of the hub */
	uint16_t vendor, product, release;
	uint8_t class_code[3];
	uint8_t speed;                 /* enum uw_speed; NONE: the hub does not tell */
	bool is_hub;
	bool ours;                     /* UsbWarpFilter.sys is its driver */
	bool warn;                     /* network or audio: Windows will make its settings anew */
};

/* Those that are present, devices under hubs only; blocks. How many. */
uint32_t uw_usb_list(struct uw_usb_info *infos, uint32_t max);
/* Instance ids of all whose driver is ours, absent ones too. */
uint32_t uw_usb_ours(char (*instances)[UW_INSTANCE], uint32_t max);
/* What is remembered of a device that is to be bound, and what is known of one that is remembered, present or not. */
void uw_usb_record(struct uw_record *record, const struct uw_usb_info *info, const char *vm, bool by_id);
void uw_usb_recorded(struct uw_usb_info *info, const struct uw_record *record);
/* The hub above, opened; INVALID_HANDLE_VALUE: it cannot be. */
HANDLE uw_usb_open_hub(const char *hub);

#endif
