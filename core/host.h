/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's end of a session: epochs, the transfer table, ports. One owner calls everything here (a loop, or a lock).
 *
 * The core never calls out. After uw_host_poll, or anything else that may have made work, the owner
 *   1. carries out the actions uw_host_next hands it,
 *   2. raises the guest's interrupt when uw_host_kick says so,
 *   3. may sleep when uw_host_sleep allows it, until a doorbell, a device's answer or uw_host_deadline.
 */
#ifndef UW_HOST_H
#define UW_HOST_H

#include "backend.h"
#include "msg.h"
#include "ring.h"
#include "safety.h"
#include "share.h"
#include "stats.h"

enum uw_xfer_state {
	UW_XFER_FREE,
	UW_XFER_HELD,          /* waits for its port: rate limit, or a reset under way */
	UW_XFER_WAIT,          /* waits for a verb on endpoint 0 */
	UW_XFER_ASKED,         /* on the list of actions */
	UW_XFER_ACTIVE,        /* with the device */
	UW_XFER_PARKED,        /* answered, waits for room in the completion ring */
};

/* One entry of the transfer table. */
struct uw_xfer {
	struct uw_transfer_io io;  /* what the backend sees */
	struct uw_list node;       /* the list that belongs to state */
	struct uw_list peer;       /* of all entries of the port in use */
	uint64_t since;            /* when it was accepted */
	uint32_t id;
	uint32_t table;            /* isochronous: packet table, from the start of data */
	uint8_t state;             /* enum uw_xfer_state */
	uint8_t port;
	uint8_t kind;              /* enum uw_share_kind */
	bool cancel;               /* cancel asked for */
	bool probe;                /* the one transfer that a half-open breaker admitted */
	uint8_t endpoints[UW_STREAM_ENDPOINTS];
};

struct uw_host_port {
	uint8_t speed;             /* enum uw_speed of the attached device, or none */
	bool open;                 /* the backend has the device open */
	bool touched;              /* something was submitted since the last real reset */
	bool unacked;              /* the last event has not been acknowledged */
	uint16_t changes;          /* UW_EVENT_*, not yet told */
	uint32_t seq;
	uint32_t active;           /* entries with the device */
	struct uw_xfer *verb;      /* verb under way: endpoint 0 waits */
	struct uw_xfer *reset;     /* port reset or power-off that waits until no entry is active */
	struct uw_list used;       /* every entry in use */
	struct uw_list held, wait;
	struct uw_breaker breaker;
	struct uw_bucket bucket;
	struct uw_counters counters;
	struct uw_histogram latency; /* accepted to answered */
};

enum uw_host_phase {
	UW_PHASE_DRAIN,            /* transfers of the old epoch are ending */
	UW_PHASE_OFFER,            /* epoch published, the guest has not echoed it */
	UW_PHASE_GREET,            /* echoed, no hello yet */
	UW_PHASE_RUN,
	UW_PHASE_CLOSED,           /* refused or said bye: waits for a new incarnation */
	UW_PHASE_DOWN,             /* stopped */
};

struct uw_host_limits {
	struct uw_breaker_limits breaker;
	struct uw_bucket_limits bucket;
	uint64_t drain;            /* ns until a device that does not end a transfer is closed */
	uint64_t orphan;           /* ns until a guest that is gone, or reads no answers, loses its devices */
};

/* Memory that the owner gives; all of it lives as long as the session. */
struct uw_host_memory {
	uint8_t *region;           /* the region; the guest's pages may be mapped read-only */
	struct uw_xfer *xfers;     /* layout.transfers entries */
	struct uw_iso *isos;       /* layout.isoch_max * layout.packets_max */
	uint16_t *iso_free;        /* layout.isoch_max */
};

struct uw_host {
	struct uw_layout layout;
	struct uw_host_limits limits;
	struct uw_host_memory mem;
	struct uw_host_page *page;
	const struct uw_guest_page *guest;
	char name[UW_NAME + 1];
	char guest_name[UW_NAME + 1];

	uint8_t phase;             /* enum uw_host_phase */
	bool present;              /* the link says that a guest is there */
	bool stopping;
	bool bye;                  /* the guest said bye: answer once drained */
	bool orphan;
	bool kick;                 /* kick whatever the wake index says */
	bool fault;                /* the guest broke the session: begin a new epoch at the next poll */
	uint32_t epoch;
	uint32_t incarnation;
	uint64_t features;         /* agreed */
	uint64_t drain_until, orphan_at;
	uint32_t unread;           /* the guest's position in the completion ring when orphan_at was set */

	struct uw_rx rx;
	struct uw_tx tx;
	struct uw_shares shares;
	uint32_t iso_count;        /* free packet tables */
	uint32_t active;           /* entries with devices, all ports */
	struct uw_list asked, cancels, parked;
	uint64_t to_close, to_open, to_tell; /* one bit a port */
	struct uw_host_port ports[UW_PORTS_MAX + 1]; /* by number, from 1 */
	struct uw_counters counters;
	struct uw_histogram latency;
};

/* layout has been made by uw_layout_default and adapted; epoch is the last one published in this region, or 0. */
void uw_host_init(struct uw_host *h, const struct uw_layout *layout, const struct uw_host_limits *limits,
		  const struct uw_host_memory *mem, const char *name, uint32_t epoch, uint64_t now);
void uw_host_limits_default(struct uw_host_limits *limits);

/* The link saw the guest come or go (its QEMU connected, its VM ended). */
void uw_host_link(struct uw_host *h, bool present, uint64_t now);
/* Ends the session: every transfer ends once, then the page says DOWN and uw_host_stopped is true. */
void uw_host_stop(struct uw_host *h, uint64_t now);
bool uw_host_stopped(const struct uw_host *h);

/* A free port for a device of this speed, or 0. */
uint8_t uw_host_port_for(const struct uw_host *h, uint8_t speed);
/* A device that is open already. */
void uw_host_attach(struct uw_host *h, uint8_t port, uint8_t speed, uint64_t now);
/* The device has left the port. The owner then closes it, which ends what is still active. */
void uw_host_detach(struct uw_host *h, uint8_t port, uint64_t now);
/* Something happened at the port: UW_EVENT_WAKEUP, _LOST_POWER, _OVERCURRENT. */
void uw_host_event(struct uw_host *h, uint8_t port, uint16_t changes);

/* Reads at most budget submissions and does what time has brought. Returns the number read. */
uint32_t uw_host_poll(struct uw_host *h, uint64_t now, uint32_t budget);

enum uw_action_kind {
	UW_ACT_VERB,           /* hand xfer->io to the verb it names */
	UW_ACT_CANCEL,         /* hand xfer->io to cancel */
	UW_ACT_CLOSE,          /* close the port's device: the guest is orphaned, or a transfer would not end */
	UW_ACT_OPEN,           /* open it again, then call uw_host_opened, or detach it */
};

struct uw_action {
	uint8_t kind;          /* enum uw_action_kind */
	uint8_t port;
	struct uw_xfer *xfer;
};

UW_MUST_CHECK bool uw_host_next(struct uw_host *h, struct uw_action *action, uint64_t now);
void uw_host_opened(struct uw_host *h, uint8_t port);
/* The backend's answer to a verb: io.status and io.actual are set. */
void uw_host_complete(struct uw_host *h, struct uw_xfer *x, uint64_t now);

UW_MUST_CHECK bool uw_host_kick(struct uw_host *h);
UW_MUST_CHECK bool uw_host_sleep(struct uw_host *h);
/* When to poll at the latest, though nothing else happens. */
uint64_t uw_host_deadline(const struct uw_host *h, uint64_t now);

static inline struct uw_xfer *uw_xfer_of(struct uw_transfer_io *io)
{
	return UW_CONTAINER(io, struct uw_xfer, io);
}

#endif
