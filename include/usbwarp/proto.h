/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every byte that a UsbWarp host and guest share, version 1.
 *
 * This header is the specification; docs/PROTOCOL.md says the same in prose, and a test compares its tables with
 * the compiler's offsets. All integers are little-endian. Reserved bytes are written as zero; the reader checks those of
 * messages and ignores those of pages and packet tables, where a later version may put something. "Offset" without more
 * means bytes from the start of the region. Each page has one writer.
 */
#ifndef USBWARP_PROTO_H
#define USBWARP_PROTO_H

/*
 * Wire integers. A port that has annotated endian types (Linux's __le32, which sparse follows) defines UW_LE_TYPES
 * and the three names before it includes this header.
 */
typedef unsigned char uw_u8;
#ifndef UW_LE_TYPES
typedef unsigned short uw_le16;
typedef unsigned int uw_le32;
typedef unsigned long long uw_le64;
#endif

#define UW_MAGIC 0x3150524157425355ull /* "USBWARP1" in memory order */
#define UW_VERSION 1

#define UW_PAGE 4096u                /* unit of ownership: every part of the region starts and ends on one */
#define UW_REGION_MIN (4u << 20)     /* bytes; the region is a power of two */
#define UW_REGION_MAX (256u << 20)
#define UW_REGION_DEFAULT (32u << 20)
#define UW_SLOT 64u                  /* bytes of one ring slot: one cache line */
#define UW_SLOTS_MIN 16u             /* slots of a ring: a power of two */
#define UW_SLOTS_MAX 4096u           /* of the submission ring; the completion ring has twice as many */
#define UW_TRANSFERS_MAX 65536u      /* entries of the transfer table: an id has 16 bits for the entry */
#define UW_USB2_PORTS_MAX 31u        /* USB 2.0 11.23.2.1 and Linux's USB_MAXCHILDREN */
#define UW_USB3_PORTS_MAX 15u        /* USB 3.2 10.15.2.1 */
#define UW_PORTS_MAX (UW_USB2_PORTS_MAX + UW_USB3_PORTS_MAX)
#define UW_PACKETS_MAX 1024u         /* isochronous packets of one submission */
#define UW_STREAMS_MAX 65533u        /* stream ids 1..65533: USB 3.2 8.12.1.4 */
#define UW_STREAM_ENDPOINTS 30u      /* endpoints named by one streams message */
#define UW_STATS_PER_MESSAGE 5u
#define UW_NAME 32u                  /* bytes of a name in hello and welcome: printable ASCII, zero-padded */

/* ---- pages ---------------------------------------------------------------------------------------------------- */

/*
 * The hot line of a page: written by the page's owner, read by its peer, alone in its cache line.
 * wake and consumed are positions in the ring the owner reads, space is one in the ring it writes.
 */
struct uw_hot {
	uw_le32 wake;         /* kick me once your position passes this one: position of the slot I wait for */
	uw_le32 consumed;     /* I have read your ring up to this position (exclusive) */
	uw_le32 space;        /* kick me once your consumed passes this one: I wait for room in my ring */
	uw_le32 reserved[13];
};

/* State of the host, in its page: what is promised of transfers. It says nothing of the rest of the page but the magic,
 * the fixed part and the epoch. */
enum uw_host_state {
	UW_HOST_DOWN = 0,      /* nobody serves the region; every transfer has ended and no byte moves any more */
	UW_HOST_RESETTING = 1, /* a new epoch is being prepared; transfers of the old one may still move bytes */
	UW_HOST_READY = 2,     /* the epoch in this page is offered or in use */
};

/* The first lines of the host page. Everything but epoch and state is fixed for the life of the region; a guest copies
 * them once for each epoch and checks the copy. The host never reads them back. */
struct uw_host_head {
	uw_le64 magic;         /* UW_MAGIC */
	uw_le16 version_min;   /* versions the host speaks */
	uw_le16 version_max;
	uw_le32 size;          /* bytes of the region */
	uw_le64 features;      /* UW_FEATURE_*: offered */
	uw_le32 epoch;         /* not 0; written with release, after all that belongs to it */
	uw_le32 state;         /* enum uw_host_state */
	uw_le32 guest_page;    /* offset, multiple of UW_PAGE, as are the next three */
	uw_le32 sub_ring;
	uw_le32 comp_ring;
	uw_le32 data;
	uw_le32 data_size;     /* bytes, multiple of UW_PAGE */
	uw_le16 sub_slots;     /* power of two, UW_SLOTS_MIN..UW_SLOTS_MAX */
	uw_le16 comp_slots;    /* twice sub_slots */
	uw_le32 start;         /* position of the first message of every epoch, both rings */
	uw_le16 reserve;       /* submission slots that only cancel, event ack and bye may take: 1..sub_slots/2 */
	uw_le16 granule;       /* bytes: ranges of data begin and end on it; power of two, 64..4096 */
	uw_le32 transfers;     /* submissions in flight, at most: power of two, at most UW_TRANSFERS_MAX */
	uw_le16 share;         /* of these, kept for each port; endpoint 0 and port requests have one more each */
	uw_u8 usb2_ports;      /* ports 1..usb2_ports: low, full and high speed */
	uw_u8 usb3_ports;      /* ports usb2_ports+1..usb2_ports+usb3_ports: super speed */
	uw_le32 transfer_max;  /* bytes of one submission's data, at most; multiple of UW_PAGE */
	uw_le16 packets_max;   /* isochronous packets of one submission, at most; 0 without UW_FEATURE_ISOCH */
	uw_le16 isoch_max;     /* isochronous submissions in flight, at most */
	uw_le32 doorbell;      /* value to write to the doorbell register to kick the host */
	uw_le32 link;          /* UW_LINK_* */
	uw_u8 reserved[40];
};

/* Host page: at offset 0 of the region. Written by the host only. */
struct uw_host_page {
	struct uw_host_head head;
	struct uw_hot hot;     /* offset 128 */
	uw_u8 reserved[UW_PAGE - 192];
};

#define UW_LINK_DOORBELL (1u << 0)  /* the host listens to the doorbell; without it the host polls */
#define UW_LINK_INTERRUPT (1u << 1) /* the host interrupts the guest; without it the guest polls */

#define UW_FEATURE_ISOCH (1ull << 0)   /* isochronous transfers */
#define UW_FEATURE_STREAMS (1ull << 1) /* bulk streams */
#define UW_FEATURE_STATS (1ull << 2)   /* stats requests */
#define UW_FEATURE_SUSPEND (1ull << 3) /* port suspend and resume reach the device */

/* Guest page: at host_page.guest_page. Written by the guest only. */
struct uw_guest_page {
	uw_le32 incarnation;   /* not 0 while a guest is there; a change asks the host for a new epoch */
	uw_le32 epoch;         /* the epoch the guest works in, written with release after its rings are ready */
	uw_u8 reserved0[120];
	struct uw_hot hot;     /* offset 128 */
	uw_u8 reserved1[UW_PAGE - 192];
};

/* ---- slots ---------------------------------------------------------------------------------------------------- */

/*
 * One slot of a ring. Message number p (its position, counted modulo 2^32) lies in slot p mod slots. The tag is
 * p + 1, written last with release and read with acquire. An empty slot holds the tag of one lap before, p + 1 -
 * slots; a producer that begins an epoch fills its ring so. Any other tag is corruption.
 */
struct uw_slot {
	uw_le32 tag;
	uw_le16 epoch;         /* low 16 bits of the epoch */
	uw_u8 type;            /* enum uw_sub or enum uw_comp */
	uw_u8 flags;           /* UW_SUBMIT_* in a submit, else 0 */
	uw_le32 consumed;      /* the sender has read the other ring up to this position */
	uw_le32 id;
	union {
		uw_u8 body[48];
		struct uw_hello {
			uw_le16 version_min; /* versions the guest speaks */
			uw_le16 version_max;
			uw_le32 incarnation; /* as in the guest page */
			uw_le64 features;    /* UW_FEATURE_*: wanted; a subset of the offer */
			uw_u8 name[UW_NAME]; /* who the guest is, for people */
		} hello;
		struct uw_submit {
			uw_le32 data;        /* bytes from the start of the data part */
			uw_le32 length;      /* bytes, 0..transfer_max */
			uw_le32 table;       /* isochronous: packet table, bytes from the start of data, multiple of 16 */
			uw_le16 packets;     /* isochronous: entries of the table, 1..packets_max; else 0 */
			uw_le16 stream;      /* bulk: stream id, 0 without streams; else 0 */
			uw_u8 setup[8];      /* control: USB 2.0 9.3, wLength equal to length; else 0 */
			uw_u8 port;          /* 1..ports */
			uw_u8 endpoint;      /* bEndpointAddress; for control the direction of the data stage */
			uw_u8 transfer;      /* enum uw_transfer */
			uw_u8 reserved0;
			uw_le16 interval;    /* periodic: frames (low, full speed) or microframes, at least 1; else 0 */
			uw_u8 reserved1[18];
		} submit;
		struct uw_port_request {
			uw_u8 port;
			uw_u8 request;       /* enum uw_request */
			uw_u8 reserved[46];
		} port;
		struct uw_streams {
			uw_u8 port;
			uw_u8 count;         /* endpoints named, 1..UW_STREAM_ENDPOINTS */
			uw_le16 streams;     /* stream ids asked for, 1..UW_STREAMS_MAX; 0 in a free */
			uw_u8 endpoint[UW_STREAM_ENDPOINTS]; /* bEndpointAddress each; 0 past count */
			uw_u8 reserved[14];
		} streams;
		struct uw_event_ack {
			uw_u8 port;
			uw_u8 reserved0[3];
			uw_le32 seq;         /* as in the event */
			uw_u8 reserved1[40];
		} ack;
		struct uw_stats_request {
			uw_le16 first;       /* index of the first counter wanted */
			uw_u8 reserved[46];
		} stats_request;

		struct uw_welcome {
			uw_le16 version;     /* agreed; 0 when refused */
			uw_le16 status;      /* enum uw_status */
			uw_le32 epoch;       /* all 32 bits */
			uw_le64 features;    /* agreed */
			uw_u8 name[UW_NAME]; /* who the host is, for people */
		} welcome;
		struct uw_complete {
			uw_le16 status;      /* enum uw_status */
			uw_le16 why;         /* enum uw_why, with UW_ST_INVALID; else 0 */
			uw_le32 actual;      /* bytes moved, whatever the status; streams granted, for an alloc */
			uw_le32 errors;      /* isochronous: packets whose status is not UW_ST_OK */
			uw_u8 reserved[36];
		} complete;
		struct uw_event {
			uw_u8 port;
			uw_u8 speed;         /* enum uw_speed: what is connected now */
			uw_le16 changes;     /* UW_EVENT_* */
			uw_le32 seq;         /* of this port, counts up; the guest acknowledges it */
			uw_u8 reserved[40];
		} event;
		struct uw_stats {
			uw_le16 first;       /* index of value[0] */
			uw_le16 count;       /* values here, 0..UW_STATS_PER_MESSAGE */
			uw_le16 total;       /* counters the host has */
			uw_u8 reserved[2];
			uw_le64 value[UW_STATS_PER_MESSAGE];
		} stats;
	} u;
};

/* Types of a submission: guest to host. */
enum uw_sub {
	UW_SUB_HELLO = 1,         /* message 0 of an epoch; answered by welcome */
	UW_SUB_SUBMIT = 2,        /* answered by complete */
	UW_SUB_CANCEL = 3,        /* of the submission named by id; no answer of its own */
	UW_SUB_PORT = 4,          /* answered by complete */
	UW_SUB_STREAMS_ALLOC = 5, /* answered by complete */
	UW_SUB_STREAMS_FREE = 6,  /* answered by complete */
	UW_SUB_EVENT_ACK = 7,     /* no answer */
	UW_SUB_STATS = 8,         /* answered by stats */
	UW_SUB_BYE = 9,           /* answered by bye, after every transfer has been answered */
};

/* Types of a completion: host to guest. Numbered apart, so that neither can pass for the other. */
enum uw_comp {
	UW_COMP_WELCOME = 65,
	UW_COMP_COMPLETE = 66,
	UW_COMP_EVENT = 67,
	UW_COMP_STATS = 68,
	UW_COMP_BYE = 69,
};

#define UW_SUBMIT_ZERO_PACKET (1u << 0)  /* bulk OUT: end a full last packet with an empty one */
#define UW_SUBMIT_SHORT_NOT_OK (1u << 1) /* IN: fewer bytes than asked for stop the endpoint's queue */
#define UW_SUBMIT_FLAGS 3u

/* Transfer types, numbered as bmAttributes of an endpoint descriptor: USB 2.0 9.6.6. */
enum uw_transfer {
	UW_CONTROL = 0,
	UW_ISOCH = 1,
	UW_BULK = 2,
	UW_INTERRUPT = 3,
};

enum uw_request {
	UW_PORT_RESET = 1,
	UW_PORT_SUSPEND = 2,
	UW_PORT_RESUME = 3,
	UW_PORT_POWER_ON = 4,
	UW_PORT_POWER_OFF = 5,
};

enum uw_speed {
	UW_SPEED_NONE = 0,     /* nothing connected */
	UW_SPEED_LOW = 1,
	UW_SPEED_FULL = 2,
	UW_SPEED_HIGH = 3,
	UW_SPEED_SUPER = 4,
};

#define UW_EVENT_CONNECT (1u << 0)     /* connected or disconnected, perhaps several times, since the last event */
#define UW_EVENT_WAKEUP (1u << 1)      /* the suspended device asked for resume: USB 2.0 7.1.7.7 */
#define UW_EVENT_LOST_POWER (1u << 2)  /* the device was reset behind the guest's back: reset it and set it up anew */
#define UW_EVENT_OVERCURRENT (1u << 3)
#define UW_EVENTS 15u

/* What an answer says. The number is also the packet status of an isochronous table. */
enum uw_status {
	UW_ST_OK = 0,
	UW_ST_STALL = 1,       /* the endpoint answered STALL: an answer, not a fault */
	UW_ST_CANCELLED = 2,   /* by cancel, port reset or disconnect of the guest */
	UW_ST_BABBLE = 3,      /* the device sent more than was asked for */
	UW_ST_PROTOCOL = 4,    /* transaction error: CRC, bit stuffing, no response */
	UW_ST_NO_DEVICE = 5,   /* nothing is connected to the port, or no longer */
	UW_ST_NO_ENDPOINT = 6, /* the device has no such endpoint, configuration, interface or stream now */
	UW_ST_BUSY = 7,        /* beyond a published limit */
	UW_ST_INVALID = 8,     /* malformed: why says how */
	UW_ST_UNSUPPORTED = 9, /* well formed, but not agreed on or impossible on this host */
	UW_ST_BLOCKED = 10,    /* the device's circuit breaker is open */
	UW_ST_LATE = 11,       /* isochronous packet: its time had passed */
	UW_ST_HOST = 12,       /* the host's own failure */
	UW_ST_COUNT
};

/* Which check a malformed message failed, in the order in which they are made; but PACKET comes last, as only the table in
 * data can tell. */
enum uw_why {
	UW_WHY_NONE = 0,
	UW_WHY_ID = 1,         /* entry beyond the transfer table */
	UW_WHY_TYPE = 2,       /* unknown message type */
	UW_WHY_FLAGS = 3,
	UW_WHY_RESERVED = 4,   /* a reserved byte, or a field without meaning here, is not 0 */
	UW_WHY_PORT = 5,
	UW_WHY_ENDPOINT = 6,   /* number, direction or type do not go together */
	UW_WHY_TRANSFER = 7,   /* unknown transfer type */
	UW_WHY_SETUP = 8,      /* direction or wLength contradicts the submission, or the request is not the guest's */
	UW_WHY_LENGTH = 9,
	UW_WHY_RANGE = 10,     /* data beyond the data part */
	UW_WHY_PACKETS = 11,   /* number of packets */
	UW_WHY_TABLE = 12,     /* packet table beyond the data part, misaligned, or over its own data */
	UW_WHY_PACKET = 13,    /* a packet outside its transfer */
	UW_WHY_INTERVAL = 14,
	UW_WHY_STREAM = 15,
	UW_WHY_REQUEST = 16,   /* unknown port request */
	UW_WHY_STATE = 17,     /* before hello was agreed on, or after bye; a second hello gets a welcome instead */
	UW_WHY_COUNT
};

/* One entry of an isochronous packet table in data. The guest writes offset and length, the host the rest. */
struct uw_packet {
	uw_le32 offset;        /* bytes from the start of the submission's data */
	uw_le32 length;        /* bytes */
	uw_le32 actual;        /* bytes moved, at most length */
	uw_le16 status;        /* enum uw_status */
	uw_le16 reserved;
};

/*
 * An id names a transfer for both sides: the low 16 bits are its entry in the transfer table, the high 16 count the
 * uses of that entry, so that a late cancel never meets a later transfer. hello, event ack and bye carry id 0.
 */
#define UW_ID_ENTRY(id) ((id) & 0xffffu)
#define UW_ID(entry, use) ((unsigned int)(use) << 16 | (entry))

/* ---- sizes and offsets ---------------------------------------------------------------------------------------- */

#define UW_AT(type, field, offset) _Static_assert(__builtin_offsetof(type, field) == (offset), #type "." #field)
#define UW_IS(type, size) _Static_assert(sizeof(type) == (size), #type)

UW_IS(struct uw_hot, 64);
UW_AT(struct uw_hot, wake, 0);
UW_AT(struct uw_hot, consumed, 4);
UW_AT(struct uw_hot, space, 8);
UW_AT(struct uw_hot, reserved, 12);

UW_IS(struct uw_host_head, 128);
UW_AT(struct uw_host_head, magic, 0);
UW_AT(struct uw_host_head, version_min, 8);
UW_AT(struct uw_host_head, version_max, 10);
UW_AT(struct uw_host_head, size, 12);
UW_AT(struct uw_host_head, features, 16);
UW_AT(struct uw_host_head, epoch, 24);
UW_AT(struct uw_host_head, state, 28);
UW_AT(struct uw_host_head, guest_page, 32);
UW_AT(struct uw_host_head, sub_ring, 36);
UW_AT(struct uw_host_head, comp_ring, 40);
UW_AT(struct uw_host_head, data, 44);
UW_AT(struct uw_host_head, data_size, 48);
UW_AT(struct uw_host_head, sub_slots, 52);
UW_AT(struct uw_host_head, comp_slots, 54);
UW_AT(struct uw_host_head, start, 56);
UW_AT(struct uw_host_head, reserve, 60);
UW_AT(struct uw_host_head, granule, 62);
UW_AT(struct uw_host_head, transfers, 64);
UW_AT(struct uw_host_head, share, 68);
UW_AT(struct uw_host_head, usb2_ports, 70);
UW_AT(struct uw_host_head, usb3_ports, 71);
UW_AT(struct uw_host_head, transfer_max, 72);
UW_AT(struct uw_host_head, packets_max, 76);
UW_AT(struct uw_host_head, isoch_max, 78);
UW_AT(struct uw_host_head, doorbell, 80);
UW_AT(struct uw_host_head, link, 84);
UW_AT(struct uw_host_head, reserved, 88);

UW_IS(struct uw_host_page, UW_PAGE);
UW_AT(struct uw_host_page, head, 0);
UW_AT(struct uw_host_page, hot, 128);
UW_AT(struct uw_host_page, reserved, 192);

UW_IS(struct uw_guest_page, UW_PAGE);
UW_AT(struct uw_guest_page, incarnation, 0);
UW_AT(struct uw_guest_page, epoch, 4);
UW_AT(struct uw_guest_page, reserved0, 8);
UW_AT(struct uw_guest_page, hot, 128);
UW_AT(struct uw_guest_page, reserved1, 192);

UW_IS(struct uw_slot, UW_SLOT);
UW_AT(struct uw_slot, tag, 0);
UW_AT(struct uw_slot, epoch, 4);
UW_AT(struct uw_slot, type, 6);
UW_AT(struct uw_slot, flags, 7);
UW_AT(struct uw_slot, consumed, 8);
UW_AT(struct uw_slot, id, 12);
UW_AT(struct uw_slot, u, 16);

UW_IS(struct uw_hello, 48);
UW_AT(struct uw_hello, version_min, 0);
UW_AT(struct uw_hello, version_max, 2);
UW_AT(struct uw_hello, incarnation, 4);
UW_AT(struct uw_hello, features, 8);
UW_AT(struct uw_hello, name, 16);

UW_IS(struct uw_submit, 48);
UW_AT(struct uw_submit, data, 0);
UW_AT(struct uw_submit, length, 4);
UW_AT(struct uw_submit, table, 8);
UW_AT(struct uw_submit, packets, 12);
UW_AT(struct uw_submit, stream, 14);
UW_AT(struct uw_submit, setup, 16);
UW_AT(struct uw_submit, port, 24);
UW_AT(struct uw_submit, endpoint, 25);
UW_AT(struct uw_submit, transfer, 26);
UW_AT(struct uw_submit, reserved0, 27);
UW_AT(struct uw_submit, interval, 28);
UW_AT(struct uw_submit, reserved1, 30);

UW_IS(struct uw_port_request, 48);
UW_AT(struct uw_port_request, port, 0);
UW_AT(struct uw_port_request, request, 1);
UW_AT(struct uw_port_request, reserved, 2);

UW_IS(struct uw_streams, 48);
UW_AT(struct uw_streams, port, 0);
UW_AT(struct uw_streams, count, 1);
UW_AT(struct uw_streams, streams, 2);
UW_AT(struct uw_streams, endpoint, 4);
UW_AT(struct uw_streams, reserved, 34);

UW_IS(struct uw_event_ack, 48);
UW_AT(struct uw_event_ack, port, 0);
UW_AT(struct uw_event_ack, reserved0, 1);
UW_AT(struct uw_event_ack, seq, 4);
UW_AT(struct uw_event_ack, reserved1, 8);

UW_IS(struct uw_stats_request, 48);
UW_AT(struct uw_stats_request, first, 0);
UW_AT(struct uw_stats_request, reserved, 2);

UW_IS(struct uw_welcome, 48);
UW_AT(struct uw_welcome, version, 0);
UW_AT(struct uw_welcome, status, 2);
UW_AT(struct uw_welcome, epoch, 4);
UW_AT(struct uw_welcome, features, 8);
UW_AT(struct uw_welcome, name, 16);

UW_IS(struct uw_complete, 48);
UW_AT(struct uw_complete, status, 0);
UW_AT(struct uw_complete, why, 2);
UW_AT(struct uw_complete, actual, 4);
UW_AT(struct uw_complete, errors, 8);
UW_AT(struct uw_complete, reserved, 12);

UW_IS(struct uw_event, 48);
UW_AT(struct uw_event, port, 0);
UW_AT(struct uw_event, speed, 1);
UW_AT(struct uw_event, changes, 2);
UW_AT(struct uw_event, seq, 4);
UW_AT(struct uw_event, reserved, 8);

UW_IS(struct uw_stats, 48);
UW_AT(struct uw_stats, first, 0);
UW_AT(struct uw_stats, count, 2);
UW_AT(struct uw_stats, total, 4);
UW_AT(struct uw_stats, reserved, 6);
UW_AT(struct uw_stats, value, 8);

UW_IS(struct uw_packet, 16);
UW_AT(struct uw_packet, offset, 0);
UW_AT(struct uw_packet, length, 4);
UW_AT(struct uw_packet, actual, 8);
UW_AT(struct uw_packet, status, 12);
UW_AT(struct uw_packet, reserved, 14);

#endif
