/* SPDX-License-Identifier: GPL-2.0-only */
/* UsbWarp.sys as a program sees it, by the native calls, so that each status arrives as the driver gave it. */
#ifndef UW_TEST_NT_H
#define UW_TEST_NT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <winternl.h>
#include <ntstatus.h>

#include "usbwarp/ioctl.h"

#define PATIENCE 10000 /* milliseconds */

/* One request under way. */
struct call {
	HANDLE done;
	IO_STATUS_BLOCK result;
	NTSTATUS status;       /* as the call returned */
};

static void nt_die(const char *what, unsigned long code)
{
	fprintf(stderr, "%s: %#lx\n", what, code);
	exit(3);
}

static HANDLE nt_open(void)
{
	HANDLE device = CreateFileA("\\\\.\\" UW_NT_DEVICE, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
				    NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);

	if (device == INVALID_HANDLE_VALUE)
		nt_die("\\\\.\\" UW_NT_DEVICE, GetLastError());
	return device;
}

static void nt_begin(struct call *c, HANDLE device, ULONG code, const void *in, ULONG in_bytes, void *out, ULONG out_bytes)
{
	c->done = CreateEventA(NULL, TRUE, FALSE, NULL);
	c->result.Information = 0;
	c->status = NtDeviceIoControlFile(device, c->done, NULL, NULL, &c->result, code, (void *)(uintptr_t)in, in_bytes, out,
					  out_bytes);
}

static inline bool nt_pending(const struct call *c)
{
	return c->status == STATUS_PENDING && WaitForSingleObject(c->done, 0) == WAIT_TIMEOUT;
}

/* A native request's result lies where an OVERLAPPED has it. */
static inline void nt_cancel(HANDLE device, struct call *c)
{
	CancelIoEx(device, (OVERLAPPED *)&c->result);
}

static NTSTATUS nt_end(struct call *c)
{
	if (c->status == STATUS_PENDING) {
		if (WaitForSingleObject(c->done, PATIENCE) != WAIT_OBJECT_0)
			nt_die("a request does not end", 0);
		c->status = c->result.Status;
	}
	CloseHandle(c->done);
	return c->status;
}

static NTSTATUS nt_call(HANDLE device, ULONG code, const void *in, ULONG in_bytes, void *out, ULONG out_bytes)
{
	struct call c;

	nt_begin(&c, device, code, in, in_bytes, out, out_bytes);
	return nt_end(&c);
}

static NTSTATUS nt_hello(HANDLE device)
{
	struct uw_nt_hello hello = { .version_min = UW_NT_VERSION, .version_max = UW_NT_VERSION, .release = "test" };

	return nt_call(device, UW_NT_HELLO, &hello, sizeof(hello), &hello, sizeof(hello));
}

/* What a session is made of. */
struct vm {
	HANDLE device, section, doorbell, interrupt;
	uint8_t *region;
	uint32_t size;
	uint32_t doorbell_value;
};

static void nt_make(struct vm *vm, uint32_t size)
{
	vm->size = size;
	vm->device = nt_open();
	vm->section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, size, NULL);
	vm->doorbell = CreateEventA(NULL, FALSE, FALSE, NULL);
	vm->interrupt = CreateEventA(NULL, FALSE, FALSE, NULL);
	vm->region = vm->section ? MapViewOfFile(vm->section, FILE_MAP_ALL_ACCESS, 0, 0, 0) : NULL;
	if (!vm->region || !vm->doorbell || !vm->interrupt)
		nt_die("memory and events", GetLastError());
}

static struct uw_nt_open nt_open_of(const struct vm *vm, const char *name)
{
	struct uw_nt_open o = { .section = (uintptr_t)vm->section, .doorbell = (uintptr_t)vm->doorbell,
				.interrupt = (uintptr_t)vm->interrupt, .size = vm->size, .poll = 100000,
				.breaker_threshold = 64, .breaker_cooldown = 1000, .rate = 2000000, .burst = 200000,
				.orphan = 30000 };

	strncpy((char *)o.name, name, sizeof(o.name) - 1);
	return o;
}

static inline NTSTATUS nt_start(struct vm *vm, const struct uw_nt_open *o)
{
	struct uw_nt_opened opened = { 0 };
	NTSTATUS status = nt_call(vm->device, UW_NT_OPEN, o, sizeof(*o), &opened, sizeof(opened));

	vm->doorbell_value = opened.doorbell;
	return status;
}

static inline void nt_unmake(struct vm *vm)
{
	CloseHandle(vm->device);
	UnmapViewOfFile(vm->region);
	CloseHandle(vm->section);
	CloseHandle(vm->doorbell);
	CloseHandle(vm->interrupt);
}

#endif
