/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs ask of the laboratory's virtual USB bus: device controls on \\.\UwBus, all METHOD_BUFFERED.
 *
 * The bus has one hub with UWB_PORTS ports; a model device (models/) sits in each. Text is UTF-8, padded with zero bytes,
 * at least one. Numbers are little-endian.
 */
#ifndef UWBUS_H
#define UWBUS_H

#include <stdint.h>

#define UWB_PORTS 15u
#define UWB_FILE 260u
#define UWB_ID 96u
#define UWB_STREAMS 255u     /* of an endpoint, unless it is set: what Windows gives at most */

/* CTL_CODE(0x8558, 0x800 + n, METHOD_BUFFERED, FILE_ANY_ACCESS) */
#define UWB_CODE(n) ((0x8558u << 16) | ((0x800u + (n)) << 2))

#define UWB_PLUG UWB_CODE(0)     /* in: struct uwb_plug, out: struct uwb_port */
#define UWB_UNPLUG UWB_CODE(1)   /* in: struct uwb_port: surprise removal */
#define UWB_REMOVE UWB_CODE(2)   /* in: struct uwb_port: query first; STATUS_UNSUCCESSFUL when a driver says no */
#define UWB_CYCLE UWB_CODE(3)    /* in: struct uwb_port: away, and back with the same identity */
#define UWB_REPLUG UWB_CODE(4)   /* in: struct uwb_plug: away, and this one at the same port */
#define UWB_LIST UWB_CODE(5)     /* out: struct uwb_list */
#define UWB_SWITCH UWB_CODE(6)   /* in: struct uwb_switch */
#define UWB_SELFTEST UWB_CODE(7) /* out: struct uwb_selftest */

#define UWB_PACED 1u             /* of uwb_plug.flags */
#define UWB_BABBLE 2u
#define UWB_READ_ONLY 4u
#define UWB_NO_SERIAL 8u         /* the instance id is made of hub and port, as for a device without serial number */

struct uwb_plug {
	char model[16];          /* pico, zero, disk */
	uint32_t port;           /* 0: the first free one */
	uint32_t speed;          /* enum uw_speed, 0: the model's own */
	uint32_t flags;
	uint32_t pattern;
	uint32_t streams;
	uint32_t autoresume;
	uint32_t block;
	uint32_t reserved;
	uint64_t size;           /* of a disk, 0: the file's */
	char serial[UWB_ID];     /* empty: the model's own */
	char file[UWB_FILE];     /* disk: an NT path, \??\... */
	char reserved2[4];
};

struct uwb_port {
	uint32_t port;
	uint32_t reserved;
};

enum uwb_state {
	UWB_ABSENT,
	UWB_PLUGGED,             /* reported, not started: no driver, or not yet */
	UWB_STARTED,
	UWB_LEAVING,             /* unplugged, its drivers have not let go */
};

struct uwb_entry {
	uint32_t port;
	uint32_t state;          /* enum uwb_state */
	uint32_t speed;
	uint32_t configuration;  /* bConfigurationValue */
	uint32_t outstanding;    /* URBs accepted, not yet completed */
	uint32_t enumerated;     /* times that a PDO was reported here */
	uint64_t urbs;           /* accepted so far */
	char model[16];
	char id[UWB_ID];         /* device instance id */
};

struct uwb_list {
	uint32_t mode;           /* enum uwb_mode */
	uint32_t delay;
	uint32_t refused;        /* since the driver was loaded */
	uint32_t count;
	uint32_t slow;
	uint32_t frame;          /* the bus's number of the frame, as drivers are told */
	struct uwb_entry entry[UWB_PORTS];
};

enum uwb_mode {
	UWB_INLINE,              /* inside IoCallDriver, where the caller's IRQL allows it */
	UWB_DPC,                 /* as a host controller does */
	UWB_DELAY,               /* value milliseconds later, at DISPATCH_LEVEL */
};

enum uwb_what {
	UWB_SET_MODE,            /* value: enum uwb_mode, value2: milliseconds; the whole bus */
	UWB_IGNORE_CANCEL,       /* value: milliseconds from a cancel or abort until the transfer ends */
	UWB_FAIL,                /* value: the how-manieth URB from now, value2: USBD_STATUS; the device does not see it */
	UWB_NAK,                 /* value: 1: every endpoint but 0 answers NAK for ever; 0: no more */
	UWB_SLOW,                /* value: 1 to 1000, how many times slower the bus's clock goes; while nothing is plugged in */
	UWB_FULL,                /* value: every URB fails with USBD_STATUS_INSUFFICIENT_RESOURCES while it is 1 */
	UWB_OFFER,               /* value: streams of an endpoint, value2: 1: chains of MDLs; for drivers that start from now on */
};

struct uwb_switch {
	uint32_t port;           /* 0: all that are plugged in now */
	uint32_t what;           /* enum uwb_what */
	uint32_t value;
	uint32_t value2;
};

#define UWB_CASE 64u

struct uwb_selftest {
	uint32_t passed;
	uint32_t failed;
	uint32_t skipped;        /* need a kernel that has IRQLs or MDLs */
	uint32_t status;         /* what the first case that failed brought */
	char first[UWB_CASE];    /* its name */
};

#endif
