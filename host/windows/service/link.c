/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One VM that is served.
 *
 *             it runs             done              it ended, or we stop      requests are back
 *   ABSENT ------------> OPENING ------> UP ------------------------> DRAINING ------------> CLOSING --+
 *     ^                     | failed                                                                  |
 *     +---------------------+-------------------------------------------------------------------------+
 *
 * Opening and closing block, so they are jobs of the link's own thread; while one runs nothing else touches what it
 * works on. A VM that comes back gets everything anew: WSL's VM is another one each time, with another SID that the
 * region's section must admit.
 */
#include "link.h"

#include <sddl.h>
#include <stdio.h>

#include "log.h"
#include "text.h"
#include "wide.h"
#include "worker.h"

#define BACKOFF_FIRST 2000u    /* milliseconds */
#define BACKOFF_LAST 60000u
#define STOP_GRACE 2500u       /* milliseconds for transfers to end */

/* ---- opening, on the thread ---- */

static bool fail(struct uw_link *l, const char *what, uint32_t error)
{
	uw_log(UW_LOG_ERROR, "VM %s: %s: %s", l->config->name, what, uw_error_text(error));
	return false;
}

/*
 * The section has no name, so only who is given a handle can map it: the DACL admits SYSTEM, which we and the driver are,
 * and the worker process of this one VM. Where its id is not told, the group of all VMs' workers takes its place.
 */
static bool make_section(struct uw_link *l)
{
	SECURITY_ATTRIBUTES attributes = { .nLength = sizeof(attributes) };
	const struct uw_system *s = &l->system;
	char sid[64] = "S-1-5-83-0", sddl[128];
	wchar_t wide[128];
	uint8_t guid[16];

	if (uw_guid_parse(*s->runtime ? s->runtime : s->id, guid))
		uw_guid_sid(guid, sid, sizeof(sid));
	else
		uw_log(UW_LOG_WARNING, "VM %s: its id is not told, so the workers of all VMs may map its region",
		       l->config->name);
	/* Query, read, write: no execution of what a guest writes. */
	snprintf(sddl, sizeof(sddl), "D:P(A;;GA;;;SY)(A;;0x20007;;;%s)", sid);
	if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(uw_widen(wide, UW_COUNT_OF(wide), sddl), SDDL_REVISION_1,
								 &attributes.lpSecurityDescriptor, NULL))
		return fail(l, "the region's security", GetLastError());
	l->section = CreateFileMappingW(INVALID_HANDLE_VALUE, &attributes, PAGE_READWRITE, 0,
					(DWORD)l->worker->config->size, NULL);
	LocalFree(attributes.lpSecurityDescriptor);
	l->doorbell = CreateEventW(NULL, FALSE, FALSE, NULL);
	l->interrupt = CreateEventW(NULL, FALSE, FALSE, NULL);
	return (l->section && l->doorbell && l->interrupt) || fail(l, "no memory for the region", GetLastError());
}

/*
 * A guest that outlives the service may remember an epoch of the region that it saw before, so a new session begins
 * above all that were: with the seconds of the clock, which sessions do not use up.
 */
static uint32_t first_epoch(void)
{
	ULARGE_INTEGER now;
	FILETIME time;

	GetSystemTimeAsFileTime(&time);
	now.LowPart = time.dwLowDateTime;
	now.HighPart = time.dwHighDateTime;
	return (uint32_t)(now.QuadPart / 10000000u) | 1;
}

static bool open_session(struct uw_link *l, uint32_t *doorbell)
{
	const struct uw_config *c = l->worker->config;
	struct uw_nt_open open = {
		.section = uw_put64((uint64_t)(uintptr_t)l->section),
		.doorbell = uw_put64((uint64_t)(uintptr_t)l->doorbell),
		.interrupt = uw_put64((uint64_t)(uintptr_t)l->interrupt),
		.size = uw_put32((uint32_t)c->size),
		.epoch = uw_put32(first_epoch()),
		.poll = uw_put32((uint32_t)c->poll * 1000),
		.breaker_threshold = uw_put32((uint32_t)c->breaker_threshold),
		.breaker_cooldown = uw_put32((uint32_t)c->breaker_cooldown),
		.rate = uw_put32((uint32_t)c->rate),
		.burst = uw_put32((uint32_t)c->burst),
		.orphan = uw_put32((uint32_t)c->orphan),
	};
	struct uw_nt_opened opened;
	uint32_t error = uw_drv_open(&l->file);

	if (error)
		return fail(l, "UsbWarp.sys cannot be opened; UsbWarpService --install-drivers installs it", error);
	UW_TEXT_PUT(open.name, l->config->name);
	error = uw_drv_call(l->file, UW_NT_OPEN, &open, sizeof(open), &opened, sizeof(opened));
	if (error)
		return fail(l, "UsbWarp.sys makes no session", error);
	*doorbell = uw_get32(opened.doorbell);
	return true;
}

/* Any thread: HDV's, HCS's. */
static void on_ended(void *context)
{
	struct uw_link *l = context;

	if (!InterlockedExchange(&l->exit_posted, 1))
		uw_loop_post(&l->worker->loop, &l->exit, 0, 0);
}

/*
 * WSL's VM lives as long as somebody has a handle of it, and is to end when it is idle: so ours is closed as soon as the
 * device is in the VM. That it has ended is then told by HDV, or by the next look for VMs.
 */
static void release_system(struct uw_link *l)
{
	if (!uw_text_same(l->system.owner, "WSL"))
		return;
	uw_hcs_close(&l->hcs);
	uw_log(UW_LOG_DEBUG, "VM %s: no handle of it is kept, so it may end when idle", l->config->name);
}

static bool open_device(struct uw_link *l, uint32_t doorbell)
{
	const struct uw_hdv_parts parts = {
		.section = l->section,
		.doorbell = l->doorbell,
		.interrupt = l->interrupt,
		.doorbell_value = doorbell,
		.size = (uint32_t)l->worker->config->size,
		.wide = l->worker->config->wide,
		.ended = on_ended,
		.context = l,
	};
	HRESULT result = uw_hcs_open(&l->hcs, l->system.id, on_ended, l);

	if (FAILED(result))
		return fail(l, "it cannot be opened", (uint32_t)result);
	l->hdv = uw_hdv_open(&l->hcs, &parts, &result);
	if (!l->hdv)
		return fail(l, "it gets no device", (uint32_t)result);
	release_system(l);
	return true;
}

static bool tell_present(struct uw_link *l)
{
	struct uw_nt_present present = { .present = 1 };
	uint32_t error = uw_drv_call(l->file, UW_NT_PRESENT, &present, sizeof(present), NULL, 0);

	return !error || fail(l, "UsbWarp.sys refuses the VM", error);
}

static void close_handle(HANDLE *handle)
{
	if (*handle)
		CloseHandle(*handle);
	*handle = NULL;
}

static void log_numbers(struct uw_link *l)
{
	struct uw_hdv_numbers n;

	uw_hdv_numbers(l->hdv, &n);
	uw_log(UW_LOG_INFO, "VM %s: %llu interrupts (%llu held back by the guest, %llu failed), event to delivery p50 %llu ns, p99 %llu ns, max %llu ns",
	       l->config->name, (unsigned long long)n.interrupts, (unsigned long long)n.masked,
	       (unsigned long long)n.failed, (unsigned long long)uw_histogram_at(&n.latency, 500),
	       (unsigned long long)uw_histogram_at(&n.latency, 990), (unsigned long long)uw_histogram_at(&n.latency, 1000));
}

/* Every transfer ends and the guest is told so, unless that takes too long; closing the handle ends them anyway. */
static void stop_session(struct uw_link *l)
{
	OVERLAPPED overlapped = { .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL) };
	DWORD bytes;

	if (overlapped.hEvent && !DeviceIoControl(l->file, UW_NT_STOP, NULL, 0, NULL, 0, &bytes, &overlapped) &&
	    GetLastError() == ERROR_IO_PENDING && WaitForSingleObject(overlapped.hEvent, STOP_GRACE)) {
		uw_log(UW_LOG_WARNING, "VM %s: its transfers do not end; they are left to the driver", l->config->name);
		CancelIoEx(l->file, &overlapped);
		GetOverlappedResult(l->file, &overlapped, &bytes, TRUE);
	}
	close_handle(&overlapped.hEvent);
}

/* Setup read backwards, whatever of it there is; but the session's end comes first, while the guest can hear of it. */
static void close_all(struct uw_link *l)
{
	if (l->file)
		stop_session(l);
	if (l->hdv) {
		log_numbers(l);
		uw_hdv_close(l->hdv, &l->hcs);
	}
	l->hdv = NULL;
	uw_hcs_close(&l->hcs);
	close_handle(&l->file);
	close_handle(&l->interrupt);
	close_handle(&l->doorbell);
	close_handle(&l->section);
}

static void run_open(struct uw_job *job)
{
	struct uw_link *l = UW_CONTAINER(job, struct uw_link, job);
	uint32_t doorbell;

	l->failed = !make_section(l) || !open_session(l, &doorbell) || !open_device(l, doorbell) || !tell_present(l);
	if (l->failed)
		close_all(l);
}

static void run_close(struct uw_job *job)
{
	close_all(UW_CONTAINER(job, struct uw_link, job));
}

/* ---- in the loop ---- */

static void drain(struct uw_link *l);

static void on_watch(struct uw_drv_request *r, uint32_t error, uint32_t bytes);

static void watch(struct uw_link *l)
{
	l->watching.done = on_watch;
	uw_link_begin(l, UW_NT_WATCH, &l->watch, sizeof(l->watch), &l->watch, sizeof(l->watch), &l->watching);
}

static void on_watch(struct uw_drv_request *r, uint32_t error, uint32_t bytes)
{
	struct uw_link *l = UW_CONTAINER(r, struct uw_link, watching);

	(void)bytes;
	uw_link_returned(l);
	if (l->state != UW_LINK_UP)
		return;
	if (error) {
		fail(l, "UsbWarp.sys has left; its session is made anew", error);
		drain(l);
		return;
	}
	uw_link_refresh(l);
	uw_devs_changed(&l->worker->devs, l);
	watch(l);
}

static void on_opened(struct uw_job *job)
{
	struct uw_link *l = UW_CONTAINER(job, struct uw_link, job);

	if (l->failed) {
		l->state = UW_LINK_ABSENT;
		l->backoff = l->backoff ? (l->backoff * 2 < BACKOFF_LAST ? l->backoff * 2 : BACKOFF_LAST) : BACKOFF_FIRST;
		uw_timer_arm(&l->worker->loop, &l->retry, l->worker->loop.now + l->backoff * UW_MS);
		return;
	}
	l->backoff = 0;
	l->state = UW_LINK_UP;
	uw_log(UW_LOG_NOTICE, "VM %s is served (%s)", l->config->name, l->system.id);
	uw_link_refresh(l);
	if (l->ended || l->worker->stopping) {
		drain(l);
		return;
	}
	uw_zero(&l->watch, sizeof(l->watch));
	watch(l);
	uw_devs_changed(&l->worker->devs, l);
}

static void on_closed(struct uw_job *job)
{
	struct uw_link *l = UW_CONTAINER(job, struct uw_link, job);

	l->state = UW_LINK_ABSENT;
	uw_zero(&l->status, sizeof(l->status));
	uw_worker_look(l->worker);
}

static void on_exit(struct uw_op *op, uint32_t error, uint32_t bytes)
{
	struct uw_link *l = UW_CONTAINER(op, struct uw_link, exit);

	(void)error;
	(void)bytes;
	l->ended = true;
	if (l->state == UW_LINK_UP)
		drain(l);
}

static void start_open(struct uw_link *l, const struct uw_system *system)
{
	l->system = *system;
	l->state = UW_LINK_OPENING;
	l->ended = false;
	l->exit_posted = 0;
	uw_zero(&l->exit, sizeof(l->exit));
	l->exit.done = on_exit;
	l->job.run = run_open;
	l->job.done = on_opened;
	uw_thread_post(&l->thread, &l->job);
}

static void start_close(struct uw_link *l)
{
	l->state = UW_LINK_CLOSING;
	l->job.run = run_close;
	l->job.done = on_closed;
	uw_thread_post(&l->thread, &l->job);
}

static void drain(struct uw_link *l)
{
	uw_log(UW_LOG_NOTICE, "VM %s is served no longer", l->config->name);
	l->state = UW_LINK_DRAINING;
	uw_devs_down(&l->worker->devs, l);
	CancelIoEx(l->file, NULL);
	if (!l->pending)
		start_close(l);
}

void uw_link_begin(struct uw_link *l, uint32_t code, const void *in, uint32_t in_bytes, void *out, uint32_t out_bytes,
		   struct uw_drv_request *request)
{
	l->pending++;
	uw_drv_begin(&l->worker->loop, l->file, code, in, in_bytes, out, out_bytes, request);
}

void uw_link_returned(struct uw_link *l)
{
	l->pending--;
	if (l->state == UW_LINK_DRAINING && !l->pending)
		start_close(l);
}

void uw_link_refresh(struct uw_link *l)
{
	struct uw_nt_status status;

	if (l->state == UW_LINK_UP && !uw_drv_call(l->file, UW_NT_STATUS, NULL, 0, &status, sizeof(status)))
		l->status = status;
}

static bool is_wanted(const struct uw_vm_config *c, const struct uw_system *s)
{
	if (*c->owner)
		return uw_text_same(c->owner, s->owner);
	return uw_text_same(c->id, s->id) || uw_text_same(c->id, s->runtime) || uw_text_same(c->id, s->name);
}

void uw_link_found(struct uw_link *l, const struct uw_system *systems, int count)
{
	bool there = false;
	int i;

	for (i = 0; i < count; i++) {
		/* A VM that has not started yet takes no device. */
		if (!is_wanted(l->config, &systems[i]) ||
		    (*systems[i].state && !uw_text_same(systems[i].state, "Running")))
			continue;
		if (l->state == UW_LINK_ABSENT && !l->retry.at) {
			start_open(l, &systems[i]);
			return;
		}
		there |= uw_text_same(systems[i].id, l->system.id);
	}
	if (!there && l->state == UW_LINK_UP) {
		l->ended = true;
		drain(l);
	}
}

void uw_link_down(struct uw_link *l)
{
	uw_timer_cancel(&l->retry);
	if (l->state == UW_LINK_UP)
		drain(l);
}

static void on_retry(struct uw_timer *timer)
{
	struct uw_link *l = UW_CONTAINER(timer, struct uw_link, retry);

	timer->at = 0;
	uw_worker_look(l->worker);
}

bool uw_link_init(struct uw_link *l, struct uw_worker *worker, const struct uw_vm_config *config)
{
	uw_zero(l, sizeof(*l));
	l->worker = worker;
	l->config = config;
	l->retry.fired = on_retry;
	return uw_thread_start(&l->thread, &worker->loop);
}

void uw_link_fini(struct uw_link *l)
{
	uw_thread_join(&l->thread);
}
