/* SPDX-License-Identifier: GPL-2.0-only */
/* A real device as the files behind its backend see it: usb.c, usbends.c, flight.c, isoch.c, verbs.c, asleep.c. */
#ifndef UW_USBDEV_H
#define UW_USBDEV_H

#include "usb.h"

#define UW_USB_ENDPOINTS 32u    /* 0..15 OUT, 16..31 IN */
#define UW_USB_INTERFACES 32u
#define UW_USB_NO_ENDPOINT 0xff

struct uw_usb {
	struct uw_device dev;
	struct uw_list node;   /* of the host's open devices */
	struct uw_usb_host *host;
	struct uw_thread *thread;
	libusb_context *context; /* its own: handling its events is then about no other device */
	libusb_device_handle *handle; /* NULL: closed */
	struct uw_source source;      /* the node; readiness means finished transfers */
	int fd;
	uint32_t bus, number;  /* of the node, while it is open */
	int hub;               /* the node of its hub, whose port we own; -1: not */
	int power;             /* power/control, which we changed to "auto"; -1: not */
	bool lost;             /* unplugged */
	_Atomic bool fresh;    /* the kernel has just reset and configured it, and no endpoint but 0 was used since */
	uint8_t configuration; /* bConfigurationValue, 0: none */
	uint32_t claimed;      /* one bit an interface number */
	uint8_t alternate[UW_USB_INTERFACES];
	uint8_t endpoint[UW_USB_ENDPOINTS]; /* enum uw_transfer, or UW_USB_NO_ENDPOINT */
	_Atomic uint16_t streams[UW_USB_ENDPOINTS]; /* that it has now, or 0 */
	struct uw_list active; /* of io: with the kernel */
	uint32_t in_pieces;    /* of active, those of which more pieces follow */
	struct uw_list held;   /* of io: wait for the kernel's memory */
	struct uw_list idle;   /* of struct uw_flight */
	struct uw_list verbs;  /* of io: the first one is on the thread */
	struct uw_job job;     /* the first verb */
	struct uw_thread watcher;
	struct uw_job watch;
	bool watched;          /* there is a watcher */
	bool watching;         /* the watcher waits for the device to wake */
	bool anew;             /* it slept again before the watcher's return was heard of */
	bool asleep;           /* suspended by the guest, which has not asked for resume */
	struct uw_job shutting; /* the end of uw_usb_shut */
	void (*closed)(struct uw_device *device); /* uw_usb_shut is under way; NULL: it is not */
	uint64_t until;        /* then transfers that have not ended are left to the kernel */
	char reason[96];
};

/* One libusb transfer, kept for the next use. */
struct uw_flight {
	struct uw_list node;
	struct uw_usb *usb;
	struct uw_transfer_io *io;
	struct libusb_transfer *transfer;
	uint8_t *buffer;       /* control: setup packet and data; isochronous: packets, if they do not lie in one run */
	uint32_t room;         /* bytes of buffer */
	uint32_t packets;      /* that transfer has room for */
	uint32_t cost;         /* bytes of the kernel's memory while it is under way, about */
	uint32_t piece;        /* bytes of data under way: all there are, or a part of a large bulk transfer */
	bool more;             /* pieces follow */
	bool cancelled;        /* so none follows */
	bool gathered;         /* isochronous: the packets are in buffer */
};

static inline struct uw_usb *uw_usb_of(struct uw_device *device)
{
	return UW_CONTAINER(device, struct uw_usb, dev);
}

static inline uint32_t uw_usb_index(uint8_t address)
{
	return (address & 0x0fu) | (address & 0x80u ? 16u : 0u);
}

static inline struct uw_transfer_io *uw_usb_io_at(struct uw_list *node)
{
	return UW_CONTAINER(node, struct uw_transfer_io, node);
}

static inline void uw_usb_answer(struct uw_usb *u, struct uw_transfer_io *io, uint32_t status)
{
	uw_list_del(&io->node);
	io->status = status;
	u->dev.host->complete(&u->dev, io);
}

static inline void uw_usb_lose(struct uw_usb *u)
{
	if (u->lost)
		return;
	u->lost = true;
	u->dev.host->gone(&u->dev);
}

/*
 * Is a verb on the thread? The kernel holds the device's lock for as long as a verb takes, which a device can draw out to
 * seconds, and whoever submits, cancels or reaps at the device's node then waits for the lock. So the loop leaves the node
 * alone until the verb is done: what is submitted is held, and cancels are made up for.
 */
static inline bool uw_usb_is_lent(const struct uw_usb *u)
{
	return !uw_list_empty(&u->verbs);
}

/* ---- usb.c ---- */

/* Lends the node to the thread, with the first verb; and takes it back, after the last. */
void uw_usb_lend(struct uw_usb *u);
void uw_usb_take_back(struct uw_usb *u);
/*
 * The keeper has the rights to open what is asked for; one question is under way at a time. On a device's thread. The
 * descriptor, or -1 with errno.
 */
int uw_usb_ask_keeper(struct uw_usb_host *host, const struct uw_open_ask *ask);
/* uw_usb_shut goes on, if nothing is left to wait for. */
void uw_usb_shut_on(struct uw_usb *u);

/* ---- usbends.c ---- */

/* The end of a transfer. */
uint32_t uw_usb_transfer_status(enum libusb_transfer_status status);
/*
 * The result of a call. other: what a failure without a name of its own means there. For requests to the device that
 * is nearly always a STALL, an answer, which must not count as a fault.
 */
uint32_t uw_usb_call_status(int result, uint32_t other);
/* The descriptor of this configuration, to be freed; NULL: there is none. */
struct libusb_config_descriptor *uw_usb_config(struct uw_usb *u, uint8_t value);
/* The interfaces of a configuration, one bit each. */
uint32_t uw_usb_interfaces(struct uw_usb *u, uint8_t configuration);
/* The endpoints of the configuration and the alternate settings that are set now. */
void uw_usb_note_endpoints(struct uw_usb *u);
bool uw_usb_has_endpoint(const struct uw_usb *u, const struct uw_transfer_io *io);

/* ---- flight.c ---- */

void uw_usb_submit(struct uw_device *device, struct uw_transfer_io *io);
void uw_usb_cancel(struct uw_device *device, struct uw_transfer_io *io);
/* Tries again what waits for memory. */
void uw_usb_timer(struct uw_device *device);
/* Calls back what has ended, after so many microseconds at most if nothing has. */
void uw_usb_reap(struct uw_usb *u, uint32_t patience);
/* Tries what is held; then asks for the timer, if it is needed. */
void uw_usb_retry(struct uw_usb *u);
/* Tells libusb again of what was cancelled. */
void uw_usb_cancel_again(struct uw_usb *u);
/* Cancels everything; and waits for it, until u->until: what the kernel does not give back by then stays active. */
void uw_usb_cancel_flights(struct uw_usb *u);
void uw_usb_await_flights(struct uw_usb *u);
/* Once the node is closed: answers what is left, and frees all memory. */
void uw_usb_free_flights(struct uw_usb *u);

/* Makes room in a flight; contents are lost. False: no memory. */
UW_MUST_CHECK bool uw_flight_room(struct uw_flight *f, uint32_t bytes);
UW_MUST_CHECK bool uw_flight_packets(struct uw_flight *f, uint32_t packets);

/* ---- isoch.c ---- */

/* False: no device and no kernel could do it. */
UW_MUST_CHECK bool uw_isoch_possible(const struct uw_transfer_io *io);
/* Bytes of all packets, which is more than the transfer's length where they share some. */
uint32_t uw_isoch_bytes(const struct uw_transfer_io *io);
/* Parts that libusb makes of it. */
uint32_t uw_isoch_urbs(const struct uw_transfer_io *io);
/* False: no memory. */
UW_MUST_CHECK bool uw_isoch_fill(struct uw_flight *f, struct uw_transfer_io *io, libusb_transfer_cb_fn done);
/* Hands the packets' results over; what became of the whole. */
enum libusb_transfer_status uw_isoch_take(struct uw_flight *f, struct uw_transfer_io *io);

/* ---- verbs.c ---- */

void uw_usb_verbs_init(struct uw_usb *u);
/* Every verb that blocks, on the device's thread. */
void uw_usb_verb(struct uw_device *device, struct uw_transfer_io *io);
/* Takes every interface, from kernel drivers too. On the thread. */
UW_MUST_CHECK int uw_usb_claim(struct uw_usb *u);
void uw_usb_release(struct uw_usb *u);

/* ---- asleep.c ---- */

/* On the device's thread: an enum uw_status. */
uint32_t uw_usb_suspend(struct uw_usb *u);
uint32_t uw_usb_resume(struct uw_usb *u);
/* Undoes what a suspend has changed in sysfs, if anything. May wait for the kernel. */
void uw_usb_keep_awake(struct uw_usb *u);
/* In the loop. False: no thread for it, so the device must not sleep. */
UW_MUST_CHECK bool uw_usb_can_watch(struct uw_usb *u);
/* It sleeps now: tell the guest when it wakes by itself. */
void uw_usb_watch(struct uw_usb *u);
/* Wakes it, if it sleeps, and ends the watch. */
void uw_usb_unwatch(struct uw_usb *u);

#endif
