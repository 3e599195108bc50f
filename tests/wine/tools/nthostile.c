/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A rig (tests/fuzz/rig.h) with UsbWarp.sys behind it: sessions on sections of this process, devices of uwpeer.sys. With
 * tests/fuzz/hostile.c it plays the vectors that the core's host is played, and judges by the same answers.
 *
 * The session polls for no time, so its thread works when it is kicked and then sleeps, and counts both. A kick after which
 * it has woken and gone to sleep again has been carried out: nothing is waited for by the clock.
 *
 * What differs from the core's host in one process:
 *   - The layout is the driver's: larger rings and tables, no streams, and positions that begin at 0 instead of just below
 *     2^32. The tables take their expectations from it.
 *   - Time cannot be let pass, so no guest is given up for its silence; and single accesses of another process cannot be
 *     trapped, so double fetches are left to a racing thread. The output names both.
 *   - The driver's view has no page without access and none that is only to be read. What it writes to data beside what its
 *     devices write is seen, what it writes to the guest's page and ring is not.
 */
#include "nt.h"

#include "rig.h"
#include "uwpeer.h"

#define SPAN_MAX 3600000u /* milliseconds: no guest is given up for being slow */

struct rig_nt {
	struct rig rig;        /* first, so that one is the other */
	struct vm vm;
	uint32_t devices;      /* of uwpeer.sys, a set */
	uint32_t violations;   /* that have been told */
	struct uw_nt_attach port1;
};

static struct rig_nt *rig_nt(struct rig *r)
{
	return (void *)r;
}

void rig_fault(struct rig *rig, const char *what)
{
	rig->faults++;
	printf("the host breaks a promise: %s\n", what);
}

/* ---- requests ---- */

static void must_call(struct rig_nt *r, const char *what, ULONG code, const void *in, ULONG in_bytes, void *out,
		      ULONG out_bytes)
{
	NTSTATUS status = nt_call(r->vm.device, code, in, in_bytes, out, out_bytes);

	if (status)
		nt_die(what, (unsigned long)status);
}

static void ask_counters(struct rig_nt *r)
{
	struct uw_nt_port whole = { 0 };
	struct uw_nt_stats s;
	uint32_t i;

	must_call(r, "counters", UW_NT_STATS, &whole, sizeof(whole), &s, sizeof(s));
	for (i = 0; i < UW_STAT_COUNT; i++)
		r->rig.counters.value[i] = s.value[i];
	r->rig.epoch = (uint32_t)s.value[UW_STAT_epochs]; /* the session began with none */
}

static void ask_status(struct rig_nt *r, struct uw_nt_status *s)
{
	must_call(r, "status", UW_NT_STATUS, NULL, 0, s, sizeof(*s));
	if (s->epoch != r->rig.epoch)
		rig_fault(&r->rig, "its status tells another epoch than its counters");
}

static NTSTATUS ask_peer(ULONG code, const void *in, ULONG in_bytes, void *out, ULONG out_bytes)
{
	static HANDLE peer = INVALID_HANDLE_VALUE;

	if (peer == INVALID_HANDLE_VALUE)
		peer = CreateFileA("\\\\.\\UwPeer", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED,
				   NULL);
	if (peer == INVALID_HANDLE_VALUE)
		nt_die("\\\\.\\UwPeer", GetLastError());
	return nt_call(peer, code, in, in_bytes, out, out_bytes);
}

/* ---- the host ---- */

/* Each request wakes the thread, which then has to go to sleep again, so this ends unless it never does. */
static void wait_for(struct rig_nt *r, enum uw_stat counter, const char *what)
{
	uint64_t before = r->rig.counters.value[counter];
	ULONGLONG until = GetTickCount64() + PATIENCE;

	do
		ask_counters(r);
	while (r->rig.counters.value[counter] == before && GetTickCount64() < until);
	if (r->rig.counters.value[counter] == before)
		rig_fault(&r->rig, what);
}

void rig_run(struct rig *rig, bool restless)
{
	(void)restless;
	SetEvent(rig_nt(rig)->vm.doorbell);
	wait_for(rig_nt(rig), UW_STAT_wakeups, "it does not hear a kick");
	wait_for(rig_nt(rig), UW_STAT_sleeps, "it never comes to rest");
}

uint8_t rig_phase(struct rig *rig)
{
	struct uw_nt_status s;

	ask_status(rig_nt(rig), &s);
	return s.phase;
}

uint32_t rig_active(struct rig *rig)
{
	struct uw_nt_status s;

	ask_status(rig_nt(rig), &s);
	return s.transfers;
}

void rig_pass(struct rig *rig, uint64_t ms)
{
	(void)rig;
	(void)ms;
}

/* ---- its devices ---- */

static uint32_t look(struct rig_nt *r)
{
	struct uwp_set set = { .devices = r->devices };
	struct rig *rig = &r->rig;
	struct uwp_state s;
	uint32_t i;

	if (ask_peer(UWP_LOOK, &set, sizeof(set), &s, sizeof(s)))
		nt_die("the devices' state", 0);
	for (i = 0; i < s.writes && rig->writes < RIG_WRITES; i++, rig->writes++) {
		rig->low[rig->writes] = s.low[i];
		rig->high[rig->writes] = s.high[i];
	}
	if (s.writes == UWP_WRITES)
		rig->writes = RIG_WRITES;
	if (s.violations != r->violations)
		rig_fault(rig, "a device was asked for what it must not be asked; it said so");
	r->violations = s.violations;
	return s.idle;
}

uint32_t rig_idle(struct rig *rig)
{
	return look(rig_nt(rig));
}

void rig_writes(struct rig *rig)
{
	(void)look(rig_nt(rig));
}

void rig_complete(struct rig *rig, uint32_t status, uint32_t actual)
{
	struct uwp_complete c = { .devices = rig_nt(rig)->devices, .status = status, .actual = actual };

	(void)ask_peer(UWP_COMPLETE, &c, sizeof(c), NULL, 0);
}

static void attach(struct rig_nt *r, const struct uw_nt_attach *a)
{
	struct uw_nt_attached attached = { 0 };

	must_call(r, "attach", UW_NT_ATTACH, a, sizeof(*a), &attached, sizeof(attached));
	if (attached.status || attached.port != a->port)
		nt_die("attached otherwise", attached.status);
}

void rig_detach(struct rig *rig)
{
	struct uw_nt_port port = { .port = 1 };

	must_call(rig_nt(rig), "detach", UW_NT_DETACH, &port, sizeof(port), NULL, 0);
}

void rig_attach(struct rig *rig)
{
	attach(rig_nt(rig), &rig_nt(rig)->port1);
}

/* ---- what it cannot do ---- */

const char *rig_lacks(enum rig_art art)
{
	static const char *const why[] = {
		[RIG_CLOCK] = "its clock is the real one",
		[RIG_TRAP] = "single accesses of another process cannot be trapped",
	};

	return why[art];
}

bool rig_trap_begin(struct rig *rig, uint32_t *word, const uint32_t value[2], uint32_t first)
{
	(void)rig;
	(void)word;
	(void)value;
	(void)first;
	return false;
}

uint32_t rig_trap_end(struct rig *rig)
{
	(void)rig;
	return 0;
}

/* ---- setting up ---- */

static void begin(struct rig_nt *r, uint32_t size)
{
	struct uw_nt_present present = { .present = 1 };
	struct uw_nt_open o;
	NTSTATUS status;

	nt_make(&r->vm, size);
	o = nt_open_of(&r->vm, "hostile");
	o.poll = 0;
	o.breaker_threshold = 0;
	o.orphan = SPAN_MAX;
	status = nt_hello(r->vm.device);
	if (!status)
		status = nt_start(&r->vm, &o);
	if (status)
		nt_die("session", (unsigned long)status);
	must_call(r, "present", UW_NT_PRESENT, &present, sizeof(present), NULL, 0);
}

/* The first free device of that speed. */
static void find(struct rig_nt *r, uint8_t speed, uint8_t port, struct uw_nt_attach *a)
{
	static struct uw_nt_devices list;
	const struct uw_nt_device *d;

	must_call(r, "devices", UW_NT_DEVICES, NULL, 0, &list, sizeof(list));
	for (d = list.devices; d < list.devices + list.count; d++) {
		if (d->vendor != UWP_VENDOR || d->speed != speed || d->state != UW_CTL_FREE)
			continue;
		memset(a, 0, sizeof(*a));
		memcpy(a->link, d->link, sizeof(a->link));
		a->port = port;
		r->devices |= 1u << (d->product - UWP_PRODUCT);
		return;
	}
	nt_die("no free device of speed", speed);
}

struct rig *rig_open(uint32_t size, uint16_t sub_slots, uint32_t start)
{
	struct rig_nt *r = calloc(1, sizeof(*r));
	struct uw_nt_attach usb3;

	(void)sub_slots;
	(void)start;
	if (!r)
		nt_die("memory", size);
	begin(r, size);
	r->rig.view = r->vm.region;
	if (uw_layout_read(&r->rig.l, (const void *)r->vm.region) || uw_layout_check(&r->rig.l, size))
		nt_die("layout", 0);
	find(r, UW_SPEED_HIGH, 1, &r->port1);
	attach(r, &r->port1);
	find(r, UW_SPEED_SUPER, (uint8_t)(r->rig.l.usb2_ports + 1), &usb3);
	attach(r, &usb3);
	ask_counters(r);
	rig_run(&r->rig, false);
	return &r->rig;
}
