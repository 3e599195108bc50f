/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the command line and a host's daemon or service say to each other, version 1; docs/CONTROL.md is the prose.
 *
 * A message is a header and a body of header.length bytes. All integers are little-endian. Text is UTF-8, padded
 * with zero bytes, and ends with at least one; names in commands are graphic ASCII. Reserved bytes are zero and are
 * checked. A command gets any number of records and then one UW_CTL_END, all with the command's id. The next command is
 * read when the answer has been taken.
 */
#ifndef USBWARP_CTL_H
#define USBWARP_CTL_H

#include "proto.h"

#define UW_CTL_MAGIC 0x4c435755u   /* "UWCL" in memory order */
#define UW_CTL_VERSION 1
#define UW_CTL_BODY_MAX 1024u      /* bytes of any body */

#define UW_CTL_NAME 32u            /* bytes of a bus id or VM name */
#define UW_CTL_DESCRIPTION 96u
#define UW_CTL_PATH 128u
#define UW_CTL_TEXT 512u
#define UW_CTL_VALUES_MAX 64u      /* counters of one scope */

/* The header is the same in all versions, so that a peer of another version can be told so. */
struct uw_ctl_header {
	uw_le32 magic;             /* UW_CTL_MAGIC */
	uw_le16 version;           /* UW_CTL_VERSION */
	uw_le16 type;              /* enum uw_ctl_type */
	uw_le32 id;                /* the client's choice, repeated in each answer */
	uw_le32 length;            /* bytes of the body, at most UW_CTL_BODY_MAX */
};

enum uw_ctl_type {
	UW_CTL_LIST = 1,           /* no body; a DEVICE for each */
	UW_CTL_BIND = 2,           /* struct uw_ctl_bind */
	UW_CTL_UNBIND = 3,         /* struct uw_ctl_unbind */
	UW_CTL_STATUS = 4,         /* no body; DAEMON, then for each VM a VM and its PORTs */
	UW_CTL_STATS = 5,          /* struct uw_ctl_stats; a COUNTER for each counter, then VALUES */
	UW_CTL_CAPTURE = 6,        /* struct uw_ctl_capture; DROPPED, then PACKETs until another command comes */

	UW_CTL_END = 256,          /* struct uw_ctl_end */
	UW_CTL_DAEMON = 257,       /* struct uw_ctl_daemon */
	UW_CTL_DEVICE = 258,       /* struct uw_ctl_device */
	UW_CTL_VM = 259,           /* struct uw_ctl_vm */
	UW_CTL_PORT = 260,         /* struct uw_ctl_port */
	UW_CTL_COUNTER = 261,      /* struct uw_ctl_counter */
	UW_CTL_VALUES = 262,       /* struct uw_ctl_values */
	UW_CTL_DROPPED = 263,      /* struct uw_ctl_dropped */
	UW_CTL_PACKET = 264,       /* struct uw_ctl_packet; then its bytes, in as many DATA as they need */
	UW_CTL_DATA = 265,         /* 1 to UW_CTL_BODY_MAX bytes */
};

enum uw_ctl_status {
	UW_CTL_OK = 0,
	UW_CTL_MALFORMED = 1,      /* the message breaks the format; the connection ends when its bounds are unknown */
	UW_CTL_BAD_VERSION = 2,    /* the connection ends */
	UW_CTL_UNKNOWN = 3,        /* no such command */
	UW_CTL_DENIED = 4,         /* this user may not talk to the daemon; the connection ends */
	UW_CTL_NO_DEVICE = 5,
	UW_CTL_NO_VM = 6,
	UW_CTL_BOUND = 7,          /* bound already */
	UW_CTL_NOT_BOUND = 8,
	UW_CTL_NO_PORT = 9,        /* no free port of that speed */
	UW_CTL_HUB = 10,           /* hubs are never bound */
	UW_CTL_BUSY = 11,          /* try again */
	UW_CTL_FAILED = 12,        /* the device could not be opened */
	UW_CTL_POLICY = 13,        /* a rule of the configuration forbids it */
	UW_CTL_IN_USE = 14,        /* the host lives on it; may be forced */
	UW_CTL_STATUS_COUNT
};

/* ---- commands ------------------------------------------------------------------------------------------------- */

struct uw_ctl_bind {
	uw_u8 bus_id[UW_CTL_NAME]; /* or a hardware id, VENDOR:PRODUCT in hexadecimal digits, * and ? */
	uw_u8 vm[UW_CTL_NAME];     /* empty: the only one */
	uw_u8 flags;               /* UW_CTL_BIND_* */
	uw_u8 reserved[15];
};

#define UW_CTL_BIND_FORCE 1u       /* though the host lives on the device */
#define UW_CTL_BIND_MOVE 2u        /* from the VM that has it */
#define UW_CTL_BIND_FLAGS 3u       /* all of them */

struct uw_ctl_unbind {
	uw_u8 bus_id[UW_CTL_NAME]; /* or a hardware id, as it was bound */
	uw_u8 reserved[16];
};

struct uw_ctl_stats {
	uw_u8 vm[UW_CTL_NAME];     /* empty: all */
	uw_u8 bus_id[UW_CTL_NAME]; /* empty: VMs as a whole, and all their devices */
	uw_u8 reserved[16];
};

struct uw_ctl_capture {
	uw_u8 bus_id[UW_CTL_NAME]; /* empty: all devices */
	uw_u8 vm[UW_CTL_NAME];     /* empty: all VMs */
	uw_le32 snaplen;           /* bytes of each packet that are wanted, at most; 0: none */
	uw_u8 reserved[12];
};

/* ---- answers -------------------------------------------------------------------------------------------------- */

struct uw_ctl_end {
	uw_le16 status;            /* enum uw_ctl_status */
	uw_u8 reserved[6];
	uw_u8 text[UW_CTL_TEXT];   /* for people: what went wrong, and what to do; may be empty */
};

struct uw_ctl_daemon {
	uw_u8 name[UW_CTL_NAME];   /* program */
	uw_u8 release[UW_CTL_NAME];
	uw_le32 pid;               /* the process that outlives crashes */
	uw_le32 worker;            /* the one that serves devices now */
	uw_le32 restarts;          /* workers started after the first */
	uw_le32 vms;
	uw_le64 uptime;            /* nanoseconds since the worker's start */
	uw_le64 usb_memory;        /* bytes of kernel memory for USB transfers in flight, an estimate */
	uw_le64 usb_memory_max;    /* what the kernel allows; 0: no limit or unknown */
	uw_le16 version_min;       /* versions of the shared memory that the host speaks */
	uw_le16 version_max;
	uw_u8 usb;                 /* 1: serves real devices; 0: model devices alone */
	uw_u8 reserved[3];
};

struct uw_ctl_device {
	uw_u8 bus_id[UW_CTL_NAME];
	uw_u8 backend[UW_CTL_NAME]; /* empty: a binding whose device is not there */
	uw_u8 vm[UW_CTL_NAME];     /* bound to; empty: not bound */
	uw_u8 description[UW_CTL_DESCRIPTION];
	uw_le16 vendor;
	uw_le16 product;
	uw_le16 release;           /* bcdDevice */
	uw_u8 class_code;          /* of the device, or of its first interface when the device leaves it open */
	uw_u8 subclass;
	uw_u8 protocol;
	uw_u8 speed;               /* enum uw_speed */
	uw_u8 port;                /* 0: not bound, or not yet on a port */
	uw_u8 state;               /* enum uw_ctl_device_state */
	uw_u8 reserved[4];
};

enum uw_ctl_device_state {
	UW_CTL_FREE = 0,
	UW_CTL_OPENING = 1,
	UW_CTL_ATTACHED = 2,       /* bound and open */
	UW_CTL_WAITING = 3,        /* bound; closed until a guest is there again */
	UW_CTL_NEVER = 4,          /* a hub */
	UW_CTL_AWAITED = 5,        /* remembered, and bound as soon as that can be; also a hardware id's own record */
	UW_CTL_CLOSING = 6,        /* being given back */
};

struct uw_ctl_vm {
	uw_u8 name[UW_CTL_NAME];
	uw_u8 guest[UW_CTL_NAME];  /* as the guest calls itself */
	uw_u8 path[UW_CTL_PATH];   /* socket or file through which the guest gets the region; cut when longer */
	uw_le64 features;          /* UW_FEATURE_*: agreed */
	uw_le32 size;              /* bytes of the region */
	uw_le32 link;              /* UW_LINK_* */
	uw_le32 epoch;
	uw_le32 incarnation;
	uw_le32 transfers;         /* in flight now */
	uw_le32 transfers_max;
	uw_le32 poll;              /* nanoseconds of polling after activity */
	uw_le32 breaker_threshold; /* hard errors in a row; 0 never opens */
	uw_le32 breaker_cooldown;  /* milliseconds */
	uw_le32 rate;              /* transfers per second and device; 0: no limit */
	uw_le32 burst;
	uw_u8 kind;                /* enum uw_ctl_link_kind */
	uw_u8 phase;               /* enum uw_ctl_phase */
	uw_u8 present;             /* 1: a guest's VM is connected; a polled link always says so */
	uw_u8 usb2_ports;
	uw_u8 usb3_ports;
	uw_u8 devices;             /* on ports */
	uw_u8 reserved[6];
};

enum uw_ctl_link_kind {
	UW_CTL_LINK_IVSHMEM = 0,   /* ivshmem-doorbell: kicks both ways */
	UW_CTL_LINK_FILE = 1,      /* a file or PCI resource: both sides poll */
	UW_CTL_LINK_HDV = 2,       /* Hyper-V device virtualization */
};

enum uw_ctl_phase {
	UW_CTL_PHASE_DRAIN = 0,    /* transfers of the former session are ending */
	UW_CTL_PHASE_OFFER = 1,    /* waits for a guest's driver */
	UW_CTL_PHASE_GREET = 2,
	UW_CTL_PHASE_RUN = 3,
	UW_CTL_PHASE_CLOSED = 4,   /* the driver said bye, or was refused */
	UW_CTL_PHASE_DOWN = 5,
};

struct uw_ctl_port {
	uw_u8 vm[UW_CTL_NAME];
	uw_u8 bus_id[UW_CTL_NAME];
	uw_u8 description[UW_CTL_DESCRIPTION];
	uw_le16 vendor;
	uw_le16 product;
	uw_le32 transfers;         /* with the device now */
	uw_le32 failures;          /* hard errors in a row */
	uw_u8 port;
	uw_u8 speed;               /* enum uw_speed */
	uw_u8 state;               /* enum uw_ctl_device_state */
	uw_u8 breaker;             /* enum uw_ctl_breaker */
};

enum uw_ctl_breaker {
	UW_CTL_BREAKER_CLOSED = 0,
	UW_CTL_BREAKER_OPEN = 1,
	UW_CTL_BREAKER_HALF = 2,
};

struct uw_ctl_counter {
	uw_le16 index;             /* of the counter in VALUES */
	uw_u8 reserved[6];
	uw_u8 name[UW_CTL_NAME];
	uw_u8 unit[UW_CTL_NAME];
	uw_u8 meaning[UW_CTL_PATH];
};

struct uw_ctl_values {
	uw_u8 vm[UW_CTL_NAME];
	uw_u8 bus_id[UW_CTL_NAME]; /* empty: the VM as a whole */
	uw_u8 port;                /* 0: the VM as a whole */
	uw_u8 count;               /* counters, at most UW_CTL_VALUES_MAX */
	uw_u8 reserved[6];
	uw_le64 samples;           /* transfers in the latencies below */
	uw_le64 p50;               /* nanoseconds from acceptance to answer */
	uw_le64 p90;
	uw_le64 p99;
	uw_le64 max;
	uw_le64 value[UW_CTL_VALUES_MAX];
};

/* How many packets found no room since the record before. The first record of a capture is one of these: it runs now. */
struct uw_ctl_dropped {
	uw_le64 packets;
};

/*
 * One event of a transfer between VM and device. The bytes behind it are those of isochronous packets' descriptors, then
 * data: what goes out at its submission, what has come in at its completion.
 */
struct uw_ctl_packet {
	uw_u8 vm[UW_CTL_NAME];
	uw_u8 bus_id[UW_CTL_NAME];
	uw_le64 time;              /* nanoseconds since 1970, UTC */
	uw_le64 id;                /* the same at submission and completion; used again afterwards */
	uw_le32 status;            /* 0 or a negative errno of Linux, as a two's complement; a submission's is -EINPROGRESS */
	uw_le32 length;            /* bytes asked for, or moved */
	uw_le32 bytes;             /* that the packet has: descriptors and data */
	uw_le32 captured;          /* of these, that follow */
	uw_u8 event;               /* enum uw_ctl_event */
	uw_u8 bus;                 /* the VM's place in STATUS, from 1 */
	uw_u8 port;                /* number */
	uw_u8 endpoint;            /* bEndpointAddress; for control the direction of the data stage */
	uw_u8 transfer;            /* enum uw_transfer */
	uw_u8 flags;               /* UW_SUBMIT_* */
	uw_le16 interval;          /* periodic: frames (low and full speed) or microframes */
	uw_u8 setup[8];            /* control: USB 2.0 9.3 */
	uw_le16 packets;           /* isochronous: packets of the transfer */
	uw_le16 descriptors;       /* of these, that follow whole */
	uw_le32 errors;            /* isochronous packets that failed; 0 at submission */
};

enum uw_ctl_event {
	UW_CTL_SUBMITTED = 0x53,   /* 'S' */
	UW_CTL_COMPLETED = 0x43,   /* 'C' */
};

/* An isochronous packet. */
struct uw_ctl_descriptor {
	uw_le32 status;            /* as in uw_ctl_packet; 0 at submission */
	uw_le32 offset;            /* bytes from the start of data */
	uw_le32 length;            /* bytes asked for, or moved */
	uw_u8 reserved[4];
};

UW_IS(struct uw_ctl_header, 16);
UW_AT(struct uw_ctl_header, magic, 0);
UW_AT(struct uw_ctl_header, version, 4);
UW_AT(struct uw_ctl_header, type, 6);
UW_AT(struct uw_ctl_header, id, 8);
UW_AT(struct uw_ctl_header, length, 12);
UW_IS(struct uw_ctl_bind, 80);
UW_AT(struct uw_ctl_bind, vm, 32);
UW_AT(struct uw_ctl_bind, flags, 64);
UW_IS(struct uw_ctl_unbind, 48);
UW_IS(struct uw_ctl_stats, 80);
UW_AT(struct uw_ctl_stats, bus_id, 32);
UW_IS(struct uw_ctl_capture, 80);
UW_AT(struct uw_ctl_capture, vm, 32);
UW_AT(struct uw_ctl_capture, snaplen, 64);
UW_IS(struct uw_ctl_end, 520);
UW_AT(struct uw_ctl_end, text, 8);
UW_IS(struct uw_ctl_daemon, 112);
UW_AT(struct uw_ctl_daemon, pid, 64);
UW_AT(struct uw_ctl_daemon, uptime, 80);
UW_AT(struct uw_ctl_daemon, version_min, 104);
UW_IS(struct uw_ctl_device, 208);
UW_AT(struct uw_ctl_device, vendor, 192);
UW_AT(struct uw_ctl_device, class_code, 198);
UW_AT(struct uw_ctl_device, state, 203);
UW_IS(struct uw_ctl_vm, 256);
UW_AT(struct uw_ctl_vm, features, 192);
UW_AT(struct uw_ctl_vm, size, 200);
UW_AT(struct uw_ctl_vm, kind, 244);
UW_IS(struct uw_ctl_port, 176);
UW_AT(struct uw_ctl_port, vendor, 160);
UW_AT(struct uw_ctl_port, port, 172);
UW_IS(struct uw_ctl_counter, 200);
UW_AT(struct uw_ctl_counter, name, 8);
UW_IS(struct uw_ctl_values, 624);
UW_AT(struct uw_ctl_values, port, 64);
UW_AT(struct uw_ctl_values, samples, 72);
UW_AT(struct uw_ctl_values, value, 112);
UW_IS(struct uw_ctl_dropped, 8);
UW_IS(struct uw_ctl_packet, 120);
UW_AT(struct uw_ctl_packet, time, 64);
UW_AT(struct uw_ctl_packet, status, 80);
UW_AT(struct uw_ctl_packet, event, 96);
UW_AT(struct uw_ctl_packet, interval, 102);
UW_AT(struct uw_ctl_packet, setup, 104);
UW_AT(struct uw_ctl_packet, packets, 112);
UW_IS(struct uw_ctl_descriptor, 16);
UW_AT(struct uw_ctl_descriptor, length, 8);

#endif
