/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ivshmem server of one VM: hands QEMU the region and the eventfds, and learns from the socket when QEMU goes.
 *
 * The protocol is QEMU's docs/specs/ivshmem-spec: 64-bit little-endian numbers, some with a descriptor beside them:
 * version 0, the peer's own id, -1 with the memory, the id of every other peer once for each vector with its eventfd,
 * and the own id once for each vector. QEMU sends nothing, so whatever can be read from it is its end.
 */
#include "qemu.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "pass.h"

#define IVSHMEM_VERSION 0
#define IVSHMEM_MEMORY (-1)

static bool send_number(int peer, int64_t number, int fd)
{
	return uw_pass_send(peer, &number, sizeof(number), fd);
}

/* Every host vector is the one kick: the host has one ring to look at. */
static bool introduce(const struct uw_region *r, int peer)
{
	bool good = send_number(peer, IVSHMEM_VERSION, -1) && send_number(peer, UW_PEER_GUEST, -1) &&
		    send_number(peer, IVSHMEM_MEMORY, r->fd);
	uint32_t i;

	for (i = 0; good && i < UW_VECTORS; i++)
		good = send_number(peer, UW_PEER_HOST, r->kick);
	for (i = 0; good && i < UW_VECTORS; i++)
		good = send_number(peer, UW_PEER_GUEST, r->interrupt[i]);
	return good;
}

static bool has_gone(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

static void forget_peer(struct uw_qemu *q)
{
	uw_loop_close(q->loop, &q->peer);
	uw_log(UW_LOG_INFO, "vm %s: QEMU has gone", q->region->config->name);
	q->changed(q);
}

static void on_peer(struct uw_source *source, uint32_t events)
{
	struct uw_qemu *q = UW_CONTAINER(source, struct uw_qemu, peer);

	(void)events;
	forget_peer(q);
}

static void welcome(struct uw_qemu *q, int fd)
{
	const char *vm = q->region->config->name;

	/* A QEMU that was restarted may knock before the end of the former one has been seen. */
	if (uw_qemu_present(q) && has_gone(q->peer.fd))
		forget_peer(q);
	if (uw_qemu_present(q)) {
		uw_log(UW_LOG_WARNING, "vm %s: a second QEMU was turned away; give each VM a socket of its own", vm);
		close(fd);
		return;
	}
	if (!introduce(q->region, fd) || uw_loop_add(q->loop, &q->peer, fd, EPOLLIN | EPOLLRDHUP)) {
		uw_log(UW_LOG_WARNING, "vm %s: QEMU left at once", vm);
		close(fd);
		return;
	}
	uw_log(UW_LOG_INFO, "vm %s: QEMU has come", vm);
	q->changed(q);
}

static void on_door(struct uw_source *source, uint32_t events)
{
	struct uw_qemu *q = UW_CONTAINER(source, struct uw_qemu, door);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0)
		welcome(q, fd);
	else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		uw_log(UW_LOG_ERROR, "vm %s: accept: %s", q->region->config->name, strerror(errno));
}

bool uw_qemu_open(struct uw_qemu *q, struct uw_loop *loop, const struct uw_region *region)
{
	q->loop = loop;
	q->region = region;
	q->door.ready = on_door;
	q->peer.ready = on_peer;
	q->door.fd = q->peer.fd = -1;
	if (!uw_listen(&q->listener, region->config->socket, region->config->group))
		return false;
	return !uw_loop_add(loop, &q->door, q->listener.fd, EPOLLIN);
}

void uw_qemu_close(struct uw_qemu *q)
{
	if (!q->region)
		return;
	uw_loop_close(q->loop, &q->peer);
	uw_loop_del(q->loop, &q->door);
	uw_listen_close(&q->listener);
}
