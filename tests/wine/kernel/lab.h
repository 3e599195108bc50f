/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The forwarding kernel: what Wine's ntoskrnl.exe lacks or answers with a lie, implemented inside its winedevice.exe.
 *
 * Functions named lab_X are exported as X; entry.c, made from calls.list, stands before each and before those of Wine's
 * that are listed. Some replace Wine's own bodies too (hook.c), so that Wine's dispatcher goes the same way.
 */
#ifndef UWLAB_LAB_H
#define UWLAB_LAB_H

#include <ntifs.h>
#include <wdmguid.h>
#include <stdint.h>
#include <stdbool.h>

/* What a planned failure may hit. */
enum lab_fail {
	LAB_FAIL_NONE, LAB_FAIL_POOL, LAB_FAIL_MDL, LAB_FAIL_IRP, LAB_FAIL_WORK, LAB_FAIL_OBJECT, LAB_FAIL_REGISTRY,
	LAB_FAIL_THREAD, LAB_FAIL_DEVICE, LAB_FAIL_SECTION, LAB_FAIL_PNP, LAB_FAIL_POWER, LAB_FAIL_COUNT
};

struct lab_call {
	const char *name;
	uint64_t failure;          /* what a planned failure returns */
	uint8_t irql;              /* the highest one allowed */
	uint8_t kind;              /* enum lab_fail */
	uint32_t count;
};
C_ASSERT(sizeof(struct lab_call) == 24);
extern struct lab_call lab_calls[];
extern const unsigned int lab_call_count;

/* kernel32, which ntifs.h does not know */
#define WINAPI __stdcall
typedef unsigned long DWORD;
typedef int BOOL;
__declspec(dllimport) void *WINAPI VirtualAlloc(void *at, SIZE_T size, DWORD type, DWORD protection);
__declspec(dllimport) BOOL WINAPI VirtualFree(void *at, SIZE_T size, DWORD type);
__declspec(dllimport) BOOL WINAPI VirtualProtect(void *at, SIZE_T size, DWORD protection, DWORD *old);
__declspec(dllimport) DWORD WINAPI TlsAlloc(void);
__declspec(dllimport) void *WINAPI TlsGetValue(DWORD index);
__declspec(dllimport) BOOL WINAPI TlsSetValue(DWORD index, void *value);
__declspec(dllimport) HANDLE WINAPI CreateThread(void *sa, SIZE_T stack, DWORD (WINAPI *fn)(void *), void *arg,
	DWORD flags, DWORD *id);
__declspec(dllimport) BOOL WINAPI SetThreadPriority(HANDLE thread, int priority);
__declspec(dllimport) void WINAPI Sleep(DWORD ms);
__declspec(dllimport) BOOL WINAPI SwitchToThread(void);
__declspec(dllimport) DWORD WINAPI GetCurrentThreadId(void);
__declspec(dllimport) DWORD WINAPI GetCurrentProcessId(void);
__declspec(dllimport) DWORD WINAPI GetModuleFileNameW(void *module, WCHAR *name, DWORD size);
__declspec(dllimport) void *WINAPI GetModuleHandleW(const WCHAR *name);
__declspec(dllimport) BOOL WINAPI GetModuleHandleExW(DWORD flags, const void *what, void **module);
__declspec(dllimport) void *WINAPI LoadLibraryW(const WCHAR *name);
__declspec(dllimport) void *WINAPI GetProcAddress(void *module, const char *name);
__declspec(dllimport) HANDLE WINAPI GetProcessHeap(void);
__declspec(dllimport) void *WINAPI HeapAlloc(HANDLE heap, DWORD flags, SIZE_T size);
__declspec(dllimport) BOOL WINAPI HeapFree(HANDLE heap, DWORD flags, void *memory);
__declspec(dllimport) void *WINAPI AddVectoredExceptionHandler(ULONG first, LONG (WINAPI *fn)(EXCEPTION_POINTERS *));
__declspec(dllimport) HANDLE WINAPI CreateEventW(void *sa, BOOL manual, BOOL set, const WCHAR *name);
__declspec(dllimport) BOOL WINAPI SetEvent(HANDLE event);
__declspec(dllimport) DWORD WINAPI WaitForSingleObject(HANDLE object, DWORD ms);
__declspec(dllimport) BOOL WINAPI CloseHandle(HANDLE handle);
__declspec(dllimport) HANDLE WINAPI CreateFileW(const WCHAR *name, DWORD access, DWORD share, void *sa, DWORD how,
	DWORD flags, HANDLE model);
__declspec(dllimport) BOOL WINAPI WriteFile(HANDLE file, const void *data, DWORD size, DWORD *done, void *overlapped);
__declspec(dllimport) void WINAPI AcquireSRWLockExclusive(void **lock);
__declspec(dllimport) void WINAPI ReleaseSRWLockExclusive(void **lock);

NTSYSAPI NTSTATUS NTAPI NtQueryPerformanceCounter(LARGE_INTEGER *count, LARGE_INTEGER *frequency);
__declspec(dllimport) void NTAPI RtlRaiseStatus(NTSTATUS status);
__declspec(dllimport) PVOID NTAPI RtlPcToFileHeader(PVOID at, PVOID *base);
int __cdecl _vsnprintf(char *to, size_t size, const char *format, va_list args);
int __cdecl _snprintf(char *to, size_t size, const char *format, ...);

struct memory_info {               /* MEMORY_BASIC_INFORMATION */
	void *base, *allocation;
	DWORD allocation_protect, partition;
	SIZE_T size;
	DWORD state, protect, type;
};
__declspec(dllimport) SIZE_T WINAPI VirtualQuery(const void *at, struct memory_info *info, SIZE_T size);

struct lab_lock {
	void *srw;
};

static inline void lab_lock(struct lab_lock *l)
{
	AcquireSRWLockExclusive(&l->srw);
}

static inline void lab_unlock(struct lab_lock *l)
{
	ReleaseSRWLockExclusive(&l->srw);
}

static inline void *lab_alloc(size_t size)
{
	return HeapAlloc(GetProcessHeap(), 8, size);
}

static inline void lab_free(void *memory)
{
	HeapFree(GetProcessHeap(), 0, memory);
}

/* main.c: reports, and who called */
void lab_report(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t lab_report_count(void);
const char *lab_where(const void *address, char *text, size_t size);    /* module+offset */
bool lab_enter(struct lab_call *call, const void *caller);

/* irql.c: one IRQL per thread */
void lab_irql_init(void);
KIRQL lab_irql(void);
KIRQL lab_set_irql(KIRQL irql);                                         /* returns the former one */
void NTAPI lab_IoAcquireCancelSpinLock(KIRQL *irql);
void NTAPI lab_IoReleaseCancelSpinLock(KIRQL irql);

/* dpc.c */
void lab_dpc_init(void);
void lab_timer_init(void);
void lab_dpc_left(const void *image, size_t size);      /* reports what a driver that goes has left running */

/* hook.c: makes Wine's function `name` jump to `to`; returns how to call the former body, if wanted. */
void *lab_hook(const char *name, void *to, bool keep);

/* object.c */
void lab_object_init(void);

/* pool.c */
void lab_pool_init(void);
void *lab_pool_get(size_t size, ULONG tag, const void *by);
void lab_pool_put(void *data, const void *by);
bool lab_pool_lives(const void *data);          /* a block that has been allocated and not freed */
uint32_t lab_pool_left(const void *image, size_t image_size, uint64_t *bytes, bool say);
void lab_pool_fault(EXCEPTION_POINTERS *e);     /* says which allocation an access violation hit */

/* mdl.c */
void lab_mdl_init(void);
void lab_mdl_counts(uint32_t *locked, uint32_t *mapped);

/* irp.c */
void lab_irp_init(void);

/* work.c: until the work items of a driver that goes have returned */
void lab_work_wait(const void *image, size_t size);

/* unload.c, control.c */
size_t lab_image_size(const void *base);
void lab_unload_init(void);
void lab_control_init(void);

#endif
