/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One VM that is served: it is looked for, gets a region, a session in UsbWarp.sys and a PCI device when it runs, and
 * loses all three when it has ended.
 */
#ifndef UW_LINK_H
#define UW_LINK_H

#include "config.h"
#include "drv.h"
#include "hdv.h"
#include "thread.h"

struct uw_worker;

enum uw_link_state {
	UW_LINK_ABSENT,        /* no such VM runs, or the last attempt failed and the next is not due */
	UW_LINK_OPENING,
	UW_LINK_UP,
	UW_LINK_DRAINING,      /* requests to the driver are coming back */
	UW_LINK_CLOSING,
};

struct uw_link {
	struct uw_worker *worker;
	const struct uw_vm_config *config;
	uint8_t state;
	struct uw_system system;       /* that is served */
	struct uw_thread thread;
	struct uw_job job;             /* opening or closing */
	struct uw_timer retry;
	uint32_t backoff;              /* milliseconds until the next attempt after a failure */
	bool failed;                   /* of the job */
	bool ended;                    /* the VM is no more */
	uint32_t pending;              /* requests to the driver under way */

	HANDLE file, section, doorbell, interrupt;
	struct uw_hcs hcs;
	struct uw_hdv *hdv;
	struct uw_op exit;             /* the VM has ended: from any thread, once for each opening */
	LONG exit_posted;

	struct uw_drv_request watching;
	struct uw_nt_watch watch;
	struct uw_nt_status status;    /* as last read; zero while not up */
};

UW_MUST_CHECK bool uw_link_init(struct uw_link *l, struct uw_worker *worker, const struct uw_vm_config *config);
/* After uw_link_down, and when idle. */
void uw_link_fini(struct uw_link *l);
/* What runs now, as the host compute service tells; starts and ends the serving of the VM. */
void uw_link_found(struct uw_link *l, const struct uw_system *systems, int count);
/* Ends the serving: by and by. */
void uw_link_down(struct uw_link *l);
static inline bool uw_link_idle(const struct uw_link *l) { return l->state == UW_LINK_ABSENT; }

/* A request of a device's; its done must call uw_link_returned first. */
void uw_link_begin(struct uw_link *l, uint32_t code, const void *in, uint32_t in_bytes, void *out, uint32_t out_bytes,
		   struct uw_drv_request *request);
void uw_link_returned(struct uw_link *l);
/* Reads status anew. */
void uw_link_refresh(struct uw_link *l);

#endif
