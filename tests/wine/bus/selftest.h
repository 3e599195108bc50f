/* SPDX-License-Identifier: GPL-2.0-only */
/* The bus against itself: what the parts of the self-test share. */
#ifndef UW_SELFTEST_H
#define UW_SELFTEST_H

#include "bus.h"

#define UW_TEST_BYTES 65536u

/* A URB on its way. */
struct uw_send {
	IRP *irp;
	URB *urb;
	KEVENT done;
	LONG ended;              /* times it was completed */
};

struct uw_test {
	struct uwb_selftest *result;
	struct uw_vdev *dev;
	DEVICE_OBJECT *pdo;
	URB *urb;                /* as large as the largest */
	uint8_t *data;
	MDL *mdl;                /* of data; NULL: this kernel has none */
	uint8_t config[UW_MODEL_SCRATCH];
	USBD_CONFIGURATION_HANDLE handle;
	USBD_PIPE_HANDLE pipe[6];
	LONG refused;            /* before the last URB */
};

/* Counts a case. */
void uw_test_case(struct uw_test *t, const char *name, bool good, uint32_t status);
/* Sends t->urb (or an internal control) and waits for its end. */
NTSTATUS uw_test_control(struct uw_test *t, ULONG code, void *argument, CCHAR stack);
/* The same, then judges: the URB's status, and whether a line said that it was refused. */
void uw_test_good(struct uw_test *t, const char *name);
void uw_test_status(struct uw_test *t, const char *name, USBD_STATUS status);
void uw_test_bad(struct uw_test *t, const char *name, USBD_STATUS status);
/* A URB that is left alone, itself or a copy of t->urb, and its end. */
bool uw_test_begin(struct uw_test *t, struct uw_send *s, URB *urb);
bool uw_test_send(struct uw_test *t, struct uw_send *s);
bool uw_test_await(struct uw_send *s, uint32_t milliseconds);
void uw_test_free(struct uw_send *s);

/* URBs, built in t->urb. */
void uw_test_bulk(struct uw_test *t, uint32_t pipe, uint32_t flags, uint32_t length);
void uw_test_raw(struct uw_test *t, uint32_t type, uint32_t request, uint32_t value, uint32_t index, uint32_t length);
void uw_test_pipe(struct uw_test *t, uint16_t function, uint32_t pipe);
void uw_test_feature(struct uw_test *t, uint16_t function, uint32_t feature, uint32_t index);
void uw_test_select_config(struct uw_test *t);
void uw_test_select_interface(struct uw_test *t, uint8_t alternate, uint32_t pipes);
void uw_test_pipes(struct uw_test *t, const USBD_INTERFACE_INFORMATION *info);
#define UW_ADDRESSED(t, i) ((uint8_t)(uintptr_t)(t)->pipe[i])

/* The parts. */
void uw_test_requests(struct uw_test *t);
void uw_test_settings(struct uw_test *t);
void uw_test_transfers(struct uw_test *t);
void uw_test_iso(struct uw_test *t);
void uw_test_usbd(struct uw_test *t);
void uw_test_hub(struct uw_test *t);

#endif
