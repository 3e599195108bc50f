/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What USB devices are plugged in, as the kernel tells it in sysfs, without opening any. None of it but the description
 * waits for a device: of the attributes only those are read that the kernel shows without the device's lock.
 */
#ifndef UW_SYSFS_H
#define UW_SYSFS_H

#include "base.h"
#include "usbwarp/ctl.h"

struct uw_sysfs_device {
	char bus_id[UW_CTL_NAME];
	uint16_t vendor, product, release;
	uint8_t class_code, subclass, protocol;
	uint8_t speed;             /* enum uw_speed */
	uint8_t configuration;     /* bConfigurationValue; 0: none, or none yet */
	bool hub;
	uint32_t bus, number;      /* of the device node */
};

/* False: there is no such device, or it is no bus id, or the kernel is just resetting it: then bus is not 0. */
UW_MUST_CHECK bool uw_sysfs_read(const char *bus_id, struct uw_sysfs_device *device);
/* Has the device, or an interface of its present configuration, this class? */
UW_MUST_CHECK bool uw_sysfs_has_class(const struct uw_sysfs_device *device, uint8_t class_code);
/* bConfigurationValue, 0: none; once the kernel has done with the device, which may take seconds. */
uint8_t uw_sysfs_configuration(const char *bus_id);
/* Manufacturer and product. May wait for seconds, as long as the kernel is busy with the device. */
void uw_sysfs_describe(const char *bus_id, char *text, size_t size);
/* Every device but the root hubs. */
void uw_sysfs_each(void (*each)(void *ctx, const struct uw_sysfs_device *device), void *ctx);
/* The hub that a device is plugged into: number of its node, on the same bus, and port there. False: it is gone. */
UW_MUST_CHECK bool uw_sysfs_parent(const char *bus_id, uint32_t *hub, uint32_t *port);
/* What the kernel may do, or has done, about a device's power. */
enum uw_sysfs_power {
	UW_SYSFS_NEVER_SLEEPS, /* usbcore.autosuspend=-1, or this device's autosuspend_delay_ms is negative */
	UW_SYSFS_KEPT_AWAKE,   /* power/control is "on" */
	UW_SYSFS_AWAKE,
	UW_SYSFS_SUSPENDED,
};

enum uw_sysfs_power uw_sysfs_power(const char *bus_id);
/* What usbfs lets all its users have in flight, in bytes; 0: no limit, or unknown. */
uint64_t uw_sysfs_usb_memory(void);

#endif
