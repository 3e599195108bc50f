/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control pipe's server: reads commands, checks who asks, answers in records.
 *
 * A client's next command is read only when the answer to the former has been taken, so one that never reads costs
 * one answer of memory and nothing else. Each client has at most one operation under way, reading or writing, and is
 * freed when it has come back. The format is include/usbwarp/ctl.h.
 */
#include "ctl.h"

#include <stdlib.h>

#include "listen.h"
#include "log.h"
#include "talk.h"
#include "text.h"
#include "wide.h"
#include "worker.h"

#define AGAIN (1000 * UW_MS)

struct uw_client {
	struct uw_list node;
	struct uw_server *server;
	struct uw_op op;       /* the one operation under way */
	HANDLE pipe;
	bool pending;          /* op is under way */
	bool connected;
	bool running;          /* inside a command of its own */
	bool dead;             /* to be freed when op has come back */
	struct uw_talk talk;
};

/* ---- commands ---- */

static void put_device(void *ctx, const struct uw_ctl_device *device)
{
	struct uw_client *c = ctx;

	uw_talk_put(&c->talk, UW_CTL_DEVICE, device, sizeof(*device));
}

static void do_list(struct uw_client *c)
{
	c->talk.waiting = true;
	uw_devs_list(&c->server->worker->devs, c, c->talk.id);
}

/* Asked anew for each request: a connection may be handed to somebody else. It stays open, for list and status. */
static bool may_change(struct uw_client *c)
{
	if (uw_listen_is_admin(c->pipe))
		return true;
	uw_talk_end(&c->talk, UW_CTL_DENIED, "only administrators may bind and unbind; run this from an elevated prompt");
	return false;
}

static void do_bind(struct uw_client *c)
{
	const struct uw_ctl_bind *bind = (const void *)c->talk.in.body;

	if (!uw_talk_is_name(bind->bus_id, false) || !uw_talk_is_name(bind->vm, true) ||
	    (bind->flags & ~UW_CTL_BIND_FLAGS) || !uw_talk_is_zero(bind->reserved, sizeof(bind->reserved))) {
		uw_talk_malformed(&c->talk);
	} else if (bind->flags) {
		uw_talk_end(&c->talk, UW_CTL_UNKNOWN, "this service neither forces a bind nor moves a device: unbind, then bind");
	} else if (may_change(c)) {
		c->talk.waiting = true;
		uw_devs_bind(&c->server->worker->devs, (const char *)bind->bus_id, (const char *)bind->vm, c, c->talk.id);
	}
}

static void do_unbind(struct uw_client *c)
{
	const struct uw_ctl_unbind *unbind = (const void *)c->talk.in.body;

	if (!uw_talk_is_name(unbind->bus_id, false) || !uw_talk_is_zero(unbind->reserved, sizeof(unbind->reserved))) {
		uw_talk_malformed(&c->talk);
	} else if (may_change(c)) {
		c->talk.waiting = true;
		uw_devs_unbind(&c->server->worker->devs, (const char *)unbind->bus_id, c, c->talk.id);
	}
}

static void put_daemon(struct uw_client *c)
{
	const struct uw_worker *w = c->server->worker;
	struct uw_ctl_daemon daemon = {
		.pid = uw_put32(GetCurrentProcessId()),
		.worker = uw_put32(GetCurrentProcessId()),
		.vms = uw_put32(w->links_count),
		.uptime = uw_put64(w->loop.now - w->started),
		.version_min = uw_put16(UW_VERSION),
		.version_max = uw_put16(UW_VERSION),
		.usb = 1,
	};

	UW_TEXT_PUT(daemon.name, "UsbWarpService");
	UW_TEXT_PUT(daemon.release, USBWARP_RELEASE);
	UW_TALK_PUT(&c->talk, UW_CTL_DAEMON, daemon);
}

static uint8_t devices_on(const struct uw_link *l)
{
	uint8_t count = 0;
	uint32_t port;

	for (port = 1; port <= UW_PORTS_MAX; port++)
		count += uw_devs_at(&l->worker->devs, l, (uint8_t)port) != NULL;
	return count;
}

static void put_vm(struct uw_client *c, const struct uw_link *l)
{
	const struct uw_config *config = l->worker->config;
	const struct uw_nt_status *s = &l->status;
	bool up = l->state == UW_LINK_UP;
	struct uw_ctl_vm vm = {
		.features = s->features,
		.size = uw_put32((uint32_t)config->size),
		.link = uw_put32(UW_LINK_DOORBELL | UW_LINK_INTERRUPT),
		.epoch = s->epoch,
		.incarnation = s->incarnation,
		.transfers = s->transfers,
		.transfers_max = s->transfers_max,
		.poll = uw_put32((uint32_t)config->poll * 1000),
		.breaker_threshold = uw_put32((uint32_t)config->breaker_threshold),
		.breaker_cooldown = uw_put32((uint32_t)config->breaker_cooldown),
		.rate = uw_put32((uint32_t)config->rate),
		.burst = uw_put32((uint32_t)config->burst),
		.kind = UW_CTL_LINK_HDV,
		.phase = up ? s->phase : UW_CTL_PHASE_DOWN,
		.present = up && s->present,
		.usb2_ports = s->usb2_ports,
		.usb3_ports = s->usb3_ports,
		.devices = devices_on(l),
	};

	UW_TEXT_PUT(vm.name, l->config->name);
	UW_TEXT_PUT(vm.guest, up ? (const char *)s->guest : "");
	UW_TEXT_PUT(vm.path, up ? l->system.id : "");
	UW_TALK_PUT(&c->talk, UW_CTL_VM, vm);
}

static void put_port(struct uw_client *c, const struct uw_link *l, const struct uw_dev *dev)
{
	const struct uw_nt_port_status *p = &l->status.ports[dev->port - 1];
	struct uw_ctl_port port = {
		.vendor = uw_put16(dev->info.vendor),
		.product = uw_put16(dev->info.product),
		.transfers = p->transfers,
		.failures = p->failures,
		.port = dev->port,
		.speed = p->speed ? p->speed : dev->info.speed,
		.state = dev->state,
		.breaker = p->breaker,
	};

	UW_TEXT_PUT(port.vm, l->config->name);
	UW_TEXT_PUT(port.bus_id, dev->info.bus_id);
	UW_TEXT_PUT(port.description, dev->info.name);
	UW_TALK_PUT(&c->talk, UW_CTL_PORT, port);
}

static void do_status(struct uw_client *c)
{
	struct uw_worker *w = c->server->worker;
	const struct uw_dev *dev;
	uint32_t i, port;

	put_daemon(c);
	for (i = 0; i < w->links_count; i++) {
		struct uw_link *l = &w->links[i];

		uw_link_refresh(l);
		put_vm(c, l);
		for (port = 1; port <= UW_PORTS_MAX; port++) {
			dev = uw_devs_at(&w->devs, l, (uint8_t)port);
			if (dev)
				put_port(c, l, dev);
		}
	}
	uw_talk_end(&c->talk, UW_CTL_OK, "");
}

/* port 0: the VM as a whole. A VM that does not run has done nothing. */
static void put_values(struct uw_client *c, const struct uw_link *l, uint8_t port, const char *bus_id)
{
	struct uw_nt_port which = { .port = port };
	struct uw_nt_stats stats = { .samples = 0 };
	struct uw_ctl_values values = { .port = port, .count = UW_STAT_COUNT };

	if (l->state == UW_LINK_UP &&
	    !uw_drv_call(l->file, UW_NT_STATS, &which, sizeof(which), &stats, sizeof(stats))) {
		values.samples = stats.samples;
		values.p50 = stats.p50;
		values.p90 = stats.p90;
		values.p99 = stats.p99;
		values.max = stats.max;
		uw_copy(values.value, stats.value, sizeof(values.value));
	}
	UW_TEXT_PUT(values.vm, l->config->name);
	UW_TEXT_PUT(values.bus_id, bus_id);
	UW_TALK_PUT(&c->talk, UW_CTL_VALUES, values);
}

/* How many scopes matched. */
static uint32_t put_link_values(struct uw_client *c, const struct uw_link *l, const char *bus_id)
{
	const struct uw_dev *dev;
	uint32_t count = 0, port;

	if (!*bus_id) {
		put_values(c, l, 0, "");
		count++;
	}
	for (port = 1; port <= UW_PORTS_MAX; port++) {
		dev = uw_devs_at(&l->worker->devs, l, (uint8_t)port);
		if (!dev || (*bus_id && strcmp(dev->info.bus_id, bus_id)))
			continue;
		put_values(c, l, (uint8_t)port, dev->info.bus_id);
		count++;
	}
	return count;
}

static void do_stats(struct uw_client *c)
{
	const struct uw_ctl_stats *stats = (const void *)c->talk.in.body;
	const struct uw_worker *w = c->server->worker;
	const char *vm = (const char *)stats->vm, *bus_id = (const char *)stats->bus_id;
	uint32_t i, links = 0, scopes = 0;

	if (!uw_talk_is_name(stats->vm, true) || !uw_talk_is_name(stats->bus_id, true) ||
	    !uw_talk_is_zero(stats->reserved, sizeof(stats->reserved))) {
		uw_talk_malformed(&c->talk);
		return;
	}
	uw_talk_put_counters(&c->talk);
	for (i = 0; i < w->links_count; i++) {
		if (*vm && !uw_text_same(vm, w->links[i].config->name))
			continue;
		links++;
		scopes += put_link_values(c, &w->links[i], bus_id);
	}
	if (!links)
		uw_talk_end(&c->talk, UW_CTL_NO_VM, "there is no such VM; usbwarp status shows those there are");
	else if (!scopes)
		uw_talk_end(&c->talk, UW_CTL_NOT_BOUND, "there is no such device on a port; usbwarp list shows those there are");
	else
		uw_talk_end(&c->talk, UW_CTL_OK, "");
}

static const struct uw_talk_command commands[] = {
	[UW_CTL_LIST] = { do_list, 0 },
	[UW_CTL_BIND] = { do_bind, sizeof(struct uw_ctl_bind) },
	[UW_CTL_UNBIND] = { do_unbind, sizeof(struct uw_ctl_unbind) },
	[UW_CTL_STATUS] = { do_status, 0 },
	[UW_CTL_STATS] = { do_stats, sizeof(struct uw_ctl_stats) },
};

/* ---- clients ---- */

static void release(struct uw_client *c)
{
	CloseHandle(c->pipe);
	uw_talk_clear(&c->talk);
	free(c);
}

/* An operation that is under way still owns the memory: the rest happens when it comes back. */
static void drop(struct uw_client *c)
{
	struct uw_server *s = c->server;

	uw_devs_forget(&s->worker->devs, c);
	s->count -= c->connected;
	c->connected = false;
	c->dead = true;
	if (c->pending) {
		CancelIoEx(c->pipe, &c->op.overlapped);
		return;
	}
	uw_list_del(&c->node);
	release(c);
}

static void on_io(struct uw_op *op, uint32_t error, uint32_t bytes);

static void begin(struct uw_client *c)
{
	uw_zero(&c->op, sizeof(c->op));
	c->op.done = on_io;
	c->op.file = c->pipe;
	c->pending = true;
}

/* Reads or writes, whichever is due; neither while the answer comes later. */
static void proceed(struct uw_client *c)
{
	BOOL begun;

	if (c->pending || c->talk.waiting)
		return;
	begin(c);
	if (c->talk.out_bytes)
		begun = WriteFile(c->pipe, c->talk.out + c->talk.out_sent, (DWORD)(c->talk.out_bytes - c->talk.out_sent), NULL,
				  &c->op.overlapped);
	else
		begun = ReadFile(c->pipe, (uint8_t *)&c->talk.in + c->talk.have, (DWORD)(sizeof(c->talk.in) - c->talk.have), NULL,
				 &c->op.overlapped);
	if (begun || GetLastError() == ERROR_IO_PENDING)
		return;
	c->pending = false;
	drop(c);
}

static void work(struct uw_client *c)
{
	bool taken = true;

	while (taken && !c->talk.waiting && !c->talk.out_bytes && !c->talk.closing) {
		c->running = true;
		taken = uw_talk_take(&c->talk, commands, UW_COUNT_OF(commands), c);
		c->running = false;
	}
	if (c->talk.failed)
		drop(c);
	else
		proceed(c);
}

static void wrote(struct uw_client *c, uint32_t bytes)
{
	c->talk.out_sent += bytes;
	if (c->talk.out_sent < c->talk.out_bytes) {
		proceed(c);
		return;
	}
	if (c->talk.closing) {
		drop(c);
		return;
	}
	uw_talk_clear(&c->talk);
	work(c);
}

static void greet(struct uw_client *c);

static void on_io(struct uw_op *op, uint32_t error, uint32_t bytes)
{
	struct uw_client *c = UW_CONTAINER(op, struct uw_client, op);

	c->pending = false;
	if (c->dead || (error && c->connected)) {
		drop(c);
	} else if (!c->connected) {
		if (error)
			c->talk.failed = true;
		greet(c);
	} else if (c->talk.out_bytes) {
		wrote(c, bytes);
	} else {
		c->talk.have += bytes;
		work(c);
	}
}

void uw_server_answer(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome)
{
	client->talk.id = id;
	client->talk.waiting = false;
	uw_talk_end(&client->talk, outcome->status, outcome->text);
	if (client->running)
		return; /* its command goes on with it */
	if (client->talk.failed)
		drop(client);
	else
		proceed(client);
}

void uw_server_listed(struct uw_client *client, uint32_t id)
{
	struct uw_outcome outcome = { .status = UW_CTL_OK };

	client->talk.id = id;
	uw_devs_each(&client->server->worker->devs, put_device, client);
	uw_server_answer(client, id, &outcome);
}

/* ---- the door ---- */

static bool await_client(struct uw_server *s, bool first)
{
	struct uw_client *c = calloc(1, sizeof(*c));
	DWORD error = ERROR_IO_PENDING;

	if (!c)
		return false;
	c->server = s;
	c->talk.server = "UsbWarpService";
	c->pipe = uw_listen_pipe(first);
	if (c->pipe == INVALID_HANDLE_VALUE) {
		free(c);
		return false;
	}
	if (!uw_loop_add(&s->worker->loop, c->pipe)) {
		release(c);
		return false;
	}
	uw_list_add(&s->clients, &c->node);
	begin(c);
	if (!ConnectNamedPipe(c->pipe, &c->op.overlapped))
		error = GetLastError();
	if (error == ERROR_PIPE_CONNECTED) {
		uw_loop_post(&s->worker->loop, &c->op, 0, 0);
	} else if (error != ERROR_IO_PENDING) {
		c->pending = false;
		drop(c);
		return false;
	}
	return true;
}

static void open_door(struct uw_server *s)
{
	if (!s->closed && !await_client(s, false))
		uw_timer_arm(&s->worker->loop, &s->again, s->worker->loop.now + AGAIN);
}

static void on_again(struct uw_timer *timer)
{
	open_door(UW_CONTAINER(timer, struct uw_server, again));
}

/* Somebody has connected, or has gone again at once. The next one gets an instance of his own before anything else. */
static void greet(struct uw_client *c)
{
	struct uw_server *s = c->server;

	open_door(s);
	if (c->talk.failed) {
		drop(c);
		return;
	}
	c->connected = true;
	s->count++;
	if (s->count > UW_CLIENTS_MAX) {
		c->talk.closing = true;
		uw_talk_end(&c->talk, UW_CTL_BUSY, "too many are connected; try again");
	}
	work(c);
}

bool uw_server_open(struct uw_server *server, struct uw_worker *worker)
{
	server->worker = worker;
	server->again.fired = on_again;
	uw_list_init(&server->clients);
	if (await_client(server, true))
		return true;
	uw_log(UW_LOG_ERROR, "%ls cannot be opened; is the service running already? %s", UW_PIPE, uw_error_text(GetLastError()));
	return false;
}

void uw_server_close(struct uw_server *server)
{
	struct uw_list *node, *next;

	server->closed = true;
	uw_timer_cancel(&server->again);
	for (node = server->clients.next; node != &server->clients; node = next) {
		next = node->next;
		drop(UW_CONTAINER(node, struct uw_client, node));
	}
}

bool uw_server_idle(const struct uw_server *server)
{
	return uw_list_empty(&server->clients);
}
