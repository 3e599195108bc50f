/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What devices call themselves: manufacturer and product.
 *
 * The kernel holds a device's lock while it gives these out, and holds it for seconds while a device is being
 * configured that does not answer. So they are read by a thread, and the loop goes by what has been read.
 */
#ifndef UW_NAMES_H
#define UW_NAMES_H

#include "sysfs.h"
#include "thread.h"

struct uw_name {
	char bus_id[UW_CTL_NAME];
	uint32_t number;       /* of the device node: another one is another device */
	char text[UW_CTL_DESCRIPTION];
};

struct uw_names {
	struct uw_thread thread;
	struct uw_job job;
	bool open, busy, again;
	struct uw_name *now, *next; /* the loop's, and the thread's while it is busy */
	uint32_t now_count, next_count;
	/* New ones are there. Called in the loop. */
	void (*changed)(struct uw_names *names);
};

/* changed has been set. */
UW_MUST_CHECK bool uw_names_open(struct uw_names *names, struct uw_returns *returns);
void uw_names_close(struct uw_names *names);
/* Reads anew, now or as soon as the reading under way has ended. */
void uw_names_look(struct uw_names *names);
/* Empty as long as it is not known. */
const char *uw_names_of(const struct uw_names *names, const char *bus_id, uint32_t number);

#endif
