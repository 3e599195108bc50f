/* SPDX-License-Identifier: GPL-2.0-only */
/* The shared memory of one VM and what kicks go through: made by the keeper, outlives every worker. */
#ifndef UW_REGION_H
#define UW_REGION_H

#include "config.h"

#define UW_VECTORS 2           /* interrupts of the guest: 0 for its ring, 1 when the host's end has gone or changed */

struct uw_region {
	const struct uw_vm_config *config;
	int fd;
	uint32_t size;
	bool polled;           /* a file: nobody can be kicked */
	int kick;              /* eventfd, guest to host; -1 when polled */
	int interrupt[UW_VECTORS]; /* eventfds, host to guest; -1 when polled */
	struct uw_host_page *page; /* the keeper's mapping of the host page, and of nothing else */
};

UW_MUST_CHECK bool uw_region_open(struct uw_region *r, const struct uw_vm_config *config);
void uw_region_close(struct uw_region *r);
/* Nobody serves the region: says so in the host page and to the guest. */
void uw_region_down(struct uw_region *r);
void uw_region_interrupt(const struct uw_region *r, uint32_t vector);

#endif
