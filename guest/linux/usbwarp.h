/* SPDX-License-Identifier: GPL-2.0-only */
/* One UsbWarp controller in a Linux guest: what the files of this driver share. */
#ifndef UW_USBWARP_H
#define UW_USBWARP_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/usb.h>
#include <linux/usb/hcd.h>
#include <linux/wait.h>

#include "compat.h"
#include "guest.h"
#include "hub.h"
#include "spin.h"

/*
 * Locks: dev->lock is the only one. It guards the session (g), both hubs, the calls under way and the link's timer, and
 * is taken with interrupts off, because URBs are enqueued in any context. Payload is copied without it.
 *
 * Contexts: uw_service runs in softirq context, one at a time; enqueue and dequeue in any; hub control, streams, probe,
 * remove, suspend and the attributes in process context.
 */

/* The way to the host: a region that both see, a doorbell, interrupts or polling. */
struct uw_link {
	u8 *region;              /* BAR 2, write-back */
	phys_addr_t phys;
	u64 size;
	u8 __iomem *registers;   /* BAR 0; NULL: the host polls */
	u32 doorbell;            /* value for the doorbell register */
	int vectors;             /* 0: this side polls */
	u32 slowness;            /* what reading the region costs, in tenths of reading RAM */
	struct uw_bh bh;
	struct hrtimer timer;
	u64 timer_at;            /* dev->lock: when the timer was last set to fire */
	u64 active_at;           /* dev->lock: when there last was something to do */
	atomic_t interrupts;     /* since the last service */
	struct task_struct *poller; /* NULL: this link polls anyway */
	struct uw_spin spin;     /* dev->lock */
	u32 spun_at;             /* dev->lock: position of the submission ring when polling was last considered */
	bool spinning;           /* dev->lock: the poller has been asked to poll */
	bool stopped;
};

/* Buffers for class drivers that ask for coherent memory: the region itself, so that their bytes are never copied. */
struct uw_pool;

/* A streams call of a class driver, waiting for its answer. */
struct uw_call {
	bool done;
	u32 status, value;
};

enum { UW_USB2, UW_USB3, UW_HUBS };

struct uw_dev {
	struct pci_dev *pdev;
	struct list_head node;   /* of all instances */
	struct uw_link link;
	struct uw_pool *pool;    /* NULL: none */
	u8 *pool_start;
	size_t pool_size;
	struct usb_hcd *hcd[UW_HUBS];  /* USB 2, the primary one; USB 3, or NULL */
	struct dentry *debugfs;
	wait_queue_head_t settled;     /* woken after every round: somebody's answer may have come */

	spinlock_t lock;
	struct uw_guest g;
	struct uw_hub hub[UW_HUBS];
	struct uw_call *call[UW_PORTS_MAX + 1];
	bool asleep;             /* the system sleeps or goes down: hub drivers are told nothing */
};

/* An URB on its way: urb.hcpriv. */
struct uw_req {
	struct uw_urb u;
	struct urb *urb;
	struct usb_hcd *hcd;
};

/* An endpoint: usb_host_endpoint.hcpriv. */
struct uw_hep {
	struct uw_ep ep;
	u32 next_frame;          /* isochronous: where the next URB begins, in the endpoint's frames */
};

static inline struct uw_dev *uw_dev_of(struct usb_hcd *hcd)
{
	return *(struct uw_dev **)hcd->hcd_priv;
}

static inline u8 *uw_data(struct uw_dev *d, u32 at)
{
	return d->link.region + d->g.layout.data + at;
}

/* link.c */
int uw_link_open(struct uw_dev *d);
void uw_link_close(struct uw_dev *d);
int uw_link_start(struct uw_dev *d);
void uw_link_stop(struct uw_dev *d);
void uw_link_wake(struct uw_dev *d);
void uw_link_push(struct uw_dev *d);
const char *uw_link_mapping(const struct uw_link *link);

/* pool.c */
int uw_pool_open(struct uw_dev *d, u32 bytes);
void uw_pool_close(struct uw_dev *d, bool stale);
void uw_pool_attach(struct uw_dev *d, struct usb_hcd *hcd);
size_t uw_pool_free(const struct uw_dev *d);
size_t uw_pool_lowest(const struct uw_dev *d);

/* hcd.c */
extern const struct hc_driver uw_hc_driver;
bool uw_hcd_drain(struct uw_dev *d);
void uw_hcd_fill(struct uw_dev *d);

/* hubs.c */
void uw_hubs_init(struct uw_dev *d);
void uw_hubs_notes(struct uw_dev *d);
void uw_hubs_report(struct uw_dev *d);
int uw_hubs_status_data(struct usb_hcd *hcd, char *buf);
int uw_hubs_control(struct usb_hcd *hcd, u16 type_request, u16 value, u16 index, char *buf, u16 length);
int uw_hubs_suspend(struct usb_hcd *hcd);
int uw_hubs_resume(struct usb_hcd *hcd);
int uw_hubs_alloc_streams(struct usb_hcd *hcd, struct usb_device *udev, struct usb_host_endpoint **eps,
			  unsigned int count, unsigned int streams, gfp_t mem_flags);
int uw_hubs_free_streams(struct usb_hcd *hcd, struct usb_device *udev, struct usb_host_endpoint **eps,
			 unsigned int count, gfp_t mem_flags);
u8 uw_hubs_wire_port(struct usb_hcd *hcd, struct usb_device *udev);

/* copy.c */
bool uw_copies_out(const struct uw_req *req);
u32 uw_copy_out(struct uw_dev *d, struct uw_req *req);
bool uw_copies_in(const struct uw_req *req);
u32 uw_copy_in(struct uw_dev *d, struct uw_req *req);
int uw_errno(u32 status);

/* debug.c */
int uw_debug_open(struct uw_dev *d);
void uw_debug_close(struct uw_dev *d);
void uw_debug_init(void);
void uw_debug_fini(void);

#endif
