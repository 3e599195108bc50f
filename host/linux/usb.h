/* SPDX-License-Identifier: GPL-2.0-only */
/* Real USB devices: what is plugged in, by sysfs, and transfers, by libusb on device nodes that the keeper opens. */
#ifndef UW_USB_H
#define UW_USB_H

#include <libusb.h>

#include "backend.h"
#include "start.h"
#include "thread.h"
#include "usbwarp/ctl.h"

#define UW_USB_BACKEND "usb"

struct uw_names;
struct uw_outcome;

/* One for the worker. */
struct uw_usb_host {
	struct uw_loop *loop;
	const struct uw_start *start;
	bool ready;               /* real devices are served */
	pthread_mutex_t opener;   /* one question to the keeper at a time */
	struct uw_list devices;   /* open ones */
	uint64_t memory;          /* bytes in flight, as the kernel counts them, about */
	uint64_t memory_max;      /* what usbfs allows, or 0 */
};

void uw_usb_init(struct uw_usb_host *host, struct uw_loop *loop, const struct uw_start *start);
void uw_usb_fini(struct uw_usb_host *host);

/* Every device plugged in, hubs too. */
void uw_usb_each(struct uw_usb_host *host, const struct uw_names *names,
		 void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx);
void uw_usb_refuse_hub(const char *bus_id, struct uw_outcome *outcome);
/* The device of this bus id, closed; its blocking calls will run on thread. NULL: outcome says why. */
struct uw_device *uw_usb_new(struct uw_usb_host *host, struct uw_thread *thread, const char *bus_id,
			     struct uw_outcome *outcome);
void uw_usb_free(struct uw_device *device);
/* Why the last open failed. */
const char *uw_usb_reason(struct uw_device *device);
/* In the loop, once open has succeeded on the thread. */
void uw_usb_opened(struct uw_device *device);
/*
 * Closes without waiting, which ops->close does: ends transfers and verbs, gives interfaces back on the thread, and
 * calls closed in the loop. Until then every transfer has been completed, and new ones are refused.
 */
void uw_usb_shut(struct uw_device *device, void (*closed)(struct uw_device *device));

#endif
