/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices that come and go, and the bindings under which they are bound when they are there. */
#ifndef UW_FOLLOW_H
#define UW_FOLLOW_H

#include "hotplug.h"
#include "names.h"

struct uw_devs;

struct uw_follow {
	struct uw_hotplug hotplug;
	struct uw_names names;
	bool look;             /* something has come, gone, or become free to bind */
	struct uw_list left;   /* of devices that are left alone, or until later */
	uint64_t next;         /* when one of them is to be tried again */
};

void uw_follow_open(struct uw_devs *devs);
void uw_follow_close(struct uw_devs *devs);
/* Lets go what is no longer plugged in, and binds what a binding says, when there is reason to look. */
void uw_follow_run(struct uw_devs *devs);
/* A device that was to be bound could not be opened: try again, after a while, some times. */
void uw_follow_failed(struct uw_devs *devs, const char *bus_id, uint32_t number);
/* A person took it back: leave it alone until it is plugged in anew. */
void uw_follow_leave(struct uw_devs *devs, const char *bus_id, uint32_t number);
/* A person wants it after all. */
void uw_follow_forgive(struct uw_devs *devs, const char *bus_id);

#endif
