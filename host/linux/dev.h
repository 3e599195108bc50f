/* SPDX-License-Identifier: GPL-2.0-only */
/* The devices of both backends, model and real, and which VM's port each is bound to. */
#ifndef UW_DEV_H
#define UW_DEV_H

#include "backend.h"
#include "binding.h"
#include "config.h"
#include "follow.h"
#include "link.h"
#include "start.h"
#include "thread.h"
#include "usb.h"

/* What became of a command. */
struct uw_outcome {
	uint16_t status;       /* enum uw_ctl_status, or UW_PENDING */
	char text[UW_CTL_TEXT];
};

#define UW_PENDING 0xffffu     /* the asker will be told later */

/* Who waits for the end of a bind or unbind; NULL in devs->answer's stead once it has gone. */
struct uw_client;

/* What follows when a device has been closed. */
enum uw_then {
	UW_THEN_FREE,          /* its binding has ended */
	UW_THEN_WAIT,          /* for its guest */
	UW_THEN_OPEN,          /* its guest is back already */
	UW_THEN_MOVE,          /* another VM has it */
};

struct uw_dev {
	struct uw_list node;
	struct uw_devs *all;
	struct uw_device *device;
	struct uw_link *link;  /* bound to; NULL: free */
	uint8_t state;         /* enum uw_ctl_device_state */
	uint8_t port;          /* attached to; 0: not yet */
	uint8_t want;          /* to attach to; 0: any */
	bool real;             /* a real device: has a thread, and exists here only while bound */
	bool gone;             /* unplugged; to be let go in the next turn */
	uint8_t then;          /* enum uw_then: when it is closed */
	struct uw_link *move_to;
	struct uw_outcome farewell; /* for the asker, when the binding ends */
	bool by_hand;          /* bound by a command, not because a binding says so */
	bool leaving;          /* unbound while it was being opened */
	char match[UW_CTL_NAME]; /* of the binding that it is bound under */
	uint32_t flags;        /* UW_BINDING_* */
	uint32_t number;       /* real: of the device node it is opened by */
	uint64_t timer;        /* when the device asked to be called */
	struct uw_thread thread;
	struct uw_job opening;
	int opened;            /* result of opening: 0 or an enum uw_status */
	struct uw_client *asker;
	uint32_t asker_id;
	const struct uw_model_config *model;
	bool disk_failed;      /* said so once */
};

struct uw_devs {
	struct uw_loop *loop;
	const struct uw_config *config;
	struct uw_bindings bindings;
	struct uw_follow follow;
	struct uw_link *links;
	uint32_t links_count;
	struct uw_list devs;   /* models, and real devices that are bound */
	struct uw_usb_host usb;
	struct uw_returns returns;
	uint64_t next_timer;
	bool attention;        /* a device is gone */
	void (*answer)(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome);
	void (*changed)(struct uw_devs *devs); /* the bindings are other ones now */
	struct uw_capture *captures; /* that run; NULL: none */
};

/* links, answer and changed have been set. The bindings are those of start; they are made in the first run. */
UW_MUST_CHECK bool uw_devs_open(struct uw_devs *devs, struct uw_loop *loop, const struct uw_start *start);
void uw_devs_close(struct uw_devs *devs);
/* Calls timers, lets unplugged devices go, binds those that have come. When to be called again. */
uint64_t uw_devs_run(struct uw_devs *devs);

void uw_devs_each(struct uw_devs *devs, void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx);
/* match: a bus id or a hardware id; flags: UW_CTL_BIND_*. */
void uw_devs_bind(struct uw_devs *devs, const char *match, const char *vm, uint32_t flags, struct uw_client *asker,
		  uint32_t id, struct uw_outcome *outcome);
void uw_devs_unbind(struct uw_devs *devs, const char *match, struct uw_client *asker, uint32_t id,
		    struct uw_outcome *outcome);
/* The client is no more; nobody is to be answered. */
void uw_devs_forget(struct uw_devs *devs, const struct uw_client *client);

/* The actions of a link. */
void uw_dev_verb(struct uw_dev *dev, struct uw_transfer_io *io);
void uw_dev_cancel(struct uw_dev *dev, struct uw_transfer_io *io);
/* Closes the device, but keeps it bound. */
void uw_dev_suspend_binding(struct uw_dev *dev);
void uw_dev_resume_binding(struct uw_dev *dev);

void uw_say(struct uw_outcome *outcome, uint16_t status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For bind.c: what it is made of. The link of a name, or the only one; NULL: the outcome says why. */
struct uw_link *uw_devs_link(const struct uw_devs *devs, const char *vm, struct uw_outcome *outcome);
/* A real device that is plugged in, not bound yet; NULL: the outcome says why. And the end of one. */
struct uw_dev *uw_dev_add_real(struct uw_devs *devs, const char *bus_id, struct uw_outcome *outcome);
void uw_dev_free_real(struct uw_dev *dev);
/* Opens what has its link, and attaches it. */
void uw_dev_start_open(struct uw_dev *dev);
/* Ends a binding, whatever its state but OPENING; farewell has been set. A real device that is not open is no more. */
void uw_dev_let_go(struct uw_dev *dev);
/* Closes it, and opens it for another link. */
void uw_dev_move(struct uw_dev *dev, struct uw_link *to);

/* For dev.c: gives VMs' names to bindings that have none. */
void uw_devs_settle(struct uw_devs *devs);

/* For follow.c. */
struct uw_dev *uw_dev_find(const struct uw_devs *devs, const char *bus_id);
/* Begins to bind a device that is there, under that binding. False: the outcome says why not. */
UW_MUST_CHECK bool uw_dev_follow(struct uw_devs *devs, const char *bus_id, const struct uw_binding *binding,
				 struct uw_outcome *outcome);

/* A device of either backend begins its life here; dev is zeroed, its device made. */
void uw_dev_adopt(struct uw_devs *devs, struct uw_dev *dev, struct uw_device *device);
UW_MUST_CHECK bool uw_dev_add_model(struct uw_devs *devs, const struct uw_model_config *config);
/* Is there such a model, and does it heed these options? why: UW_WHY bytes. */
UW_MUST_CHECK bool uw_dev_check_model(const struct uw_model_config *config, char *why);

#endif
