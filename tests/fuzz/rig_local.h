/* SPDX-License-Identifier: GPL-2.0-only */
/* The core's host in this process: its insides, for whoever looks at them. */
#ifndef UW_RIG_LOCAL_H
#define UW_RIG_LOCAL_H

#include "rig.h"

struct rig_local {
	struct rig rig;        /* first, so that one is the other */
	struct uw_host *h;
	struct uw_host_memory mem;
	uint8_t *host_view;    /* guest's page and ring read-only, fences around */
	uint64_t now;
	struct uw_list idle;   /* with the devices, until cancelled */
	uint32_t idle_count;
};

static inline struct rig_local *rig_local(struct rig *r)
{
	return (void *)r;
}

/* A new host in the same memory. */
void rig_local_reset(struct rig_local *r);

#endif
