/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * UsbWarpFilter.sys: the function driver of one bound device, and its end of peer.h.
 *
 * One spin lock for each device guards all that verbs and completions share; no call leaves this driver with it held,
 * but the owner's now.
 * What blocks (select, pipe and port reset, open, close, power) runs at PASSIVE_LEVEL, one at a time, behind the gate.
 */
#ifndef UW_FILTER_H
#define UW_FILTER_H

#include "cut.h"
#include "desc.h"
#include "peer.h"
#include "usbd.h"

#include <usbioctl.h>

#define UW_FILTER_TAG 0x46577355u      /* "UsWF" in memory order */
#define UW_CONFIGS 8u                  /* of a device */
#define UW_URBS_KEPT 64u               /* idle ones; more are freed */
#define UW_TRANSFER_MAX (4u << 20)     /* bytes of an URB, as the stack is told; no layout has longer transfers */
#define UW_SYNC_MS 5000u               /* for a request of our own to a device that does not answer */

struct uw_filter;
struct uw_pipe;

/* An IRP, its URB and MDL, kept for the next use. */
struct uw_urb {
	struct uw_list node;           /* of idle or out */
	struct uw_filter *f;
	struct uw_pipe *pipe;          /* NULL: the default pipe, or none */
	IRP *irp;
	URB *urb;                      /* what the IRP is about: one of the next two, or a caller's */
	URB *plain;                    /* for all but isochronous transfers and selects */
	URB *iso;                      /* for iso_room packets */
	MDL *mdl[UW_CUT_RUNS];         /* for mdl_room bytes at any offset in a page */
	uint32_t mdl_room[UW_CUT_RUNS];
	uint32_t mapped;               /* of these MDLs, a chain that describes a transfer */
	uint8_t *bounce;               /* bounce_room bytes */
	uint32_t iso_room, bounce_room;
	uint32_t refs;                 /* the stack's, and one of each canceller */
	bool cancelled;
	bool blocks;                   /* later transfers of the pipe wait until this one has ended */
	bool zero;                     /* an empty packet is to follow */
	struct uw_transfer_io *io;
	KEVENT *event;                 /* of a waiter */
	void (*done)(struct uw_urb *u); /* at IRQL <= DISPATCH_LEVEL; the last that is done with it is uw_urb_end */

	struct uw_cut cut;             /* isochronous: what of which submission is in it */
	bool copy;                     /* its bytes go by way of bounce */
	struct uw_iso_job *job[UW_CUT_PARTS];
	uint32_t position;             /* frames since its stream began */
	uint64_t limit;                /* the stream's end before it */
	bool asap;
};

/* An isochronous submission under way. */
struct uw_iso_job {
	struct uw_list node;           /* of the stream's queue while packets wait, else of nothing */
	struct uw_transfer_io *io;
	uint32_t next;                 /* first packet that waits */
	uint32_t out;                  /* packets with the stack */
	uint32_t status;               /* of the whole */
};

/* The isochronous side of a pipe. Frames are counted from where the stream began. */
struct uw_stream {
	struct uw_cut_rules rules;
	struct uw_list queue;          /* of jobs with packets that wait */
	uint32_t frames;               /* with the stack */
	uint32_t position;             /* where the next URB begins */
	uint32_t origin;               /* position from which on there are surely no gaps */
	uint32_t base, base_at;        /* the bus's number of frame 0, as told by the URB at that position */
	bool known;                    /* base is set */
	uint64_t end;                  /* nanoseconds: what is with the stack takes until then at least; 0: who knows */
	bool pumping;                  /* somebody cuts and sends; who comes meanwhile leaves it to him */
	bool pad;                      /* the queue's end has waited long enough */
	bool ticking;                  /* the timer is set, or its DPC runs */
	KTIMER timer;                  /* sets pad */
	KDPC dpc;
};

/* The bulk streams of a pipe. Changed behind the gate, for a stopped pipe, with the lock held. */
struct uw_stream_table {
	USBD_STREAM_INFORMATION *info; /* a handle for each; NULL: none are open */
	uint32_t count;
	bool spoiled;                  /* the pipe's own handle is not good for transfers any more */
};

struct uw_pipe {
	struct uw_filter *f;
	USBD_PIPE_HANDLE handle;       /* NULL: the device has no such endpoint now */
	struct uw_endpoint e;
	uint32_t out;                  /* URBs with the stack */
	uint32_t sends;                /* of these, on their way down */
	bool stopped;                  /* a verb drains it: what is submitted waits */
	bool blocked;                  /* a transfer of two URBs is under way */
	bool sending;                  /* somebody sends what is held */
	struct uw_list held;           /* of io */
	struct uw_stream stream;
	struct uw_stream_table streams;
};

struct uw_config {
	uint8_t *bytes;
	uint32_t length;
};

/* What is to be set again after sleep. */
struct uw_choice {
	uint8_t configuration;         /* 0: none */
	uint8_t interfaces;
	uint8_t number[UW_INTERFACES];
	uint8_t alternate[UW_INTERFACES];
};

/* Where a transfer is, in io->due. */
enum uw_place {
	UW_PLACE_NONE,
	UW_PLACE_HELD,                 /* on its pipe's list */
	UW_PLACE_OUT,                  /* io->own is its struct uw_urb */
	UW_PLACE_ISO,                  /* io->own is its struct uw_iso_job */
	UW_PLACE_VERB,
};

enum uw_pnp { UW_PNP_STOPPED, UW_PNP_STARTED, UW_PNP_STOPPING, UW_PNP_REMOVING, UW_PNP_GONE, UW_PNP_REMOVED };

struct uw_filter {
	DEVICE_OBJECT *self, *pdo, *lower;
	IO_REMOVE_LOCK removal;        /* held by each URB until nobody uses it */
	struct uw_usbd usbd;           /* set by PnP requests alone */
	UNICODE_STRING link;           /* of the interface */
	uint8_t device[UW_DEVICE_BYTES];
	enum uw_pnp pnp, pnp_before;   /* changed by PnP requests alone, which come one at a time */

	KSPIN_LOCK lock;               /* guards the rest, unless it is said otherwise */
	struct uw_peer peer;
	FILE_OBJECT *owner;            /* who connected */
	bool started;                  /* the device takes requests */
	bool open;
	bool closing;
	bool lost;
	bool asleep;
	bool waking;                   /* wake_work is queued or runs */
	uint32_t calls;                /* of the owner's functions, on behalf of nobody's transfer */
	uint32_t out_count;
	struct uw_list out;            /* of struct uw_urb: with the stack */
	struct uw_list idle;
	uint32_t idle_count;
	struct uw_pipe pipe[UW_ENDPOINTS];

	struct uw_list verbs;          /* of io */
	bool verb_busy;                /* the work item is queued or runs */
	PIO_WORKITEM work, power_work, wake_work;
	KEVENT changed;                /* something ended; waiters look again, and at times without it too */
	KEVENT gate;

	/* Behind the gate. */
	struct uw_config config[UW_CONFIGS];
	uint32_t configs;
	USBD_CONFIGURATION_HANDLE handle;
	struct uw_choice choice;

	SYSTEM_POWER_STATE system;
	DEVICE_POWER_STATE power;
	IRP *power_irp;                /* of the device state that power_work brings about */
};

/* ---- main.c ---- */
static inline struct uw_filter *uw_filter_of(DEVICE_OBJECT *device) { return device->DeviceExtension; }
NTSTATUS uw_irp_end(IRP *irp, NTSTATUS status);
/* Passes it on as it is, and lets go of the remove lock. */
NTSTATUS uw_irp_pass(struct uw_filter *f, IRP *irp);
extern const GUID uw_usbdi_guid;
void uw_device_delete(struct uw_filter *f);

/* ---- pnp.c, power.c ---- */
NTSTATUS NTAPI uw_pnp(DEVICE_OBJECT *device, IRP *irp);
NTSTATUS NTAPI uw_power(DEVICE_OBJECT *device, IRP *irp);

/* ---- usb.c ---- */
extern const struct uw_backend uw_filter_backend;
static inline struct uw_filter *uw_filter_of_peer(struct uw_device *dev)
{
	return UW_CONTAINER(dev, struct uw_filter, peer.dev);
}
void uw_usb_init(struct uw_filter *f);
/* The device is there no more, says PnP or the stack. Any IRQL <= DISPATCH_LEVEL. */
void uw_usb_lose(struct uw_filter *f);
void uw_usb_answer(struct uw_filter *f, struct uw_transfer_io *io, uint32_t status);
/* Sleep and wake, PASSIVE. */
void uw_usb_sleep(struct uw_filter *f);
void uw_usb_wake(struct uw_filter *f);
/* Sends what a pipe's list holds, in order. */
void uw_usb_send_held(struct uw_filter *f, struct uw_pipe *pipe);

/* ---- config.c, PASSIVE and behind the gate ---- */
/* Identity, before the device is opened. */
uint32_t uw_config_identify(struct uw_filter *f, bool known, bool high);
uint32_t uw_config_read(struct uw_filter *f);
void uw_config_forget(struct uw_filter *f);
uint32_t uw_config_select(struct uw_filter *f, uint8_t value);
uint32_t uw_config_interface(struct uw_filter *f, uint8_t number, uint8_t alternate);
uint32_t uw_config_again(struct uw_filter *f, const struct uw_choice *choice);
uint32_t uw_config_clear_halt(struct uw_filter *f, uint8_t address);
/* The device is not configured any more; its pipes were stopped. */
void uw_config_drop(struct uw_filter *f);
/* Ends what the pipes have out, and holds what comes. which: one bit a pipe. */
void uw_pipes_stop(struct uw_filter *f, uint32_t which);
/* Everything, the default pipe too, has come back. Submissions are refused meanwhile. */
void uw_pipes_drain(struct uw_filter *f);
void uw_pipes_go_on(struct uw_filter *f, uint32_t which);

/* ---- streams.c, PASSIVE and behind the gate but for the first ---- */
/* What a transfer on a stream (0: on none) names, with the lock held; NULL: it cannot be. */
USBD_PIPE_HANDLE uw_streams_handle(const struct uw_pipe *pipe, uint16_t stream);
/* The pipes that have some, one bit each. */
uint32_t uw_streams_open(const struct uw_filter *f);
/* The pipe is gone, and its streams with it. */
void uw_streams_forget(struct uw_pipe *pipe);
uint32_t uw_streams_alloc(struct uw_filter *f, struct uw_transfer_io *io);
uint32_t uw_streams_free(struct uw_filter *f, const struct uw_transfer_io *io);

/* ---- urb.c ---- */
void uw_urb_init(struct uw_filter *f);
void uw_urb_fini(struct uw_filter *f);
/* Up to uw_urb_drop with the lock held. get: NULL when memory is short or the device is being removed. */
UW_MUST_CHECK struct uw_urb *uw_urb_get(struct uw_filter *f);
/* Room for so many bytes, or for so many packets: then the URB is an isochronous one. False: no memory. */
UW_MUST_CHECK bool uw_urb_room_mdl(struct uw_urb *u, uint32_t i, uint32_t bytes);
UW_MUST_CHECK bool uw_urb_room_bounce(struct uw_urb *u, uint32_t bytes);
UW_MUST_CHECK bool uw_urb_room_iso(struct uw_urb *u, uint32_t packets);
/* Of an isochronous URB, as usbdlib.h counts them: one packet more than there are. */
static inline uint32_t uw_urb_iso_bytes(uint32_t packets)
{
	return (uint32_t)(offsetof(struct _URB_ISOCH_TRANSFER, IsoPacket) +
			  (packets + 1) * sizeof(USBD_ISO_PACKET_DESCRIPTOR));
}
/* The transfer's bytes, or the next of them: an MDL with room is added to the chain. */
void uw_urb_map(struct uw_urb *u, const uint8_t *data, uint32_t bytes);
void uw_urb_arm(struct uw_urb *u, uint32_t code);
/* One that was never armed. */
void uw_urb_drop(struct uw_urb *u);
/* Without the lock. The URB may be gone when it returns. */
void uw_urb_send(struct uw_urb *u);
/* Without the lock: an armed one has ended. */
void uw_urb_end(struct uw_urb *u);
uint32_t uw_urb_result(const struct uw_urb *u);
uint32_t uw_urb_moved(const struct uw_urb *u);
/* Asks for the end of what is with the stack: one URB, named under the lock, or those of pipes (UW_EVERY: of all). */
void uw_urb_cancel_locked(struct uw_urb *u, KIRQL irql);
#define UW_EVERY 0xffffffffu
void uw_urbs_cancel(struct uw_filter *f, uint32_t which);

void uw_urb_fill_control(struct uw_urb *u, const struct uw_transfer_io *io);
void uw_urb_fill_data(struct uw_urb *u, USBD_PIPE_HANDLE pipe, bool in, uint32_t length);
/* A request of our own, and its answer: enum uw_status. PASSIVE. fill gets an empty URB of that length, with the lock
 * held; look gets one that succeeded. */
uint32_t uw_urb_ask(struct uw_filter *f, uint32_t bytes, void (*fill)(struct uw_urb *u, void *context), void *context,
		    void (*look)(struct uw_urb *u, void *context));
/* The same with an URB that the caller has filled in, and frees: a select. */
uint32_t uw_urb_ask_select(struct uw_filter *f, URB *urb);
uint32_t uw_urb_pipe_request(struct uw_filter *f, USHORT function, USBD_PIPE_HANDLE pipe);
uint32_t uw_urb_descriptor(struct uw_filter *f, uint8_t type, uint8_t index, uint16_t language, void *to,
			   uint32_t *bytes);
uint32_t uw_urb_ioctl(struct uw_filter *f, uint32_t code);

/* ---- iso.c ---- */
void uw_iso_init(struct uw_pipe *pipe);
/* With the lock held; false: no memory. */
UW_MUST_CHECK bool uw_iso_queue(struct uw_pipe *pipe, struct uw_transfer_io *io);
void uw_iso_pump(struct uw_pipe *pipe);
/* Releases the lock. */
void uw_iso_cancel_locked(struct uw_filter *f, struct uw_transfer_io *io, KIRQL irql);
/* What waits, ends as cancelled. */
void uw_iso_flush(struct uw_pipe *pipe);
/* No timer of a stopped pipe runs any more. PASSIVE. */
void uw_iso_quiet(struct uw_pipe *pipe);

/* ---- waiting ---- */
static inline void uw_gate_enter(struct uw_filter *f)
{
	KeWaitForSingleObject(&f->gate, Executive, KernelMode, FALSE, NULL);
}

static inline void uw_gate_leave(struct uw_filter *f) { KeSetEvent(&f->gate, IO_NO_INCREMENT, FALSE); }

static inline void uw_wait_ms(KEVENT *event, uint32_t ms)
{
	LARGE_INTEGER time;

	time.QuadPart = -(LONGLONG)ms * 10000;
	KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &time);
}

#endif
