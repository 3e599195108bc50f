/* SPDX-License-Identifier: GPL-2.0-only */
/* The process that handles what guests write: core, devices, control socket. It may die at any time. */
#ifndef UW_WORKER_H
#define UW_WORKER_H

#include "ctl.h"
#include "dev.h"
#include "link.h"
#include "start.h"

struct uw_worker {
	const struct uw_start *start;
	struct uw_loop loop;
	struct uw_link links[UW_VMS_MAX];
	uint32_t links_count;
	struct uw_devs devs;
	struct uw_server server;
	struct uw_source words;
	uint64_t started;
	uint64_t stop_at;      /* UW_NEVER: not stopping; else sessions get so long to end */
};

/* Serves until the keeper says stop, or is gone. The exit code. */
int uw_worker_main(const struct uw_start *start);

#endif
