/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices of both backends, model and real, and which VM's port each is bound to.
 *
 *   FREE --bind--> OPENING --open--> ATTACHED --guest orphaned--> CLOSING --> WAITING --guest back--> OPENING
 *    ^------ unbind, unplugged, open failed, from any but OPENING, by way of CLOSING from ATTACHED --------'
 */
#include "dev.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "capture.h"
#include "log.h"
#include "sysfs.h"
#include "field.h"

void uw_say(struct uw_outcome *outcome, uint16_t status, const char *format, ...)
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

	if (dev->all->captures)
		uw_capture_event(dev, io, UW_CTL_COMPLETED);
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

struct uw_dev *uw_dev_find(const struct uw_devs *devs, const char *bus_id)
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

struct uw_link *uw_devs_link(const struct uw_devs *devs, const char *vm, struct uw_outcome *outcome)
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
		uw_say(outcome, UW_CTL_NO_VM, "there is no VM %s; there are:%s", vm, names);
	else
		uw_say(outcome, UW_CTL_NO_VM, "say which VM with --vm; there are:%s", names);
	return NULL;
}

/* ---- real devices ---- */

void uw_dev_free_real(struct uw_dev *dev)
{
	if (!dev->real)
		return;
	uw_thread_join(&dev->thread);
	uw_usb_free(dev->device);
	uw_list_del(&dev->node);
	free(dev);
}

static void tell_asker(struct uw_dev *dev, const struct uw_outcome *outcome)
{
	struct uw_devs *devs = dev->all;

	if (dev->asker)
		devs->answer(dev->asker, dev->asker_id, outcome);
	dev->asker = NULL;
}

/* ---- closing ---- */

static void leave_port(struct uw_dev *dev)
{
	if (dev->port)
		dev->link->devs[dev->port] = NULL;
	dev->port = 0;
	dev->link->dirty = true;
}

/* What was closed is free, or no more, and may be bound again. */
static void set_free(struct uw_dev *dev)
{
	leave_port(dev);
	dev->link = NULL;
	dev->gone = dev->leaving = false;
	dev->timer = UW_NEVER;
	dev->state = UW_CTL_FREE;
	dev->all->follow.look = true;
	tell_asker(dev, &dev->farewell);
	uw_dev_free_real(dev);
}

static void end_close(struct uw_dev *dev)
{
	dev->state = UW_CTL_WAITING;
	switch (dev->then) {
	case UW_THEN_FREE:
		set_free(dev);
		break;
	case UW_THEN_WAIT:
		break;
	case UW_THEN_MOVE:
		leave_port(dev);
		dev->link = dev->move_to;
		uw_dev_start_open(dev);
		break;
	default:
		uw_dev_start_open(dev);
		break;
	}
}

static void on_closed(struct uw_device *device)
{
	end_close(device->owner);
}

/* A real device takes its time, and the others' transfers go on meanwhile; a model closes at once. */
static void close_then(struct uw_dev *dev, enum uw_then then)
{
	bool open = dev->state == UW_CTL_ATTACHED;

	dev->then = then;
	if (dev->state == UW_CTL_CLOSING)
		return;
	dev->timer = UW_NEVER;
	if (open && dev->real) {
		dev->state = UW_CTL_CLOSING;
		uw_usb_shut(dev->device, on_closed);
		return;
	}
	if (open)
		dev->device->ops->close(dev->device);
	end_close(dev);
}

static void detach(struct uw_dev *dev)
{
	if (dev->port)
		uw_host_detach(&dev->link->host, dev->port, dev->all->loop->now);
	dev->link->dirty = true;
}

void uw_dev_let_go(struct uw_dev *dev)
{
	dev->gone = false;
	dev->match[0] = 0;
	detach(dev);
	close_then(dev, UW_THEN_FREE);
}

void uw_dev_move(struct uw_dev *dev, struct uw_link *to)
{
	detach(dev);
	dev->move_to = to;
	close_then(dev, UW_THEN_MOVE);
}

/* ---- opening ---- */

/* What was bound by hand is remembered from now on; of what was bound by its bus id, also the port. */
static void remember(struct uw_dev *dev)
{
	struct uw_devs *devs = dev->all;
	const char *vm = uw_link_name(dev->link);
	struct uw_binding *b = dev->by_hand ? uw_bindings_put(&devs->bindings, dev->match, vm, dev->flags) :
			       uw_bindings_find(&devs->bindings, dev->match);

	if (!b && dev->by_hand)
		uw_log(UW_LOG_WARNING, "%s will not be remembered: there are %u bindings already", dev->match,
		       UW_BINDINGS_MAX);
	if (!b || uw_binding_is_pattern(b->match) || (!dev->by_hand && b->port == dev->port))
		return;
	b->port = dev->port;
	devs->changed(devs);
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
		uw_say(outcome, UW_CTL_OK, "%s is open again for VM %s", dev->device->bus_id, vm);
		return;
	}
	dev->port = choose_port(dev);
	if (!dev->port) {
		uw_say(outcome, UW_CTL_NO_PORT, "VM %s has no free port for a device of this speed; unbind another", vm);
		return;
	}
	dev->link->devs[dev->port] = dev;
	uw_host_attach(&dev->link->host, dev->port, dev->device->speed, dev->all->loop->now);
	uw_say(outcome, UW_CTL_OK, "%s is at port %u of VM %s", dev->device->bus_id, dev->port, vm);
}

static void finish_open(struct uw_dev *dev)
{
	struct uw_outcome outcome = { .status = UW_CTL_OK };
	struct uw_devs *devs = dev->all;

	dev->link->dirty = true;
	if (dev->opened) {
		dev->state = UW_CTL_WAITING;
		uw_say(&outcome, UW_CTL_FAILED, "%s cannot be opened: %s", dev->device->bus_id,
		    dev->real ? uw_usb_reason(dev->device) : "the model refuses");
	} else {
		if (dev->real)
			uw_usb_opened(dev->device);
		attach(dev, &outcome);
	}
	uw_log(outcome.status ? UW_LOG_WARNING : UW_LOG_INFO, "%s", outcome.text);
	if (!outcome.status && !dev->leaving)
		remember(dev);
	tell_asker(dev, &outcome);
	if (outcome.status && !dev->by_hand && !dev->gone)
		uw_follow_failed(devs, dev->device->bus_id, dev->number);
	if (outcome.status || dev->leaving) {
		dev->farewell = outcome;
		uw_dev_let_go(dev); /* a real one may be no more */
	}
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
void uw_dev_start_open(struct uw_dev *dev)
{
	struct uw_sysfs_device now;

	if (dev->real && uw_sysfs_read(dev->device->bus_id, &now))
		dev->number = now.number;
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

struct uw_dev *uw_dev_add_real(struct uw_devs *devs, const char *bus_id, struct uw_outcome *outcome)
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
		uw_say(outcome, UW_CTL_FAILED, "no thread for %s", bus_id);
		uw_usb_free(device);
		free(dev);
		return NULL;
	}
	dev->real = true;
	uw_dev_adopt(devs, dev, device);
	return dev;
}

void uw_devs_forget(struct uw_devs *devs, const struct uw_client *client)
{
	struct uw_list *node;

	for (node = devs->devs.next; node != &devs->devs; node = node->next)
		if (UW_CONTAINER(node, struct uw_dev, node)->asker == client)
			UW_CONTAINER(node, struct uw_dev, node)->asker = NULL;
}

/* ---- the actions of a link ---- */

void uw_dev_verb(struct uw_dev *dev, struct uw_transfer_io *io)
{
	if (dev->all->captures)
		uw_capture_event(dev, io, UW_CTL_SUBMITTED);
	uw_device_begin(dev->device, io);
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
	close_then(dev, UW_THEN_WAIT);
}

void uw_dev_resume_binding(struct uw_dev *dev)
{
	if (dev->state == UW_CTL_WAITING)
		uw_dev_start_open(dev);
	else if (dev->state == UW_CTL_CLOSING && dev->then == UW_THEN_WAIT)
		dev->then = UW_THEN_OPEN;
}

/* ---- turns of the loop ---- */

static struct uw_dev *find_gone(const struct uw_devs *devs)
{
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (dev->gone && dev->state != UW_CTL_OPENING && !(dev->state == UW_CTL_CLOSING && dev->then == UW_THEN_FREE))
			return dev;
	}
	return NULL;
}

/* Each search begins anew, as closing one may be the end of it. */
static void drop_gone(struct uw_devs *devs)
{
	struct uw_dev *dev;

	devs->attention = false;
	while ((dev = find_gone(devs)) != NULL) {
		uw_log(UW_LOG_INFO, "%s was unplugged", dev->device->bus_id);
		uw_say(&dev->farewell, UW_CTL_FAILED, "%s was unplugged", dev->device->bus_id);
		uw_dev_let_go(dev);
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
	uw_follow_run(devs);
	if (devs->attention)
		drop_gone(devs);
	if (devs->next_timer <= devs->loop->now)
		call_timers(devs);
	if (devs->follow.look || devs->attention)
		return devs->loop->now;
	return devs->next_timer < devs->follow.next ? devs->next_timer : devs->follow.next;
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

/* A listing, and which bindings have a device to stand beside. */
struct listing {
	struct uw_devs *devs;
	void (*each)(void *ctx, const struct uw_ctl_device *device);
	void *ctx;
	bool shown[UW_BINDINGS_MAX];
};

/* One that is free, though a binding of its own waits for it, says so. */
static void list_record(struct listing *l, struct uw_ctl_device *record)
{
	struct uw_binding *b = uw_bindings_find(&l->devs->bindings, (const char *)record->bus_id);

	if (b)
		l->shown[b - l->devs->bindings.entry] = true;
	if (b && record->state == UW_CTL_FREE) {
		record->state = UW_CTL_AWAITED;
		UW_TEXT_PUT(record->vm, b->vm);
	}
	l->each(l->ctx, record);
}

static void list_unbound(void *ctx, const struct uw_ctl_device *device)
{
	struct listing *l = ctx;
	struct uw_ctl_device record = *device;

	if (!uw_dev_find(l->devs, (const char *)device->bus_id))
		list_record(l, &record);
}

static void list_binding(const struct listing *l, const struct uw_binding *b)
{
	struct uw_ctl_device record = { .state = UW_CTL_AWAITED };

	UW_TEXT_PUT(record.bus_id, b->match);
	UW_TEXT_PUT(record.vm, b->vm);
	UW_TEXT_PUT(record.description, uw_binding_is_pattern(b->match) ? "every device of this id" : "not plugged in");
	l->each(l->ctx, &record);
}

void uw_devs_each(struct uw_devs *devs, void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx)
{
	struct listing listing = { .devs = devs, .each = each, .ctx = ctx };
	struct uw_ctl_device record;
	struct uw_list *node;
	uint32_t i;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		describe(UW_CONTAINER(node, struct uw_dev, node), &record);
		list_record(&listing, &record);
	}
	uw_usb_each(&devs->usb, &devs->follow.names, list_unbound, &listing);
	for (i = 0; i < devs->bindings.count; i++)
		if (!listing.shown[i])
			list_binding(&listing, &devs->bindings.entry[i]);
}

/* ---- the whole ---- */

bool uw_devs_open(struct uw_devs *devs, struct uw_loop *loop, const struct uw_start *start)
{
	uint32_t i;

	devs->loop = loop;
	devs->config = start->config;
	devs->bindings = *start->bindings;
	devs->next_timer = UW_NEVER;
	uw_list_init(&devs->devs);
	if (uw_returns_open(&devs->returns, loop))
		return false;
	uw_usb_init(&devs->usb, loop, start);
	for (i = 0; i < start->config->models; i++)
		if (!uw_dev_add_model(devs, &start->config->model[i]))
			return false;
	uw_follow_open(devs);
	uw_devs_settle(devs);
	return true;
}

static bool any_under_way(const struct uw_devs *devs)
{
	struct uw_list *node;
	uint8_t state;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		state = UW_CONTAINER(node, struct uw_dev, node)->state;
		if (state == UW_CTL_OPENING || state == UW_CTL_CLOSING)
			return true;
	}
	return false;
}

/* At the end nothing else has to go on, so every device is closed at once, and waited for. */
static void end(struct uw_dev *dev)
{
	if (dev->link)
		detach(dev);
	if (dev->state == UW_CTL_ATTACHED)
		dev->device->ops->close(dev->device);
	uw_dev_free_real(dev);
}

void uw_devs_close(struct uw_devs *devs)
{
	struct uw_list *node, *next;

	uw_follow_close(devs);
	while (any_under_way(devs)) {
		uw_loop_wait(devs->loop, devs->next_timer);
		call_timers(devs);
	}
	for (node = devs->devs.next; node != &devs->devs; node = next) {
		next = node->next;
		end(UW_CONTAINER(node, struct uw_dev, node));
	}
	while ((node = uw_list_pop(&devs->devs)) != NULL)
		free(UW_CONTAINER(node, struct uw_dev, node)); /* of a model */
	uw_usb_fini(&devs->usb);
	uw_returns_close(&devs->returns);
}
