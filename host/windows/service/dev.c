/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The USB devices of this machine, which VM each is bound to, and how far that has got.
 *
 * Looking at Windows' devices and changing their drivers blocks for up to seconds, so both are tasks of one thread, one
 * after the other, and each ends with a look at what there is now. The loop owns the list of devices; a task works on
 * copies, which the loop takes over. A command is a chain of tasks and of requests to UsbWarp.sys:
 *
 *   list:    look -> answer
 *   bind:    look -> change the driver -> attach, when UsbWarp.sys knows the device -> answer
 *   unbind:  look -> detach -> change the driver back -> answer
 *
 * The same without an asker is what happens to a device that comes back.
 */
#include "dev.h"

#include <stdlib.h>

#include "journal.h"
#include "log.h"
#include "text.h"
#include "wide.h"
#include "worker.h"

#define CALM (150 * UW_MS)         /* after an arrival, until Windows has made all devnodes of a device */
#define RETRY (500 * UW_MS)        /* between attempts to attach what somebody waits for */
#define GIVE_UP (15000 * UW_MS)    /* until such a bind has failed */
#define SCAN (2000 * UW_MS)        /* between looks where nobody tells */

enum task_kind { TASK_SCAN, TASK_BIND, TASK_RESTORE };
enum then { THEN_NOTHING, THEN_LIST, THEN_BIND, THEN_UNBIND };

struct task {
	struct uw_job job;
	struct uw_list node;
	struct uw_devs *devs;
	enum task_kind kind;
	enum then then;                /* of TASK_SCAN */
	struct uw_client *client;
	uint32_t id;
	char bus_id[UW_CTL_NAME], vm[UW_CTL_NAME];
	struct uw_record record;
	struct uw_outcome outcome;
	uint32_t count;
	struct uw_usb_info found[UW_USB_MAX];
};

/* ---- tasks ---- */

static void on_task(struct uw_job *job);

static void run_task(struct uw_job *job)
{
	struct task *t = UW_CONTAINER(job, struct task, job);

	if (t->kind == TASK_BIND)
		uw_bind(&t->record, &t->outcome);
	else if (t->kind == TASK_RESTORE)
		uw_restore(&t->record, &t->outcome);
	t->count = uw_usb_list(t->found, UW_USB_MAX);
}

/* The client is answered by whoever ends the chain. NULL: no memory, or we are stopping. */
static struct task *post(struct uw_devs *devs, enum task_kind kind, const struct uw_record *record,
			 struct uw_client *client, uint32_t id)
{
	struct task *t = devs->stopping ? NULL : calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->devs = devs;
	t->kind = kind;
	t->client = client;
	t->id = id;
	if (record)
		t->record = *record;
	t->job.run = run_task;
	t->job.done = on_task;
	uw_list_add(&devs->tasks, &t->node);
	return t;
}

static void go(struct task *t)
{
	uw_thread_post(&t->devs->thread, &t->job);
}

static void answer(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome)
{
	if (client)
		uw_server_answer(client, id, outcome);
}

static void answer_busy(struct uw_client *client, uint32_t id)
{
	answer(client, id, &(struct uw_outcome){ UW_CTL_BUSY, "the service has no memory, or is stopping; try again" });
}

/* ---- finding ---- */

#define EACH(all, at, each) \
	for (at = (all)->devs.next; at != &(all)->devs && ((each) = UW_CONTAINER(at, struct uw_dev, node)); at = at->next)

static struct uw_dev *by_instance(const struct uw_devs *devs, const char *instance)
{
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev)
		if (uw_text_same(dev->info.instance, instance))
			return dev;
	return NULL;
}

/* One that is present is meant before one that was at this place. */
static struct uw_dev *by_bus_id(const struct uw_devs *devs, const char *bus_id)
{
	struct uw_dev *dev, *absent = NULL;
	struct uw_list *node;

	EACH(devs, node, dev) {
		if (strcmp(dev->info.bus_id, bus_id))
			continue;
		if (dev->present)
			return dev;
		absent = dev;
	}
	return absent;
}

static bool same_place(const struct uw_usb_info *a, const struct uw_usb_info *b)
{
	return a->port == b->port && uw_text_same(a->hub, b->hub);
}

static struct uw_link *link_of(const struct uw_dev *dev)
{
	return dev->bound ? uw_worker_link(dev->devs->worker, dev->record.vm) : NULL;
}

const struct uw_dev *uw_devs_at(const struct uw_devs *devs, const struct uw_link *link, uint8_t port)
{
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev)
		if (dev->port == port && link_of(dev) == link)
			return dev;
	return NULL;
}

/* ---- ends of commands ---- */

static void tell_asker(struct uw_dev *dev, const struct uw_outcome *outcome)
{
	struct uw_client *asker = dev->asker;

	uw_log(outcome->status ? UW_LOG_WARNING : UW_LOG_INFO, "%s", outcome->text);
	dev->asker = NULL;
	dev->give_up = 0;
	answer(asker, dev->asker_id, outcome);
}

static void drop(struct uw_dev *dev)
{
	uw_list_del(&dev->node);
	free(dev);
}

/* ---- attaching ---- */

static void restore(struct uw_dev *dev);
static void try_attach(struct uw_dev *dev);

static void on_detached(struct uw_drv_request *r, uint32_t error, uint32_t bytes)
{
	struct uw_dev *dev = UW_CONTAINER(r, struct uw_dev, request);

	(void)bytes;
	dev->busy = false;
	dev->port = 0;
	uw_link_returned(dev->asked);
	if (error)
		uw_log(UW_LOG_WARNING, "%s leaves VM %s the hard way: %s", dev->info.bus_id, dev->record.vm, uw_error_text(error));
	if (!dev->devs->stopping)
		restore(dev);
}

static void attach_failed(struct uw_dev *dev, uint16_t status)
{
	struct uw_outcome outcome;

	if (status == UW_CTL_NO_PORT)
		uw_say(&outcome, status, "VM %s has no free port for a device of this speed; unbind another", dev->record.vm);
	else if (status == UW_CTL_NO_DEVICE)
		uw_say(&outcome, UW_CTL_FAILED, "%s has UsbWarp's driver, but that does not start; see the Device Manager", dev->info.bus_id);
	else
		uw_say(&outcome, status ? status : UW_CTL_FAILED, "%s cannot be opened by UsbWarp.sys", dev->info.bus_id);
	if (!dev->asker) {
		uw_log(UW_LOG_WARNING, "%s", outcome.text);
		return;
	}
	/* Somebody asked for this bind: it did not come about, so nothing of it stays. */
	tell_asker(dev, &outcome);
	restore(dev);
}

/* The driver has not started yet, or the hub's cycle of the port is taking the device away once more. UsbWarp.sys tells
 * when it is there, but not when a device that was there can be opened. */
static bool may_come(const struct uw_dev *dev, uint16_t status)
{
	bool patient = dev->asker && dev->devs->worker->loop.now < dev->give_up;

	return status == UW_CTL_NO_DEVICE ? patient || !dev->asker : status == UW_CTL_FAILED && patient;
}

static void on_attached(struct uw_drv_request *r, uint32_t error, uint32_t bytes)
{
	struct uw_dev *dev = UW_CONTAINER(r, struct uw_dev, request);
	uint16_t status = uw_get16(dev->attached.status);
	struct uw_link *link = dev->asked;
	struct uw_outcome outcome;

	(void)bytes;
	dev->busy = false;
	dev->state = UW_CTL_WAITING;
	if (!error && status == UW_CTL_OK) {
		dev->port = dev->attached.port;
		dev->state = UW_CTL_ATTACHED;
	}
	uw_link_returned(link);
	uw_link_refresh(link);
	if (error == ERROR_OPERATION_ABORTED || dev->devs->stopping)
		return;
	if (!error && status == UW_CTL_OK) {
		uw_say(&outcome, UW_CTL_OK, "%s is at port %u of VM %s", dev->info.bus_id, dev->port, dev->record.vm);
		tell_asker(dev, &outcome);
	} else if (!error && may_come(dev, status)) {
		uw_timer_arm(&dev->devs->worker->loop, &dev->devs->retry, dev->devs->worker->loop.now + RETRY);
	} else if (!error && status == UW_CTL_BOUND && !dev->asker) {
		uw_log(UW_LOG_DEBUG, "%s is attached already", dev->info.bus_id);
	} else {
		attach_failed(dev, error ? UW_CTL_FAILED : status);
	}
}

static void try_attach(struct uw_dev *dev)
{
	struct uw_link *link = link_of(dev);

	if (!link || link->state != UW_LINK_UP || dev->busy || dev->working || dev->port || !dev->present ||
	    !dev->info.ours || dev->unbinding || dev->record.step != UW_STEP_BOUND)
		return;
	uw_zero(&dev->attach, sizeof(dev->attach));
	if (!uw_usbid_link(dev->info.instance, dev->attach.link, UW_NT_LINK))
		return;
	dev->busy = true;
	dev->state = UW_CTL_OPENING;
	dev->asked = link;
	dev->request.done = on_attached;
	uw_link_begin(link, UW_NT_ATTACH, &dev->attach, sizeof(dev->attach), &dev->attached, sizeof(dev->attached),
		      &dev->request);
}

static void on_retry(struct uw_timer *timer)
{
	struct uw_devs *devs = UW_CONTAINER(timer, struct uw_devs, retry);
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev)
		if (dev->asker)
			try_attach(dev);
}

void uw_devs_changed(struct uw_devs *devs, struct uw_link *link)
{
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev) {
		const struct uw_nt_port_status *p = dev->port ? &link->status.ports[dev->port - 1] : NULL;

		if (link_of(dev) != link || dev->busy)
			continue;
		if (p && p->state == UW_CTL_FREE) {
			uw_log(UW_LOG_INFO, "%s has left VM %s", dev->info.bus_id, dev->record.vm);
			dev->port = 0;
			dev->state = UW_CTL_WAITING;
		} else if (p) {
			dev->state = p->state;
			dev->info.speed = p->speed;
		}
		try_attach(dev);
	}
}

void uw_devs_down(struct uw_devs *devs, struct uw_link *link)
{
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev) {
		if (link_of(dev) != link)
			continue;
		dev->port = 0;
		dev->state = UW_CTL_WAITING;
	}
}

/* ---- changing drivers ---- */

static void restore(struct uw_dev *dev)
{
	struct task *t = dev->working ? NULL : post(dev->devs, TASK_RESTORE, &dev->record, dev->asker, dev->asker_id);

	if (!t)
		return;
	dev->asker = NULL;
	dev->working = true;
	go(t);
}

static void after_restore(struct task *t, struct uw_dev *dev)
{
	uw_log(t->outcome.status ? UW_LOG_WARNING : UW_LOG_INFO, "%s", t->outcome.text);
	answer(t->client, t->id, &t->outcome);
	if (!dev)
		return;
	dev->working = dev->unbinding = false;
	if (t->outcome.status) {
		dev->record = t->record;
		return;
	}
	dev->bound = false;
	dev->state = UW_CTL_FREE;
	dev->port = 0;
	if (!dev->present)
		drop(dev);
}

static void change_driver(struct uw_dev *dev, const struct uw_record *record, struct uw_client *client, uint32_t id)
{
	struct task *t = post(dev->devs, TASK_BIND, record, client, id);

	if (!t)
		return answer_busy(client, id);
	dev->working = true;
	dev->tried = true;
	dev->state = UW_CTL_OPENING;
	if (dev->info.warn)
		uw_log(UW_LOG_NOTICE, "%s is a network or audio device: Windows makes its settings anew when it is unbound",
		       dev->info.bus_id);
	go(t);
}

/* The driver is ours now, or the device has its former one and there is no record. */
static void after_bind(struct task *t, struct uw_dev *dev)
{
	struct uw_link *link;

	if (dev)
		dev->working = false;
	if (!dev || t->outcome.status) {
		uw_log(UW_LOG_WARNING, "%s", t->outcome.text);
		if (dev)
			dev->state = UW_CTL_FREE;
		answer(t->client, t->id, &t->outcome);
		return;
	}
	dev->bound = true;
	dev->record = t->record;
	dev->state = UW_CTL_WAITING;
	dev->asker = t->client;
	dev->asker_id = t->id;
	dev->give_up = dev->devs->worker->loop.now + GIVE_UP;
	link = link_of(dev);
	if (link && link->state == UW_LINK_UP)
		return; /* try_attach follows when the list has been taken over */
	uw_say(&t->outcome, UW_CTL_OK, "%s is bound to VM %s, and will be there when the VM runs", dev->info.bus_id, dev->record.vm);
	tell_asker(dev, &t->outcome);
}

/* ---- taking over what Windows has now ---- */

static struct uw_dev *add(struct uw_devs *devs)
{
	struct uw_dev *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	dev->devs = devs;
	uw_list_add(&devs->devs, &dev->node);
	return dev;
}

static void take_one(struct uw_devs *devs, const struct uw_usb_info *info)
{
	struct uw_dev *dev = by_instance(devs, info->instance);
	uint8_t speed = dev ? dev->info.speed : UW_SPEED_NONE;

	if (!dev)
		dev = add(devs);
	if (!dev)
		return;
	if (!dev->present)
		dev->tried = false;
	dev->info = *info;
	if (dev->bound && info->ours && *dev->record.name) /* Windows names it after our driver now */
		UW_TEXT_PUT(dev->info.name, dev->record.name);
	if (dev->port && !info->speed)
		dev->info.speed = speed;
	dev->present = dev->seen = true;
}

static void take_absent(struct uw_devs *devs)
{
	struct uw_list *node, *next;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		next = node->next;
		if (dev->seen) {
			dev->seen = false;
			continue;
		}
		dev->present = false;
		if (!dev->bound && !dev->working && !dev->busy)
			drop(dev);
	}
}

/* A record whose device comes back, at its place or with its id; there may be several with one place. */
static const struct uw_dev *record_for(const struct uw_devs *devs, const struct uw_dev *dev)
{
	struct uw_list *node;
	struct uw_dev *other;

	EACH(devs, node, other)
		if (other->bound && other != dev && !other->present && other->record.step == UW_STEP_BOUND &&
		    uw_record_matches(&other->record, dev->info.instance, dev->info.hub, dev->info.port, dev->info.id))
			return other;
	return NULL;
}

/* What is to be done about a device that is there. */
static void settle(struct uw_dev *dev)
{
	struct uw_devs *devs = dev->devs;
	const struct uw_dev *former;
	struct uw_record record;

	if (!dev->present || dev->working || dev->busy || dev->info.is_hub)
		return;
	if (dev->bound && dev->info.ours)
		return try_attach(dev);
	former = dev->bound ? dev : record_for(devs, dev);
	if (!former) {
		if (!dev->info.ours || dev->tried)
			return;
		uw_log(UW_LOG_NOTICE, "%s has UsbWarp's driver, but is bound to no VM: it gets another driver", dev->info.bus_id);
		dev->tried = true;
		uw_usb_record(&dev->record, &dev->info, "", false);
		restore(dev);
		return;
	}
	if (dev->tried)
		return;
	uw_log(UW_LOG_INFO, "%s has come back for VM %s", dev->info.bus_id, former->record.vm);
	uw_usb_record(&record, &dev->info, former->record.vm, former->record.by_id);
	change_driver(dev, &record, NULL, 0);
}

/* What a service that died left half done; its devices are in the list by now. */
static void repair(struct uw_devs *devs)
{
	struct uw_list *node, *next;
	struct uw_dev *dev;

	devs->repaired = true;
	for (node = devs->devs.next; node != &devs->devs; node = next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		next = node->next;
		if (!dev->bound)
			continue;
		switch (uw_record_repair(&dev->record, dev->present, dev->info.ours)) {
		case UW_REPAIR_FORWARD:
			uw_log(UW_LOG_NOTICE, "%s: a bind was interrupted after its driver had been changed; it counts", dev->record.bus_id);
			dev->record.step = UW_STEP_BOUND;
			if (uw_journal_put(&dev->record))
				uw_log(UW_LOG_WARNING, "the journal cannot be written");
			break;
		case UW_REPAIR_BACK:
			uw_log(UW_LOG_NOTICE, "%s: a change of its driver was interrupted; it gets its former one", dev->record.bus_id);
			restore(dev);
			break;
		default:
			break;
		}
	}
}

static void take_over(struct uw_devs *devs, const struct task *t)
{
	struct uw_list *node, *next;
	uint32_t i;

	for (i = 0; i < t->count; i++)
		take_one(devs, &t->found[i]);
	take_absent(devs);
	if (!devs->repaired)
		repair(devs);
	for (node = devs->devs.next; node != &devs->devs; node = next) {
		next = node->next;
		settle(UW_CONTAINER(node, struct uw_dev, node));
	}
}

/* ---- commands ---- */

static void ask(struct uw_devs *devs, enum then then, const char *bus_id, const char *vm, struct uw_client *client, uint32_t id)
{
	struct task *t = post(devs, TASK_SCAN, NULL, client, id);

	if (!t)
		return answer_busy(client, id);
	t->then = then;
	UW_TEXT_PUT(t->bus_id, bus_id);
	UW_TEXT_PUT(t->vm, vm);
	go(t);
}

void uw_devs_list(struct uw_devs *devs, struct uw_client *client, uint32_t id)
{
	ask(devs, THEN_LIST, "", "", client, id);
}

void uw_devs_bind(struct uw_devs *devs, const char *bus_id, const char *vm, struct uw_client *client, uint32_t id)
{
	ask(devs, THEN_BIND, bus_id, vm, client, id);
}

void uw_devs_unbind(struct uw_devs *devs, const char *bus_id, struct uw_client *client, uint32_t id)
{
	ask(devs, THEN_UNBIND, bus_id, "", client, id);
}

static struct uw_link *find_link(struct uw_devs *devs, const char *vm, struct uw_outcome *outcome)
{
	struct uw_worker *w = devs->worker;
	struct uw_link *link = *vm ? uw_worker_link(w, vm) : w->links_count == 1 ? &w->links[0] : NULL;

	if (!link && *vm)
		uw_say(outcome, UW_CTL_NO_VM, "there is no VM %s; usbwarp status shows those there are", vm);
	else if (!link)
		uw_say(outcome, UW_CTL_NO_VM, "there are several VMs; say which with --vm");
	return link;
}

static bool may_bind(const struct uw_dev *dev, struct uw_outcome *outcome)
{
	struct uw_list *node;
	struct uw_dev *other;

	if (dev->info.is_hub)
		uw_say(outcome, UW_CTL_HUB, "%s is a hub; bind the devices below it", dev->info.bus_id);
	else if (dev->working || dev->busy)
		uw_say(outcome, UW_CTL_BUSY, "%s is just being opened or closed; try again", dev->info.bus_id);
	else if (dev->bound)
		uw_say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", dev->info.bus_id, dev->record.vm);
	else
		outcome->status = UW_CTL_OK;
	EACH(dev->devs, node, other) {
		if (outcome->status || other == dev || !other->present || !(other->bound || other->working) ||
		    !same_place(&other->info, &dev->info))
			continue;
		uw_say(outcome, UW_CTL_BOUND, "%s is the device that is bound as %s", dev->info.bus_id, other->info.instance);
	}
	return !outcome->status;
}

static void bind_found(struct task *t)
{
	struct uw_devs *devs = t->devs;
	struct uw_link *link = find_link(devs, t->vm, &t->outcome);
	struct uw_dev *dev = by_bus_id(devs, t->bus_id);
	struct uw_record record;

	if (link && (!dev || !dev->present))
		uw_say(&t->outcome, UW_CTL_NO_DEVICE, "there is no device %s; usbwarp list shows those there are", t->bus_id);
	if (!link || !dev || !dev->present || !may_bind(dev, &t->outcome)) {
		answer(t->client, t->id, &t->outcome);
		return;
	}
	uw_usb_record(&record, &dev->info, link->config->name, devs->worker->config->by_id);
	change_driver(dev, &record, t->client, t->id);
}

static void detach(struct uw_dev *dev)
{
	struct uw_link *link = link_of(dev);

	if (!dev->port || !link || link->state != UW_LINK_UP) {
		restore(dev);
		return;
	}
	uw_zero(&dev->detach, sizeof(dev->detach));
	dev->detach.port = dev->port;
	dev->busy = true;
	dev->asked = link;
	dev->request.done = on_detached;
	uw_link_begin(link, UW_NT_DETACH, &dev->detach, sizeof(dev->detach), NULL, 0, &dev->request);
}

/* Also what else was bound at this place and is absent: it would come back to a VM that nobody gives it to any more. */
static void unbind_found(struct task *t)
{
	struct uw_dev *dev = by_bus_id(t->devs, t->bus_id), *other;
	struct uw_list *node, *next;

	if (!dev || !dev->bound)
		uw_say(&t->outcome, UW_CTL_NOT_BOUND, "%s is not bound", t->bus_id);
	else if (dev->working || dev->busy)
		uw_say(&t->outcome, UW_CTL_BUSY, "%s is just being opened or closed; try again", t->bus_id);
	else
		t->outcome.status = UW_CTL_OK;
	if (t->outcome.status)
		return answer(t->client, t->id, &t->outcome);
	for (node = t->devs->devs.next; node != &t->devs->devs; node = next) {
		other = UW_CONTAINER(node, struct uw_dev, node);
		next = node->next;
		if (other != dev && other->bound && !other->present && !other->working && same_place(&other->info, &dev->info))
			restore(other);
	}
	dev->unbinding = true;
	dev->tried = true;
	dev->asker = t->client;
	dev->asker_id = t->id;
	detach(dev);
}

static void on_task(struct uw_job *job)
{
	struct task *t = UW_CONTAINER(job, struct task, job);
	struct uw_devs *devs = t->devs;

	uw_list_del(&t->node);
	if (t->kind == TASK_BIND)
		after_bind(t, by_instance(devs, t->record.instance));
	else if (t->kind == TASK_RESTORE)
		after_restore(t, by_instance(devs, t->record.instance));
	if (!devs->stopping) {
		take_over(devs, t);
		if (t->then == THEN_LIST && t->client)
			uw_server_listed(t->client, t->id);
		else if (t->then == THEN_BIND)
			bind_found(t);
		else if (t->then == THEN_UNBIND)
			unbind_found(t);
	}
	free(t);
}

void uw_devs_forget(struct uw_devs *devs, const struct uw_client *client)
{
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev)
		if (dev->asker == client)
			dev->asker = NULL;
	for (node = devs->tasks.next; node != &devs->tasks; node = node->next)
		if (UW_CONTAINER(node, struct task, node)->client == client)
			UW_CONTAINER(node, struct task, node)->client = NULL;
}

/* Of two at one place the one that is there is told of. */
static bool is_hidden(const struct uw_devs *devs, const struct uw_dev *dev)
{
	const struct uw_dev *shown = by_bus_id(devs, dev->info.bus_id);

	return !dev->present && shown != dev && shown->present;
}

void uw_devs_each(const struct uw_devs *devs, void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx)
{
	struct uw_ctl_device record;
	struct uw_list *node;
	struct uw_dev *dev;

	EACH(devs, node, dev) {
		if (is_hidden(devs, dev))
			continue;
		uw_zero(&record, sizeof(record));
		UW_TEXT_PUT(record.bus_id, dev->info.bus_id);
		UW_TEXT_PUT(record.backend, "usb");
		UW_TEXT_PUT(record.description, dev->info.name);
		if (dev->bound)
			UW_TEXT_PUT(record.vm, dev->record.vm);
		record.vendor = uw_put16(dev->info.vendor);
		record.product = uw_put16(dev->info.product);
		record.release = uw_put16(dev->info.release);
		record.class_code = dev->info.class_code[0];
		record.subclass = dev->info.class_code[1];
		record.protocol = dev->info.class_code[2];
		record.speed = dev->info.speed;
		record.port = dev->port;
		record.state = dev->info.is_hub ? UW_CTL_NEVER : dev->state;
		each(ctx, &record);
	}
}

/* ---- the whole ---- */

static void on_scan(struct uw_timer *timer)
{
	struct uw_devs *devs = UW_CONTAINER(timer, struct uw_devs, scan);
	struct task *t = post(devs, TASK_SCAN, NULL, NULL, 0);

	if (t)
		go(t);
	if (!devs->told)
		uw_timer_arm(&devs->worker->loop, &devs->scan, devs->worker->loop.now + SCAN);
}

static void on_arrival(struct uw_notify *notify)
{
	struct uw_devs *devs = UW_CONTAINER(notify, struct uw_devs, notify);

	if (!devs->stopping)
		uw_timer_arm(&devs->worker->loop, &devs->scan, devs->worker->loop.now + CALM);
}

static void load_records(struct uw_devs *devs)
{
	static struct uw_record records[UW_RECORDS_MAX];
	uint32_t count = uw_journal_load(records, UW_RECORDS_MAX), i;
	struct uw_dev *dev;

	for (i = 0; i < count; i++) {
		dev = add(devs);
		if (!dev)
			return;
		dev->bound = true;
		dev->record = records[i];
		dev->state = UW_CTL_WAITING;
		uw_usb_recorded(&dev->info, &records[i]);
	}
}

bool uw_devs_open(struct uw_devs *devs, struct uw_worker *worker)
{
	devs->worker = worker;
	devs->scan.fired = on_scan;
	devs->retry.fired = on_retry;
	uw_list_init(&devs->devs);
	uw_list_init(&devs->tasks);
	load_records(devs);
	if (!uw_thread_start(&devs->thread, &worker->loop))
		return false;
	devs->notify.arrived = on_arrival;
	devs->told = uw_notify_open(&devs->notify, &worker->loop);
	if (!devs->told)
		uw_log(UW_LOG_WARNING, "Windows does not tell when devices come and go; they are looked for every 2 s");
	uw_timer_arm(&worker->loop, &devs->scan, worker->loop.now);
	return true;
}

void uw_devs_stop(struct uw_devs *devs)
{
	devs->stopping = true;
	uw_timer_cancel(&devs->scan);
	uw_timer_cancel(&devs->retry);
	uw_notify_close(&devs->notify);
}

bool uw_devs_idle(const struct uw_devs *devs)
{
	return uw_list_empty(&devs->tasks);
}

void uw_devs_close(struct uw_devs *devs)
{
	uw_thread_join(&devs->thread);
	while (!uw_list_empty(&devs->devs))
		drop(UW_CONTAINER(devs->devs.next, struct uw_dev, node));
}
