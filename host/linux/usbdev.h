/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the libusb backend share: usb.c, flight.c, verbs.c, endpoints.c. */
#ifndef UW_USBDEV_H
#define UW_USBDEV_H

#include "dev.h"
#include "usb.h"

#define UW_USB_ENDPOINTS 32u   /* 0..15 OUT, 16..31 IN */
#define UW_USB_INTERFACES 32u
#define UW_NOT_AN_ENDPOINT 0xff

struct uw_usb {
	struct uw_device dev;
	struct uw_list node;   /* of the host's open devices */
	struct uw_usb_host *host;
	struct uw_thread *thread;
	libusb_device_handle *handle; /* NULL: closed */
	struct uw_source source;      /* the node; readiness means finished transfers */
	int fd;
	bool lost;             /* unplugged */
	_Atomic bool fresh;    /* the kernel has just reset and configured it, and no endpoint but 0 was used since */
	uint8_t configuration; /* bConfigurationValue, 0: none */
	uint32_t claimed;      /* one bit an interface number */
	uint8_t alternate[UW_USB_INTERFACES];
	uint8_t endpoint[UW_USB_ENDPOINTS]; /* enum uw_transfer, or UW_NOT_AN_ENDPOINT */
	struct uw_list active; /* of io: with the kernel */
	struct uw_list held;   /* of io: wait for the kernel's memory */
	struct uw_list idle;   /* of struct uw_flight */
	struct uw_list verbs;  /* of io: the first one is on the thread */
	struct uw_job job;     /* the first verb */
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
	uint32_t packets;      /* that transfer has room for */
	uint8_t *own;          /* a buffer beside the region, where the kernel wants the bytes otherwise than they lie there */
	uint32_t room;         /* bytes of it */
	bool bounced;          /* isochronous: it is used now */
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

/* usb.c: the end of a transfer or verb, whatever list it is in; and the device is gone. In the loop. */
void uw_usb_answer(struct uw_usb *u, struct uw_transfer_io *io, uint32_t status);
void uw_usb_lose(struct uw_usb *u);

/* endpoints.c: enum libusb_error as an enum uw_status; other: what a failure without a name of its own means there. */
uint32_t uw_usb_status_of_call(int result, uint32_t other);
/* A configuration's descriptor, or NULL; to be freed by libusb. */
struct libusb_config_descriptor *uw_usb_descriptor(struct uw_usb *u, uint8_t value);
/* Notes which endpoints there are at the settings of now. */
void uw_usb_note_endpoints(struct uw_usb *u);
UW_MUST_CHECK bool uw_usb_has_endpoint(const struct uw_usb *u, const struct uw_transfer_io *io);

/* usb.c: uw_usb_shut goes on, if nothing is left to wait for. From a place where its caller still uses the device. */
void uw_usb_shut_on(struct uw_usb *u);

/* flight.c, in the loop */
void uw_flight_submit(struct uw_device *device, struct uw_transfer_io *io);
void uw_flight_cancel(struct uw_device *device, struct uw_transfer_io *io);
/* Transfers that wait for the kernel's memory try again. */
void uw_flight_timer(struct uw_device *device);
/* Asks for the end of all; and waits for it, for a while. */
void uw_flight_cancel_all(struct uw_usb *u);
void uw_flight_await_all(struct uw_usb *u);
/* Ends what has not ended; the node is closed. */
void uw_flight_drop(struct uw_usb *u);

/* verbs.c: the entry of the backend, in the loop; the rest on the device's thread. */
void uw_verb_submit(struct uw_device *device, struct uw_transfer_io *io);
void uw_verb_run(struct uw_job *job);
void uw_verb_done(struct uw_job *job);
/* Takes every interface, from kernel drivers too: 0 or an enum libusb_error; and gives them back. */
int uw_verb_claim(struct uw_usb *u);
void uw_verb_release(struct uw_usb *u);

#endif
