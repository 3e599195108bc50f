/* SPDX-License-Identifier: GPL-2.0-only */
/* Captures: what passes between VMs and devices, told to those clients of the control socket that asked for it. */
#ifndef UW_CAPTURE_H
#define UW_CAPTURE_H

#include "dev.h"
#include "talk.h"

/* One client's; embedded in it. */
struct uw_capture {
	struct uw_capture *next;
	struct uw_talk *talk;      /* gets the records; NULL: does not run */
	void (*begun)(struct uw_capture *capture); /* the talk had nothing to send, and has now */
	const struct uw_link *link; /* NULL: all */
	char bus_id[UW_CTL_NAME];  /* empty: all */
	uint32_t snaplen;
	uint64_t dropped;          /* not yet told */
};

/* talk and begun have been set. UW_CTL_OK: it runs. Else it does not, and the outcome says why. */
void uw_capture_begin(struct uw_devs *devs, struct uw_capture *capture, const struct uw_ctl_capture *ask,
		      struct uw_outcome *outcome);
/* Tells what was dropped last; nothing is added to the talk from here on. Does nothing to one that does not run. */
void uw_capture_end(struct uw_devs *devs, struct uw_capture *capture);
/* A transfer goes to its device, or comes back. Only while devs->captures is not NULL. */
void uw_capture_event(const struct uw_dev *dev, struct uw_transfer_io *io, uint8_t event);

#endif
