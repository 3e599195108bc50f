/* SPDX-License-Identifier: GPL-2.0-only */
/* Between host.c, hostmsg.c and xfer.c: the transfer table, in which every accepted submission ends once, and messages. */
#ifndef UW_XFER_H
#define UW_XFER_H

#include "host.h"

void uw_xfer_init(struct uw_host *h, uint64_t now);
static inline bool uw_xfer_in_use(const struct uw_host *h, uint32_t id)
{
	return h->mem.xfers[UW_ID_ENTRY(id)].state != UW_XFER_FREE;
}

/*
 * Take a decoded submission into the table and start it. UW_ST_OK: accepted, its answer will follow (or has been
 * posted). Anything else: refused, nothing is kept; *why is set with UW_ST_INVALID.
 */
UW_MUST_CHECK enum uw_status uw_xfer_submit(struct uw_host *h, const struct uw_ask *a, enum uw_why *why, uint64_t now);
UW_MUST_CHECK enum uw_status uw_xfer_request(struct uw_host *h, const struct uw_ask *a, uint64_t now);
UW_MUST_CHECK enum uw_status uw_xfer_streams(struct uw_host *h, const struct uw_ask *a, uint64_t now);

void uw_xfer_cancel(struct uw_host *h, uint32_t id, uint64_t now);
/* Ends every entry of a port: answers at once what is not with the device, asks the device to cancel the rest. */
void uw_xfer_end_port(struct uw_host *h, uint8_t port, enum uw_status status, uint64_t now);
/* Forgets a parked entry whose epoch is over. */
void uw_xfer_drop(struct uw_host *h, struct uw_xfer *x);
/* Lets go what the rate limiter held, as far as there are tokens. */
void uw_xfer_release(struct uw_host *h, uint8_t port, uint64_t now);
/* The next entry to hand to its device, now ACTIVE; NULL: none. */
struct uw_xfer *uw_xfer_start(struct uw_host *h, uint64_t now);
/* Writes parked answers, as far as there is room. */
void uw_xfer_flush(struct uw_host *h);
/* Room for one more completion now? Looks at the guest's page when there seems to be none. */
UW_MUST_CHECK bool uw_xfer_room(struct uw_host *h);
/* Writes a completion that belongs to no entry; needs room. */
void uw_host_put(struct uw_host *h, const struct uw_answer *a);

/* Reads at most budget submissions and does what they say. Returns the number read. */
uint32_t uw_host_read(struct uw_host *h, uint64_t now, uint32_t budget);
/* Answers a bye once every transfer has been answered. */
void uw_host_answer_bye(struct uw_host *h);
/* At the start of a session every port with a device is news. */
void uw_host_tell_all(struct uw_host *h);

#endif
