/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells when USB devices come and go.
 *
 * What came or went is not said: a queue of news may overflow, several may be about one port, and by the time they are
 * read the world is another one. Whoever is told looks at sysfs, which is never out of date.
 */
#include "hotplug.h"

#include <errno.h>
#include <libudev.h>
#include <unistd.h>

#include "log.h"

/* Where udev runs, its word comes when its rules have been applied; elsewhere the kernel's own has to do. */
static const char *group(void)
{
	return access("/run/udev/control", F_OK) ? "kernel" : "udev";
}

static void on_news(struct uw_source *source, uint32_t events)
{
	struct uw_hotplug *h = UW_CONTAINER(source, struct uw_hotplug, source);
	struct udev_device *device;

	(void)events;
	/* A queue that ran over says so once, by an error that reading on clears. */
	for (;;) {
		errno = 0;
		device = udev_monitor_receive_device(h->monitor);
		if (!device && errno != ENOBUFS)
			break;
		udev_device_unref(device);
	}
	h->changed(h);
}

bool uw_hotplug_open(struct uw_hotplug *h, struct uw_loop *loop)
{
	h->loop = loop;
	h->source.fd = -1;
	h->source.ready = on_news;
	h->udev = udev_new();
	h->monitor = h->udev ? udev_monitor_new_from_netlink(h->udev, group()) : NULL;
	if (h->monitor && udev_monitor_filter_add_match_subsystem_devtype(h->monitor, "usb", "usb_device") >= 0 &&
	    udev_monitor_enable_receiving(h->monitor) >= 0 &&
	    !uw_loop_add(loop, &h->source, udev_monitor_get_fd(h->monitor), EPOLLIN))
		return true;
	uw_log(UW_LOG_WARNING, "hot-plug: %s", strerror(errno));
	uw_hotplug_close(h);
	return false;
}

void uw_hotplug_close(struct uw_hotplug *h)
{
	if (h->monitor) {
		uw_loop_del(h->loop, &h->source);
		udev_monitor_unref(h->monitor);
	}
	if (h->udev)
		udev_unref(h->udev);
	h->monitor = NULL;
	h->udev = NULL;
}
