/* SPDX-License-Identifier: GPL-2.0-only */
/* The service itself: one loop over VMs, devices, and those who ask. */
#ifndef UW_WORKER_H
#define UW_WORKER_H

#include "config.h"
#include "ctl.h"
#include "dev.h"
#include "link.h"

struct uw_worker {
	const struct uw_config *config;
	struct uw_loop loop;
	uint64_t started;
	bool stopping;
	struct uw_op stop;             /* posted by uw_worker_stop */
	LONG stop_posted;

	struct uw_link links[UW_VMS_MAX];
	uint32_t links_count;
	struct uw_thread finder;       /* looks for VMs */
	struct uw_job look;
	bool looking, look_again;
	struct uw_timer look_timer;
	struct uw_system systems[UW_SYSTEMS_MAX];
	int systems_count;
	HRESULT look_result, look_logged;

	struct uw_devs devs;
	struct uw_server server;
};

/* 0, or an exit code. ready is called when the pipe is open. */
int uw_worker_main(struct uw_worker *w, const struct uw_config *config, void (*ready)(void));
/* Any thread: ends uw_worker_main soon. */
void uw_worker_stop(struct uw_worker *w);
/* Look for VMs now. */
void uw_worker_look(struct uw_worker *w);
struct uw_link *uw_worker_link(struct uw_worker *w, const char *name);

#endif
