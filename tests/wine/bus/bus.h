/* SPDX-License-Identifier: GPL-2.0-only */
/* The virtual USB bus: its own structures. */
#ifndef UW_BUS_H
#define UW_BUS_H

#include "model.h"

#include <usb.h>
#include <usbioctl.h>

#include "contract.h"
#include "uwbus.h"

/* mingw's headers lack it. */
NTSTATUS NTAPI ZwFlushBuffersFile(HANDLE file, IO_STATUS_BLOCK *io);

#define UW_TAG 'sBwU'
#define UW_PIPES 31u             /* endpoints of one configuration, without endpoint 0 */
#define UW_STACK 4               /* of a PDO: what is below it in Windows has stack locations of its own */
#define UW_MDL_NO_EXECUTE 0x40000000 /* MdlMappingNoExecute, which mingw's headers lack */
#define UW_FRAME UW_MS           /* nanoseconds of a frame: USB 2.0 5.3.5 */

struct uw_vdev;

/* A pipe handle is its number and a count that no two pipes share, so that a handle of yesterday is recognised. */
struct uw_pipe {
	USBD_PIPE_HANDLE handle; /* NULL: not in use */
	uint8_t address, type, interface, interval;
	uint16_t packet;         /* wMaxPacketSize as in the descriptor */
	uint8_t burst;
	bool halted;             /* by the host: until a reset of the pipe */
	uint32_t pending;        /* transfers */
	uint64_t next_frame;     /* isochronous: the first frame no URB has taken */
	uint32_t most;           /* streams that the endpoint can have */
	uint32_t streams;        /* that are open */
	uint64_t stream_base;    /* handle of the first, less 1 */
	bool spoiled;            /* streams were opened: no transfer by handle */
};

enum uw_kind {
	UW_KIND_TRANSFER,
	UW_KIND_ABORT,
	UW_KIND_RESET_PIPE,
	UW_KIND_SELECT_CONFIG,
	UW_KIND_SELECT_INTERFACE,
	UW_KIND_RESET_PORT,
	UW_KIND_OPEN_STREAMS,
	UW_KIND_CLOSE_STREAMS,
};

/* One IRP on its way through the bus. */
struct uw_xfer {
	struct uw_transfer_io io;
	struct uw_list node;     /* inbox, then active, then done */
	struct uw_vdev *dev;
	IRP *irp;
	URB *urb;                /* NULL for the reset of the port */
	struct uw_pipe *pipe;    /* NULL for endpoint 0 */
	enum uw_kind kind;
	bool active;             /* accepted by the engine, not yet ended */
	bool in_model;
	bool cancellable;
	bool cancelled;          /* the model has been told, or has never had it */
	bool in_cancel;          /* the cancel routine has run */
	bool ended;              /* the cancel routine, which is late, completes it */
	bool short_ok;
	bool expired;
	USBD_STATUS status;
	uint64_t cancel_at;      /* UW_NEVER: not cancelled */
	uint64_t expires;        /* of a control transfer, or UW_NEVER */
	uint64_t start;          /* isochronous: not before; delayed completion: when */
	uint8_t *gathered;       /* bytes of a chain of MDLs, or NULL */
	uint32_t *moved;         /* where the URB has its TransferBufferLength, or NULL */
	uint16_t packets;
	struct uw_iso iso[];
};

/* A device in a port. It lives from plug until its last PDO is gone. */
struct uw_vdev {
	struct uw_model *model;
	const struct uw_model_kind *kind;
	uint32_t port;
	DEVICE_OBJECT *pdo;
	char serial[UWB_ID];
	char id[UWB_ID];         /* device instance id */
	bool no_serial;
	HANDLE file;             /* a disk's medium, or NULL */

	/* PnP, under the bus's lock. */
	bool present;            /* is among the bus relations */
	bool started;
	bool removed;            /* no driver is above its PDO */
	DEVICE_OBJECT *old_pdo;  /* removed while the device was away: to be deleted */
	bool again;              /* comes back when it has left */
	bool surprised;
	DEVICE_POWER_STATE power;
	struct uw_vdev *next;    /* takes the port then */
	uint32_t enumerated;

	/* USB, under the bus's lock. */
	struct uw_pipe pipe[UW_PIPES];
	uint8_t config_value;    /* 0: not configured */
	uint8_t alternate[UW_MODEL_INTERFACES];
	uint32_t outstanding;    /* accepted, not completed */
	uint32_t users;          /* calls under way that look at the device */
	uint64_t urbs;
	uint32_t ignore_cancel;  /* milliseconds */
	uint32_t fail_in;        /* URBs, 0: never */
	USBD_STATUS fail_with;
	uint8_t nak;             /* 1: but for endpoint 0; 2: all */
	bool full;

	/* Of the driver above, under the bus's lock. */
	struct uwb_usbd *client; /* its USBD handle; NULL: it sends URBs of its own making */
	bool mixed;              /* it has sent one of those since it was attached */
	bool may_chain;          /* it has asked, and chains of MDLs are taken */
	uint32_t may_stream;     /* streams of an endpoint, as told when it asked; 0: it did not, or there are none */

	/* The engine, under the bus's lock; the model belongs to whom running says. */
	struct uw_list inbox, active;
	bool running, look;
	bool unplug, unplugged;
	uint64_t timer;          /* what the model asked for */
	uint64_t due;            /* the earliest of all that waits for a time */
	uint8_t config[UW_MODEL_SCRATCH]; /* the configuration descriptor that is selected */
};

struct uw_bus {
	DRIVER_OBJECT *driver;
	DEVICE_OBJECT *control, *fdo, *below, *root;
	UNICODE_STRING hub;      /* the link of the bus's interface as a hub */
	KSPIN_LOCK lock;
	KEVENT work;
	PKTHREAD thread;
	bool stop;
	KDPC dpc;
	struct uw_vdev *port[UWB_PORTS + 1];
	struct uw_list now, from_dpc, late; /* struct uw_xfer: ended */
	bool delivering, dpc_delivers;
	uint32_t mode, delay;
	uint32_t handles;        /* pipe handles given out */
	uint32_t streams;        /* of an endpoint, as the controller has them */
	bool chains;             /* of MDLs, likewise */
	LONG refused;
	DEVICE_RELATIONS *relations; /* the last that were told */
	/* The bus's clock says clock_at at the moment clock_from, and goes on `slow` times slower than a real one. */
	uint64_t clock_at, clock_from;
	uint32_t slow;
};

extern struct uw_bus uw_bus;

/* What is behind a device object of ours. */
enum uw_object { UW_CONTROL_DEVICE, UW_FDO, UW_PDO };
struct uw_extension {
	enum uw_object object;
	struct uw_vdev *dev;     /* UW_PDO */
};

static inline KIRQL uw_lock(void)
{
	KIRQL irql;

	KeAcquireSpinLock(&uw_bus.lock, &irql);
	return irql;
}
static inline void uw_unlock(KIRQL irql) { KeReleaseSpinLock(&uw_bus.lock, irql); }

/* main.c */
uint64_t uw_now(void);           /* nanoseconds of the bus's clock */
NTSTATUS uw_slow(uint32_t times); /* STATUS_DEVICE_BUSY: there are devices, who would see time jump */
KIRQL uw_irql(void);
void *uw_alloc(size_t bytes);    /* zeroed, never paged */
void uw_free(void *p);
/* One line for what Windows would not have taken; text is a format for DbgPrint. */
#define uw_refused(text, ...) do { \
		InterlockedIncrement(&uw_bus.refused); \
		DbgPrint("uwbus: REFUSED " text "\n", ##__VA_ARGS__); \
	} while (0)

/* ctl.c */
NTSTATUS uw_ctl(IRP *irp, IO_STACK_LOCATION *at);

/* ports.c: devices come and go */
NTSTATUS uw_port_plug(const struct uwb_plug *plug, uint32_t *port);
NTSTATUS uw_port_replug(const struct uwb_plug *plug);
NTSTATUS uw_port_unplug(uint32_t port, bool again);
NTSTATUS uw_port_remove(uint32_t port);
uint64_t uw_ports_reap(void);
void uw_ports_clear(void);
bool uw_ports_used(void);        /* under the lock */
/* A device in a port that PnP does not hear of, and its end. */
NTSTATUS uw_port_hide(struct uw_vdev *dev);
void uw_port_unhide(struct uw_vdev *dev);
NTSTATUS uw_port_relations(IRP *irp);

/* dev.c: a model and its medium */
struct uw_vdev *uw_dev_new(const struct uwb_plug *plug, NTSTATUS *status);
void uw_dev_free(struct uw_vdev *dev);

/* pnp.c: the PDO's PnP and power; ids.c: its names */
NTSTATUS uw_pdo_pnp(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at);
NTSTATUS uw_pdo_power(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at);
NTSTATUS uw_pdo_interface(struct uw_vdev *dev, IO_STACK_LOCATION *at);
NTSTATUS uw_id_query(struct uw_vdev *dev, IRP *irp, BUS_QUERY_ID_TYPE type);
NTSTATUS uw_id_text(struct uw_vdev *dev, IRP *irp, DEVICE_TEXT_TYPE type);
void uw_id_instance(struct uw_vdev *dev);

/* userhub.c */
NTSTATUS uw_user_hub(IRP *irp, IO_STACK_LOCATION *at);

/* client.c: drivers with a USBD handle */
NTSTATUS uw_client_open(struct uw_vdev *dev, struct uwb_usbd *client);
/* The driver has let go of the device. */
void uw_client_gone(struct uw_vdev *dev);
/* May this URB be sent by the driver that is above now? */
bool uw_client_begin(struct uw_vdev *dev, IRP *irp, URB *urb);
/* Before the IRP of one that might is completed. */
void uw_client_end(struct uw_vdev *dev, URB *urb);

/* hub.c: internal device controls */
NTSTATUS uw_pdo_internal(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at);

/* urb.c: what a URB asks for, and whether Windows would do it */
NTSTATUS uw_urb_submit(struct uw_vdev *dev, IRP *irp, URB *urb);
NTSTATUS uw_urb_status(USBD_STATUS status);
struct uw_pipe *uw_pipe_find(struct uw_vdev *dev, USBD_PIPE_HANDLE handle);
/* iso.c, config.c, control.c: its kinds. 0, or why not; the transfer is filled in. */
USBD_STATUS uw_iso_check(struct uw_vdev *dev, struct uw_pipe *pipe, URB *urb);
void uw_iso_fill(struct uw_xfer *x);
void uw_iso_end(struct uw_xfer *x);
USBD_STATUS uw_control_check(struct uw_xfer *x);
USBD_STATUS uw_select_run(struct uw_xfer *x);
USBD_STATUS uw_reset_port(struct uw_vdev *dev);
void uw_select_drop(struct uw_vdev *dev);
/* chain.c: bytes in several MDLs, gathered into one piece and back */
bool uw_chain_used(const URB *urb);
uint8_t *uw_chain_gather(struct uw_xfer *x, uint32_t length, USBD_STATUS *status);
void uw_chain_scatter(struct uw_xfer *x);
/* streams.c. find: under the lock, the pipe of a stream's handle, and the stream's number. */
struct uw_pipe *uw_stream_find(struct uw_vdev *dev, USBD_PIPE_HANDLE handle, uint16_t *number);
USBD_STATUS uw_streams_check(const struct uw_xfer *x);
USBD_STATUS uw_streams_run(struct uw_xfer *x);
/* The device has lost them. */
void uw_streams_drop(struct uw_vdev *dev);
uint8_t *uw_urb_bytes(void *buffer, MDL *mdl, uint32_t length, USBD_STATUS *status);

/* engine.c: one at a time runs a model */
NTSTATUS uw_engine_post(struct uw_xfer *x);
void uw_engine_wake(struct uw_vdev *dev);
void uw_engine_kick(void);
void NTAPI uw_engine_thread(void *context);
USBD_STATUS uw_engine_verb(struct uw_vdev *dev, uint8_t verb, uint16_t arg0, uint16_t arg1);
/* Streams of an endpoint, 0: none. */
USBD_STATUS uw_engine_streams(struct uw_vdev *dev, uint8_t address, uint16_t count);
void uw_engine_host(struct uw_vdev *dev);

/* done.c: ends of transfers */
void uw_done(struct uw_xfer *x, USBD_STATUS status);
void uw_done_init(void);
void uw_done_deliver(void);
uint64_t uw_done_late(void);
void NTAPI uw_done_cancel(DEVICE_OBJECT *device, IRP *irp);

/* selftest.c */
void uw_selftest(struct uwb_selftest *result);

#endif
