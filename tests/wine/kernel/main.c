// SPDX-License-Identifier: GPL-2.0-only
/* Loading, reports, and the entry that every listed call goes through. */
#include "lab.h"
#include "fault.h"
#include "pnp.h"

static volatile LONG reports;

/* One line that makes the run fail: the harness looks for the prefix. */
void lab_report(const char *format, ...)
{
	char text[480];
	va_list args;

	va_start(args, format);
	_vsnprintf(text, sizeof(text) - 1, format, args);
	va_end(args);
	text[sizeof(text) - 1] = 0;
	InterlockedIncrement(&reports);
	DbgPrint("UWLAB: %s\n", text);
}

uint32_t lab_report_count(void)
{
	return (uint32_t)reports;
}

const char *lab_where(const void *address, char *text, size_t size)
{
	void *base = NULL;
	WCHAR path[260];
	char name[64];
	DWORD length, start = 0;

	RtlPcToFileHeader((void *)address, &base);
	length = base ? GetModuleFileNameW(base, path, 260) : 0;
	for (DWORD i = 0; i < length; i++)
		if (path[i] == '\\' || path[i] == '/')
			start = i + 1;
	for (DWORD i = 0; i < sizeof(name); i++) {
		name[i] = start + i < length && i + 1 < sizeof(name) ? (char)path[start + i] : 0;
	}
	_snprintf(text, size - 1, "%s+%#llx", length ? name : "?", (uint64_t)((uintptr_t)address - (uintptr_t)base));
	text[size - 1] = 0;
	return text;
}

/* Stands before each listed call: true lets it fail as planned. */
bool lab_enter(struct lab_call *call, const void *caller)
{
	char text[96];
	KIRQL irql = lab_irql();

	InterlockedIncrement((volatile LONG *)&call->count);
	if (irql > call->irql)
		lab_report("IRQL %u: %s is for %u at most, called from %s", irql, call->name, call->irql,
			   lab_where(caller, text, sizeof(text)));
	return call->kind != LAB_FAIL_NONE && lab_fault(call, caller);
}

BOOL WINAPI DllMain(void *module, DWORD reason, void *reserved)
{
	(void)reserved;
	if (reason == 1) {
		GetModuleHandleExW(1 | 4, module, &module);     /* stays when the last driver goes: hooks and threads do */
		lab_irql_init();
		lab_dpc_init();
		lab_timer_init();
		lab_pool_init();
		lab_object_init();
		lab_irp_init();
		lab_mdl_init();
		lab_pnp_init();
		lab_unload_init();
		lab_control_init();
	}
	return TRUE;
}
