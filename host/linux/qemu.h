/* SPDX-License-Identifier: GPL-2.0-only */
/* The ivshmem server of one VM: hands QEMU the region and the eventfds, and learns from the socket when QEMU goes. */
#ifndef UW_QEMU_H
#define UW_QEMU_H

#include "listen.h"
#include "loop.h"
#include "region.h"

#define UW_PEER_GUEST 0u       /* ids in ivshmem's terms; a doorbell register takes peer << 16 | vector */
#define UW_PEER_HOST 1u
#define UW_DOORBELL (UW_PEER_HOST << 16)

struct uw_qemu {
	const struct uw_region *region;
	struct uw_loop *loop;
	struct uw_listener listener;
	struct uw_source door; /* the listening socket */
	struct uw_source peer; /* QEMU's connection; fd -1 when there is none */
	void *owner;
	void (*changed)(struct uw_qemu *qemu); /* QEMU has come or gone */
};

UW_MUST_CHECK bool uw_qemu_open(struct uw_qemu *q, struct uw_loop *loop, const struct uw_region *region);
void uw_qemu_close(struct uw_qemu *q);
static inline bool uw_qemu_present(const struct uw_qemu *q) { return q->peer.fd >= 0; }

#endif
