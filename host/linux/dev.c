/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices of both backends, model and real, and which VM's port each is bound to.
 *
 *   FREE --bind--> OPENING --open--> ATTACHED --guest orphaned--> WAITING --guest back--> OPENING
 *    ^------------- unbind, unplugged, open failed, from any but OPENING -------------'
 */
#include "dev.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "field.h"

static void say(struct uw_outcome *outcome, uint16_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct uw_outcome *outcome, uint16_t status, const char *format, ...)
{
	va_list args;

	outcome->status = status;
	va_start(args, format);
	vsnprintf(outcome->text, sizeof(outcome->text), format, args);
	va_end(args);
}

/* ---- what devices ask of their host ---- */

static uint64_t device_now(struct uw_device *device)
{
	struct uw_dev *dev = device->owner;

	return dev->all->loop->now;
}

static void device_arm(struct uw_device *device, uint64_t when)
{
	struct uw_dev *dev = device->owner;

	dev->timer = when;
	if (when < dev->all->next_timer)
		dev->all->next_timer = when;
}

static void device_complete(struct uw_device *device, struct uw_transfer_io *io)
{
	struct uw_dev *dev = device->owner;

	/* A model may have worked since the turn began, and the latency that people read is measured here. */
	uw_loop_tick(dev->all->loop);
	uw_host_complete(&dev->link->host, uw_xfer_of(io), dev->all->loop->now);
	dev->link->dirty = true;
}

/* Comes from inside a verb, where the device cannot be closed. */
static void device_gone(struct uw_device *device)
{
	struct uw_dev *dev = device->owner;

	dev->gone = dev->all->attention = true;
}

static void device_wakeup(struct uw_device *device)
{
	struct uw_dev *dev = device->owner;

	if (!dev->link || !dev->port)
		return;
	uw_host_event(&dev->link->host, dev->port, UW_EVENT_WAKEUP);
	dev->link->dirty = true;
}

static const struct uw_device_host device_host = {
	.now = device_now,
	.arm = device_arm,
	.complete = device_complete,
	.gone = device_gone,
	.wakeup = device_wakeup,
};

void uw_dev_adopt(struct uw_devs *devs, struct uw_dev *dev, struct uw_device *device)
{
	dev->all = devs;
	dev->device = device;
	dev->timer = UW_NEVER;
	device->owner = dev;
	device->host = &device_host;
	uw_list_add(&devs->devs, &dev->node);
}

/* ---- finding ---- */

static struct uw_dev *find(const struct uw_devs *devs, const char *bus_id)
{
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (!strcmp(dev->device->bus_id, bus_id))
			return dev;
	}
	return NULL;
}

static struct uw_link *find_link(const struct uw_devs *devs, const char *vm, struct uw_outcome *outcome)
{
	char names[UW_CTL_TEXT / 2] = "";
	size_t used = 0;
	uint32_t i;

	if (!*vm && devs->links_count == 1)
		return devs->links;
	for (i = 0; i < devs->links_count; i++) {
		if (*vm && !strcmp(uw_link_name(&devs->links[i]), vm))
			return &devs->links[i];
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, " %s",
						 uw_link_name(&devs->links[i]));
	}
	if (*vm)
		say(outcome, UW_CTL_NO_VM, "there is no VM %s; there are:%s", vm, names);
	else
		say(outcome, UW_CTL_NO_VM, "say which VM with --vm; there are:%s", names);
	return NULL;
}

/* ---- bind ---- */

static void free_real(struct uw_dev *dev)
{
	if (!dev->real)
		return;
	uw_thread_join(&dev->thread);
	uw_usb_free(dev->device);
	uw_list_del(&dev->node);
	free(dev);
}

/* Ends a binding, whatever its state but OPENING. */
static void let_go(struct uw_dev *dev)
{
	struct uw_link *link = dev->link;

	if (dev->port)
		uw_host_detach(&link->host, dev->port, dev->all->loop->now);
	if (dev->state == UW_CTL_ATTACHED)
		dev->device->ops->close(dev->device);
	if (dev->port)
		link->devs[dev->port] = NULL;
	link->dirty = true;
	dev->link = NULL;
	dev->port = 0;
	dev->gone = false;
	dev->timer = UW_NEVER;
	dev->state = UW_CTL_FREE;
	free_real(dev);
}

static void tell_asker(struct uw_dev *dev, const struct uw_outcome *outcome)
{
	struct uw_devs *devs = dev->all;

	if (dev->asker)
		devs->answer(dev->asker, dev->asker_id, outcome);
	dev->asker = NULL;
	if (dev->restored && !--devs->restoring)
		devs->changed(devs);
	dev->restored = false;
}

static uint8_t choose_port(const struct uw_dev *dev)
{
	const struct uw_link *l = dev->link;

	/* A port the device had before a restart is free, unless the table was forged. */
	if (dev->want && dev->want <= uw_layout_ports(&l->host.layout) && !l->devs[dev->want] &&
	    (dev->device->speed == UW_SPEED_SUPER) == (dev->want > l->host.layout.usb2_ports))
		return dev->want;
	return uw_host_port_for(&l->host, dev->device->speed);
}

static void attach(struct uw_dev *dev, struct uw_outcome *outcome)
{
	const char *vm = uw_link_name(dev->link);

	dev->state = UW_CTL_ATTACHED;
	if (dev->port) {
		uw_host_opened(&dev->link->host, dev->port);
		say(outcome, UW_CTL_OK, "%s is open again for VM %s", dev->device->bus_id, vm);
		return;
	}
	dev->port = choose_port(dev);
	if (!dev->port) {
		say(outcome, UW_CTL_NO_PORT, "VM %s has no free port for a device of this speed; unbind another", vm);
		return;
	}
	dev->link->devs[dev->port] = dev;
	uw_host_attach(&dev->link->host, dev->port, dev->device->speed, dev->all->loop->now);
	say(outcome, UW_CTL_OK, "%s is at port %u of VM %s", dev->device->bus_id, dev->port, vm);
}

static void finish_open(struct uw_dev *dev)
{
	struct uw_outcome outcome = { .status = UW_CTL_OK };
	struct uw_devs *devs = dev->all;

	dev->link->dirty = true;
	if (dev->opened) {
		dev->state = UW_CTL_WAITING;
		say(&outcome, UW_CTL_FAILED, "%s cannot be opened: %s", dev->device->bus_id,
		    dev->real ? uw_usb_reason(dev->device) : "the model refuses");
	} else {
		if (dev->real)
			uw_usb_opened(dev->device);
		attach(dev, &outcome);
	}
	uw_log(outcome.status ? UW_LOG_WARNING : UW_LOG_INFO, "%s", outcome.text);
	if (!outcome.status && !dev->restored)
		devs->changed(devs);
	tell_asker(dev, &outcome);
	if (!outcome.status)
		return;
	let_go(dev); /* a real one is no more */
	devs->changed(devs);
}

static void run_open(struct uw_job *job)
{
	struct uw_dev *dev = UW_CONTAINER(job, struct uw_dev, opening);

	dev->opened = dev->device->ops->open(dev->device);
}

static void on_opened(struct uw_job *job)
{
	finish_open(UW_CONTAINER(job, struct uw_dev, opening));
}

/* A real device takes its time over a reset, so it is opened on its thread; a model opens at once. */
static void start_open(struct uw_dev *dev)
{
	dev->state = UW_CTL_OPENING;
	dev->opening.run = run_open;
	dev->opening.done = on_opened;
	if (dev->real) {
		uw_thread_post(&dev->thread, &dev->opening);
		return;
	}
	run_open(&dev->opening);
	finish_open(dev);
}

static struct uw_dev *add_real(struct uw_devs *devs, const char *bus_id, struct uw_outcome *outcome)
{
	struct uw_dev *dev = calloc(1, sizeof(*dev));
	struct uw_device *device;

	if (!dev)
		return NULL;
	device = uw_usb_new(&devs->usb, &dev->thread, bus_id, outcome);
	if (!device) {
		free(dev);
		return NULL;
	}
	if (uw_thread_start(&dev->thread, &devs->returns)) {
		say(outcome, UW_CTL_FAILED, "no thread for %s", bus_id);
		uw_usb_free(device);
		free(dev);
		return NULL;
	}
	dev->real = true;
	uw_dev_adopt(devs, dev, device);
	return dev;
}

static bool may_bind(const struct uw_dev *dev, const struct uw_link *link, struct uw_outcome *outcome)
{
	if (dev->link)
		say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", dev->device->bus_id,
		    uw_link_name(dev->link));
	else if (!uw_host_port_for(&link->host, dev->device->speed))
		say(outcome, UW_CTL_NO_PORT, "VM %s has no free port for a device of this speed; unbind another",
		    uw_link_name(link));
	else
		return true;
	return false;
}

/* The device, now bound to the link but not open; NULL: the outcome says why. */
static struct uw_dev *bind_device(struct uw_devs *devs, const char *bus_id, const char *vm, struct uw_outcome *outcome)
{
	struct uw_link *link = find_link(devs, vm, outcome);
	struct uw_dev *dev = link ? find(devs, bus_id) : NULL;

	if (link && !dev)
		dev = add_real(devs, bus_id, outcome);
	if (!dev)
		return NULL;
	if (!may_bind(dev, link, outcome)) {
		if (!dev->link)
			free_real(dev);
		return NULL;
	}
	dev->link = link;
	return dev;
}

void uw_devs_bind(struct uw_devs *devs, const char *bus_id, const char *vm, struct uw_client *asker, uint32_t id,
		  struct uw_outcome *outcome)
{
	struct uw_dev *dev;

	say(outcome, UW_CTL_NO_DEVICE, "there is no device %s; usbwarp list shows those there are", bus_id);
	dev = bind_device(devs, bus_id, vm, outcome);
	if (!dev)
		return;
	outcome->status = UW_PENDING;
	dev->want = 0;
	dev->asker = asker;
	dev->asker_id = id;
	start_open(dev);
}

void uw_devs_unbind(struct uw_devs *devs, const char *bus_id, struct uw_outcome *outcome)
{
	struct uw_dev *dev = find(devs, bus_id);

	if (!dev || !dev->link) {
		say(outcome, UW_CTL_NOT_BOUND, "%s is not bound", bus_id);
		return;
	}
	if (dev->state == UW_CTL_OPENING) {
		say(outcome, UW_CTL_BUSY, "%s is just being opened; try again", bus_id);
		return;
	}
	say(outcome, UW_CTL_OK, "%s has left VM %s", bus_id, uw_link_name(dev->link));
	uw_log(UW_LOG_INFO, "%s", outcome->text);
	let_go(dev);
	devs->changed(devs);
}

void uw_devs_forget(struct uw_devs *devs, const struct uw_client *client)
{
	struct uw_list *node;

	for (node = devs->devs.next; node != &devs->devs; node = node->next)
		if (UW_CONTAINER(node, struct uw_dev, node)->asker == client)
			UW_CONTAINER(node, struct uw_dev, node)->asker = NULL;
}

/* ---- bindings over restarts ---- */

static bool terminated(const char *name)
{
	return *name && memchr(name, 0, UW_CTL_NAME);
}

static void restore(struct uw_devs *devs, const struct uw_binding *b)
{
	struct uw_outcome outcome;
	struct uw_dev *dev;

	if (!terminated(b->bus_id) || !memchr(b->vm, 0, UW_CTL_NAME))
		return;
	say(&outcome, UW_CTL_NO_DEVICE, "there is no device %s", b->bus_id);
	dev = bind_device(devs, b->bus_id, b->vm, &outcome);
	if (!dev) {
		uw_log(UW_LOG_WARNING, "%s is not bound: %s", b->bus_id, outcome.text);
		return;
	}
	dev->want = b->port <= UW_PORTS_MAX ? (uint8_t)b->port : 0;
	dev->restored = true;
	devs->restoring++;
	start_open(dev);
}

/* The table is told anew only when all have been tried: a crash in between must not lose the rest. */
void uw_devs_restore(struct uw_devs *devs, const struct uw_binding *bindings, uint32_t count)
{
	uint32_t i;

	devs->restoring++;
	for (i = 0; i < count; i++)
		restore(devs, &bindings[i]);
	if (!--devs->restoring)
		devs->changed(devs);
}

uint32_t uw_devs_bindings(const struct uw_devs *devs, struct uw_binding *bindings, uint32_t max)
{
	struct uw_list *node;
	struct uw_dev *dev;
	uint32_t count = 0;

	for (node = devs->devs.next; node != &devs->devs && count < max; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (!dev->port)
			continue;
		UW_TEXT_PUT(bindings[count].bus_id, dev->device->bus_id);
		UW_TEXT_PUT(bindings[count].vm, uw_link_name(dev->link));
		bindings[count++].port = dev->port;
	}
	return count;
}

/* ---- the actions of a link ---- */

void uw_dev_verb(struct uw_dev *dev, struct uw_transfer_io *io)
{
	const struct uw_backend *ops = dev->device->ops;
	void (*const verbs[])(struct uw_device *device, struct uw_transfer_io *io) = {
		[UW_VERB_SUBMIT] = ops->submit,
		[UW_VERB_RESET] = ops->reset,
		[UW_VERB_SET_CONFIGURATION] = ops->set_configuration,
		[UW_VERB_SET_INTERFACE] = ops->set_interface,
		[UW_VERB_CLEAR_HALT] = ops->clear_halt,
		[UW_VERB_ALLOC_STREAMS] = ops->alloc_streams,
		[UW_VERB_FREE_STREAMS] = ops->free_streams,
		[UW_VERB_SUSPEND] = ops->suspend,
		[UW_VERB_RESUME] = ops->resume,
	};

	verbs[io->verb](dev->device, io);
}

void uw_dev_cancel(struct uw_dev *dev, struct uw_transfer_io *io)
{
	dev->device->ops->cancel(dev->device, io);
}

void uw_dev_suspend_binding(struct uw_dev *dev)
{
	if (dev->state != UW_CTL_ATTACHED)
		return;
	uw_log(UW_LOG_INFO, "%s is closed until its guest is back", dev->device->bus_id);
	dev->state = UW_CTL_WAITING;
	dev->timer = UW_NEVER;
	dev->device->ops->close(dev->device);
}

void uw_dev_resume_binding(struct uw_dev *dev)
{
	if (dev->state == UW_CTL_WAITING)
		start_open(dev);
}

/* ---- turns of the loop ---- */

static struct uw_dev *find_gone(const struct uw_devs *devs)
{
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (dev->gone && dev->state != UW_CTL_OPENING)
			return dev;
	}
	return NULL;
}

/* Each search begins anew, as closing one device may end the opening, and so the life, of another. */
static void drop_gone(struct uw_devs *devs)
{
	struct uw_dev *dev;

	devs->attention = false;
	while ((dev = find_gone(devs)) != NULL) {
		uw_log(UW_LOG_INFO, "%s was unplugged", dev->device->bus_id);
		let_go(dev);
		devs->changed(devs);
	}
}

static void call_timers(struct uw_devs *devs)
{
	struct uw_list *node;
	struct uw_dev *dev;

	devs->next_timer = UW_NEVER;
	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (dev->timer <= devs->loop->now && dev->timer != UW_NEVER) {
			dev->timer = UW_NEVER;
			dev->device->ops->timer(dev->device);
		}
		if (dev->timer < devs->next_timer)
			devs->next_timer = dev->timer;
	}
}

uint64_t uw_devs_run(struct uw_devs *devs)
{
	if (devs->attention)
		drop_gone(devs);
	if (devs->next_timer <= devs->loop->now)
		call_timers(devs);
	return devs->next_timer;
}

static void describe(const struct uw_dev *dev, struct uw_ctl_device *record)
{
	uw_zero(record, sizeof(*record));
	UW_TEXT_PUT(record->bus_id, dev->device->bus_id);
	UW_TEXT_PUT(record->backend, dev->device->ops->name);
	UW_TEXT_PUT(record->description, dev->device->description);
	if (dev->link)
		UW_TEXT_PUT(record->vm, uw_link_name(dev->link));
	record->vendor = uw_put16(dev->device->vendor);
	record->product = uw_put16(dev->device->product);
	record->release = uw_put16(dev->device->release);
	record->class_code = dev->device->class_code;
	record->subclass = dev->device->subclass;
	record->protocol = dev->device->protocol;
	record->speed = dev->device->speed;
	record->port = dev->port;
	record->state = dev->state;
}

struct unbound {
	struct uw_devs *devs;
	void (*each)(void *ctx, const struct uw_ctl_device *device);
	void *ctx;
};

static void if_unbound(void *ctx, const struct uw_ctl_device *device)
{
	struct unbound *u = ctx;

	if (!find(u->devs, (const char *)device->bus_id))
		u->each(u->ctx, device);
}

void uw_devs_each(struct uw_devs *devs, void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx)
{
	struct unbound unbound = { devs, each, ctx };
	struct uw_ctl_device record;
	struct uw_list *node;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		describe(UW_CONTAINER(node, struct uw_dev, node), &record);
		each(ctx, &record);
	}
	uw_usb_each(&devs->usb, if_unbound, &unbound);
}

/* ---- the whole ---- */

bool uw_devs_open(struct uw_devs *devs, struct uw_loop *loop, const struct uw_start *start)
{
	uint32_t i;

	devs->loop = loop;
	devs->next_timer = UW_NEVER;
	uw_list_init(&devs->devs);
	if (uw_returns_open(&devs->returns, loop))
		return false;
	uw_usb_init(&devs->usb, loop, start);
	for (i = 0; i < start->config->models; i++)
		if (!uw_dev_add_model(devs, &start->config->model[i]))
			return false;
	return true;
}

static bool any_opening(const struct uw_devs *devs)
{
	struct uw_list *node;

	for (node = devs->devs.next; node != &devs->devs; node = node->next)
		if (UW_CONTAINER(node, struct uw_dev, node)->state == UW_CTL_OPENING)
			return true;
	return false;
}

void uw_devs_close(struct uw_devs *devs)
{
	struct uw_list *node;
	struct uw_dev *dev;

	while (any_opening(devs))
		uw_returns_wait(&devs->returns);
	while ((node = uw_list_pop(&devs->devs)) != NULL) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (dev->model) {
			if (dev->link)
				let_go(dev);
			free(dev);
		} else {
			let_go(dev);
		}
	}
	uw_usb_fini(&devs->usb);
	uw_returns_close(&devs->returns);
}
