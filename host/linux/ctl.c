/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket's server: checks who asks, reads commands, answers in records.
 *
 * A client's next command is read only when the answer to the former has been taken, so one that never reads costs
 * one answer of memory and nothing else. A capture is the exception: it has no end of its own, so the next command is
 * what ends it. The format is include/usbwarp/ctl.h.
 */
#include "ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "log.h"
#include "field.h"
#include "talk.h"
#include "worker.h"

#define GROUPS_MAX 256

struct uw_client {
	struct uw_list node;
	struct uw_server *server;
	struct uw_source source;
	struct uw_talk talk;
	struct uw_capture capture;
};

static void drop(struct uw_client *c)
{
	struct uw_server *s = c->server;

	uw_capture_end(&s->worker->devs, &c->capture);
	uw_devs_forget(&s->worker->devs, c);
	uw_loop_close(&s->worker->loop, &c->source);
	uw_list_del(&c->node);
	s->count--;
	uw_talk_clear(&c->talk);
	free(c);
}

/* False: the client is to be dropped. */
static bool flush(struct uw_client *c)
{
	ssize_t sent;

	while (c->talk.out_sent < c->talk.out_bytes && !c->talk.failed) {
		sent = send(c->source.fd, c->talk.out + c->talk.out_sent, c->talk.out_bytes - c->talk.out_sent,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		c->talk.out_sent += (size_t)sent;
	}
	if (c->talk.failed || c->talk.closing)
		return false;
	uw_talk_clear(&c->talk);
	return true;
}

static void watch(struct uw_client *c)
{
	uint32_t events = c->talk.out_bytes ? EPOLLOUT : c->talk.waiting ? EPOLLRDHUP : EPOLLIN;

	if (c->capture.talk)
		events |= EPOLLIN | EPOLLRDHUP;
	uw_loop_change(&c->server->worker->loop, &c->source, events);
}

/* ---- commands ---- */

static void put_device(void *ctx, const struct uw_ctl_device *device)
{
	struct uw_client *c = ctx;

	uw_talk_put(&c->talk, UW_CTL_DEVICE, device, sizeof(*device));
}

static void do_list(struct uw_client *c)
{
	uw_devs_each(&c->server->worker->devs, put_device, c);
	uw_talk_end(&c->talk, UW_CTL_OK, "");
}

static void do_bind(struct uw_client *c)
{
	const struct uw_ctl_bind *bind = (const void *)c->talk.in.body;
	struct uw_outcome outcome;

	if (!uw_talk_is_name(bind->bus_id, false) || !uw_talk_is_name(bind->vm, true) ||
	    (bind->flags & ~UW_CTL_BIND_FLAGS) || !uw_talk_is_zero(bind->reserved, sizeof(bind->reserved))) {
		uw_talk_malformed(&c->talk);
		return;
	}
	if (!uw_binding_is_match((const char *)bind->bus_id)) {
		uw_talk_end(&c->talk, UW_CTL_NO_DEVICE,
			    "that is neither a bus id nor VENDOR:PRODUCT in hexadecimal digits, * and ?; usbwarp list shows both");
		return;
	}
	c->talk.waiting = true;
	uw_devs_bind(&c->server->worker->devs, (const char *)bind->bus_id, (const char *)bind->vm, bind->flags, c,
		     c->talk.id, &outcome);
	if (outcome.status == UW_PENDING)
		return;
	c->talk.waiting = false;
	uw_talk_end(&c->talk, outcome.status, outcome.text);
}

static void do_unbind(struct uw_client *c)
{
	const struct uw_ctl_unbind *unbind = (const void *)c->talk.in.body;
	struct uw_outcome outcome;

	if (!uw_talk_is_name(unbind->bus_id, false) || !uw_talk_is_zero(unbind->reserved, sizeof(unbind->reserved))) {
		uw_talk_malformed(&c->talk);
		return;
	}
	c->talk.waiting = true;
	uw_devs_unbind(&c->server->worker->devs, (const char *)unbind->bus_id, c, c->talk.id, &outcome);
	if (outcome.status == UW_PENDING)
		return;
	c->talk.waiting = false;
	uw_talk_end(&c->talk, outcome.status, outcome.text);
}

static void put_daemon(struct uw_client *c)
{
	const struct uw_worker *w = c->server->worker;
	struct uw_ctl_daemon daemon = {
		.pid = uw_put32((uint32_t)w->start->keeper),
		.worker = uw_put32((uint32_t)getpid()),
		.restarts = uw_put32(w->start->restarts),
		.vms = uw_put32(w->links_count),
		.uptime = uw_put64(w->loop.now - w->started),
		.usb_memory = uw_put64(w->devs.usb.memory),
		.usb_memory_max = uw_put64(w->devs.usb.memory_max),
		.version_min = uw_put16(UW_VERSION),
		.version_max = uw_put16(UW_VERSION),
		.usb = w->devs.usb.ready,
	};

	UW_TEXT_PUT(daemon.name, "usbwarpd");
	UW_TEXT_PUT(daemon.release, USBWARP_RELEASE);
	UW_TALK_PUT(&c->talk, UW_CTL_DAEMON, daemon);
}

static uint8_t devices_on(const struct uw_link *l)
{
	uint8_t count = 0;
	uint32_t port;

	for (port = 1; port <= UW_PORTS_MAX; port++)
		count += l->devs[port] != NULL;
	return count;
}

static void put_vm(struct uw_client *c, const struct uw_link *l)
{
	const struct uw_host *h = &l->host;
	const struct uw_vm_config *config = l->region->config;
	struct uw_ctl_vm vm = {
		.features = uw_put64(h->features),
		.size = uw_put32(h->layout.size),
		.link = uw_put32(h->layout.link),
		.epoch = uw_put32(h->epoch),
		.incarnation = uw_put32(h->incarnation),
		.transfers = uw_put32(h->active),
		.transfers_max = uw_put32(h->layout.transfers),
		.poll = uw_put32((uint32_t)l->poll),
		.breaker_threshold = uw_put32(h->limits.breaker.threshold),
		.breaker_cooldown = uw_put32((uint32_t)(h->limits.breaker.cooldown / UW_MS)),
		.rate = uw_put32(h->limits.bucket.rate),
		.burst = uw_put32(h->limits.bucket.burst),
		.kind = l->region->polled ? UW_CTL_LINK_FILE : UW_CTL_LINK_IVSHMEM,
		.phase = h->phase,
		.present = h->present,
		.usb2_ports = h->layout.usb2_ports,
		.usb3_ports = h->layout.usb3_ports,
		.devices = devices_on(l),
	};

	UW_TEXT_PUT(vm.name, config->name);
	UW_TEXT_PUT(vm.guest, h->phase == UW_PHASE_RUN ? h->guest_name : "");
	UW_TEXT_PUT(vm.path, config->file ? config->file : config->socket);
	UW_TALK_PUT(&c->talk, UW_CTL_VM, vm);
}

static void put_port(struct uw_client *c, const struct uw_link *l, uint8_t number)
{
	const struct uw_host_port *p = &l->host.ports[number];
	const struct uw_dev *dev = l->devs[number];
	struct uw_ctl_port port = {
		.vendor = uw_put16(dev->device->vendor),
		.product = uw_put16(dev->device->product),
		.transfers = uw_put32(p->active),
		.failures = uw_put32(p->breaker.failures),
		.port = number,
		.speed = dev->device->speed,
		.state = dev->state,
		.breaker = p->breaker.state,
	};

	UW_TEXT_PUT(port.vm, uw_link_name(l));
	UW_TEXT_PUT(port.bus_id, dev->device->bus_id);
	UW_TEXT_PUT(port.description, dev->device->description);
	UW_TALK_PUT(&c->talk, UW_CTL_PORT, port);
}

static void do_status(struct uw_client *c)
{
	const struct uw_worker *w = c->server->worker;
	uint32_t i;
	uint8_t port;

	put_daemon(c);
	for (i = 0; i < w->links_count; i++) {
		put_vm(c, &w->links[i]);
		for (port = 1; port <= UW_PORTS_MAX; port++)
			if (w->links[i].devs[port])
				put_port(c, &w->links[i], port);
	}
	uw_talk_end(&c->talk, UW_CTL_OK, "");
}

/* port 0: the VM as a whole. */
static void put_values(struct uw_client *c, const struct uw_link *l, uint8_t port)
{
	const struct uw_counters *counters = port ? &l->host.ports[port].counters : &l->host.counters;
	const struct uw_histogram *h = port ? &l->host.ports[port].latency : &l->host.latency;
	struct uw_ctl_values values = {
		.port = port,
		.count = UW_STAT_COUNT,
		.samples = uw_put64(uw_histogram_total(h)),
		.p50 = uw_put64(uw_histogram_at(h, 500)),
		.p90 = uw_put64(uw_histogram_at(h, 900)),
		.p99 = uw_put64(uw_histogram_at(h, 990)),
		.max = uw_put64(uw_histogram_at(h, 1000)),
	};
	uint32_t i;

	for (i = 0; i < UW_STAT_COUNT; i++)
		values.value[i] = uw_put64(counters->value[i]);
	UW_TEXT_PUT(values.vm, uw_link_name(l));
	if (port)
		UW_TEXT_PUT(values.bus_id, l->devs[port]->device->bus_id);
	UW_TALK_PUT(&c->talk, UW_CTL_VALUES, values);
}

/* How many scopes matched. */
static uint32_t put_link_values(struct uw_client *c, const struct uw_link *l, const char *bus_id)
{
	uint32_t count = 0;
	uint8_t port;

	if (!*bus_id) {
		put_values(c, l, 0);
		count++;
	}
	for (port = 1; port <= UW_PORTS_MAX; port++) {
		if (!l->devs[port] || (*bus_id && strcmp(l->devs[port]->device->bus_id, bus_id)))
			continue;
		put_values(c, l, port);
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
		if (*vm && strcmp(vm, uw_link_name(&w->links[i])))
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

static void on_packets(struct uw_capture *capture)
{
	watch(UW_CONTAINER(capture, struct uw_client, capture));
}

static void do_capture(struct uw_client *c)
{
	const struct uw_ctl_capture *ask = (const void *)c->talk.in.body;
	struct uw_outcome outcome;

	if (!uw_talk_is_name(ask->bus_id, true) || !uw_talk_is_name(ask->vm, true) ||
	    !uw_talk_is_zero(ask->reserved, sizeof(ask->reserved))) {
		uw_talk_malformed(&c->talk);
		return;
	}
	c->capture.talk = &c->talk;
	c->capture.begun = on_packets;
	uw_capture_begin(&c->server->worker->devs, &c->capture, ask, &outcome);
	c->talk.waiting = outcome.status == UW_CTL_OK;
	if (outcome.status)
		uw_talk_end(&c->talk, outcome.status, outcome.text);
}

/* The next command has come, or a part of it. */
static void end_capture(struct uw_client *c)
{
	uw_capture_end(&c->server->worker->devs, &c->capture);
	c->talk.waiting = false;
	uw_talk_end(&c->talk, UW_CTL_OK, "");
}

static const struct uw_talk_command commands[] = {
	[UW_CTL_LIST] = { do_list, 0 },
	[UW_CTL_BIND] = { do_bind, sizeof(struct uw_ctl_bind) },
	[UW_CTL_UNBIND] = { do_unbind, sizeof(struct uw_ctl_unbind) },
	[UW_CTL_STATUS] = { do_status, 0 },
	[UW_CTL_STATS] = { do_stats, sizeof(struct uw_ctl_stats) },
	[UW_CTL_CAPTURE] = { do_capture, sizeof(struct uw_ctl_capture) },
};

/* ---- clients ---- */

/* False: the client is to be dropped. */
static bool work(struct uw_client *c)
{
	while (!c->talk.waiting && !c->talk.out_bytes && !c->talk.closing) {
		if (!uw_talk_take(&c->talk, commands, UW_COUNT_OF(commands), c) && !c->talk.closing)
			break;
		if (c->capture.talk && c->talk.have)
			end_capture(c);
		if (!flush(c))
			return false;
	}
	return true;
}

static bool receive(struct uw_client *c)
{
	ssize_t bytes = recv(c->source.fd, (uint8_t *)&c->talk.in + c->talk.have, sizeof(c->talk.in) - c->talk.have, MSG_DONTWAIT);

	if (bytes > 0)
		c->talk.have += (uint32_t)bytes;
	return bytes > 0 || (bytes < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_client(struct uw_source *source, uint32_t events)
{
	struct uw_client *c = UW_CONTAINER(source, struct uw_client, source);
	bool alive = !(events & (EPOLLERR | EPOLLRDHUP));

	if (alive && c->capture.talk && (events & EPOLLIN))
		end_capture(c);
	if (alive && c->talk.out_bytes)
		alive = flush(c);
	else if (alive)
		alive = receive(c);
	if (alive)
		alive = work(c);
	if (alive)
		watch(c);
	else
		drop(c);
}

void uw_server_answer(struct uw_client *client, uint32_t id, const struct uw_outcome *outcome)
{
	client->talk.id = id;
	client->talk.waiting = false;
	uw_talk_end(&client->talk, outcome->status, outcome->text);
	/* Inside the client's own command its caller goes on with it; from elsewhere the loop does, by EPOLLOUT. */
	watch(client);
}

static bool in_group(int fd, gid_t wanted, gid_t first)
{
	gid_t groups[GROUPS_MAX];
	socklen_t bytes = sizeof(groups);
	uint32_t i;

	if (wanted == (gid_t)-1)
		return false;
	if (first == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes))
		return false;
	for (i = 0; i < bytes / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static bool may_ask(const struct uw_start *start, int fd)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes))
		return false;
	return !peer.uid || peer.uid == start->uid || in_group(fd, start->gid, peer.gid);
}

static void greet(struct uw_server *s, int fd)
{
	struct uw_client *c = calloc(1, sizeof(*c));

	if (!c || uw_loop_add(&s->worker->loop, &c->source, fd, EPOLLIN)) {
		free(c);
		close(fd);
		return;
	}
	c->server = s;
	c->talk.server = "usbwarpd";
	c->source.ready = on_client;
	uw_list_add(&s->clients, &c->node);
	s->count++;
	c->talk.closing = true;
	if (!may_ask(s->worker->start, fd))
		uw_talk_end(&c->talk, UW_CTL_DENIED, "only root, the daemon's own user and the group usbwarp may do this");
	else if (s->count > UW_CLIENTS_MAX)
		uw_talk_end(&c->talk, UW_CTL_BUSY, "too many are connected; try again");
	else
		c->talk.closing = false;
	if (c->talk.closing && !flush(c))
		drop(c);
}

static void on_door(struct uw_source *source, uint32_t events)
{
	struct uw_server *s = UW_CONTAINER(source, struct uw_server, door);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		greet(s, fd);
}

bool uw_server_open(struct uw_server *server, struct uw_worker *worker)
{
	server->worker = worker;
	server->door.ready = on_door;
	uw_list_init(&server->clients);
	return !uw_loop_add(&worker->loop, &server->door, worker->start->control, EPOLLIN);
}

void uw_server_close(struct uw_server *server)
{
	uw_loop_del(&server->worker->loop, &server->door);
	while (!uw_list_empty(&server->clients))
		drop(UW_CONTAINER(server->clients.next, struct uw_client, node));
}
