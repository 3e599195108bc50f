/* SPDX-License-Identifier: GPL-2.0-only */
/* Tells when USB devices come and go. */
#ifndef UW_HOTPLUG_H
#define UW_HOTPLUG_H

#include "loop.h"

struct uw_hotplug {
	struct uw_loop *loop;
	struct uw_source source;
	struct udev *udev;
	struct udev_monitor *monitor; /* NULL: nothing is told */
	/* Something has changed, or news may have been lost: look. Called in the loop. */
	void (*changed)(struct uw_hotplug *hotplug);
};

/* changed has been set. False: nothing will be told, and the log says why. */
UW_MUST_CHECK bool uw_hotplug_open(struct uw_hotplug *h, struct uw_loop *loop);
void uw_hotplug_close(struct uw_hotplug *h);

#endif
