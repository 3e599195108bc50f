/* SPDX-License-Identifier: GPL-2.0-only */
/* The devnodes that UsbWarpFilter.sys drives, and which session's port each is attached to. */
#ifndef UW_DEV_H
#define UW_DEV_H

#include "link.h"
#include "peer.h"

#define UW_DEV_PREFIX 4u       /* characters of a symbolic link before what programs call its name */

struct uw_dev {
	/* Constant. */
	PIO_WORKITEM item;
	uint16_t path[UW_DEV_PREFIX + UW_NT_LINK]; /* the interface's symbolic link, ends with 0 */
	uint16_t key[UW_NT_LINK];  /* the same without prefix, in upper case, padded with 0 */

	/* In anybody's hands. */
	volatile LONG refs;
	volatile LONG jobs;        /* to be done, one at a time */
	volatile LONG news;        /* for the session's thread */
	KEVENT dropped;            /* the peer is not referenced */
	KSPIN_LOCK guard;          /* of the next one, as the peer's calls come at any IRQL */
	struct uw_link *user;      /* has the device open, or is just opening or closing it */

	/* Under uw_driver.lock. */
	struct uw_list node;       /* uw_driver.devs */
	struct uw_list bound;      /* link->bound; the link's thread reads it without the lock */
	struct uw_link *link;      /* claimed by; NULL: free */
	struct uw_peer *peer;      /* NULL: not connected */
	bool leaving;              /* Windows wants the reference back */
	bool doomed;               /* the interface is gone, and this object goes too */
	bool again;                /* an interface of the same name has come meanwhile */

	/* Of the jobs. */
	FILE_OBJECT *file;
	void *notification;        /* of target device changes */

	/* Of the session's thread, while claimed. */
	uint8_t state;             /* enum uw_ctl_device_state */
	uint8_t port;              /* attached to; 0: not yet */
	uint8_t want;              /* to attach to; 0: any */
	bool busy;                 /* an open or close is under way */
	bool release;              /* to be let go when that has ended */
	bool reopen;               /* to be opened again when that has ended */
	LONG seen;                 /* news being looked at */
	int opened;                /* result of an open: 0 or an enum uw_status */
};

/* Begins to hear of interfaces, those there are included. */
UW_MUST_CHECK NTSTATUS uw_devs_open(void);
/* No new ones; those there are go by themselves, as their sessions end. */
void uw_devs_close(void);
void uw_devs_list(struct uw_nt_devices *list);

/* All that follows is for a session's thread. */

/* UW_CTL_OK: claimed and being opened, uw_ctl_attached follows. */
enum uw_ctl_status uw_dev_bind(struct uw_link *l, const struct uw_nt_attach *a, struct uw_dev **dev);
/* Ends a binding, whatever its state; uw_ctl_detached follows, perhaps from inside. */
void uw_dev_let_go(struct uw_dev *dev);
void uw_devs_let_go(struct uw_link *l);
void uw_devs_news(struct uw_link *l);

/* The actions of a link. */
void uw_dev_verb(struct uw_dev *dev, struct uw_transfer_io *io);
void uw_dev_cancel(struct uw_dev *dev, struct uw_transfer_io *io);
/* Closes the device, but keeps it bound. */
void uw_dev_suspend_binding(struct uw_dev *dev);
void uw_dev_resume_binding(struct uw_dev *dev);

#endif
