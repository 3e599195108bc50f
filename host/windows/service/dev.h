/* SPDX-License-Identifier: GPL-2.0-only */
/* The USB devices of this machine, which VM each is bound to, and how far that has got. */
#ifndef UW_DEV_H
#define UW_DEV_H

#include "bind.h"
#include "drv.h"
#include "notify.h"
#include "thread.h"

struct uw_worker;
struct uw_link;
struct uw_client;

struct uw_dev {
	struct uw_list node;
	struct uw_devs *devs;
	struct uw_usb_info info;       /* as last seen; of an absent one, what its record tells */
	bool present;
	bool seen;                     /* in the list that is being taken over */
	bool tried;                    /* was not bound again although it should have been: not before it comes anew */
	bool bound;                    /* there is a record */
	struct uw_record record;
	uint8_t state;                 /* enum uw_ctl_device_state, if bound */
	uint8_t port;                  /* of the VM; 0: none */
	bool busy;                     /* a request to the driver is under way */
	bool working;                  /* a task of the devices' thread is */
	struct uw_drv_request request;
	struct uw_nt_attach attach;
	struct uw_nt_attached attached;
	struct uw_nt_port detach;
	struct uw_link *asked;         /* whom the request went to */
	struct uw_client *asker;       /* waits for the end of a bind or unbind; NULL: nobody does */
	uint32_t asker_id;
	bool unbinding;
	uint64_t give_up;              /* a bind that is waited for fails then */
};

struct uw_devs {
	struct uw_worker *worker;
	struct uw_thread thread;
	struct uw_list devs;
	struct uw_list tasks;          /* under way */
	bool stopping;
	bool repaired;                 /* the journal has been looked through */
	struct uw_timer scan;          /* look again: something came or went, or nobody tells */
	struct uw_timer retry;         /* for binds that are waited for */
	bool told;                     /* Windows tells when devices come and go */
	struct uw_notify notify;
};

UW_MUST_CHECK bool uw_devs_open(struct uw_devs *devs, struct uw_worker *worker);
/* No new tasks; nobody is answered any more. */
void uw_devs_stop(struct uw_devs *devs);
bool uw_devs_idle(const struct uw_devs *devs);
void uw_devs_close(struct uw_devs *devs);

/* A VM's session tells of other devices or states than before, or has begun. */
void uw_devs_changed(struct uw_devs *devs, struct uw_link *link);
/* A VM's session is over; its requests are coming back. */
void uw_devs_down(struct uw_devs *devs, struct uw_link *link);

/* What commands ask for. Each is answered later, with uw_server_answer or uw_server_listed. */
void uw_devs_list(struct uw_devs *devs, struct uw_client *client, uint32_t id);
void uw_devs_bind(struct uw_devs *devs, const char *bus_id, const char *vm, struct uw_client *client, uint32_t id);
void uw_devs_unbind(struct uw_devs *devs, const char *bus_id, struct uw_client *client, uint32_t id);
void uw_devs_forget(struct uw_devs *devs, const struct uw_client *client);

/* The device at this port of the VM, or NULL. */
const struct uw_dev *uw_devs_at(const struct uw_devs *devs, const struct uw_link *link, uint8_t port);
void uw_devs_each(const struct uw_devs *devs, void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx);

#endif
