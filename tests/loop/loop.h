/* SPDX-License-Identifier: GPL-2.0-only */
/* The loop test's world: a guest core, a host core and scripted devices over one region, under a virtual clock. */
#ifndef LOOP_H
#define LOOP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "host.h"

#define REGION UW_REGION_MIN
#define ENTRIES 128u           /* of the transfer table, at most */
#define DEVICES 5u
#define URBS 96u
#define ENDPOINTS 7u           /* of each port */
#define PORTS 6u               /* at most, so numbers 1..6 */
#define ISO_MAX 4u
#define PACKETS 12u            /* isochronous packets of a submission, at most */
#define DATA_MAX (512u << 10)  /* bytes of the data part, at most */
#define POOL_BIG (80u << 10)   /* direct URBs: one large buffer, then small ones */
#define POOL_SMALL (8u << 10)
#define POOL_SLOTS 7u
#define SECOND (1000 * UW_MS)

/* Endpoint k of every device: control, bulk OUT, bulk IN, interrupt IN, interrupt OUT, isochronous IN and OUT. */
enum { EP_CONTROL, EP_BULK_OUT, EP_BULK_IN, EP_INT_IN, EP_INT_OUT, EP_ISO_IN, EP_ISO_OUT };

/* A transfer's way, as seen in the rings and at the device; one for each entry of the table. */
struct entry {
	/* From the rings alone. */
	bool out;              /* submitted, not answered */
	uint8_t type;          /* enum uw_sub */
	uint8_t port;
	uint8_t request;       /* enum uw_request, of a port request */
	uint32_t id, position;
	bool cancel;           /* asked for by the guest */
	struct urb *urb;       /* of a submit: whose piece it is; NULL when its guest is no more */
	/* At the device. */
	struct device *dev;    /* NULL: not there */
	struct uw_list node;
	struct uw_transfer_io *io;
	uint64_t due;          /* UW_NEVER: only cancel or close ends it */
	uint32_t order;
	bool cancelled;
	bool reached, ended;   /* the device had it, the device answered */
	uint32_t status, actual, packets_done;
};

struct device {
	bool plugged;          /* bound and physically there */
	bool open;
	bool closing;          /* gone from its port, not closed yet */
	bool hung;             /* ignores cancels; only close ends its transfers */
	uint8_t port;          /* 0: not attached */
	uint8_t speed;
	struct uw_list ios;    /* entries in order of arrival */
};

enum hand { WITH_CORE, FILLING, DRAINING };

struct urb {
	struct uw_urb u;
	bool live, cancel;
	uint8_t hand;
	uint8_t pool;          /* direct: slot of the pool + 1 */
	uint32_t serial;       /* order of enqueue, and the key of its payload */
	uint32_t packet;       /* isochronous: bytes of each packet */
	uint32_t held_at, held; /* range claimed in the owner map, bytes from the start of data */
	uint32_t total, errors; /* of the pieces drained */
	bool answered;         /* the piece's answer has been seen in the ring */
	uint32_t answer_status, answer_actual, answer_errors, answer_packets;
};

/* One direction of kicks. pending stays until the side looks, as an eventfd does. */
struct line {
	uint64_t due[8];
	uint32_t count;
	bool pending;
};

enum stage { STAGE_POLL, STAGE_ACT, STAGE_KICK, STAGE_SLEEP, STAGE_ASLEEP };

struct side {
	bool alive;
	bool dirty;            /* the core was called since it was last asked for a kick */
	uint8_t stage;
	uint64_t silent;       /* not scheduled before this moment */
	struct line kicks;     /* towards this side */
};

struct shadow {
	uint32_t epoch;        /* of the host page */
	bool echoed;
	bool broken;           /* the test damaged it: a tag or a consumed word may be anything */
	bool reading;          /* the page said READY when last looked at */
	bool bye;
	uint32_t sub, comp;    /* positions up to which the rings have been read */
	uint32_t sub_consumed, comp_consumed;
	uint32_t said;         /* by the host, in its last message: submissions read */
	uint32_t last_serial[PORTS + 1][ENDPOINTS];
	uint32_t seq[PORTS + 1];
	bool unacked[PORTS + 1];
	bool reset[PORTS + 1]; /* a reset or power-off of the port has been asked for, last at reset_at */
	uint32_t reset_at[PORTS + 1];
	uint16_t raised[PORTS + 1]; /* changes that the guest has not been told */
};

struct world {
	uint64_t seed, rng, now;
	uint32_t step;
	bool verbose, settling, poison;
	uint8_t *region;
	struct uw_layout layout;
	struct uw_host_limits limits;
	uint32_t chaos_rate;   /* per mille of steps */
	uint32_t drive_rate;   /* the same, of steps with which the guest wants something more */
	uint32_t lazy_host, lazy_guest; /* per mille of polls put off */
	uint32_t budget;       /* messages read by one poll, at most */
	uint32_t never_rate;   /* per mille of IN transfers that end only when cancelled */
	uint8_t kinds;         /* endpoints that are used, one bit each */
	bool small;            /* URBs of at most 64 bytes */
	bool large;            /* bulk URBs in several pieces */
	bool flood;            /* many of them, to a guest that hardly ever reads an answer */
	uint32_t weight[24];   /* of each kind of chaos */

	struct side host, guest;
	struct uw_host h;
	struct uw_guest g;
	uint64_t restart;      /* a dead host comes back then */
	bool stopping;

	struct device devices[DEVICES];
	struct entry entries[ENTRIES];
	uint32_t order;        /* of arrivals at devices */
	struct shadow shadow;

	struct uw_ep eps[PORTS + 1][ENDPOINTS];
	struct urb urbs[URBS];
	uint32_t serial, live;
	uint32_t mark;         /* URBs enqueued after this one are waited for */
	bool up;               /* the guest was told so */
	bool leaving;
	uint64_t leave_until;
	uint8_t speed[PORTS + 1]; /* as the guest was told */
	bool request[PORTS + 1];  /* a request awaits its note */
	bool answered[PORTS + 1]; /* its answer has been seen in the ring: status and value */
	uint32_t status[PORTS + 1], value[PORTS + 1];
	uint16_t untold[PORTS + 1]; /* changes the guest has read that its driver has not been told */
	uint16_t unread[PORTS + 1]; /* changes of the last event, perhaps not read yet */
	uint32_t event_at[PORTS + 1];
	bool pool[POOL_SLOTS];
	uint8_t owner[DATA_MAX / 64]; /* of each 64 bytes of data: urb + 1 */
	uint8_t clean[DATA_MAX / 64]; /* holds poison */

	/* Memory the cores are given. */
	struct uw_xfer xfers[ENTRIES];
	struct uw_iso isos[ISO_MAX * PACKETS];
	uint16_t iso_free[ISO_MAX];
	struct uw_urb *by_entry[ENTRIES];
	uint16_t uses[ENTRIES], free[ENTRIES];
	uint64_t bitmap[DATA_MAX / 64 / 64];
};

/* What all runs together reached: a state never reached proves nothing. */
struct totals {
	struct uw_counters host, guest;
	uint64_t steps, urbs, urbs_ok, whole, refused, direct, isoch, streams, requests, kills, reboots, byes, abandons;
	uint64_t wraps, epochs, closes, opens, short_pieces, events;
};
extern struct totals totals;

/* ---- loop.c ---- */
void fail(struct world *w, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void trace(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define CHECK(w, truth, ...) do { if (!(truth)) fail(w, __VA_ARGS__); } while (0)
#define TRACE(w, ...) do { if ((w)->verbose) trace(w, __VA_ARGS__); } while (0)
uint32_t pick(struct world *w, uint32_t n);             /* 0..n-1 */
static inline bool chance(struct world *w, uint32_t permille) { return pick(w, 1000) < permille; }
void kick(struct world *w, struct side *to);
void wake(struct side *s, enum stage stage);

/* ---- side_host.c ---- */
void host_setup(struct world *w);
void host_start(struct world *w);
void host_kill(struct world *w, bool keeper_says_down);
bool host_step(struct world *w);
bool host_device_step(struct world *w);
uint64_t host_next_event(struct world *w);
bool host_chaos(struct world *w, uint32_t kind);
#define HOST_CHAOS 12u

/* ---- device.c ---- */
void device_take(struct world *w, struct device *d, struct uw_xfer *x);
void device_cancel(struct world *w, struct uw_xfer *x);
void device_close(struct world *w, struct device *d);
void device_forget(struct world *w, struct device *d);
bool device_end_one(struct world *w);
uint64_t device_next_event(struct world *w);

/* ---- guest_urb.c ---- */
#define NOT_REACHED UINT32_MAX
void urb_fill(struct world *w, struct urb *b);
void urb_judge_piece(struct world *w, struct urb *b);
bool urb_may_go_on(const struct urb *b);
void urb_judge(struct world *w, struct urb *b);

/* ---- side_guest.c ---- */
void guest_boot(struct world *w);
bool guest_step(struct world *w);
bool guest_work(struct world *w);
void guest_drive(struct world *w);
uint64_t guest_next_event(struct world *w);
void guest_cancel_all(struct world *w);
bool guest_enqueue(struct world *w, uint8_t port, uint32_t k);
bool guest_chaos(struct world *w, uint32_t kind);
#define GUEST_CHAOS 7u

/* ---- payload.c ---- */
enum payload { PAYLOAD_GUEST, PAYLOAD_CANARY, PAYLOAD_DEVICE };
void payload_write(uint8_t *at, uint32_t serial, enum payload kind, uint32_t epoch, uint32_t offset, uint32_t length);
bool payload_holds(const uint8_t *at, uint32_t serial, enum payload kind, uint32_t epoch, uint32_t offset,
		   uint32_t length);
/* What the device did with packet n of an URB: bytes moved and status. */
uint32_t packet_actual(uint32_t serial, uint32_t n, uint32_t length);
uint32_t packet_status(uint32_t serial, uint32_t n);

/* ---- shadow.c ---- */
void shadow_look(struct world *w);
/* Changes of a port that the guest has read and its driver has not been told. */
uint16_t shadow_untold(struct world *w, uint8_t port);
/* Has anybody asked for the end of this transfer? */
bool shadow_cancelled(const struct world *w, const struct entry *e);

/* ---- check.c ---- */
void check_all(struct world *w);
void check_quiet(struct world *w);

#endif
