/* SPDX-License-Identifier: GPL-2.0-only */
/* Much at once, and ends in the middle of it. What counts is that every request is answered once. */
#include "client.h"

/* mingw has it in a header of file systems. */
NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE object, BOOLEAN alertable, LARGE_INTEGER *timeout);

enum { BULK_OUT = 0x01, BULK_IN = 0x81, ISO_OUT = 0x02, ISO_IN = 0x82 };
enum { SINK = 3, LOOP = 2 };

/* Any transfer that the zero takes in configuration 3, alternate setting 1. */
static struct request *any(struct link *l, uint32_t n)
{
	switch (uwc_random(l) % 5) {
	case 0:
		return uwc_data(l, n, BULK_OUT, 1 << 20, 512 * (uwc_random(l) % 9), UW_SUBMIT_ZERO_PACKET);
	case 1:
		return uwc_iso(l, n, ISO_IN, n * 4096, 1 + uwc_random(l) % 20, 100, 100);
	case 2:
		return uwc_iso(l, n, ISO_OUT, 1 << 20, 1 + uwc_random(l) % 20, 60, 64);
	case 3:
		return uwc_data(l, n, 0x83, n * 4096, 16, 0);
	default:
		return uwc_data(l, n, BULK_IN, n * 4096, 1 + uwc_random(l) % 4096, 0);
	}
}

static bool is_one_of_ends(uint32_t status)
{
	return status == UW_ST_OK || status == UW_ST_CANCELLED || status == UW_ST_STALL || status == UW_ST_LATE;
}

/* Transfers that would wait for ever, cancelled in any order. */
static const char *cancel_idle(struct link *l)
{
	uint32_t i, k, round;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, LOOP, 0), UW_ST_OK);
	for (round = 0; round < l->rounds; round++) {
		for (i = 0; i < 300; i++)
			uwc_go(uwc_data(l, i, BULK_IN, i * 4096, 512, 0));
		for (i = 0; i < 900; i++) {
			k = uwc_random(l) % 300;
			if (l->request[k].out)
				uwc_cancel(&l->request[k]);
		}
		for (i = 0; i < 300; i++)
			if (l->request[i].out)
				uwc_cancel(&l->request[i]);
		for (i = 0; i < 300; i++) {
			CHECK(uwc_wait(&l->request[i]));
			CHECK_IS(l->request[i].io.status, UW_ST_CANCELLED);
			CHECK_IS(l->request[i].io.actual, 0);
		}
	}
	return NULL;
}

/* Transfers that end by themselves, and cancels that meet or miss them. */
static const char *storm(struct link *l)
{
	uint32_t i, k, round;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	for (round = 0; round < 20 * l->rounds; round++) {
		for (i = 0; i < 100; i++) {
			struct request *r = any(l, i);

			if (r->io.endpoint == 0x83)
				r->io.type = UW_INTERRUPT;
			uwc_go(r);
			k = uwc_random(l) % (i + 1);
			uwc_cancel(&l->request[k]); /* crosses its answer, perhaps: the session has not looked yet */
		}
		for (i = 0; i < 100; i++) {
			CHECK(uwc_wait(&l->request[i]));
			CHECK(is_one_of_ends(l->request[i].io.status));
		}
	}
	CHECK_IS(uwc_verb(l, UW_VERB_CLEAR_HALT, BULK_OUT, 0), UW_ST_OK);
	return NULL;
}

/* ---- ends in the middle ---- */

struct load {
	struct link *l;
	HANDLE thread;
	uint32_t from;           /* requests from..from+100 are its own */
};

/* Submits what has come back, and cancels now and then, until it is told to stop. */
static VOID NTAPI on_load(void *context)
{
	struct load *load = context;
	struct link *l = load->l;
	struct request *r;
	uint32_t n;

	while (!l->stop) {
		n = load->from + uwc_random(l) % 100;
		r = &l->request[n];
		if (r->out) {
			if (uwc_random(l) % 7 == 0)
				uwc_cancel(r);
			uwc_sleep(1);
			continue;
		}
		r = any(l, n);
		if (r->io.endpoint == 0x83)
			r->io.type = UW_INTERRUPT;
		uwc_go(r);
	}
	PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool start_load(struct load *load)
{
	if (!NT_SUCCESS(PsCreateSystemThread(&load->thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, on_load, load)))
		return false;
	return true;
}

static void stop_load(struct load *load)
{
	InterlockedExchange(&load->l->stop, 1);
	ZwWaitForSingleObject(load->thread, FALSE, NULL);
	ZwClose(load->thread);
}

/* The device is closed while submissions come in; the owner stops sending them only then. */
static const char *close_under_load(struct link *l)
{
	struct load load = { .l = l };
	uint32_t round;

	for (round = 0; round < l->rounds; round++) {
		if (!l->open) {
			CHECK_IS(uwc_open(l), UW_ST_OK);
			CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, SINK, 0), UW_ST_OK);
		}
		CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
		l->stop = 0;
		CHECK(start_load(&load));
		uwc_sleep(20 + uwc_random(l) % 60);
		l->peer->dev.ops->close(&l->peer->dev);
		stop_load(&load);
		uwc_close(l);
	}
	return NULL;
}

/* Somebody pulls the plug now. */
static const char *unplug(struct link *l)
{
	struct load load = { .l = l };
	uint32_t i;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_INTERFACE, 0, 1), UW_ST_OK);
	CHECK(start_load(&load));
	DbgPrint("uwclient: ready\n");
	for (i = 0; i < 200 && !l->gone; i++)
		uwc_sleep(50);
	uwc_sleep(50);
	stop_load(&load);
	CHECK_IS(l->gone, 1);
	uwc_go(uwc_data(l, 300, BULK_IN, 0, 512, 0));
	CHECK(uwc_wait(&l->request[300]));
	CHECK_IS(l->request[300].io.status, UW_ST_NO_DEVICE);
	CHECK_IS(uwc_verb(l, UW_VERB_RESET, 0, 0), UW_ST_NO_DEVICE);
	return NULL;
}

/* The same with nothing going on but transfers that wait. */
static const char *unplug_idle(struct link *l)
{
	uint32_t i;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, LOOP, 0), UW_ST_OK);
	for (i = 0; i < 50; i++)
		uwc_go(uwc_data(l, i, BULK_IN, i * 4096, 512, 0));
	DbgPrint("uwclient: ready\n");
	for (i = 0; i < 200 && !l->gone; i++)
		uwc_sleep(50);
	CHECK_IS(l->gone, 1);
	for (i = 0; i < 50; i++)
		CHECK(uwc_wait(&l->request[i]));
	return NULL;
}

/* The host sleeps and wakes up now. */
static const char *sleep_and_wake(struct link *l)
{
	uint32_t i, ended = 0;

	CHECK_IS(uwc_verb(l, UW_VERB_SET_CONFIGURATION, LOOP, 0), UW_ST_OK);
	for (i = 0; i < 50; i++)
		uwc_go(uwc_data(l, i, BULK_IN, i * 4096, 512, 0));
	DbgPrint("uwclient: ready\n");
	for (i = 0; i < 200 && !l->lost_power; i++)
		uwc_sleep(50);
	CHECK_IS(l->lost_power, 1);
	for (i = 0; i < 50; i++) {
		CHECK(uwc_wait(&l->request[i]));
		ended += l->request[i].io.status == UW_ST_CANCELLED;
	}
	CHECK_IS(ended, 50);
	CHECK_IS(l->gone, 0);
	/* The configuration is there again, before the guest has done anything. */
	CHECK_IS(uwc_control(l, 0x80, 8, 0, 0, 1, NULL), UW_ST_OK);
	CHECK_IS(l->region[0], LOOP);
	uwc_go(uwc_data(l, 0, BULK_OUT, 0, 7, 0));
	uwc_go(uwc_data(l, 1, BULK_IN, 4096, 512, 0));
	CHECK(uwc_wait(&l->request[0]) && uwc_wait(&l->request[1]));
	CHECK_IS(l->request[1].io.status, UW_ST_OK);
	CHECK_IS(l->request[1].io.actual, 7);
	return NULL;
}

const struct script uwc_load[] = {
	{ "cancel-idle", true, cancel_idle },
	{ "storm", true, storm },
	{ "close", true, close_under_load },
	{ "unplug", true, unplug },
	{ "unplug-idle", true, unplug_idle },
	{ "sleep", true, sleep_and_wake },
	{ NULL, false, NULL },
};
