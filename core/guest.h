/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's end of a session: epochs, URBs to submissions, answers to URBs. One lock guards all of it, and the
 * driver holds that lock around every call here; it drops it to copy payload and to give URBs back.
 *
 * Life of an URB: uw_guest_enqueue -> [waits] -> uw_guest_fill hands it out with space granted, the driver copies the
 * bytes of this piece -> uw_guest_filled -> submission -> answer -> uw_guest_done hands it out, the driver copies
 * the bytes back -> uw_guest_drained: true gives the URB back, false means that another piece follows by itself.
 * A cancelled or failed URB comes out of uw_guest_done as well, exactly once.
 */
#ifndef UW_GUEST_H
#define UW_GUEST_H

#include "msg.h"
#include "range.h"
#include "ring.h"
#include "share.h"
#include "stats.h"

/* An endpoint of a device, embedded in the driver's own object. */
struct uw_ep {
	struct uw_list queued; /* URBs without space, in order */
	struct uw_list urbs;   /* URBs with space, not yet submitted in full, in order */
	struct uw_list node;   /* of the endpoints that have URBs in either */
	struct uw_list stuck;  /* of the endpoints that wait for space, an entry or ring room */
	struct uw_urb *pieces; /* URB that goes in pieces: the ones behind it wait */
	uint8_t port;          /* 1..ports, as on the wire */
	uint8_t address;       /* bEndpointAddress; 0 for endpoint 0 */
	uint8_t transfer;      /* enum uw_transfer */
	uint32_t unit;         /* bytes of a whole burst: pieces end on it; at least 1 */
	uint32_t in_flight;    /* submissions */
};

enum uw_urb_state {
	UW_URB_IDLE,           /* the driver's */
	UW_URB_QUEUED,         /* on ep->queued */
	UW_URB_GRANTED,        /* has its space, waits for uw_guest_fill */
	UW_URB_FILLING,        /* handed out by uw_guest_fill */
	UW_URB_READY,          /* filled, waits for its turn, an entry, or ring room */
	UW_URB_FLYING,         /* submitted */
	UW_URB_DRAINING,       /* answered, or ended before: for uw_guest_done, or handed out by it */
};

/* One URB. The driver sets the first part and reads the second; it embeds this in its own object. */
struct uw_urb {
	struct uw_ep *ep;
	uint32_t length;       /* bytes of the whole URB, any number */
	uint32_t packets;      /* isochronous: of the whole URB, else 0 */
	uint32_t direct;       /* zero copy: where the URB's bytes lie, from the start of data; else UW_NOT_DIRECT */
	uint16_t stream, interval;
	uint8_t flags;         /* UW_SUBMIT_*; zero packet is sent with the last piece only */
	uint8_t endpoint;      /* bEndpointAddress with the direction of a control data stage */
	uint8_t setup[8];

	/* The piece. With isochronous packets the driver chooses piece, piece_packets, data and table in the granted
	 * space while it fills; otherwise the core does. */
	uint32_t offset;       /* bytes of the URB before this piece */
	uint32_t piece;        /* bytes of this piece */
	uint32_t data;         /* from the start of data */
	uint32_t table;        /* packet table, from the start of data */
	uint32_t first_packet; /* of this piece */
	uint32_t piece_packets;
	uint32_t granted;      /* bytes of space at space, 0 when none is needed */
	uint32_t space;        /* from the start of data */
	uint32_t moved;        /* answer: bytes of this piece that moved, never more than piece */
	bool answered;         /* this piece has an answer: its bytes and packet table in data are the device's */

	uint32_t actual;       /* result: bytes of all pieces */
	uint32_t errors;       /* result: isochronous packets with an error */
	uint32_t status;       /* result: enum uw_status */

	/* The core's own. */
	struct uw_list node;   /* ep->queued or ep->urbs */
	struct uw_list act;    /* filling, done or cancels */
	uint64_t since;
	uint32_t id;
	uint32_t epoch;        /* in which it was enqueued: a piece of it goes out in no other */
	uint8_t state;         /* enum uw_urb_state */
	bool cancelled;        /* no further piece; fate is the status */
	uint8_t fate;
};

#define UW_NOT_DIRECT UINT32_C(0xffffffff)

enum uw_guest_phase {
	UW_GUEST_IDLE,         /* not begun, or said bye */
	UW_GUEST_WAIT,         /* waits for an epoch that it has not worked in */
	UW_GUEST_GREET,        /* hello sent */
	UW_GUEST_RUN,
	UW_GUEST_REFUSED,      /* the host wants none of this version */
};

/* What happened besides transfers. */
enum uw_note_kind {
	UW_NOTE_UP,            /* a session runs: port events follow */
	UW_NOTE_DOWN,          /* it ended: every port is disconnected, every URB comes out of uw_guest_done */
	UW_NOTE_PORT,          /* port, speed, changes */
	UW_NOTE_REQUEST,       /* a port request or streams call has been answered: port, status, value */
	UW_NOTE_REFUSED,       /* the host refuses: status */
	UW_NOTE_LAYOUT,        /* the host's layout is unusable: value is enum uw_layout_fault */
};

struct uw_note {
	uint8_t kind, port, speed;
	uint16_t changes;
	uint32_t status;       /* enum uw_status */
	uint32_t value;        /* streams granted */
};

struct uw_guest_port {
	uint8_t speed;         /* enum uw_speed */
	uint8_t request;       /* state of the port request or streams call: 0 none, 1 to be sent, 2 sent */
	uint16_t changes;      /* to be told */
	uint32_t seq;          /* to be acknowledged */
	uint32_t bounce;       /* granules its URBs occupy */
	uint32_t status, value; /* the request's answer, to be told */
	struct uw_ask ask;     /* the request */
};

struct uw_guest_memory {
	uint8_t *region;
	uint64_t mapped;       /* bytes of it */
	struct uw_urb **urbs;  /* sizes as uw_guest_sizes says */
	uint16_t *uses;        /* as many */
	uint16_t *free;        /* as many */
	uint64_t *bitmap;      /* words for the bounce ranges */
};

struct uw_guest {
	struct uw_layout layout;
	struct uw_guest_memory mem;
	const struct uw_host_page *page;
	struct uw_guest_page *own;
	char name[UW_NAME + 1];
	char host_name[UW_NAME + 1];

	uint8_t phase;         /* enum uw_guest_phase */
	bool kick;             /* kick whatever the wake index says */
	bool bye;              /* the driver wants to leave */
	bool bye_sent, ended;
	bool lost;             /* the host broke a running session; its end has not been told yet */
	uint32_t epoch;        /* worked in, or seen when the last incarnation was written */
	uint32_t incarnation;
	uint64_t features;     /* agreed */
	uint64_t now;          /* as last heard */

	struct uw_rx rx;
	struct uw_tx tx;
	struct uw_shares shares;
	struct uw_ranges bounce;
	uint32_t bounce_at;        /* bytes from the start of data: what lies before is the coherent pool */
	uint32_t free_entries, flying;
	struct uw_list eps;        /* endpoints with URBs */
	struct uw_list stuck;      /* of these, the ones that wait for something to become free */
	struct uw_list filling;    /* URBs for uw_guest_fill */
	struct uw_list done;       /* URBs for uw_guest_done */
	struct uw_list cancels;    /* flying URBs whose cancel found no room */

	uint64_t probe_since;      /* when something was first seen unread; UW_NEVER if nothing is */
	uint32_t probe_pos;        /* the host's position then */
	uint32_t probes;

	bool note_up, note_down, note_refused, note_layout;
	uint32_t refused_status;
	enum uw_layout_fault layout_fault;
	uint64_t to_tell, to_ack, to_request, to_answer; /* one bit a port */
	struct uw_guest_port ports[UW_PORTS_MAX + 1];
	struct uw_counters counters;
	struct uw_histogram latency;    /* submitted to answered */

	/* The host's counters, fetched some at a time after uw_guest_ask_stats. */
	bool stats_wanted, stats_asked;
	uint16_t stats_next;
	uint32_t stats_id;
	uint64_t host_stats[UW_STAT_COUNT];
};

#define UW_PROBE_AFTER (2000 * UW_MS)  /* a message unread for so long is probed for with a kick */
#define UW_PROBES 3u                   /* unanswered probes, one each UW_PROBE_AFTER, after which the host is gone */

/* Reads and checks the layout, and says what memory the session needs. Nothing is written to the region. */
struct uw_guest_sizes {
	uint32_t entries;      /* of urbs, uses, free */
	uint32_t words;        /* of bitmap */
	uint32_t coherent;     /* bytes at the start of data for the driver's coherent pool */
};
UW_MUST_CHECK enum uw_layout_fault uw_guest_sizes(const uint8_t *region, uint64_t mapped, struct uw_layout *layout,
						  struct uw_guest_sizes *sizes);
void uw_guest_init(struct uw_guest *g, const struct uw_layout *layout, const struct uw_guest_memory *mem,
		   const char *name);
/* Asks the host for an epoch. The notes that follow say how it went. */
void uw_guest_begin(struct uw_guest *g, uint64_t now);
/* Says bye; every URB comes out of uw_guest_done. The session is over when uw_guest_ended is true, or when the
 * caller has waited long enough: then uw_guest_abandon. */
void uw_guest_end(struct uw_guest *g, uint64_t now);
bool uw_guest_ended(const struct uw_guest *g);
/* Gives the host up: URBs come out as failed, and no byte of data is used before a new epoch. */
void uw_guest_abandon(struct uw_guest *g, uint64_t now);

void uw_ep_init(struct uw_ep *ep, uint8_t port, uint8_t address, uint8_t transfer, uint32_t unit);
/* Nothing of this endpoint is queued or flying. */
bool uw_ep_idle(const struct uw_ep *ep);

/* UW_ST_OK, or UW_ST_NO_DEVICE when nothing is connected: then the URB is not taken. */
UW_MUST_CHECK enum uw_status uw_guest_enqueue(struct uw_guest *g, struct uw_urb *urb, uint64_t now);
void uw_guest_cancel(struct uw_guest *g, struct uw_urb *urb);
/* Next URB whose space has been granted; copy, then uw_guest_filled. NULL: none. */
struct uw_urb *uw_guest_fill(struct uw_guest *g, uint64_t now);
void uw_guest_filled(struct uw_guest *g, struct uw_urb *urb, uint64_t now);
/* Next URB with an answer; copy moved bytes if status and moved say so, then uw_guest_drained. NULL: none. */
struct uw_urb *uw_guest_done(struct uw_guest *g);
/* True: the URB has ended, status and actual are set; it is no longer the core's. */
UW_MUST_CHECK bool uw_guest_drained(struct uw_guest *g, struct uw_urb *urb, uint64_t now);

/* One at a time per port; answered by UW_NOTE_REQUEST, also when the session ends first. False: one is under way, or
 * no session runs. */
UW_MUST_CHECK bool uw_guest_port_request(struct uw_guest *g, uint8_t port, enum uw_request request, uint64_t now);
UW_MUST_CHECK bool uw_guest_streams(struct uw_guest *g, uint8_t port, const uint8_t *endpoints, uint8_t count,
				    uint16_t streams, uint64_t now);

/* Reads at most budget completions and does what time has brought. Returns the number read. */
uint32_t uw_guest_poll(struct uw_guest *g, uint64_t now, uint32_t budget);
UW_MUST_CHECK bool uw_guest_note(struct uw_guest *g, struct uw_note *note);
UW_MUST_CHECK bool uw_guest_kick(struct uw_guest *g);
UW_MUST_CHECK bool uw_guest_sleep(struct uw_guest *g);
/* When to poll at the latest, though nothing else happens. */
uint64_t uw_guest_deadline(const struct uw_guest *g);
/* Asks for the host's counters; host_stats is fresh when stats_wanted has become false. */
void uw_guest_ask_stats(struct uw_guest *g);

#endif
