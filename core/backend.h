/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one interface between a host and the USB devices it serves: model devices, libusb, a Windows device driver.
 *
 * A transfer belongs to the backend from the call that hands it over until the backend passes it to complete(),
 * exactly once. Every verb but open and close is asynchronous and takes such a transfer, so no caller ever blocks:
 * a backend whose system call blocks runs it on a thread of its own. All calls, in both directions, are made in one
 * context per device (the host's loop, or under the host's lock); complete() may be called from inside the verb.
 */
#ifndef UW_BACKEND_H
#define UW_BACKEND_H

#include "base.h"

struct uw_device;

/* One isochronous packet: USB 2.0 5.6. The host's private copy of struct uw_packet. */
struct uw_iso {
	uint32_t offset;       /* bytes from the start of data */
	uint32_t length;       /* bytes; offset + length never exceeds the transfer's length */
	uint32_t actual;       /* result: bytes moved, at most length */
	uint32_t status;       /* result: enum uw_status */
};

/* One request to a device: a transfer, or a verb (then only verb, arg and endpoints have a meaning). */
struct uw_transfer_io {
	/* What is asked. Set by the host, constant while the backend has it. */
	uint8_t verb;          /* enum uw_verb */
	uint8_t endpoint;      /* bEndpointAddress; for control the direction of the data stage */
	uint8_t type;          /* enum uw_transfer */
	uint8_t flags;         /* UW_SUBMIT_* */
	uint32_t length;       /* bytes of data */
	uint8_t *data;         /* in the region: a hostile guest may change it at any moment; read each byte once */
	uint8_t setup[8];      /* control: USB 2.0 9.3; wLength equals length */
	uint16_t stream;       /* bulk: stream id or 0 */
	uint16_t interval;     /* periodic: frames (low and full speed) or microframes */
	uint16_t packets;      /* isochronous: entries of iso, else 0 */
	uint16_t arg[2];       /* of a verb, see enum uw_verb */
	struct uw_iso *iso;
	const uint8_t *endpoints; /* of alloc_streams and free_streams: arg[1] addresses */

	/* The answer. Set by the backend before complete(). */
	uint32_t status;       /* enum uw_status */
	uint32_t actual;       /* bytes moved, whatever the status; streams granted, for alloc_streams */
	uint32_t copied;       /* of these, bytes that software copied between region and device; 0 unless set */

	/* The backend's own while it has the transfer. */
	struct uw_list node;
	void *own;
	uint64_t due;
};

enum uw_verb {
	UW_VERB_SUBMIT,            /* a transfer */
	UW_VERB_RESET,             /* port reset: USB 2.0 7.1.7.5; address and configuration 0 until set again */
	UW_VERB_SET_CONFIGURATION, /* arg[0] = bConfigurationValue, 0 unconfigures: USB 2.0 9.4.7 */
	UW_VERB_SET_INTERFACE,     /* arg[0] = interface, arg[1] = alternate setting: USB 2.0 9.4.10 */
	UW_VERB_CLEAR_HALT,        /* arg[0] = bEndpointAddress: USB 2.0 9.4.1, data toggle back to DATA0 */
	UW_VERB_ALLOC_STREAMS,     /* arg[0] = streams, arg[1] = number of endpoints */
	UW_VERB_FREE_STREAMS,      /* arg[1] = number of endpoints */
	UW_VERB_SUSPEND,           /* USB 2.0 7.1.7.6 */
	UW_VERB_RESUME,            /* USB 2.0 7.1.7.7 */
};

/* What a device gets from its host. */
struct uw_device_host {
	uint64_t (*now)(struct uw_device *dev);                /* nanoseconds, never going back */
	/* Ask for one call of ops->timer at or after when; a new call replaces the former, UW_NEVER cancels. */
	void (*arm)(struct uw_device *dev, uint64_t when);
	void (*complete)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*gone)(struct uw_device *dev);                   /* unplugged; every transfer still gets completed */
	void (*wakeup)(struct uw_device *dev);                 /* a suspended device signals remote wake-up */
};

struct uw_backend {
	const char *name;
	/* Claims the device for exclusive use and resets it. 0 or an enum uw_status. */
	int (*open)(struct uw_device *dev);
	/* Ends every transfer (each completed once, from inside) and gives the device back. No byte moves afterwards. */
	void (*close)(struct uw_device *dev);
	void (*submit)(struct uw_device *dev, struct uw_transfer_io *io);
	/* Asks for an early end. The transfer completes soon, as cancelled or with its own outcome; never twice. */
	void (*cancel)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*reset)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*set_configuration)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*set_interface)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*clear_halt)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*alloc_streams)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*free_streams)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*suspend)(struct uw_device *dev, struct uw_transfer_io *io);
	void (*resume)(struct uw_device *dev, struct uw_transfer_io *io);
	/* The moment named by arm has come; NULL in a backend that never arms. */
	void (*timer)(struct uw_device *dev);
};

/* A device as its host sees it; backends embed it in their own object. */
struct uw_device {
	const struct uw_backend *ops;
	const struct uw_device_host *host; /* set by the host before open */
	void *owner;                       /* the host's own */
	uint8_t speed;                     /* enum uw_speed */
	uint8_t class_code;                /* bDeviceClass, bDeviceSubClass, bDeviceProtocol: USB 2.0 9.6.1 */
	uint8_t subclass;
	uint8_t protocol;
	uint16_t vendor;                   /* idVendor, idProduct, bcdDevice */
	uint16_t product;
	uint16_t release;
	char bus_id[32];                   /* as people name it: "1-4.2", "pico-1" */
	char description[96];              /* UTF-8, manufacturer and product, or of a data base */
};

/* Hands over a transfer, or the verb that it is. */
static inline void uw_device_begin(struct uw_device *dev, struct uw_transfer_io *io)
{
	const struct uw_backend *ops = dev->ops;
	void (*const begin[])(struct uw_device *device, struct uw_transfer_io *io) = {
		[UW_VERB_SUBMIT] = ops->submit,
		[UW_VERB_RESET] = ops->reset,
		[UW_VERB_SET_CONFIGURATION] = ops->set_configuration,
		[UW_VERB_SET_INTERFACE] = ops->set_interface,
		[UW_VERB_CLEAR_HALT] = ops->clear_halt,
		[UW_VERB_ALLOC_STREAMS] = ops->alloc_streams,
		[UW_VERB_FREE_STREAMS] = ops->free_streams,
		[UW_VERB_SUSPEND] = ops->suspend,
		[UW_VERB_RESUME] = ops->resume,
	};

	begin[io->verb](dev, io);
}

#endif
