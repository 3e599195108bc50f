/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests of programs that wait for something, any of which may be cancelled at any moment. */
#ifndef UW_QUEUE_H
#define UW_QUEUE_H

#include "base.h"

struct uw_queue {
	KSPIN_LOCK lock;
	LIST_ENTRY irps;
	bool closed;
};

/* What a queued request waits for; on and what are the owner's choice. */
struct uw_wait {
	const void *on;
	ULONG_PTR what;
};

void uw_queue_init(struct uw_queue *q);
/* From now on the request is the queue's, and the caller returns STATUS_PENDING. False: the queue is closed, and the
 * request is still the caller's. */
UW_MUST_CHECK bool uw_queue_put(struct uw_queue *q, IRP *irp, const struct uw_wait *wait);
/* The first request that waits for on and what; on NULL: any. It is the caller's now; NULL: none. */
IRP *uw_queue_get(struct uw_queue *q, const struct uw_wait *wait);
/* The first one that waits for on, but not for what. */
IRP *uw_queue_get_other(struct uw_queue *q, const struct uw_wait *wait);
/* The first one of a file object, whatever it waits for. */
IRP *uw_queue_get_of(struct uw_queue *q, const FILE_OBJECT *file);
/* Nothing more can be put; what is there stays. */
void uw_queue_close(struct uw_queue *q);

#endif
