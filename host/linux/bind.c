/* SPDX-License-Identifier: GPL-2.0-only */
/* Binding and unbinding: what people ask for, what bindings say, and what stands against it. */
#include "dev.h"

#include <stdio.h>

#include "inuse.h"
#include "log.h"
#include "policy.h"
#include "sysfs.h"
#include "field.h"

/* On its way from one state to another, and not to be spoken to. */
static bool is_between(const struct uw_dev *dev, struct uw_outcome *outcome)
{
	const char *what = dev->state == UW_CTL_OPENING ? "opened" : "closed";

	if (dev->state != UW_CTL_OPENING && dev->state != UW_CTL_CLOSING)
		return false;
	uw_say(outcome, UW_CTL_BUSY, "%s is just being %s; try again", dev->device->bus_id, what);
	return true;
}

static bool may_bind(const struct uw_dev *dev, const struct uw_link *link, struct uw_outcome *outcome)
{
	if (dev->link)
		uw_say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", dev->device->bus_id,
		    uw_link_name(dev->link));
	else if (!uw_host_port_for(&link->host, dev->device->speed))
		uw_say(outcome, UW_CTL_NO_PORT, "VM %s has no free port for a device of this speed; unbind another",
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

	if (!devs->usb.ready || !uw_sysfs_read(bus_id, &d) || d.hub)
		return true; /* to be refused for that */
	if (!uw_policy_allows(devs->config, &d, why)) {
		uw_say(outcome, UW_CTL_POLICY, "%s may not be bound; %s", bus_id, why);
		return false;
	}
	if ((flags & UW_BINDING_FORCED) || !uw_in_use(bus_id, why, sizeof(why)))
		return true;
	uw_say(outcome, UW_CTL_IN_USE, "%s is in use: %s; with --force it would be bound all the same", bus_id, why);
	return false;
}

/* The device, bound to the link and on its way to be open; NULL: the outcome says why. */
static struct uw_dev *bind_device(struct uw_devs *devs, const char *bus_id, struct uw_link *link, uint32_t flags,
				  struct uw_outcome *outcome)
{
	struct uw_dev *dev = uw_dev_find(devs, bus_id);

	if (!dev && permitted(devs, bus_id, flags, outcome))
		dev = uw_dev_add_real(devs, bus_id, outcome);
	if (!dev)
		return NULL;
	if (!may_bind(dev, link, outcome)) {
		if (!dev->link)
			uw_dev_free_real(dev);
		return NULL;
	}
	dev->link = link;
	dev->flags = flags;
	return dev;
}

bool uw_dev_follow(struct uw_devs *devs, const char *bus_id, const struct uw_binding *binding, struct uw_outcome *outcome)
{
	struct uw_link *link = uw_devs_link(devs, binding->vm, outcome);
	struct uw_dev *dev;

	if (!link)
		return false;
	uw_say(outcome, UW_CTL_NO_DEVICE, "it has gone again");
	dev = bind_device(devs, bus_id, link, binding->flags, outcome);
	if (!dev)
		return false;
	UW_TEXT_PUT(dev->match, binding->match);
	dev->want = (uint8_t)binding->port;
	dev->by_hand = false;
	uw_dev_start_open(dev);
	return true;
}

/* Those that are bound under a hardware id already go where its others will. One that is just being opened stays. */
static void move_those_of(struct uw_devs *devs, const char *pattern, struct uw_link *to)
{
	struct uw_list *node = devs->devs.next, *next;
	struct uw_dev *dev;

	for (; node != &devs->devs; node = next) {
		next = node->next;
		dev = UW_CONTAINER(node, struct uw_dev, node);
		if (!dev->link || dev->link == to || strcasecmp(dev->match, pattern) ||
		    (dev->state != UW_CTL_ATTACHED && dev->state != UW_CTL_WAITING))
			continue;
		dev->by_hand = false;
		dev->want = 0;
		uw_dev_move(dev, to);
	}
}

/* A hardware id: whatever fits is bound as it comes, from those that are there now on. */
static void bind_pattern(struct uw_devs *devs, const char *pattern, struct uw_link *link, uint32_t flags,
			 struct uw_outcome *outcome)
{
	struct uw_binding *b = uw_bindings_find(&devs->bindings, pattern);

	if (b && !strcmp(b->vm, uw_link_name(link)))
		uw_say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", pattern, b->vm);
	else if (b && !(flags & UW_CTL_BIND_MOVE))
		uw_say(outcome, UW_CTL_BOUND, "%s is bound to VM %s; usbwarp move gives it to another", pattern, b->vm);
	else if (!uw_bindings_put(&devs->bindings, pattern, uw_link_name(link),
				  flags & UW_CTL_BIND_FORCE ? UW_BINDING_FORCED : 0))
		uw_say(outcome, UW_CTL_FAILED, "there are %u bindings already; unbind one", UW_BINDINGS_MAX);
	else
		uw_say(outcome, UW_CTL_OK, "devices %s go to VM %s, those that are there and those to come", pattern,
		    uw_link_name(link));
	if (outcome->status)
		return;
	uw_log(UW_LOG_INFO, "%s", outcome->text);
	move_those_of(devs, pattern, link);
	devs->changed(devs);
	devs->follow.look = true;
}

/* Takes a device from the VM that has it to another one. */
static void move(struct uw_dev *dev, struct uw_link *to, struct uw_outcome *outcome)
{
	const char *bus_id = dev->device->bus_id;

	if (dev->link == to) {
		uw_say(outcome, UW_CTL_BOUND, "%s is bound to VM %s already", bus_id, uw_link_name(to));
	} else if (!uw_host_port_for(&to->host, dev->device->speed)) {
		uw_say(outcome, UW_CTL_NO_PORT, "VM %s has no free port for a device of this speed; unbind another",
		       uw_link_name(to));
	} else {
		uw_log(UW_LOG_INFO, "%s leaves VM %s", bus_id, uw_link_name(dev->link));
		outcome->status = UW_PENDING;
	}
}

void uw_devs_bind(struct uw_devs *devs, const char *match, const char *vm, uint32_t flags, struct uw_client *asker,
		  uint32_t id, struct uw_outcome *outcome)
{
	struct uw_link *link = uw_devs_link(devs, vm, outcome);
	struct uw_dev *dev;

	if (!link)
		return;
	if (uw_binding_is_pattern(match)) {
		bind_pattern(devs, match, link, flags, outcome);
		return;
	}
	dev = uw_dev_find(devs, match);
	if (dev && is_between(dev, outcome))
		return;
	if (dev && dev->link && (flags & UW_CTL_BIND_MOVE)) {
		move(dev, link, outcome);
	} else {
		uw_say(outcome, UW_CTL_NO_DEVICE, "there is no device %s; usbwarp list shows those there are", match);
		dev = bind_device(devs, match, link, flags & UW_CTL_BIND_FORCE ? UW_BINDING_FORCED : 0, outcome);
		if (dev)
			outcome->status = UW_PENDING;
	}
	if (outcome->status != UW_PENDING)
		return;
	UW_TEXT_PUT(dev->match, match);
	uw_follow_forgive(devs, match);
	dev->by_hand = true;
	dev->want = 0;
	dev->asker = asker;
	dev->asker_id = id;
	if (dev->link == link)
		uw_dev_start_open(dev);
	else
		uw_dev_move(dev, link);
}

/* Every device that is bound under this hardware id. */
static uint32_t let_go_of(struct uw_devs *devs, const char *pattern)
{
	struct uw_list *node = devs->devs.next;
	struct uw_dev *dev;
	uint32_t count = 0;

	while (node != &devs->devs) {
		dev = UW_CONTAINER(node, struct uw_dev, node);
		node = node->next;
		if (!dev->link || dev->leaving || strcasecmp(dev->match, pattern))
			continue;
		count++;
		dev->leaving = dev->state == UW_CTL_OPENING;
		if (dev->leaving)
			continue;
		uw_dev_let_go(dev); /* which may be the end of it, and of others that a thread has just done with */
		node = devs->devs.next;
	}
	return count;
}

/* A binding without a device now, or of many. */
static void unbind_binding(struct uw_devs *devs, struct uw_binding *b, struct uw_outcome *outcome)
{
	uint32_t count;

	uw_say(outcome, UW_CTL_OK, "%s is no longer waited for", b->match);
	if (uw_binding_is_pattern(b->match)) {
		count = let_go_of(devs, b->match);
		uw_say(outcome, UW_CTL_OK, "%s is no longer waited for; %u devices have left VM %s", b->match, count, b->vm);
	}
	uw_bindings_remove(&devs->bindings, b);
}

/*
 * Answered when the device is closed. Under a hardware id it would come back at once, so it is left alone until it is
 * plugged in anew.
 */
static void unbind_device(struct uw_devs *devs, struct uw_dev *dev, struct uw_binding *b, struct uw_client *asker,
			  uint32_t id, struct uw_outcome *outcome)
{
	const char *bus_id = dev->device->bus_id;

	uw_say(&dev->farewell, UW_CTL_OK, "%s has left VM %s", bus_id, uw_link_name(dev->link));
	if (b)
		uw_bindings_remove(&devs->bindings, b);
	b = uw_bindings_for(&devs->bindings, bus_id, dev->device->vendor, dev->device->product);
	if (b) {
		uw_say(&dev->farewell, UW_CTL_OK,
		       "%s has left VM %s; it will be bound under %s again when it is plugged in anew", bus_id,
		       uw_link_name(dev->link), b->match);
		uw_follow_leave(devs, bus_id, dev->number);
	}
	uw_log(UW_LOG_INFO, "%s", dev->farewell.text);
	outcome->status = UW_PENDING;
	dev->asker = asker;
	dev->asker_id = id;
	uw_dev_let_go(dev);
}

void uw_devs_unbind(struct uw_devs *devs, const char *match, struct uw_client *asker, uint32_t id,
		    struct uw_outcome *outcome)
{
	struct uw_binding *b = uw_bindings_find(&devs->bindings, match);
	struct uw_dev *dev = uw_dev_find(devs, match);

	if (dev && is_between(dev, outcome))
		return;
	if (dev && dev->link) {
		unbind_device(devs, dev, b, asker, id, outcome);
	} else if (b) {
		unbind_binding(devs, b, outcome);
		uw_log(UW_LOG_INFO, "%s", outcome->text);
	} else {
		uw_say(outcome, UW_CTL_NOT_BOUND, "%s is not bound", match);
		return;
	}
	devs->changed(devs);
}

/* A binding without a VM's name is for the only one; a VM that is not configured now may be again. */
void uw_devs_settle(struct uw_devs *devs)
{
	struct uw_outcome outcome;
	struct uw_binding *b;
	struct uw_link *link;
	uint32_t i;

	for (i = devs->bindings.count; i--;) {
		b = &devs->bindings.entry[i];
		link = uw_devs_link(devs, b->vm, &outcome);
		if (link)
			UW_TEXT_PUT(b->vm, uw_link_name(link));
		else
			uw_log(UW_LOG_WARNING, "%s is not bound: %s", b->match, outcome.text);
		if (!*b->vm)
			uw_bindings_remove(&devs->bindings, b);
	}
}
