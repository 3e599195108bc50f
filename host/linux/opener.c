/* SPDX-License-Identifier: GPL-2.0-only */
/* USB device nodes, and whether devices may sleep: what the keeper opens for a worker, and puts right after its end. */
#include "opener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "pass.h"

#define USB_MAJOR 189u               /* admin-guide/devices.txt: 128 minors for each bus */
#define DEVICES_OF_BUS 128u
#define BUSES 999u                   /* what a name of three digits can tell */

static bool is_device(const struct uw_open_ask *ask)
{
	return ask->bus >= 1 && ask->bus <= BUSES && ask->device >= 1 && ask->device <= DEVICES_OF_BUS;
}

static int open_node(const struct uw_open_ask *ask)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/bus/usb/%03u/%03u", ask->bus, ask->device);
	return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- loans ---- */

static struct uw_loan *find_loan(struct uw_opener *o, const struct uw_open_ask *ask)
{
	uint32_t i;

	for (i = 0; i < o->loans; i++)
		if (o->loan[i].bus == ask->bus && o->loan[i].device == ask->device)
			return &o->loan[i];
	return NULL;
}

static void end_loan(struct uw_opener *o, struct uw_loan *loan)
{
	close(loan->fd);
	*loan = o->loan[--o->loans];
}

static int lend(struct uw_opener *o, const struct uw_open_ask *ask, int fd)
{
	struct uw_loan *former = find_loan(o, ask);

	if (former)
		end_loan(o, former);
	if (o->loans == UW_LOANS_MAX) {
		errno = EMFILE;
		return -1;
	}
	o->loan[o->loans] = (struct uw_loan){ .bus = ask->bus, .device = ask->device,
					      .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0) };
	if (o->loan[o->loans].fd < 0)
		return -1;
	o->loans++;
	return fd;
}

/* Documentation/ABI/testing/sysfs-devices-power: "on" keeps a device awake, "auto" lets it sleep. */
static int open_power(struct uw_opener *o, const struct uw_open_ask *ask)
{
	char path[64], kept[4] = "";
	int fd, result;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/power/control", USB_MAJOR,
		 (ask->bus - 1) * DEVICES_OF_BUS + ask->device - 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, kept, 2, 0) != 2 || strcmp(kept, "on"))
		return fd;
	result = lend(o, ask, fd);
	if (result < 0)
		close(fd);
	return result;
}

static int give_power_back(struct uw_opener *o, const struct uw_open_ask *ask)
{
	struct uw_loan *loan = find_loan(o, ask);

	if (loan)
		end_loan(o, loan);
	errno = 0; /* nothing comes back, and that is right */
	return -1;
}

void uw_opener_settle(struct uw_opener *o)
{
	while (o->loans) {
		struct uw_loan *loan = &o->loan[o->loans - 1];

		if (write(loan->fd, "on", 2) != 2 && errno != ENODEV)
			uw_log(UW_LOG_WARNING, "device %u on bus %u may go on sleeping: %s", loan->device, loan->bus,
			       strerror(errno));
		end_loan(o, loan);
	}
}

/* ---- questions ---- */

static void answer(const struct uw_opener *o, int fd)
{
	struct uw_open_answer reply = { .error = fd < 0 ? errno : 0 };

	if (!uw_pass_send(o->source.fd, &reply, sizeof(reply), fd))
		uw_log(UW_LOG_WARNING, "the worker does not take its device: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/*
 * Opening takes the device's lock, and a hub's is held while the kernel tries to make out what was plugged in, which may
 * take a minute. So a child opens, and the keeper goes on.
 */
static void answer_with_node(const struct uw_opener *o, const struct uw_open_ask *ask)
{
	pid_t pid = fork();

	if (pid < 0)
		answer(o, -1);
	if (pid)
		return;
	answer(o, open_node(ask));
	_exit(0);
}

/* A descriptor, or -1 with errno, or -1 with 0 where none is due. None of it waits for a device. */
static int look_up(struct uw_opener *o, const struct uw_open_ask *ask)
{
	switch (ask->what) {
	case UW_OPEN_POWER:
		return open_power(o, ask);
	case UW_OPEN_POWER_BACK:
		return give_power_back(o, ask);
	default:
		errno = EACCES;
		return -1;
	}
}

static void on_ask(struct uw_source *source, uint32_t events)
{
	struct uw_opener *o = UW_CONTAINER(source, struct uw_opener, source);
	struct uw_open_ask ask;
	ssize_t bytes = recv(source->fd, &ask, sizeof(ask), MSG_DONTWAIT);

	(void)events;
	if (bytes != sizeof(ask)) {
		if (bytes >= 0)
			uw_loop_close(o->loop, source);
		return;
	}
	errno = EACCES;
	if (!o->usb || !is_device(&ask))
		answer(o, -1);
	else if (ask.what == UW_OPEN_NODE)
		answer_with_node(o, &ask);
	else
		answer(o, look_up(o, &ask));
}

void uw_opener_init(struct uw_opener *o, struct uw_loop *loop, bool usb)
{
	o->loop = loop;
	o->source.ready = on_ask;
	o->source.fd = -1;
	o->usb = usb;
}
