/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keeper's answers to a worker that has no right to open USB devices itself. What it can ask for is named by two
 * numbers, so a worker that was taken over gets at USB devices and nothing else.
 */
#ifndef UW_OPENER_H
#define UW_OPENER_H

#include "loop.h"
#include "start.h"

#define UW_LOANS_MAX 128u

/* A device that the host kept awake, and that a worker may let sleep. */
struct uw_loan {
	uint32_t bus, device;
	int fd;                /* of power/control */
};

struct uw_opener {
	struct uw_loop *loop;
	struct uw_source source; /* fd -1: there is no worker */
	bool usb;              /* the configuration allows real devices */
	uint32_t loans;
	struct uw_loan loan[UW_LOANS_MAX];
};

void uw_opener_init(struct uw_opener *o, struct uw_loop *loop, bool usb);
/* After a worker's end: devices that it let sleep are kept awake again. May wait for a device that is busy. */
void uw_opener_settle(struct uw_opener *o);

#endif
