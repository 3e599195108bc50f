/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices that come and go, and the bindings under which they are bound when they are there.
 *
 * A device that changes its firmware leaves and comes back as another one at the same port; one that was unplugged may
 * come back anywhere. Either way all there is to do is to look at what is plugged in now, and to bind what a binding
 * names. A device number is new each time, so a device that came back is told from one that never left.
 */
#include "follow.h"

#include <stdlib.h>

#include "dev.h"
#include "log.h"
#include "sysfs.h"
#include "field.h"

#define TRIES 8u
#define CONFIGURED (2000 * UW_MS) /* a device that has not been configured by then is not going to be */
#define FIRST_WAIT (250 * UW_MS) /* doubles each time: 64 s in all, enough for the slowest mode switch */

/* A device that is left alone, for good or until at. */
struct left {
	struct uw_list node;
	char bus_id[UW_CTL_NAME];
	uint32_t number;       /* of the device node: another one is another device */
	uint32_t tries;        /* that failed */
	uint64_t at;           /* UW_NEVER: for good */
};

static struct left *left_at(struct uw_list *node)
{
	return UW_CONTAINER(node, struct left, node);
}

static struct left *find_left(struct uw_devs *devs, const char *bus_id)
{
	struct uw_list *node, *head = &devs->follow.left;

	for (node = head->next; node != head; node = node->next)
		if (!strcmp(left_at(node)->bus_id, bus_id))
			return left_at(node);
	return NULL;
}

static void drop(struct left *left)
{
	uw_list_del(&left->node);
	free(left);
}

static struct left *put_left(struct uw_devs *devs, const char *bus_id, uint32_t number)
{
	struct left *left = find_left(devs, bus_id);

	if (left && left->number != number) {
		drop(left);
		left = NULL;
	}
	if (left)
		return left;
	left = calloc(1, sizeof(*left));
	if (!left)
		return NULL;
	UW_TEXT_PUT(left->bus_id, bus_id);
	left->number = number;
	left->at = UW_NEVER;
	uw_list_add(&devs->follow.left, &left->node);
	return left;
}

void uw_follow_failed(struct uw_devs *devs, const char *bus_id, uint32_t number)
{
	struct left *left = put_left(devs, bus_id, number);

	if (!left)
		return;
	left->at = UW_NEVER;
	if (++left->tries >= TRIES) {
		uw_log(UW_LOG_ERROR, "%s is given up until it is plugged in anew or bound by hand", bus_id);
		return;
	}
	left->at = devs->loop->now + (FIRST_WAIT << (left->tries - 1));
	if (left->at < devs->follow.next)
		devs->follow.next = left->at;
}

void uw_follow_leave(struct uw_devs *devs, const char *bus_id, uint32_t number)
{
	struct left *left = put_left(devs, bus_id, number);

	if (left)
		left->at = UW_NEVER;
}

void uw_follow_forgive(struct uw_devs *devs, const char *bus_id)
{
	struct left *left = find_left(devs, bus_id);

	if (left)
		drop(left);
}

/* ---- looking ---- */

/* Is it, as far as failures and people are concerned, to be bound now? */
static bool may_try(struct uw_devs *devs, const char *bus_id, uint32_t number)
{
	struct left *left = find_left(devs, bus_id);

	if (left && left->number != number) {
		drop(left);
		left = NULL;
	}
	return !left || left->at <= devs->loop->now;
}

static void try(struct uw_devs *devs, const char *bus_id, uint32_t number, const struct uw_binding *binding)
{
	bool again = find_left(devs, bus_id) != NULL;
	struct uw_outcome outcome;

	if (uw_dev_follow(devs, bus_id, binding, &outcome))
		return;
	/* What stands in the way is said once; it may go away without a word, as a mount does. */
	uw_log(again ? UW_LOG_DEBUG : UW_LOG_WARNING, "%s is not bound: %s", bus_id, outcome.text);
	uw_follow_failed(devs, bus_id, number);
}

/*
 * The kernel tells of a device before it configures it, and binds its drivers after that; who takes it in between has
 * not got what he will have to let go. One that stays unconfigured is bound after a while.
 */
static bool is_ready(struct uw_devs *devs, const struct uw_sysfs_device *d)
{
	struct left *left = find_left(devs, d->bus_id);

	if (left && left->number == d->number && (left->tries || left->at == UW_NEVER))
		return true; /* it has been, and something else is the matter */
	if (d->configuration) {
		uw_follow_forgive(devs, d->bus_id);
		return true;
	}
	if (left && left->number == d->number)
		return left->at <= devs->loop->now;
	left = put_left(devs, d->bus_id, d->number);
	if (left)
		left->at = devs->loop->now + CONFIGURED;
	return !left;
}

static void see_device(void *ctx, const struct uw_sysfs_device *d)
{
	struct uw_devs *devs = ctx;
	struct uw_binding *binding;

	if (d->hub || uw_dev_find(devs, d->bus_id))
		return;
	binding = uw_bindings_for(&devs->bindings, d->bus_id, d->vendor, d->product);
	if (binding && is_ready(devs, d) && may_try(devs, d->bus_id, d->number))
		try(devs, d->bus_id, d->number, binding);
}

/* Models that are bound under this one, and free: at the start, after a change of identity, or of a failure. */
static void see_models_of(struct uw_devs *devs, const struct uw_binding *binding)
{
	const struct uw_device *device;
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		device = dev->device;
		if (!dev->real && !dev->link && may_try(devs, device->bus_id, 0) &&
		    uw_bindings_for(&devs->bindings, device->bus_id, device->vendor, device->product) == binding)
			try(devs, device->bus_id, 0, binding);
	}
}

/* In the order of the bindings, so that the first one gets the first port. */
static void see_models(struct uw_devs *devs)
{
	uint32_t i;

	for (i = 0; i < devs->bindings.count; i++)
		see_models_of(devs, &devs->bindings.entry[i]);
}

/* A removal may be told before the device's own descriptor says so, and of a device that sleeps only here. */
static void see_gone(struct uw_devs *devs)
{
	struct uw_sysfs_device now;
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (!dev->real || dev->gone)
			continue;
		/* While the kernel resets a device, it shows no number. */
		if (uw_sysfs_read(dev->device->bus_id, &now) ? now.number != dev->number : !now.bus)
			dev->gone = devs->attention = true;
	}
}

/* Of those whose turn has just come, each has been tried and has failed anew, or is no longer to be tried. */
static uint64_t next_try(const struct uw_devs *devs, uint64_t now)
{
	const struct uw_list *node, *head = &devs->follow.left;
	uint64_t at, next = UW_NEVER;

	for (node = head->next; node != head; node = node->next) {
		at = UW_CONTAINER(node, const struct left, node)->at;
		if (at > now && at < next)
			next = at;
	}
	return next;
}

void uw_follow_run(struct uw_devs *devs)
{
	struct uw_follow *f = &devs->follow;
	uint64_t now = devs->loop->now;

	if (!f->look && f->next > now)
		return;
	f->look = false;
	f->next = UW_NEVER;
	see_models(devs);
	if (devs->usb.ready) {
		uw_names_look(&f->names);
		see_gone(devs);
		uw_sysfs_each(see_device, devs);
	}
	f->next = next_try(devs, now);
}

/* ---- the whole ---- */

static void on_change(struct uw_hotplug *hotplug)
{
	UW_CONTAINER(hotplug, struct uw_devs, follow.hotplug)->follow.look = true;
}

static void on_names(struct uw_names *names)
{
	struct uw_devs *devs = UW_CONTAINER(names, struct uw_devs, follow.names);
	struct uw_list *node;
	struct uw_dev *dev;

	for (node = devs->devs.next; node != &devs->devs; node = node->next) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (dev->real)
			UW_TEXT_PUT(dev->device->description, uw_names_of(names, dev->device->bus_id, dev->number));
	}
}

void uw_follow_open(struct uw_devs *devs)
{
	struct uw_follow *f = &devs->follow;

	uw_list_init(&f->left);
	f->look = true;
	f->next = UW_NEVER;
	f->hotplug.changed = on_change;
	f->names.changed = on_names;
	if (!devs->usb.ready)
		return;
	if (!uw_names_open(&f->names, &devs->returns))
		uw_log(UW_LOG_WARNING, "no thread for the names of devices, which stay unknown");
	if (!uw_hotplug_open(&f->hotplug, devs->loop))
		uw_log(UW_LOG_WARNING, "devices that come are bound by hand alone");
}

void uw_follow_close(struct uw_devs *devs)
{
	struct uw_list *node;

	uw_hotplug_close(&devs->follow.hotplug);
	uw_names_close(&devs->follow.names);
	while ((node = uw_list_pop(&devs->follow.left)) != NULL)
		free(left_at(node));
}
