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
#include "text.h"
#include "wide.h"
#include "worker.h"

#define OUT_MAX (4u << 20)           /* bytes of one answer, far above what the most VMs and devices make */
#define OUT_FIRST 16384u
#define AGAIN (1000 * UW_MS)

struct uw_client {
	struct uw_list node;
	struct uw_server *server;
	struct uw_op op;       /* the one operation under way */
	HANDLE pipe;
	bool pending;          /* op is under way */
	bool connected;
	bool waiting;          /* the answer comes later */
	bool running;          /* inside a command of its own */
	bool closing;          /* once the answer has gone out */
	bool failed;           /* to be dropped by whoever is at the top */
	bool dead;             /* to be freed when op has come back */
	uint32_t have;         /* bytes of in */
	uint32_t id;           /* of the command under way */
	uint8_t *out;
	size_t out_bytes, out_sent, out_room;
	struct {
		struct uw_ctl_header header;
		uint8_t body[UW_CTL_BODY_MAX];
	} in;
};

/* ---- answers ---- */

static bool make_room(struct uw_client *c, size_t bytes)
{
	size_t room = c->out_room ? c->out_room : OUT_FIRST;
	uint8_t *out;

	while (room < c->out_bytes + bytes)
		room *= 2;
	if (room == c->out_room)
		return true;
	out = room <= OUT_MAX ? realloc(c->out, room) : NULL;
	if (!out)
		return false;
	c->out = out;
	c->out_room = room;
	return true;
}

static void put(struct uw_client *c, uint16_t type, const void *body, uint32_t bytes)
{
	struct uw_ctl_header header = {
		.magic = uw_put32(UW_CTL_MAGIC),
		.version = uw_put16(UW_CTL_VERSION),
		.type = uw_put16(type),
		.id = uw_put32(c->id),
		.length = uw_put32(bytes),
	};

	if (c->failed || !make_room(c, sizeof(header) + bytes)) {
		c->failed = true;
		return;
	}
	uw_copy(c->out + c->out_bytes, &header, sizeof(header));
	uw_copy(c->out + c->out_bytes + sizeof(header), body, bytes);
	c->out_bytes += sizeof(header) + bytes;
}

#define PUT(client, type, record) put(client, type, &(record), sizeof(record))

static void put_end(struct uw_client *c, uint16_t status, const char *text)
{
	struct uw_ctl_end end = { .status = uw_put16(status) };

	UW_TEXT_PUT(end.text, text);
	PUT(c, UW_CTL_END, end);
}

/* ---- commands ---- */

static void put_device(void *ctx, const struct uw_ctl_device *device)
{
	put(ctx, UW_CTL_DEVICE, device, sizeof(*device));
}

static void do_list(struct uw_client *c)
{
	c->waiting = true;
	uw_devs_list(&c->server->worker->devs, c, c->id);
}

/* A name from outside: graphic ASCII, ends inside its field, with nothing behind its end. */
static bool is_name(const uint8_t *field, bool may_be_empty)
{
	size_t bytes, i;

	for (bytes = 0; bytes < UW_CTL_NAME && field[bytes] > 0x20 && field[bytes] < 0x7f; bytes++)
		;
	for (i = bytes; i < UW_CTL_NAME; i++)
		if (field[i])
			return false;
	return bytes < UW_CTL_NAME && (bytes || may_be_empty);
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
	while (count && !*bytes) {
		bytes++;
		count--;
	}
	return !count;
}

static void put_malformed(struct uw_client *c)
{
	put_end(c, UW_CTL_MALFORMED, "the message breaks the format of docs/CONTROL.md");
}

/* Asked anew for each request: a connection may be handed to somebody else. It stays open, for list and status. */
static bool may_change(struct uw_client *c)
{
	if (uw_listen_is_admin(c->pipe))
		return true;
	put_end(c, UW_CTL_DENIED, "only administrators may bind and unbind; run this from an elevated prompt");
	return false;
}

static void do_bind(struct uw_client *c)
{
	const struct uw_ctl_bind *bind = (const void *)c->in.body;

	if (!is_name(bind->bus_id, false) || !is_name(bind->vm, true) ||
	    !is_zero(bind->reserved, sizeof(bind->reserved))) {
		put_malformed(c);
	} else if (may_change(c)) {
		c->waiting = true;
		uw_devs_bind(&c->server->worker->devs, (const char *)bind->bus_id, (const char *)bind->vm, c, c->id);
	}
}

static void do_unbind(struct uw_client *c)
{
	const struct uw_ctl_unbind *unbind = (const void *)c->in.body;

	if (!is_name(unbind->bus_id, false) || !is_zero(unbind->reserved, sizeof(unbind->reserved))) {
		put_malformed(c);
	} else if (may_change(c)) {
		c->waiting = true;
		uw_devs_unbind(&c->server->worker->devs, (const char *)unbind->bus_id, c, c->id);
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
	PUT(c, UW_CTL_DAEMON, daemon);
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
	PUT(c, UW_CTL_VM, vm);
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
	PUT(c, UW_CTL_PORT, port);
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
	put_end(c, UW_CTL_OK, "");
}

_Static_assert(UW_STAT_COUNT <= UW_CTL_VALUES_MAX, "a record holds all counters");

static void put_counters(struct uw_client *c)
{
	uint16_t i;

	for (i = 0; i < UW_STAT_COUNT; i++) {
		struct uw_ctl_counter counter = { .index = uw_put16(i) };

		UW_TEXT_PUT(counter.name, uw_counter_text[i].name);
		UW_TEXT_PUT(counter.unit, uw_counter_text[i].unit);
		UW_TEXT_PUT(counter.meaning, uw_counter_text[i].meaning);
		PUT(c, UW_CTL_COUNTER, counter);
	}
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
	PUT(c, UW_CTL_VALUES, values);
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
	const struct uw_ctl_stats *stats = (const void *)c->in.body;
	const struct uw_worker *w = c->server->worker;
	const char *vm = (const char *)stats->vm, *bus_id = (const char *)stats->bus_id;
	uint32_t i, links = 0, scopes = 0;

	if (!is_name(stats->vm, true) || !is_name(stats->bus_id, true) ||
	    !is_zero(stats->reserved, sizeof(stats->reserved))) {
		put_malformed(c);
		return;
	}
	put_counters(c);
	for (i = 0; i < w->links_count; i++) {
		if (*vm && !uw_text_same(vm, w->links[i].config->name))
			continue;
		links++;
		scopes += put_link_values(c, &w->links[i], bus_id);
	}
	if (!links)
		put_end(c, UW_CTL_NO_VM, "there is no such VM; usbwarp status shows those there are");
	else if (!scopes)
		put_end(c, UW_CTL_NOT_BOUND, "there is no such device on a port; usbwarp list shows those there are");
	else
		put_end(c, UW_CTL_OK, "");
}

static const struct {
	void (*run)(struct uw_client *c);
	uint32_t length;       /* bytes of the body */
} commands[] = {
	[UW_CTL_LIST] = { do_list, 0 },
	[UW_CTL_BIND] = { do_bind, sizeof(struct uw_ctl_bind) },
	[UW_CTL_UNBIND] = { do_unbind, sizeof(struct uw_ctl_unbind) },
	[UW_CTL_STATUS] = { do_status, 0 },
	[UW_CTL_STATS] = { do_stats, sizeof(struct uw_ctl_stats) },
};

static void run_command(struct uw_client *c)
{
	uint16_t type = uw_get16(c->in.header.type);

	if (type >= UW_COUNT_OF(commands) || !commands[type].run) {
		put_end(c, UW_CTL_UNKNOWN, "this UsbWarpService does not know the command; is it older than usbwarp?");
	} else if (uw_get32(c->in.header.length) != commands[type].length) {
		put_malformed(c);
	} else {
		c->running = true;
		commands[type].run(c);
		c->running = false;
	}
}

/* ---- clients ---- */

/* What of a header makes the bytes after it meaningless ends the connection. */
static bool header_good(struct uw_client *c)
{
	const struct uw_ctl_header *h = &c->in.header;

	c->closing = true;
	if (uw_get32(h->magic) != UW_CTL_MAGIC || uw_get32(h->length) > UW_CTL_BODY_MAX)
		put_malformed(c);
	else if (uw_get16(h->version) != UW_CTL_VERSION)
		put_end(c, UW_CTL_BAD_VERSION,
			"usbwarp and UsbWarpService speak different versions; install both from one release");
	else
		c->closing = false;
	return !c->closing;
}

/* Runs the first message of in if it is there whole. */
static bool take_message(struct uw_client *c)
{
	uint32_t bytes;

	if (c->have < sizeof(c->in.header))
		return false;
	c->id = uw_get32(c->in.header.id);
	if (!header_good(c))
		return false;
	bytes = (uint32_t)sizeof(c->in.header) + uw_get32(c->in.header.length);
	if (c->have < bytes)
		return false;
	run_command(c);
	c->have -= bytes;
	memmove(&c->in, (uint8_t *)&c->in + bytes, c->have);
	return true;
}

static void release(struct uw_client *c)
{
	CloseHandle(c->pipe);
	free(c->out);
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

	if (c->pending || c->waiting)
		return;
	begin(c);
	if (c->out_bytes)
		begun = WriteFile(c->pipe, c->out + c->out_sent, (DWORD)(c->out_bytes - c->out_sent), NULL,
				  &c->op.overlapped);
	else
		begun = ReadFile(c->pipe, (uint8_t *)&c->in + c->have, (DWORD)(sizeof(c->in) - c->have), NULL,
				 &c->op.overlapped);
	if (begun || GetLastError() == ERROR_IO_PENDING)
		return;
	c->pending = false;
	drop(c);
}

static void work(struct uw_client *c)
{
	while (!c->waiting && !c->out_bytes && !c->closing && take_message(c))
		;
	if (c->failed)
		drop(c);
	else
		proceed(c);
}

static void wrote(struct uw_client *c, uint32_t bytes)
{
	c->out_sent += bytes;
	if (c->out_sent < c->out_bytes) {
		proceed(c);
		return;
	}
	if (c->closing) {
		drop(c);
		return;
	}
	free(c->out);
	c->out = NULL;
	c->out_bytes = c->out_sent = c->out_room = 0;
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
			c->failed = true;
		greet(c);
	} else if (c->out_bytes) {
		wrote(c, bytes);
	} else {
		c->have += bytes;
		work(c);
	}
}

void uw_server_answer(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome)
{
	client->id = id;
	client->waiting = false;
	put_end(client, outcome->status, outcome->text);
	if (client->running)
		return; /* its command goes on with it */
	if (client->failed)
		drop(client);
	else
		proceed(client);
}

void uw_server_listed(struct uw_client *client, uint32_t id)
{
	struct uw_outcome outcome = { .status = UW_CTL_OK };

	client->id = id;
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
	if (c->failed) {
		drop(c);
		return;
	}
	c->connected = true;
	s->count++;
	if (s->count > UW_CLIENTS_MAX) {
		c->closing = true;
		put_end(c, UW_CTL_BUSY, "too many are connected; try again");
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
