/* SPDX-License-Identifier: GPL-2.0-only */
/* The service itself: one loop over VMs, devices, and those who ask. */
#include "worker.h"

#include "log.h"
#include "text.h"
#include "wide.h"

#define STOP_LAST (10000 * UW_MS)  /* until a stop is made without those who do not answer */

/* ---- looking for VMs ---- */

static void run_look(struct uw_job *job)
{
	struct uw_worker *w = UW_CONTAINER(job, struct uw_worker, look);

	w->systems_count = uw_hcs_list(w->systems, UW_SYSTEMS_MAX, &w->look_result);
}

/* The same failure is told once: without Hyper-V it would fill the log. */
static void log_look(struct uw_worker *w)
{
	if (w->look_result == w->look_logged)
		return;
	w->look_logged = w->look_result;
	if (FAILED(w->look_result))
		uw_log(UW_LOG_WARNING, "the host compute service tells no VMs; is the Virtual Machine Platform on? %s",
		       uw_error_text((uint32_t)w->look_result));
}

static void on_looked(struct uw_job *job)
{
	struct uw_worker *w = UW_CONTAINER(job, struct uw_worker, look);
	uint32_t i;

	w->looking = false;
	log_look(w);
	for (i = 0; i < w->links_count && !w->stopping && w->systems_count >= 0; i++)
		uw_link_found(&w->links[i], w->systems, w->systems_count);
	if (w->look_again && !w->stopping)
		uw_worker_look(w);
	else
		uw_timer_arm(&w->loop, &w->look_timer, w->loop.now + w->config->discover * UW_MS);
}

void uw_worker_look(struct uw_worker *w)
{
	w->look_again = w->looking;
	if (w->looking || w->stopping)
		return;
	w->looking = true;
	w->look.run = run_look;
	w->look.done = on_looked;
	uw_thread_post(&w->finder, &w->look);
}

static void on_look_timer(struct uw_timer *timer)
{
	uw_worker_look(UW_CONTAINER(timer, struct uw_worker, look_timer));
}

struct uw_link *uw_worker_link(struct uw_worker *w, const char *name)
{
	uint32_t i;

	for (i = 0; i < w->links_count; i++)
		if (uw_text_same(w->links[i].config->name, name))
			return &w->links[i];
	return NULL;
}

/* ---- stopping ---- */

static void on_stop(struct uw_op *op, uint32_t error, uint32_t bytes)
{
	struct uw_worker *w = UW_CONTAINER(op, struct uw_worker, stop);
	uint32_t i;

	(void)error;
	(void)bytes;
	w->stopping = true;
	uw_timer_cancel(&w->look_timer);
	uw_server_close(&w->server);
	uw_devs_stop(&w->devs);
	for (i = 0; i < w->links_count; i++)
		uw_link_down(&w->links[i]);
}

void uw_worker_stop(struct uw_worker *w)
{
	if (!InterlockedExchange(&w->stop_posted, 1))
		uw_loop_post(&w->loop, &w->stop, 0, 0);
}

static bool idle(const struct uw_worker *w)
{
	uint32_t i;

	for (i = 0; i < w->links_count; i++)
		if (!uw_link_idle(&w->links[i]))
			return false;
	return w->stopping && !w->looking && uw_devs_idle(&w->devs) && uw_server_idle(&w->server);
}

/* ---- the whole ---- */

static bool open_all(struct uw_worker *w)
{
	uint32_t i;

	if (!uw_thread_start(&w->finder, &w->loop) || !uw_devs_open(&w->devs, w))
		return false;
	for (i = 0; i < w->config->vms; i++, w->links_count++)
		if (!uw_link_init(&w->links[i], w, &w->config->vm[i]))
			return false;
	return uw_server_open(&w->server, w);
}

static void on_deadline(struct uw_timer *timer)
{
	(void)timer;
}

static void run(struct uw_worker *w)
{
	struct uw_timer deadline = { .fired = on_deadline };

	while (!w->stopping)
		uw_loop_wait(&w->loop);
	uw_timer_arm(&w->loop, &deadline, w->loop.now + STOP_LAST);
	while (!idle(w) && w->loop.now < deadline.at)
		uw_loop_wait(&w->loop);
	uw_timer_cancel(&deadline);
	if (!idle(w))
		uw_log(UW_LOG_WARNING, "not everything has ended in time; what remains ends with the process");
}

int uw_worker_main(struct uw_worker *w, const struct uw_config *config, void (*ready)(void))
{
	uint32_t i;

	w->config = config;
	w->stop.done = on_stop;
	w->look_timer.fired = on_look_timer;
	w->started = w->loop.now;
	if (!open_all(w)) {
		uw_log(UW_LOG_ERROR, "the service cannot start: %s", uw_error_text(GetLastError()));
		return 1;
	}
	uw_worker_look(w);
	ready();
	run(w);
	if (!idle(w))
		return 0;
	for (i = 0; i < w->links_count; i++)
		uw_link_fini(&w->links[i]);
	uw_thread_join(&w->finder);
	uw_devs_close(&w->devs);
	uw_loop_fini(&w->loop);
	return 0;
}
