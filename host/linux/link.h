/* SPDX-License-Identifier: GPL-2.0-only */
/* One VM as the worker sees it: the mapped region, the session in it, and when to look at it. */
#ifndef UW_LINK_H
#define UW_LINK_H

#include "host.h"
#include "loop.h"
#include "region.h"
#include "spin.h"

struct uw_dev;

struct uw_link {
	const struct uw_region *region;
	struct uw_loop *loop;
	struct uw_host host;
	struct uw_host_memory memory;
	struct uw_dev *devs[UW_PORTS_MAX + 1]; /* by port; NULL: nothing bound there */
	struct uw_source kick;
	bool dirty;            /* something happened: run at once */
	bool asleep;           /* the guest has been asked to kick, or a step of the ladder is under way */
	uint64_t poll;         /* nanoseconds of polling after activity */
	uint64_t awake_until;
	struct uw_spin spin;   /* whether polling pays */
	bool polling;
	uint64_t step;         /* of a polled link: how long it sleeps next */
	uint64_t run_at;       /* when asleep: to run at the latest */
};

UW_MUST_CHECK bool uw_link_open(struct uw_link *l, struct uw_loop *loop, const struct uw_region *region,
				const struct uw_config *config);
void uw_link_close(struct uw_link *l);
/* Serves the session if there may be something to do. When to be called again; loop->now means at once. */
uint64_t uw_link_run(struct uw_link *l);
static inline const char *uw_link_name(const struct uw_link *l) { return l->region->config->name; }

#endif
