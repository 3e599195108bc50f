/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host compute service. computecore.dll is there from Windows 10 1809 on, but only with Hyper-V's optional
 * features, so it is loaded when it is wanted and never linked. Every call is asynchronous at the other end; here each
 * is waited for, because its thread has nothing else to do.
 */
#include "hcs.h"

#include <computecore.h>
#include <stdlib.h>

#include "log.h"
#include "wide.h"

#define PATIENCE 30000u        /* milliseconds until a call is given up */

static struct {
	HMODULE module;
	HRESULT(WINAPI *enumerate)(PCWSTR query, HCS_OPERATION operation);
	HCS_OPERATION(WINAPI *create_operation)(const void *context, HCS_OPERATION_COMPLETION callback);
	void(WINAPI *close_operation)(HCS_OPERATION operation);
	HRESULT(WINAPI *wait)(HCS_OPERATION operation, DWORD ms, PWSTR *document);
	HRESULT(WINAPI *open)(PCWSTR id, DWORD access, HCS_SYSTEM *system);
	void(WINAPI *close)(HCS_SYSTEM system);
	HRESULT(WINAPI *modify)(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR document, HANDLE identity);
	HRESULT(WINAPI *set_callback)(HCS_SYSTEM system, HCS_EVENT_OPTIONS options, const void *context,
				      HCS_EVENT_CALLBACK callback);
} api;

static bool get(FARPROC *to, const char *name)
{
	*to = GetProcAddress(api.module, name);
	return *to != NULL;
}

HRESULT uw_hcs_load(void)
{
	if (api.set_callback)
		return S_OK;
	if (!api.module)
		api.module = LoadLibraryExW(L"computecore.dll", NULL,
					    LOAD_LIBRARY_SEARCH_SYSTEM32 | LOAD_LIBRARY_SEARCH_APPLICATION_DIR);
	if (!api.module)
		return HRESULT_FROM_WIN32(GetLastError());
	if (get((FARPROC *)&api.enumerate, "HcsEnumerateComputeSystems") &&
	    get((FARPROC *)&api.create_operation, "HcsCreateOperation") &&
	    get((FARPROC *)&api.close_operation, "HcsCloseOperation") &&
	    get((FARPROC *)&api.wait, "HcsWaitForOperationResult") &&
	    get((FARPROC *)&api.open, "HcsOpenComputeSystem") && get((FARPROC *)&api.close, "HcsCloseComputeSystem") &&
	    get((FARPROC *)&api.modify, "HcsModifyComputeSystem") &&
	    get((FARPROC *)&api.set_callback, "HcsSetComputeSystemCallback"))
		return S_OK;
	api.set_callback = NULL;
	return HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND);
}

/* Waits for what has been begun with this result, and frees the operation. document may be NULL. */
static HRESULT finish(HCS_OPERATION operation, HRESULT begun, char **document)
{
	PWSTR text = NULL;

	if (SUCCEEDED(begun))
		begun = api.wait(operation, PATIENCE, &text);
	if (FAILED(begun) && text) {
		char *why = uw_narrow_new(text);

		uw_log(UW_LOG_DEBUG, "the host compute service says: %s", why ? why : "");
		free(why);
	}
	if (document)
		*document = SUCCEEDED(begun) && text ? uw_narrow_new(text) : NULL;
	if (text)
		LocalFree(text);
	api.close_operation(operation);
	return begun;
}

int uw_hcs_list(struct uw_system *systems, int max, HRESULT *result)
{
	HCS_OPERATION operation;
	char *text;
	int count;

	*result = uw_hcs_load();
	if (FAILED(*result))
		return -1;
	operation = api.create_operation(NULL, NULL);
	if (!operation) {
		*result = E_OUTOFMEMORY;
		return -1;
	}
	*result = finish(operation, api.enumerate(L"{\"Types\":[\"VirtualMachine\"]}", operation), &text);
	if (FAILED(*result))
		return -1;
	count = text ? uw_hcs_parse(text, systems, max) : 0;
	if (count < 0)
		*result = HRESULT_FROM_WIN32(ERROR_INVALID_DATA);
	free(text);
	return count;
}

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
	struct uw_hcs *h = context;

	if ((event->Type == HcsEventSystemExited || event->Type == HcsEventServiceDisconnect) &&
	    !InterlockedExchange(&h->told, 1))
		h->exited(h->context);
}

HRESULT uw_hcs_open(struct uw_hcs *h, const char *id, void (*exited)(void *context), void *context)
{
	wchar_t wide[UW_HCS_ID];
	HCS_SYSTEM system;
	HRESULT result = api.open(uw_widen(wide, UW_COUNT_OF(wide), id), GENERIC_ALL, &system);

	if (FAILED(result))
		return result;
	h->system = system;
	h->exited = exited;
	h->context = context;
	h->told = 0;
	result = api.set_callback(system, HcsEventOptionNone, h, on_event);
	if (FAILED(result))
		uw_hcs_close(h);
	return result;
}

void uw_hcs_close(struct uw_hcs *h)
{
	if (!h->system)
		return;
	api.set_callback((HCS_SYSTEM)h->system, HcsEventOptionNone, NULL, NULL);
	api.close((HCS_SYSTEM)h->system);
	h->system = NULL;
}

HRESULT uw_hcs_modify(struct uw_hcs *h, const wchar_t *document)
{
	HCS_OPERATION operation = api.create_operation(NULL, NULL);

	if (!operation)
		return E_OUTOFMEMORY;
	return finish(operation, api.modify((HCS_SYSTEM)h->system, operation, document, NULL), NULL);
}
