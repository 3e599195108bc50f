/* SPDX-License-Identifier: GPL-2.0-only */
/* Model devices: USB devices made of code alone, behind the same backend interface as real ones. */
#ifndef UW_MODEL_H
#define UW_MODEL_H

#include "backend.h"

/* ---- for hosts ------------------------------------------------------------------------------------------------ */

/*
 * Where a disk keeps its bytes. Every call is synchronous and returns 0, or anything else when it failed; then the
 * medium's content in that range is undefined and the guest sees a medium error. offset + bytes never exceeds size.
 */
struct uw_disk_io {
	int (*read)(void *ctx, uint64_t offset, void *to, uint32_t bytes);
	int (*write)(void *ctx, uint64_t offset, const void *from, uint32_t bytes); /* NULL: write-protected */
	int (*flush)(void *ctx); /* NULL: writes are stable at once */
	uint64_t size;           /* bytes; what is beyond the last whole block is not used */
	uint32_t block;          /* bytes of a block: 512 (also when 0) to 4096, a power of two */
	void *ctx;
};

/* What a host may choose. All zero means the model's own choice; a model ignores what does not concern it. */
struct uw_model_options {
	uint8_t speed;           /* enum uw_speed, UW_SPEED_NONE for the default; low speed is refused */
	bool paced;              /* interrupt and isochronous endpoints keep to bInterval; without it all goes at once */
	bool babble;             /* zero: sources send whole packets even when less was asked for */
	uint8_t pattern;         /* zero: 0 zeros, 1 offset in the packet modulo 63, 2 no pattern */
	uint32_t streams;        /* zero at super speed: streams per bulk endpoint, a power of two 2..32768, or 0 */
	uint32_t autoresume;     /* zero: milliseconds of suspend after which it signals remote wake-up, or 0 */
	const char *serial;      /* printable ASCII, kept by reference; NULL for the default */
	const struct uw_disk_io *disk; /* disk: copied; needed */
};

/* Which of the options a model heeds, beside speed, paced and serial. */
#define UW_MODEL_PATTERN (1u << 0)
#define UW_MODEL_BABBLE (1u << 1)
#define UW_MODEL_STREAMS (1u << 2)
#define UW_MODEL_AUTORESUME (1u << 3)
#define UW_MODEL_DISK (1u << 4)

struct uw_model;

/* A kind of model. init builds one in size bytes of the caller's memory, aligned as for malloc; NULL when an option is
 * impossible. The host then sets dev.host and goes on with dev.ops->open. There is nothing to undo but close. */
struct uw_model_kind {
	const char *name;
	const char *about;
	uint32_t size;
	uint32_t options;        /* UW_MODEL_* */
	uint8_t speed;           /* the default */
	struct uw_model *(*init)(void *memory, const struct uw_model_options *options);
};

extern const struct uw_model_kind *const uw_models[];
extern const uint32_t uw_models_count;

const struct uw_model_kind *uw_model_find(const char *name);

/* Pulls the plug: every transfer ends with no device, then the host hears gone(). A new open plugs it in again. */
void uw_model_unplug(struct uw_model *m);

/* Bytes that the zero was sent and that were not what its pattern says. */
uint64_t uw_zero_errors(const struct uw_model *m);

/* ---- descriptors, as the models write them down ----------------------------------------------------------------- */

/* Arrays over speed hold full, high and super speed, in this order. */
#define UW_MODEL_SPEEDS 3
#define UW_MODEL_ADDRESSES 32  /* endpoint 0, 1..15 OUT, 17..31 IN */
#define UW_MODEL_INTERFACES 4
#define UW_MODEL_SCRATCH 512   /* bytes of the longest descriptor a model may have */

struct uw_desc_ep {
	uint8_t address;         /* bEndpointAddress */
	uint8_t type;            /* bmAttributes: enum uw_transfer, and more bits of isochronous ones */
	uint8_t burst;           /* bMaxBurst, at super speed */
	uint8_t interval[UW_MODEL_SPEEDS]; /* bInterval */
	uint16_t packet[UW_MODEL_SPEEDS];  /* wMaxPacketSize */
};

struct uw_desc_if {
	uint8_t number, alternate;
	uint8_t class_code, subclass, protocol;
	uint8_t string;
	uint8_t eps;
	uint8_t head_bytes;      /* an interface association, before the interface */
	uint8_t extra_bytes;     /* class descriptors, between interface and endpoints */
	uint8_t tail_bytes;      /* class descriptors of the endpoint, after it */
	const struct uw_desc_ep *ep;
	const uint8_t *head, *extra, *tail;
};

struct uw_desc_config {
	uint8_t value;           /* bConfigurationValue */
	uint8_t attributes;      /* bmAttributes: USB 2.0 table 9-10 */
	uint8_t milliamps_by_2;  /* bMaxPower below super speed; there the unit is 8 mA: USB 3.2 table 9-22 */
	uint8_t string;
	uint8_t interfaces;      /* bNumInterfaces */
	uint8_t ifs;             /* entries of itf: interfaces and their alternate settings, in order */
	const struct uw_desc_if *itf;
};

enum { UW_STRING_VENDOR = 1, UW_STRING_PRODUCT, UW_STRING_SERIAL, UW_STRING_FIRST };

struct uw_desc_device {
	uint16_t vendor, product, release;
	uint8_t class_code, subclass, protocol;
	uint8_t configs;
	bool dual_speed;         /* works at both full and high speed, so has a qualifier at either: USB 2.0 9.6.2 */
	uint8_t strings;         /* entries of string */
	const struct uw_desc_config *config;
	const char *const *string; /* of index 1 and up; the serial number's is replaced by the option */
};

#define UW_DESC_TRANSFER 3u    /* of bmAttributes of an endpoint: enum uw_transfer */
#define UW_CONFIG_ONE 0x80u    /* bmAttributes bit 7 is always 1 */
#define UW_CONFIG_SELF 0x40u
#define UW_CONFIG_WAKEUP 0x20u

/* ---- for models ------------------------------------------------------------------------------------------------- */

struct uw_setup {
	uint8_t type, request;
	uint16_t value, index, length;
};

#define UW_MODEL_STALL (-1)

/* How a device ends its part in a transfer for now. */
enum uw_model_end {
	UW_END_MORE,             /* whole packets have moved; the transfer is full or goes on */
	UW_END_SHORT,            /* IN: a short or empty packet ended it */
	UW_END_NAK,              /* no more at present; uw_model_kick brings the endpoint back */
	UW_END_STALL,            /* the endpoint halts */
	UW_END_BABBLE,           /* IN: a packet was longer than the rest of the transfer */
};

/* One endpoint at work. */
struct uw_model_ep {
	const struct uw_desc_ep *desc; /* NULL when not in the present setting */
	struct uw_list queue;    /* of uw_transfer_io */
	uint8_t address;
	uint8_t type;            /* enum uw_transfer */
	uint8_t interface;
	bool halted;
	bool idle;               /* its queue was empty or had nothing to move */
	uint16_t packet;         /* bytes of a packet, at most */
	uint32_t service;        /* bytes in one service interval, at most */
	uint32_t streams;        /* granted */
	uint64_t period;         /* nanoseconds between services, 0 when unpaced */
	uint64_t next;           /* the next service is not before this */
	uint64_t due;            /* when the head of the queue goes on, with its bit in waiting */
};

/*
 * What makes a model the device it is. in and out are called with the first byte of a packet at to or from, and answer
 * in *moved how many bytes went; bytes is 0 for an empty packet. ends: a short or empty packet follows these bytes.
 */
struct uw_model_class {
	const struct uw_desc_device *desc;
	void (*reset)(struct uw_model *m);      /* power-on and bus reset */
	void (*configured)(struct uw_model *m); /* a configuration or alternate setting was chosen */
	void (*cleared)(struct uw_model *m, struct uw_model_ep *ep); /* a halt; may be NULL, as the next two */
	void (*suspended)(struct uw_model *m);
	void (*alarm)(struct uw_model *m);
	/* Class and vendor requests. Bytes moved at data (at most setup->length) or UW_MODEL_STALL. */
	int32_t (*control)(struct uw_model *m, const struct uw_setup *setup, uint8_t *data);
	enum uw_model_end (*in)(struct uw_model *m, struct uw_model_ep *ep, uint8_t *to, uint32_t room, uint32_t *moved);
	enum uw_model_end (*out)(struct uw_model *m, struct uw_model_ep *ep, const uint8_t *from, uint32_t bytes, bool ends,
				 uint32_t *moved);
};

struct uw_model {
	struct uw_device dev;
	const struct uw_model_class *class;
	struct uw_model_ep ep[UW_MODEL_ADDRESSES];
	struct uw_list done;     /* ended, not yet passed to complete() */
	uint32_t ready;          /* bit per endpoint: its queue may move */
	uint32_t waiting;        /* bit per endpoint: its queue moves at due */
	uint32_t turn;           /* endpoint served last: the others come first */
	bool open, gone, running, suspended, paced;
	bool wakeup;             /* DEVICE_REMOTE_WAKEUP, or function remote wake at super speed */
	bool u1, u2;             /* U1_ENABLE, U2_ENABLE */
	uint32_t streams;        /* option */
	uint64_t armed;          /* what the host was last asked for, or UW_NEVER */
	uint64_t alarm;          /* when class->alarm is due, or UW_NEVER */
	const struct uw_desc_config *config; /* NULL when not configured */
	uint8_t alternate[UW_MODEL_INTERFACES];
	const char *serial;
	uint8_t scratch[UW_MODEL_SCRATCH]; /* where standard answers are put together */
};

extern const struct uw_backend uw_model_backend;

/* Builds the common part. False when an option is impossible. */
bool UW_MUST_CHECK uw_model_init(struct uw_model *m, const struct uw_model_class *class, const char *name,
				 uint8_t default_speed, const struct uw_model_options *options);

static inline uint32_t uw_model_index(uint8_t address) { return (address & 15u) | (address & 0x80u ? 16u : 0u); }
static inline uint32_t uw_model_speed(uint8_t speed) { return (uint32_t)speed - UW_SPEED_FULL; }

/* From inside the class's calls: the endpoint has data or room again. */
void uw_model_kick(struct uw_model *m, uint8_t address);
/* Serves what is ready; only needed after a kick from outside the class's calls. */
void uw_model_run(struct uw_model *m);
/* Halts an endpoint: what is queued there and what comes is answered with STALL until the halt is cleared. */
void uw_model_halt(struct uw_model *m, uint8_t address);
/* Asks for class->alarm at a time of host->now; UW_NEVER takes it back. */
void uw_model_alarm(struct uw_model *m, uint64_t when);
/* Leaves the bus, to come back, when it is opened anew, as a device of that class. Not from inside a class's verb. */
void uw_model_become(struct uw_model *m, const struct uw_model_class *class);
/* Signals remote wake-up if the device is suspended and was allowed to; says whether it did. */
bool uw_model_wake(struct uw_model *m);

/* How ready bytes travel into an IN transfer that has room for some; zero: an empty packet follows a full last one. */
enum uw_model_end uw_model_fit(const struct uw_model_ep *ep, uint32_t ready, bool zero, uint32_t room, uint32_t *moved);

/* Chapter 9, and the descriptors it asks for; bytes written. */
int32_t uw_model_standard(struct uw_model *m, const struct uw_setup *setup, uint8_t *data);
uint32_t uw_model_descriptor(struct uw_model *m, uint8_t type, uint8_t index, uint16_t language);
const struct uw_desc_config *uw_model_find_config(const struct uw_model *m, uint16_t value);
const struct uw_desc_if *uw_model_find_interface(const struct uw_model *m, uint16_t number, uint16_t alternate);

/* ---- the models ------------------------------------------------------------------------------------------------- */

extern const struct uw_model_kind uw_model_pico;
extern const struct uw_model_kind uw_model_zero;
extern const struct uw_model_kind uw_model_disk;
extern const struct uw_model_kind uw_model_board;
extern const struct uw_model_kind uw_model_camera;

#endif
