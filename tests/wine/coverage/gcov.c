// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes a driver's execution counters out, in the build that measures coverage and in no other.
 *
 * The driver is entered here, so that its unload routine can be followed by the last look at the counters. uw_coverage is
 * exported for whoever wants them earlier: a prefix may end with its drivers loaded. Each look makes a file,
 * C:\windows\uwcov\DRIVER-TIME-LETTER: records of a kind, a length and bytes, the kinds being N (the name of a .gcda), D
 * (more of its contents) and E (the end, without which the file is not whole). None replaces another: the process may be
 * killed at any moment.
 *
 * Nt calls are used, which the forwarding kernel passes on unseen, so that planned failures hit the driver itself.
 */
#include <ntifs.h>

#include <stdbool.h>
#include <stdint.h>

#define ROOM (512u << 10)

struct gcov_info;
void __gcov_info_to_gcda(const struct gcov_info *info, void (*name)(const char *, void *),
			 void (*data)(const void *, unsigned int, void *), void *(*get)(unsigned int, void *), void *arg);
void __gcov_merge_add(int64_t *counters, unsigned int count);
void abort(void);
NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *object, UNICODE_STRING *path);
NTSTATUS NTAPI uw_coverage_entry(DRIVER_OBJECT *object, UNICODE_STRING *path);
__declspec(dllexport) void uw_coverage(void);

/* The linker sorts by what stands behind the $; the compiler's are in .gcov$m. */
__attribute__((section(".gcov$a"), used)) static const struct gcov_info *const first[1] = { NULL };
__attribute__((section(".gcov$z"), used)) static const struct gcov_info *const last[1] = { NULL };

static FAST_MUTEX lock;
static DRIVER_UNLOAD *real_unload;
static const WCHAR folder[] = L"\\??\\C:\\windows\\uwcov\\";
static WCHAR path[160];
static uint32_t letter;            /* where in path it is; z is used again and again */
static uint8_t bytes[ROOM];
static uint32_t used;

/* Merging is done elsewhere, and nothing here needs what these would do. */
void __gcov_merge_add(int64_t *counters, unsigned int count)
{
	(void)counters;
	(void)count;
}

void abort(void)
{
	DbgPrint("UWLAB: the counters make no sense\n");
	for (;;)
		KeBugCheckEx(0xe2, 0, 0, 0, 0);
}

static void put(const void *data, uint32_t count)
{
	const uint8_t *from = data;

	if (count > ROOM - used) {
		DbgPrint("UWLAB: more counters than room\n");
		return;
	}
	while (count--)
		bytes[used++] = *from++;
}

static void put_record(char kind, const void *data, uint32_t count)
{
	put(&kind, 1);
	put(&count, sizeof(count));
	put(data, count);
}

static void on_name(const char *name, void *arg)
{
	uint32_t length = 0;

	(void)arg;
	while (name[length])
		length++;
	put_record('N', name, length);
}

static void on_data(const void *data, unsigned int count, void *arg)
{
	(void)arg;
	put_record('D', data, count);
}

/* Only counters that are not of arcs would want memory. */
static void *on_get(unsigned int count, void *arg)
{
	(void)count;
	(void)arg;
	return NULL;
}

static void write_file(void)
{
	OBJECT_ATTRIBUTES attributes;
	IO_STATUS_BLOCK io;
	UNICODE_STRING name;
	HANDLE file;

	path[letter] = (WCHAR)(path[letter] == 'z' ? 'z' : path[letter] + 1);
	RtlInitUnicodeString(&name, path);
	InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
	if (!NT_SUCCESS(NtCreateFile(&file, GENERIC_WRITE | SYNCHRONIZE, &attributes, &io, NULL, FILE_ATTRIBUTE_NORMAL, 0,
				     FILE_OVERWRITE_IF, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0)))
		return; /* nobody collects */
	if (!NT_SUCCESS(NtWriteFile(file, NULL, NULL, NULL, &io, bytes, used, NULL, NULL)))
		DbgPrint("UWLAB: the counters cannot be written\n");
	NtClose(file);
}

void uw_coverage(void)
{
	const struct gcov_info *const *info;

	ExAcquireFastMutex(&lock);
	used = 0;
	for (info = first + 1; info < last; info++)
		if (*info)
			__gcov_info_to_gcda(*info, on_name, on_data, on_get, NULL);
	put_record('E', NULL, 0);
	write_file();
	ExReleaseFastMutex(&lock);
}

static VOID NTAPI unload(DRIVER_OBJECT *object)
{
	real_unload(object);
	uw_coverage();
}

/* The driver's name and the time. An image whose DriverEntry fails is kept by Wine and entered again: its counters go on,
 * and so does its name. */
static void choose_path(const UNICODE_STRING *name)
{
	uint32_t at, i, shift;
	LARGE_INTEGER now;

	if (path[0])
		return;
	for (at = 0; folder[at]; at++)
		path[at] = folder[at];
	for (i = sizeof(L"\\Driver\\") / sizeof(WCHAR) - 1; i < name->Length / sizeof(WCHAR) && i < 64; i++)
		path[at++] = name->Buffer[i];
	path[at++] = '-';
	KeQuerySystemTime(&now);
	for (shift = 64; shift; path[at++] = L"0123456789abcdef"[(uint64_t)now.QuadPart >> shift & 15])
		shift -= 4;
	path[at++] = '-';
	letter = at;
	path[at++] = 'a' - 1;
	path[at] = 0;
}

NTSTATUS NTAPI uw_coverage_entry(DRIVER_OBJECT *object, UNICODE_STRING *registry)
{
	NTSTATUS status;

	ExInitializeFastMutex(&lock);
	choose_path(&object->DriverName);
	status = DriverEntry(object, registry);
	if (!NT_SUCCESS(status)) {
		uw_coverage();
		return status;
	}
	real_unload = object->DriverUnload;
	object->DriverUnload = unload;
	return status;
}
