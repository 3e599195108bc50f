/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Suspend of real devices. usbfs lets nobody suspend a device, but only allow it: the kernel does it by itself once
 * power/control says auto and the device has been idle for a while (Documentation/driver-api/usb/power-management.rst).
 * Where the host keeps the device awake, its control is "auto" for as long as the guest has it suspended. Where it does
 * not come to a suspend, as with usbcore.autosuspend=-1, the guest hears so and leaves its device awake.
 *
 * What wakes the device, be it a key or another program that opens its node, ends a call that waits on a thread of its
 * own. If the guest still holds the device suspended then, it is told as a remote wake-up.
 */
#include "usbdev.h"

#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "log.h"
#include "sysfs.h"

#define LOOK 10000                   /* microseconds between two looks whether it sleeps */
#define LOOKS 300u                   /* the kernel's own delay is 2 s, unless told otherwise */

static bool may_sleep(struct uw_usb *u)
{
	struct uw_open_ask ask = { .what = UW_OPEN_POWER, .bus = u->bus, .device = u->number };
	enum uw_sysfs_power power = uw_sysfs_power(u->dev.bus_id);

	if (power != UW_SYSFS_KEPT_AWAKE)
		return power != UW_SYSFS_NEVER_SLEEPS;
	if (u->power < 0)
		u->power = uw_usb_ask_keeper(u->host, &ask);
	return u->power >= 0 && write(u->power, "auto", 4) == 4;
}

void uw_usb_keep_awake(struct uw_usb *u)
{
	struct uw_open_ask ask = { .what = UW_OPEN_POWER_BACK, .bus = u->bus, .device = u->number };

	if (u->power < 0)
		return;
	if (write(u->power, "on", 2) != 2 && errno != ENODEV)
		uw_log(UW_LOG_WARNING, "%s: power/control stays \"auto\": %s", u->dev.bus_id, strerror(errno));
	close(u->power);
	u->power = -1;
	(void)uw_usb_ask_keeper(u->host, &ask);
}

uint32_t uw_usb_suspend(struct uw_usb *u)
{
	enum uw_sysfs_power power = UW_SYSFS_AWAKE;
	uint32_t i;

	if (!may_sleep(u) || ioctl(u->fd, USBDEVFS_ALLOW_SUSPEND)) {
		uw_usb_keep_awake(u);
		return UW_ST_UNSUPPORTED;
	}
	for (i = 0; i < LOOKS && power != UW_SYSFS_SUSPENDED; i++) {
		usleep(LOOK);
		power = uw_sysfs_power(u->dev.bus_id);
	}
	if (power == UW_SYSFS_SUSPENDED)
		return UW_ST_OK;
	return uw_usb_resume(u) == UW_ST_NO_DEVICE ? UW_ST_NO_DEVICE : UW_ST_UNSUPPORTED;
}

uint32_t uw_usb_resume(struct uw_usb *u)
{
	uint32_t status = UW_ST_OK;

	if (ioctl(u->fd, USBDEVFS_FORBID_SUSPEND))
		status = errno == ENODEV ? UW_ST_NO_DEVICE : UW_ST_PROTOCOL;
	uw_usb_keep_awake(u);
	return status;
}

/* ---- wake-up ---- */

static void wait_awake(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, watch);

	while (ioctl(u->fd, USBDEVFS_WAIT_FOR_RESUME) && errno == EINTR)
		;
}

static void on_awake(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, watch);

	u->watching = u->anew;
	if (u->anew) {
		u->anew = false;
		uw_thread_post(&u->watcher, &u->watch);
		return;
	}
	if (u->asleep && !u->lost)
		u->dev.host->wakeup(&u->dev);
	u->asleep = false;
}

bool uw_usb_can_watch(struct uw_usb *u)
{
	if (u->watched)
		return true;
	u->watch.run = wait_awake;
	u->watch.done = on_awake;
	u->watched = !uw_thread_start(&u->watcher, u->thread->returns);
	return u->watched;
}

void uw_usb_watch(struct uw_usb *u)
{
	u->asleep = true;
	if (u->watching)
		u->anew = true;
	else
		uw_thread_post(&u->watcher, &u->watch);
	u->watching = true;
}

/* The call that waits comes back when the device does. */
void uw_usb_unwatch(struct uw_usb *u)
{
	u->asleep = u->anew = false;
	if (!u->watched)
		return;
	if (u->watching)
		(void)uw_usb_resume(u);
	uw_thread_join(&u->watcher);
	u->watched = false;
}
