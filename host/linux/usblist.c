/* SPDX-License-Identifier: GPL-2.0-only */
/* Real USB devices that are plugged in, as records for the control socket. */
#include <stdio.h>

#include "dev.h"
#include "names.h"
#include "sysfs.h"
#include "field.h"
#include "usb.h"

/* The devices below a hub, for the text that refuses it. */
struct below {
	const char *hub;
	struct uw_outcome *outcome;
};

static void add_below(void *ctx, const struct uw_sysfs_device *d)
{
	struct below *b = ctx;
	size_t bytes = strlen(b->hub), used = strlen(b->outcome->text);

	if (!d->hub && !strncmp(d->bus_id, b->hub, bytes) && d->bus_id[bytes] == '.')
		snprintf(b->outcome->text + used, sizeof(b->outcome->text) - used, " %s", d->bus_id);
}

void uw_usb_refuse_hub(const char *bus_id, struct uw_outcome *outcome)
{
	struct below below = { bus_id, outcome };

	outcome->status = UW_CTL_HUB;
	snprintf(outcome->text, sizeof(outcome->text), "%s is a hub, which cannot be bound; devices below it:", bus_id);
	uw_sysfs_each(add_below, &below);
}

struct listing {
	const struct uw_names *names;
	void (*each)(void *ctx, const struct uw_ctl_device *device);
	void *ctx;
};

static void list_one(void *ctx, const struct uw_sysfs_device *d)
{
	struct listing *l = ctx;
	struct uw_ctl_device record = {
		.vendor = uw_put16(d->vendor),
		.product = uw_put16(d->product),
		.release = uw_put16(d->release),
		.class_code = d->class_code,
		.subclass = d->subclass,
		.protocol = d->protocol,
		.speed = d->speed,
		.state = d->hub ? UW_CTL_NEVER : UW_CTL_FREE,
	};

	UW_TEXT_PUT(record.bus_id, d->bus_id);
	UW_TEXT_PUT(record.backend, UW_USB_BACKEND);
	UW_TEXT_PUT(record.description, uw_names_of(l->names, d->bus_id, d->number));
	l->each(l->ctx, &record);
}

void uw_usb_each(struct uw_usb_host *host, const struct uw_names *names,
		 void (*each)(void *ctx, const struct uw_ctl_device *device), void *ctx)
{
	struct listing listing = { names, each, ctx };

	if (host->ready)
		uw_sysfs_each(list_one, &listing);
}
