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

#include "inuse.h"
#include "log.h"
#include "policy.h"
#include "sysfs.h"
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
	dev->gone = dev->leaving = false;
	dev->match[0] = 0;
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
}

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
	if (!outcome.status && !dev->leaving)
		remember(dev);
	tell_asker(dev, &outcome);
	if (outcome.status && !dev->by_hand && !dev->gone)
		uw_follow_failed(devs, dev->device->bus_id, dev->number);
	if (outcome.status || dev->leaving) {
		let_go(dev); /* a real one is no more */
		devs->follow.look = true;
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
static void start_open(struct uw_dev *dev)
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

/* May a real device be taken at all? */
static bool permitted(const struct uw_devs *devs, const char *bus_id, uint32_t flags, struct uw_outcome *outcome)
{
	struct uw_sysfs_device d;
	char why[UW_WHY];

	if (!devs->usb.context || !uw_sysfs_read(bus_id, &d) || d.hub)
		return true; /* to be refused for that */
	if (!uw_policy_allows(devs->config, &d, why)) {
		say(outcome, UW_CTL_POLICY, "%s may not be bound; %s", bus_id, why);
		return false;
	}
	if ((flags & UW_BINDING_FORCED) || !uw_in_use(bus_id, why, sizeof(why)))
		return true;
	say(outcome, UW_CTL_IN_USE, "%s is in use: %s; with --force it would be bound all the same", bus_id, why);
	return false;
}

/* The device, bound to the link and on its way to be open; NULL: the outcome says why. */
static struct uw_dev *bind_device(struct uw_devs *devs, const char *bus_id, struct uw_link *link, uint32_t flags,
				  struct uw_outcome *outcome)
{
	struct uw_dev *dev = uw_dev_find(devs, bus_id);

	if (!dev && permitted(devs, bus_id, flags, outcome))
		dev = add_real(devs, bus_id, outcome);
	if (!dev)
		return NULL;
	if (!may_bind(dev, link, outcome)) {
		if (!dev->link)
			free_real(dev);
		return NULL;
	}
	dev->link = link;
	dev->flags = flags;
	return dev;
}

bool uw_dev_follow(struct uw_devs *devs, const char *bus_id, const struct uw_binding *binding, struct uw_outcome *outcome)
{
	struct uw_link *link = find_link(devs, binding->vm, outcome);
	struct uw_dev *dev;

	if (!link)
		return false;
	say(outcome, UW_CTL_NO_DEVICE, "it has gone again");
	dev = bind_device(devs, bus_id, link, binding->flags, outcome);
	if (!dev)
		return false;
	UW_TEXT_PUT(dev->match, binding->match);
	dev->want = (uint8_t)binding->port;
	dev->by_hand = false;
	start_open(dev);
	return true;
}

/* A hardware id: whatever fits is bound as it comes, from those that are there now on. */
static void bind_pattern(struct uw_devs *devs, const char *pattern, struct uw_link *link, uint32_t flags,
			 struct uw_outcome *outcome)
{
	struct uw_binding *b = uw_bindings_find(&devs->bindings, pattern);

	if (b && !strcmp(b->vm, uw_link_name(link)))
		say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", pattern, b->vm);
	else if (b && !(flags & UW_CTL_BIND_MOVE))
		say(outcome, UW_CTL_BOUND, "%s is bound to VM %s; usbwarp move gives it to another", pattern, b->vm);
	else if (!uw_bindings_put(&devs->bindings, pattern, uw_link_name(link),
				  flags & UW_CTL_BIND_FORCE ? UW_BINDING_FORCED : 0))
		say(outcome, UW_CTL_FAILED, "there are %u bindings already; unbind one", UW_BINDINGS_MAX);
	else
		say(outcome, UW_CTL_OK, "devices %s go to VM %s, those that are there and those to come", pattern,
		    uw_link_name(link));
	if (outcome->status)
		return;
	uw_log(UW_LOG_INFO, "%s", outcome->text);
	devs->changed(devs);
	devs->follow.look = true;
}

/* False: it cannot be taken from where it is; the outcome says why. Else it is free, or there is none. */
static bool take_away(struct uw_devs *devs, const char *bus_id, const struct uw_link *to, struct uw_outcome *outcome)
{
	struct uw_dev *dev = uw_dev_find(devs, bus_id);

	if (!dev || !dev->link)
		return true;
	if (dev->state == UW_CTL_OPENING) {
		say(outcome, UW_CTL_BUSY, "%s is just being opened; try again", bus_id);
	} else if (dev->link == to) {
		say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", bus_id, uw_link_name(to));
	} else if (!uw_host_port_for(&to->host, dev->device->speed)) {
		say(outcome, UW_CTL_NO_PORT, "VM %s has no free port for a device of this speed; unbind another",
		    uw_link_name(to));
	} else {
		uw_log(UW_LOG_INFO, "%s leaves VM %s", bus_id, uw_link_name(dev->link));
		let_go(dev);
		return true;
	}
	return false;
}

void uw_devs_bind(struct uw_devs *devs, const char *match, const char *vm, uint32_t flags, struct uw_client *asker,
		  uint32_t id, struct uw_outcome *outcome)
{
	struct uw_link *link = find_link(devs, vm, outcome);
	struct uw_dev *dev;

	if (!link)
		return;
	if (uw_binding_is_pattern(match)) {
		bind_pattern(devs, match, link, flags, outcome);
		return;
	}
	if ((flags & UW_CTL_BIND_MOVE) && !take_away(devs, match, link, outcome))
		return;
	say(outcome, UW_CTL_NO_DEVICE, "there is no device %s; usbwarp list shows those there are", match);
	dev = bind_device(devs, match, link, flags & UW_CTL_BIND_FORCE ? UW_BINDING_FORCED : 0, outcome);
	devs->follow.look = true; /* what was taken away and not bound goes back */
	if (!dev)
		return;
	outcome->status = UW_PENDING;
	UW_TEXT_PUT(dev->match, match);
	uw_follow_forgive(devs, match);
	dev->by_hand = true;
	dev->want = 0;
	dev->asker = asker;
	dev->asker_id = id;
	start_open(dev);
}

/* Every device that is bound under this hardware id. */
static uint32_t let_go_of(struct uw_devs *devs, const char *pattern)
{
	struct uw_list *node = devs->devs.next, *next;
	struct uw_dev *dev;
	uint32_t count = 0;

	for (; node != &devs->devs; node = next) {
		next = node->next;
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (!dev->link || strcasecmp(dev->match, pattern))
			continue;
		count++;
		dev->leaving = dev->state == UW_CTL_OPENING;
		if (dev->leaving)
			continue;
		let_go(dev);
		next = devs->devs.next; /* closing one may end the opening, and so the life, of another */
	}
	return count;
}

/* A binding without a device now, or of many. */
static void unbind_binding(struct uw_devs *devs, struct uw_binding *b, struct uw_outcome *outcome)
{
	uint32_t count;

	say(outcome, UW_CTL_OK, "%s is no longer waited for", b->match);
	if (uw_binding_is_pattern(b->match)) {
		count = let_go_of(devs, b->match);
		say(outcome, UW_CTL_OK, "%s is no longer waited for; %u devices have left VM %s", b->match, count, b->vm);
	}
	uw_bindings_remove(&devs->bindings, b);
}

/* Under a hardware id the device would come back at once, so it is left alone until it is plugged in anew. */
static void unbind_device(struct uw_devs *devs, struct uw_dev *dev, struct uw_binding *b, struct uw_outcome *outcome)
{
	const char *bus_id = dev->device->bus_id;

	say(outcome, UW_CTL_OK, "%s has left VM %s", bus_id, uw_link_name(dev->link));
	if (b)
		uw_bindings_remove(&devs->bindings, b);
	b = uw_bindings_for(&devs->bindings, bus_id, dev->device->vendor, dev->device->product);
	if (b) {
		say(outcome, UW_CTL_OK, "%s has left VM %s; it will be bound under %s again when it is plugged in anew",
		    bus_id, uw_link_name(dev->link), b->match);
		uw_follow_leave(devs, bus_id, dev->number);
	}
	let_go(dev);
}

void uw_devs_unbind(struct uw_devs *devs, const char *match, struct uw_outcome *outcome)
{
	struct uw_binding *b = uw_bindings_find(&devs->bindings, match);
	struct uw_dev *dev = uw_dev_find(devs, match);

	if (dev && dev->state == UW_CTL_OPENING) {
		say(outcome, UW_CTL_BUSY, "%s is just being opened; try again", match);
		return;
	}
	if (dev && dev->link) {
		unbind_device(devs, dev, b, outcome);
	} else if (b) {
		unbind_binding(devs, b, outcome);
	} else {
		say(outcome, UW_CTL_NOT_BOUND, "%s is not bound", match);
		return;
	}
	uw_log(UW_LOG_INFO, "%s", outcome->text);
	devs->changed(devs);
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
		devs->follow.look = true;
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

/* A binding without a VM's name is for the only one; a VM that is not configured now may be again. */
static void settle_vms(struct uw_devs *devs)
{
	struct uw_outcome outcome;
	struct uw_binding *b;
	struct uw_link *link;
	uint32_t i;

	for (i = devs->bindings.count; i--;) {
		b = &devs->bindings.entry[i];
		link = find_link(devs, b->vm, &outcome);
		if (link)
			UW_TEXT_PUT(b->vm, uw_link_name(link));
		else
			uw_log(UW_LOG_WARNING, "%s is not bound: %s", b->match, outcome.text);
		if (!*b->vm)
			uw_bindings_remove(&devs->bindings, b);
	}
}

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
	settle_vms(devs);
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

	uw_follow_close(devs);
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
