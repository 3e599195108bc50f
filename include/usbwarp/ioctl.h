/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the Windows service asks of UsbWarp.sys: device controls on \\.\UsbWarp, all METHOD_BUFFERED, version 1.
 *
 * A handle starts blank. UW_NT_HELLO comes first on each; UW_NT_OPEN then makes it a session, the host's end of one VM,
 * for as long as the handle lives: closing it, however that comes about, ends the session and lets go of its devices.
 * All integers are little-endian and of fixed width, so a 32-bit caller sends the same bytes. Text is UTF-8 padded with
 * zero bytes, at least one. Reserved bytes are zero and are checked. A body of another size than the structure's is
 * STATUS_INVALID_BUFFER_SIZE, a wrong value in it STATUS_INVALID_PARAMETER, a request out of place
 * STATUS_INVALID_DEVICE_STATE; nothing has changed then. A handle that will not do is refused with the object manager's own
 * status, and a section that cannot be mapped or locked with the memory manager's. A request that pends may be cancelled:
 * an attach is then undone, a detach or stop goes on by itself. The device is open to SYSTEM and Administrators alone.
 */
#ifndef USBWARP_IOCTL_H
#define USBWARP_IOCTL_H

#include "ctl.h"

#define UW_NT_DEVICE "UsbWarp"     /* \Device\UsbWarp, and \\.\UsbWarp for programs */
#define UW_NT_VERSION 1
#define UW_NT_LINK 256u            /* UTF-16 units of an interface's name, at least one of them zero */
#define UW_NT_DEVICES_MAX 128u     /* of one UW_NT_DEVICES */

/* CTL_CODE(0x8557, 0x800 + n, METHOD_BUFFERED, FILE_READ_DATA | FILE_WRITE_DATA) */
#define UW_NT_CODE(n) ((0x8557u << 16) | (3u << 14) | ((0x800u + (n)) << 2))

#define UW_NT_HELLO UW_NT_CODE(0)    /* in and out: struct uw_nt_hello */
#define UW_NT_OPEN UW_NT_CODE(1)     /* in: struct uw_nt_open, out: struct uw_nt_opened */
#define UW_NT_PRESENT UW_NT_CODE(2)  /* in: struct uw_nt_present */
#define UW_NT_ATTACH UW_NT_CODE(3)   /* in: struct uw_nt_attach, out: struct uw_nt_attached; pends while the device opens */
#define UW_NT_DETACH UW_NT_CODE(4)   /* in: struct uw_nt_port; pends until the device is closed */
#define UW_NT_WATCH UW_NT_CODE(5)    /* any handle after hello; in and out: struct uw_nt_watch; pends until it changes */
#define UW_NT_STATUS UW_NT_CODE(6)   /* out: struct uw_nt_status */
#define UW_NT_STATS UW_NT_CODE(7)    /* in: struct uw_nt_port (0: the VM as a whole), out: struct uw_nt_stats */
#define UW_NT_STOP UW_NT_CODE(8)     /* no body; pends until every transfer has ended and the host page says DOWN */
#define UW_NT_DEVICES UW_NT_CODE(9)  /* any handle after hello; out: struct uw_nt_devices */

/* The interface that UsbWarpFilter.sys registers for each devnode it drives: {fe90d5d0-814c-4e90-a6b5-6b5370d68b35} */
#define UW_NT_INTERFACE 0xfe90d5d0, 0x814c, 0x4e90, 0xa6, 0xb5, 0x6b, 0x53, 0x70, 0xd6, 0x8b, 0x35

struct uw_nt_hello {
	uw_le16 version_min;       /* in: what the caller speaks; out: what the driver speaks */
	uw_le16 version_max;
	uw_u8 reserved[4];
	uw_u8 release[UW_CTL_NAME];
};

/*
 * section: a handle of the caller's with SECTION_MAP_READ | SECTION_MAP_WRITE to at least size bytes, backed by the
 * paging file. The driver maps and locks it, makes the layout, and publishes it before it answers: no guest may be able
 * to see the section earlier. doorbell and interrupt: auto-reset events, EVENT_MODIFY_STATE | SYNCHRONIZE; the first
 * is set when the guest kicks, the second is set by the driver when the guest's interrupt is to be raised. The caller may
 * close all three handles when the call has returned.
 */
struct uw_nt_open {
	uw_u8 name[UW_CTL_NAME];   /* of the VM, for people */
	uw_le64 section;
	uw_le64 doorbell;
	uw_le64 interrupt;
	uw_le32 size;              /* bytes of the region: a power of two, UW_REGION_MIN to 64 MiB */
	uw_le32 epoch;             /* the last one published in a region that this VM's guest may still remember; 0: none */
	uw_le32 poll;              /* nanoseconds of polling after activity; 0: never */
	uw_le32 breaker_threshold; /* hard errors in a row; 0 never opens */
	uw_le32 breaker_cooldown;  /* milliseconds */
	uw_le32 rate;              /* transfers per second and device; 0: no limit */
	uw_le32 burst;
	uw_le32 orphan;            /* milliseconds */
	uw_u8 reserved[8];
};

struct uw_nt_opened {
	uw_le32 doorbell;          /* the value that the guest writes to the doorbell register */
	uw_u8 reserved[4];
};

struct uw_nt_present {
	uw_u8 present;             /* 1: the VM runs; 0: it has ended */
	uw_u8 reserved[7];
};

struct uw_nt_attach {
	uw_le16 link[UW_NT_LINK];  /* the interface's symbolic link without its first four characters, in any case */
	uw_u8 port;                /* wanted; 0 or taken: any */
	uw_u8 reserved[7];
};

struct uw_nt_attached {
	uw_le16 status;            /* enum uw_ctl_status: OK, NO_DEVICE, BOUND, NO_PORT, FAILED */
	uw_u8 port;
	uw_u8 reserved[5];
};

struct uw_nt_port {
	uw_u8 port;
	uw_u8 reserved[7];
};

struct uw_nt_watch {
	uw_le32 generation;        /* in: as the caller knows it; out: now. Counts arrivals, removals, and changes of status */
	uw_u8 reserved[4];
};

struct uw_nt_port_status {
	uw_le32 transfers;         /* with the device now */
	uw_le32 failures;          /* hard errors in a row */
	uw_u8 state;               /* enum uw_ctl_device_state; FREE: no device, and the rest is 0 */
	uw_u8 speed;               /* enum uw_speed */
	uw_u8 breaker;             /* enum uw_ctl_breaker */
	uw_u8 reserved[5];
};

struct uw_nt_status {
	uw_u8 guest[UW_CTL_NAME];
	uw_le64 features;
	uw_le32 size;
	uw_le32 epoch;
	uw_le32 incarnation;
	uw_le32 transfers;
	uw_le32 transfers_max;
	uw_le32 generation;
	uw_u8 phase;               /* enum uw_ctl_phase */
	uw_u8 present;
	uw_u8 usb2_ports;
	uw_u8 usb3_ports;
	uw_u8 reserved[4];
	struct uw_nt_port_status ports[UW_PORTS_MAX]; /* of port 1, 2, ... */
};

struct uw_nt_stats {
	uw_le64 samples;           /* transfers in the latencies below */
	uw_le64 p50;               /* nanoseconds from acceptance to answer */
	uw_le64 p90;
	uw_le64 p99;
	uw_le64 max;
	uw_le32 count;             /* values, in the order of UW_COUNTERS */
	uw_u8 reserved[4];
	uw_le64 value[UW_CTL_VALUES_MAX];
};

/* A devnode that UsbWarpFilter.sys drives and UsbWarp.sys knows. */
struct uw_nt_device {
	uw_le16 link[UW_NT_LINK];  /* as in uw_nt_attach */
	uw_u8 vm[UW_CTL_NAME];     /* whose session it is attached to; empty: none */
	uw_le16 vendor;
	uw_le16 product;
	uw_le16 release;
	uw_u8 speed;               /* enum uw_speed */
	uw_u8 port;                /* 0: not attached */
	uw_u8 state;               /* enum uw_ctl_device_state */
	uw_u8 reserved[7];
};

struct uw_nt_devices {
	uw_le32 generation;        /* as in uw_nt_watch */
	uw_le32 count;             /* at most UW_NT_DEVICES_MAX */
	struct uw_nt_device devices[UW_NT_DEVICES_MAX];
};

UW_IS(struct uw_nt_hello, 40);
UW_AT(struct uw_nt_hello, release, 8);
UW_IS(struct uw_nt_open, 96);
UW_AT(struct uw_nt_open, section, 32);
UW_AT(struct uw_nt_open, size, 56);
UW_AT(struct uw_nt_open, orphan, 84);
UW_IS(struct uw_nt_opened, 8);
UW_IS(struct uw_nt_present, 8);
UW_IS(struct uw_nt_attach, 520);
UW_AT(struct uw_nt_attach, port, 512);
UW_IS(struct uw_nt_attached, 8);
UW_IS(struct uw_nt_port, 8);
UW_IS(struct uw_nt_watch, 8);
UW_IS(struct uw_nt_port_status, 16);
UW_IS(struct uw_nt_status, 72 + 46 * 16);
UW_AT(struct uw_nt_status, features, 32);
UW_AT(struct uw_nt_status, phase, 64);
UW_AT(struct uw_nt_status, ports, 72);
UW_IS(struct uw_nt_stats, 560);
UW_AT(struct uw_nt_stats, value, 48);
UW_IS(struct uw_nt_device, 560);
UW_AT(struct uw_nt_device, vm, 512);
UW_AT(struct uw_nt_device, speed, 550);
UW_IS(struct uw_nt_devices, 8 + 128 * 560);

#endif
