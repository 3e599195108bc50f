// SPDX-License-Identifier: GPL-2.0-only
/* uwprobectl: section | pend | close | sin N | notify: one request to uwprobe.sys each; the exit code says how it went. */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "probe.h"

static HANDLE device;

static int fail(const char *what)
{
	printf("%s: error %lu\n", what, GetLastError());
	return 1;
}

static int control(DWORD code, void *in, DWORD size)
{
	DWORD done;

	return DeviceIoControl(device, code, in, size, NULL, 0, &done, NULL) ? 0 : fail("DeviceIoControl");
}

static int section(void)
{
	struct probe_section p = { .size = 1u << 20 };
	HANDLE s = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, p.size, NULL);
	HANDLE e = CreateEventA(NULL, FALSE, FALSE, NULL);
	unsigned char *bytes = MapViewOfFile(s, FILE_MAP_ALL_ACCESS, 0, 0, 0);

	for (unsigned int i = 0; i < p.size; i++)
		bytes[i] = (unsigned char)(i * 7);
	p.section = (uintptr_t)s;
	p.event = (uintptr_t)e;
	if (control(PROBE_SECTION, &p, sizeof(p)))
		return 1;
	if (WaitForSingleObject(e, 5000) != WAIT_OBJECT_0)
		return fail("event");
	for (unsigned int i = 0; i < p.size; i++)
		if (bytes[i] != (unsigned char)(i * 7 + 1)) {
			printf("byte %u\n", i);
			return 1;
		}
	p.section = (uintptr_t)e;      /* of the wrong type */
	if (!control(PROBE_SECTION, &p, sizeof(p)))
		return fail("an event taken for a section");
	p.section = 0x12344;
	if (!control(PROBE_SECTION, &p, sizeof(p)))
		return fail("no handle taken for a section");
	return 0;
}

/* One request, cancelled, or left to the closing of the handle. */
static int pend(int close)
{
	OVERLAPPED o = { .hEvent = CreateEventA(NULL, TRUE, FALSE, NULL) };
	DWORD done;

	if (DeviceIoControl(device, PROBE_PEND, NULL, 0, NULL, 0, NULL, &o) || GetLastError() != ERROR_IO_PENDING)
		return fail("not pending");
	if (close) {
		CloseHandle(device);
		return WaitForSingleObject(o.hEvent, 5000) == WAIT_OBJECT_0 ? 0 : fail("no end");
	}
	CancelIoEx(device, &o);
	if (GetOverlappedResult(device, &o, &done, TRUE) || GetLastError() != ERROR_OPERATION_ABORTED)
		return fail("not cancelled");
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	uint32_t n = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;

	device = CreateFileA("\\\\.\\UwProbe", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
			     strcmp(verb, "pend") && strcmp(verb, "close") ? 0 : FILE_FLAG_OVERLAPPED, NULL);
	if (device == INVALID_HANDLE_VALUE)
		return fail("open");
	if (!strcmp(verb, "section"))
		return section();
	if (!strcmp(verb, "pend") || !strcmp(verb, "close"))
		return pend(!strcmp(verb, "close"));
	if (!strcmp(verb, "sin"))
		return control(PROBE_SIN, &n, sizeof(n));
	if (!strcmp(verb, "notify"))
		return control(PROBE_NOTIFY, NULL, 0);
	if (!strcmp(verb, "hold")) {
		Sleep(n);
		return 0;
	}
	printf("usage: uwprobectl section | pend | close | sin N | notify | hold MS\n");
	return 2;
}
