/* SPDX-License-Identifier: GPL-2.0-only */
/* The host compute service: which VMs run, and a handle to one. computecore.dll is loaded when it is there. */
#ifndef UW_HCS_H
#define UW_HCS_H

#include <windows.h>

#include "hcsjson.h"

#define UW_SYSTEMS_MAX 64

/* An open system. All calls block, and are made by one thread. */
struct uw_hcs {
	HANDLE system;         /* HCS_SYSTEM */
	void (*exited)(void *context); /* any thread, once */
	void *context;
	LONG told;
};

/* 0 or an HRESULT. */
HRESULT uw_hcs_load(void);
/* Those that run now; no handle is held afterwards. How many, or -1 and *result. */
int uw_hcs_list(struct uw_system *systems, int max, HRESULT *result);
HRESULT uw_hcs_open(struct uw_hcs *h, const char *id, void (*exited)(void *context), void *context);
/* Afterwards exited is not called. */
void uw_hcs_close(struct uw_hcs *h);
/* A document to HcsModifyComputeSystem. */
HRESULT uw_hcs_modify(struct uw_hcs *h, const wchar_t *document);

#endif
