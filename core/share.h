/* SPDX-License-Identifier: GPL-2.0-only */
/* Who may have how many entries of the transfer table: kept by the guest to wait in time, by the host to refuse. */
#ifndef UW_SHARE_H
#define UW_SHARE_H

#include "layout.h"

/*
 * Each port has share entries of its own, one more for endpoint 0 and one more for its port request; what is left
 * over is common, first come first served. So idle IN transfers of one device, however many, starve nobody.
 *
 * What a set of transfers costs depends on the set alone, not on the order in which they came: the host, which sees
 * each end a little before the guest does, holds a subset of the guest's transfers and so never finds less room.
 */
enum uw_share_kind { UW_SHARE_TRANSFER, UW_SHARE_CONTROL, UW_SHARE_REQUEST };

struct uw_share_port {
	uint32_t transfers;    /* in flight, without endpoint 0 */
	uint32_t control;      /* of endpoint 0; the first costs nothing */
	bool request;
};

struct uw_shares {
	uint32_t share;
	uint32_t common;       /* entries that belong to no port */
	uint32_t common_used;
	uint32_t isoch, isoch_max;
	struct uw_share_port port[UW_PORTS_MAX + 1];
};

void uw_shares_init(struct uw_shares *s, const struct uw_layout *l);
/* True: taken, to be given back with the same arguments. */
UW_MUST_CHECK bool uw_share_get(struct uw_shares *s, uint8_t port, bool isoch, enum uw_share_kind kind);
void uw_share_put(struct uw_shares *s, uint8_t port, bool isoch, enum uw_share_kind kind);

#endif
