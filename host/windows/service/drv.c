/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A handle of UsbWarp.sys. It is opened overlapped, because requests pend for as long as a session lives, but is not
 * given to the completion port: some requests are waited for where they are made, on other threads. A request that
 * pends has an event, and a wait of the thread pool brings it into the loop.
 */
#include "drv.h"

#include "install.h"
#include "log.h"
#include "text.h"

uint32_t uw_drv_call(HANDLE file, uint32_t code, const void *in, uint32_t in_bytes, void *out, uint32_t out_bytes)
{
	OVERLAPPED overlapped = { .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL) };
	DWORD bytes = 0, error = 0;

	if (!overlapped.hEvent)
		return GetLastError();
	if (!DeviceIoControl(file, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes, &bytes, &overlapped))
		error = GetLastError();
	if (!error || error == ERROR_IO_PENDING)
		error = GetOverlappedResult(file, &overlapped, &bytes, TRUE) ? 0 : GetLastError();
	CloseHandle(overlapped.hEvent);
	return error ? error : bytes == out_bytes ? 0 : ERROR_INVALID_DATA;
}

/* It is started on demand, and Windows Installer knows no kernel services: the first VM is the demand. */
static uint32_t start_driver(void)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
	SC_HANDLE driver = manager ? OpenServiceW(manager, UW_DRIVER_NAME, SERVICE_START) : NULL;
	uint32_t error = 0;

	if (!driver || !StartServiceW(driver, 0, NULL))
		error = GetLastError();
	if (driver)
		CloseServiceHandle(driver);
	if (manager)
		CloseServiceHandle(manager);
	return error == ERROR_SERVICE_ALREADY_RUNNING ? 0 : error;
}

/* Not inherited, and at a level that lets the driver know who asks but not act for him. */
static HANDLE open_device(void)
{
	return CreateFileW(L"\\\\.\\" UW_NT_DEVICE, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
			   OPEN_EXISTING, FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
}

uint32_t uw_drv_open(HANDLE *file)
{
	struct uw_nt_hello hello = { .version_min = uw_put16(UW_NT_VERSION), .version_max = uw_put16(UW_NT_VERSION) };
	HANDLE handle = open_device();
	uint32_t error = handle == INVALID_HANDLE_VALUE ? GetLastError() : 0;

	if (error == ERROR_FILE_NOT_FOUND) {
		error = start_driver();
		handle = error ? INVALID_HANDLE_VALUE : open_device();
		if (!error && handle == INVALID_HANDLE_VALUE)
			error = GetLastError();
	}
	if (error)
		return error;
	UW_TEXT_PUT(hello.release, USBWARP_RELEASE);
	error = uw_drv_call(handle, UW_NT_HELLO, &hello, sizeof(hello), &hello, sizeof(hello));
	if (!error && (uw_get16(hello.version_min) > UW_NT_VERSION || uw_get16(hello.version_max) < UW_NT_VERSION))
		error = ERROR_REVISION_MISMATCH;
	if (error) {
		CloseHandle(handle);
		return error;
	}
	*file = handle;
	return 0;
}

static void CALLBACK on_event(void *context, BOOLEAN timed_out)
{
	struct uw_drv_request *r = context;

	(void)timed_out;
	uw_loop_post(r->loop, &r->op, 0, 0);
}

static void on_op(struct uw_op *op, uint32_t error, uint32_t bytes)
{
	struct uw_drv_request *r = UW_CONTAINER(op, struct uw_drv_request, op);
	DWORD moved = bytes;

	if (r->wait)
		UnregisterWaitEx(r->wait, INVALID_HANDLE_VALUE);
	if (!error)
		error = GetOverlappedResult(r->file, &op->overlapped, &moved, TRUE) ? 0 : GetLastError();
	if (op->overlapped.hEvent)
		CloseHandle(op->overlapped.hEvent);
	r->wait = NULL;
	r->done(r, error, moved);
}

void uw_drv_begin(struct uw_loop *loop, HANDLE file, uint32_t code, const void *in, uint32_t in_bytes, void *out,
		  uint32_t out_bytes, struct uw_drv_request *r)
{
	DWORD bytes, error = 0;

	uw_zero(&r->op, sizeof(r->op));
	r->op.done = on_op;
	r->loop = loop;
	r->file = file;
	r->wait = NULL;
	r->op.overlapped.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
	if (!r->op.overlapped.hEvent) {
		uw_loop_post(loop, &r->op, GetLastError(), 0);
		return;
	}
	if (!DeviceIoControl(file, code, (void *)(uintptr_t)in, in_bytes, out, out_bytes, &bytes, &r->op.overlapped))
		error = GetLastError();
	if (error && error != ERROR_IO_PENDING) {
		uw_loop_post(loop, &r->op, error, 0);
		return;
	}
	if (RegisterWaitForSingleObject(&r->wait, r->op.overlapped.hEvent, on_event, r, INFINITE, WT_EXECUTEONLYONCE))
		return;
	/* Without a wait the loop would never hear of it: the request is taken back, and waited for here. */
	r->wait = NULL;
	CancelIoEx(file, &r->op.overlapped);
	WaitForSingleObject(r->op.overlapped.hEvent, INFINITE);
	uw_loop_post(loop, &r->op, 0, 0);
}
