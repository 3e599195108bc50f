/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Real USB devices, by libusb on device nodes that the keeper opens.
 *
 * A transfer's buffer is the region itself, so the one copy left is usbfs' own between it and the kernel. Only control
 * transfers have a buffer of their own, as usbfs wants the setup packet in front of the data, and so have isochronous
 * ones whose packets do not lie in one run.
 *
 * libusb is used for its knowledge of usbfs, not for its events: its device list and threads are off, and the node's
 * descriptor stands in the daemon's loop. Calls that block run on the device's thread, and none of them handles events.
 */
#include "usbdev.h"

#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dev.h"
#include "log.h"
#include "pass.h"
#include "sysfs.h"
#include "field.h"

#define CLOSE_GRACE (2000 * UW_MS)   /* for cancelled transfers to come back */

static void on_node(struct uw_source *source, uint32_t events)
{
	struct uw_usb *u = UW_CONTAINER(source, struct uw_usb, source);

	if (events & EPOLLHUP) {
		uw_loop_del(u->host->loop, source); /* it would be ready for ever; the timer does the rest */
		uw_usb_lose(u);
	}
	if (!uw_usb_is_lent(u))
		uw_usb_reap(u, 0);
	uw_usb_retry(u);
}

void uw_usb_lend(struct uw_usb *u)
{
	if (u->source.fd >= 0)
		uw_loop_change(u->host->loop, &u->source, 0);
}

/* ---- open and close ---- */

static int fail(struct uw_usb *u, const char *what, const char *why)
{
	snprintf(u->reason, sizeof(u->reason), "%s: %s", what, why);
	return UW_ST_HOST;
}

int uw_usb_ask_keeper(struct uw_usb_host *host, const struct uw_open_ask *ask)
{
	struct uw_open_answer reply = { .error = EPIPE };
	int fd = -1;

	pthread_mutex_lock(&host->opener);
	if (uw_pass_send(host->start->opener, ask, sizeof(*ask), -1) &&
	    !uw_pass_receive(host->start->opener, &reply, sizeof(reply), &fd))
		reply.error = EPIPE;
	pthread_mutex_unlock(&host->opener);
	errno = reply.error;
	return fd;
}

static void close_node(struct uw_usb *u)
{
	if (u->handle)
		libusb_close(u->handle);
	if (u->fd >= 0)
		close(u->fd);
	u->handle = NULL;
	u->fd = -1;
	u->claimed = 0;
	memset((void *)u->streams, 0, sizeof(u->streams)); /* which end with the node */
}

static void disown_port(struct uw_usb *u)
{
	if (u->hub >= 0)
		close(u->hub);
	u->hub = -1;
}

/* The device may have come back under another number, or another device may have taken its port. */
static int find_again(struct uw_usb *u)
{
	struct uw_sysfs_device d;

	if (!uw_sysfs_read(u->dev.bus_id, &d) || d.vendor != u->dev.vendor || d.product != u->dev.product)
		return fail(u, "open", "it is no longer there");
	u->bus = d.bus;
	u->number = d.number;
	u->configuration = uw_sysfs_configuration(u->dev.bus_id);
	memset(u->alternate, 0, sizeof(u->alternate));
	return 0;
}

/*
 * While we own the port, the kernel binds no driver of its own to what is there. Without that, a host that wakes up
 * gives the device to its former driver, for usbfs cannot tell it to wait; and two would use it. Not owning it is no
 * reason to fail: the kernel allows one owner, and it may be a program that means well.
 */
static void own_port(struct uw_usb *u)
{
	struct uw_open_ask ask = { .what = UW_OPEN_NODE, .bus = u->bus };
	uint32_t port;

	if (!uw_sysfs_parent(u->dev.bus_id, &ask.device, &port))
		return;
	u->hub = uw_usb_ask_keeper(u->host, &ask);
	if (u->hub < 0 || !ioctl(u->hub, USBDEVFS_CLAIM_PORT, &port))
		return;
	uw_log(UW_LOG_NOTICE, "%s: its port: %s; after a sleep of the host its former driver may take it", u->dev.bus_id,
	       strerror(errno));
	disown_port(u);
}

static int take_device(struct uw_usb *u)
{
	int result;

	libusb_set_auto_detach_kernel_driver(u->handle, 1);
	result = uw_usb_claim(u);
	if (result == LIBUSB_ERROR_BUSY)
		return fail(u, "claim", "another program uses it");
	if (result)
		return fail(u, "claim", libusb_strerror(result));
	result = libusb_reset_device(u->handle);
	if (result)
		return fail(u, "reset", libusb_strerror(result));
	u->fresh = true;
	return 0;
}

/* On the device's thread. */
static int usb_open(struct uw_device *device)
{
	struct uw_usb *u = uw_usb_of(device);
	struct uw_open_ask ask = { .what = UW_OPEN_NODE };
	int result = find_again(u);

	if (result)
		return result;
	ask.bus = u->bus;
	ask.device = u->number;
	u->fd = uw_usb_ask_keeper(u->host, &ask);
	if (u->fd < 0)
		return fail(u, "open", strerror(errno));
	result = libusb_wrap_sys_device(u->context, u->fd, &u->handle);
	result = result ? fail(u, "open", libusb_strerror(result)) : take_device(u);
	if (!result)
		own_port(u);
	if (result) {
		if (u->handle)
			uw_usb_release(u);
		close_node(u);
	}
	return result;
}

void uw_usb_opened(struct uw_device *device)
{
	struct uw_usb *u = uw_usb_of(device);

	u->lost = false;
	uw_usb_note_endpoints(u);
	uw_list_add(&u->host->devices, &u->node);
	/* Readable means nothing here: usbfs says "writable" when a transfer can be reaped. */
	if (uw_loop_add(u->host->loop, &u->source, u->fd, EPOLLOUT))
		uw_usb_lose(u);
}

/*
 * Closing takes a verb under way and cancelled transfers: until they have ended bytes may move, and the promise to the
 * guest is that none do. Both are bounded by the kernel's own limits. What is left even then ends with the node: the
 * kernel kills it before close returns.
 */
static void begin_close(struct uw_usb *u)
{
	uw_loop_tick(u->host->loop);
	u->until = u->host->loop->now + CLOSE_GRACE;
	uw_usb_cancel_flights(u);
}

void uw_usb_take_back(struct uw_usb *u)
{
	if (u->source.fd >= 0)
		uw_loop_change(u->host->loop, &u->source, EPOLLOUT);
	if (u->closed)
		begin_close(u);
	else
		uw_usb_cancel_again(u);
	uw_usb_retry(u);
}

/* The blocking part: former drivers come back, and look at their device at length. */
static void give_back(struct uw_usb *u)
{
	disown_port(u);
	uw_usb_keep_awake(u);
	if (uw_list_empty(&u->active) && !u->lost)
		uw_usb_release(u);
	close_node(u);
}

static void leave_loop(struct uw_usb *u)
{
	uw_loop_del(u->host->loop, &u->source);
	uw_list_del(&u->node);
}

/* Where nothing else has to go on: at the daemon's end. */
static void usb_close(struct uw_device *device)
{
	struct uw_usb *u = uw_usb_of(device);

	while (!uw_list_empty(&u->verbs))
		uw_returns_wait(u->thread->returns);
	uw_usb_unwatch(u);
	begin_close(u);
	uw_usb_await_flights(u);
	leave_loop(u);
	give_back(u);
	uw_usb_free_flights(u);
}

/* Waking the device first lets the watcher's thread end at once. */
static void run_shutting(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, shutting);

	if (u->watched)
		(void)uw_usb_resume(u);
	give_back(u);
}

static void on_shut(struct uw_job *job)
{
	struct uw_usb *u = UW_CONTAINER(job, struct uw_usb, shutting);
	void (*closed)(struct uw_device *device) = u->closed;

	uw_usb_unwatch(u);
	uw_usb_free_flights(u);
	u->closed = NULL;
	closed(&u->dev);
}

void uw_usb_shut_on(struct uw_usb *u)
{
	if (!u->closed || !uw_list_empty(&u->verbs) || uw_list_empty(&u->node))
		return;
	if (!uw_list_empty(&u->active) && u->host->loop->now < u->until)
		return;
	u->dev.host->arm(&u->dev, UW_NEVER);
	leave_loop(u);
	uw_thread_post(u->thread, &u->shutting);
}

void uw_usb_shut(struct uw_device *device, void (*closed)(struct uw_device *device))
{
	struct uw_usb *u = uw_usb_of(device);

	u->closed = closed;
	u->asleep = false;
	if (uw_usb_is_lent(u))
		return;
	begin_close(u);
	uw_usb_retry(u);
	uw_usb_shut_on(u);
}

static const struct uw_backend backend = {
	.name = UW_USB_BACKEND,
	.open = usb_open,
	.close = usb_close,
	.submit = uw_usb_submit,
	.cancel = uw_usb_cancel,
	.reset = uw_usb_verb,
	.set_configuration = uw_usb_verb,
	.set_interface = uw_usb_verb,
	.clear_halt = uw_usb_verb,
	.alloc_streams = uw_usb_verb,
	.free_streams = uw_usb_verb,
	.suspend = uw_usb_verb,
	.resume = uw_usb_verb,
	.timer = uw_usb_timer,
};

static void describe(const struct uw_sysfs_device *d, struct uw_device *device)
{
	device->speed = d->speed;
	device->class_code = d->class_code;
	device->subclass = d->subclass;
	device->protocol = d->protocol;
	device->vendor = d->vendor;
	device->product = d->product;
	device->release = d->release;
	UW_TEXT_PUT(device->bus_id, d->bus_id);
}

struct uw_device *uw_usb_new(struct uw_usb_host *host, struct uw_thread *thread, const char *bus_id,
			     struct uw_outcome *outcome)
{
	struct uw_sysfs_device d;
	struct uw_usb *u;

	if (!host->ready || !uw_sysfs_read(bus_id, &d))
		return NULL;
	if (d.hub) {
		uw_usb_refuse_hub(bus_id, outcome);
		return NULL;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	if (libusb_init(&u->context)) {
		uw_say(outcome, UW_CTL_FAILED, "%s: libusb does not start", bus_id);
		free(u);
		return NULL;
	}
	describe(&d, &u->dev);
	u->dev.ops = &backend;
	u->host = host;
	u->thread = thread;
	u->fd = u->hub = u->power = u->source.fd = -1;
	u->source.ready = on_node;
	uw_list_init(&u->node);
	uw_list_init(&u->active);
	uw_list_init(&u->held);
	uw_list_init(&u->idle);
	uw_usb_verbs_init(u);
	u->shutting.run = run_shutting;
	u->shutting.done = on_shut;
	return &u->dev;
}

void uw_usb_free(struct uw_device *device)
{
	libusb_exit(uw_usb_of(device)->context);
	free(uw_usb_of(device));
}

const char *uw_usb_reason(struct uw_device *device)
{
	return uw_usb_of(device)->reason;
}

/* ---- the whole ---- */

void uw_usb_init(struct uw_usb_host *host, struct uw_loop *loop, const struct uw_start *start)
{
	host->loop = loop;
	host->start = start;
	host->memory_max = uw_sysfs_usb_memory();
	pthread_mutex_init(&host->opener, NULL);
	uw_list_init(&host->devices);
	host->ready = start->config->usb;
	libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY); /* of every context from here on */
}

void uw_usb_fini(struct uw_usb_host *host)
{
	pthread_mutex_destroy(&host->opener);
}
