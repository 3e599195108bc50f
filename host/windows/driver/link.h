/* SPDX-License-Identifier: GPL-2.0-only */
/* One VM as this driver sees it: the region, the session in it, and the thread that alone touches the session. */
#ifndef UW_LINK_H
#define UW_LINK_H

#include "driver.h"
#include "host.h"
#include "region.h"
#include "spin.h"
#include "usbwarp/ioctl.h"

struct uw_dev;

/* Why a link's thread is to look around, besides its ring. */
#define UW_LOOK_REQUESTS 1  /* a program asked for something */
#define UW_LOOK_DEVICES 2   /* a device has news */
#define UW_LOOK_END 4       /* the handle is closed */

struct uw_link {
	/* Set before the thread runs, constant then. */
	uint8_t name[UW_CTL_NAME];
	struct uw_region region;
	KEVENT *doorbell, *interrupt; /* the service's */
	uint64_t poll;         /* nanoseconds of polling after activity */
	PIO_WORKITEM reaper;
	HANDLE thread;
	KEVENT begun;          /* thread is set */

	/* In anybody's hands. */
	volatile LONG refs;    /* of this memory */
	struct uw_list node;   /* uw_driver.links, under its lock */
	struct uw_queue requests;
	struct uw_list *completed; /* transfers that devices have completed, the last one first; linked by next alone */
	volatile LONG look;    /* UW_LOOK_* */
	volatile LONG asleep;  /* wake is waited for */
	KEVENT wake;

	/* The thread's. */
	struct uw_host host;
	struct uw_host_memory memory;
	struct uw_list bound;  /* devices, claimed under uw_driver.lock */
	struct uw_dev *devs[UW_PORTS_MAX + 1]; /* by port; NULL: nothing attached there */
	uint64_t now;
	uint64_t awake_until;
	struct uw_spin spin;   /* whether polling pays */
	bool polling;
	bool dirty;            /* something happened: look again at once */
	bool ending;           /* the handle is closed: over once every device is let go */
	uint8_t told_phase;    /* as of the last change of generation */
	uint64_t told_breakers, told_faults;
};

/* In the context of the process that has the handles; o has been checked. The link ends by uw_link_end alone. */
UW_MUST_CHECK NTSTATUS uw_link_open(const struct uw_nt_open *o, struct uw_link **link);
/* Asks for the end and does not wait for it. */
void uw_link_end(struct uw_link *l);
static inline void uw_link_get(struct uw_link *l) { InterlockedIncrement(&l->refs); }
void uw_link_put(struct uw_link *l);

/* Hands a request over to the thread: STATUS_PENDING, or what the request has been completed with. */
NTSTATUS uw_link_ask(struct uw_link *l, IRP *irp);

/* From any context, at IRQL <= DISPATCH_LEVEL. */
void uw_link_look(struct uw_link *l, LONG what);
void uw_link_complete(struct uw_link *l, struct uw_transfer_io *io);
/* In the thread: gives the session what devices have completed. How many. */
uint32_t uw_link_reap(struct uw_link *l);

#endif
