/* SPDX-License-Identifier: GPL-2.0-only */
/* A driver that stands in for UsbWarp.sys: it runs scripts against one device of UsbWarpFilter.sys. */
#include "client.h"

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path);

static UNICODE_STRING device_name = RTL_CONSTANT_STRING(L"\\Device\\UwClient");
static UNICODE_STRING link_name = RTL_CONSTANT_STRING(L"\\DosDevices\\UwClient");

static uint32_t text_bytes(const char *s)
{
	uint32_t n = 0;

	while (s[n])
		n++;
	return n;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void append(char *to, uint32_t room, const char *text)
{
	uint32_t used = text_bytes(to);

	while (*text && used + 1 < room)
		to[used++] = *text++;
	to[used] = 0;
}

static void append_number(char *to, uint32_t room, uint32_t value)
{
	char digits[11];
	uint32_t at = sizeof(digits);

	digits[--at] = 0;
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	append(to, room, digits + at);
}

const char *uwc_failed(struct link *l, const char *what, const char *file, int line, uint32_t value)
{
	l->text[0] = 0;
	append(l->text, sizeof(l->text), file);
	append(l->text, sizeof(l->text), ":");
	append_number(l->text, sizeof(l->text), (uint32_t)line);
	append(l->text, sizeof(l->text), ": ");
	append(l->text, sizeof(l->text), what);
	append(l->text, sizeof(l->text), ", but ");
	append_number(l->text, sizeof(l->text), value);
	return l->text;
}

static const struct script *find_in(const struct script *s, const char *name)
{
	while (s->name && !same(s->name, name))
		s++;
	return s->name ? s : NULL;
}

static const char *run_opened(struct link *l, const struct script *s)
{
	const char *failed;

	CHECK_IS(uwc_open(l), UW_ST_OK);
	if (uwc_verb(l, UW_VERB_SET_CONFIGURATION, 3, 0) != UW_ST_OK)
		failed = "the configuration cannot be set";
	else
		failed = s->run(l);
	if (l->open)
		uwc_close(l);
	return failed;
}

static void run(const struct uwc_run *ask, struct uwc_result *result)
{
	const struct script *s = find_in(uwc_basic, ask->script);
	const char *failed = "no such script";
	struct link *l;
	NTSTATUS status;

	if (!s)
		s = find_in(uwc_load, ask->script);
	if (!s)
		s = find_in(uwc_frames, ask->script);
	if (!s)
		s = find_in(uwc_streams, ask->script);
	l = s ? uwc_link_new(&status) : NULL;
	if (s && !l)
		failed = status == STATUS_DEVICE_BUSY ? "busy" : "the device cannot be connected to";
	if (l) {
		l->raised = ask->flags & UWC_RAISED;
		l->chains = ask->flags & UWC_CHAINS;
		l->seed = ask->seed;
		l->rounds = ask->rounds ? ask->rounds : 1;
		failed = s->opened ? run_opened(l, s) : s->run(l);
	}
	result->failed = failed != NULL;
	if (failed)
		append(result->text, sizeof(result->text), failed);
	if (l)
		uwc_link_free(l);
	result->transfers = (uint32_t)uwc_transfers;
	result->bytes = (uint64_t)uwc_bytes;
	result->copied = (uint64_t)uwc_copied;
}

static NTSTATUS finish(IRP *irp, NTSTATUS status, uint32_t bytes)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = bytes;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

/* ---- a thread for each run: the dispatcher must stay free, or nothing else can be opened ---- */

struct job {
	IRP *irp;
	struct uwc_run ask;
	PIO_WORKITEM work;
};

static VOID NTAPI on_job(DEVICE_OBJECT *device, void *context)
{
	struct job *job = context;
	struct uwc_result *result = job->irp->AssociatedIrp.SystemBuffer;

	(void)device;
	uw_zero(result, sizeof(*result));
	run(&job->ask, result);
	finish(job->irp, STATUS_SUCCESS, sizeof(*result));
	IoFreeWorkItem(job->work);
	ExFreePoolWithTag(job, UWC_TAG);
}

static NTSTATUS NTAPI on_control(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
	struct job *job;

	if (at->Parameters.DeviceIoControl.IoControlCode != UWC_RUN ||
	    at->Parameters.DeviceIoControl.InputBufferLength != sizeof(struct uwc_run) ||
	    at->Parameters.DeviceIoControl.OutputBufferLength != sizeof(struct uwc_result))
		return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
	job = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*job), UWC_TAG);
	if (!job)
		return finish(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
	job->irp = irp;
	uw_copy(&job->ask, irp->AssociatedIrp.SystemBuffer, sizeof(job->ask));
	job->ask.script[UWC_NAME - 1] = 0;
	job->work = IoAllocateWorkItem(device);
	if (!job->work) {
		ExFreePoolWithTag(job, UWC_TAG);
		return finish(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
	}
	IoMarkIrpPending(irp);
	IoQueueWorkItem(job->work, on_job, DelayedWorkQueue, job);
	return STATUS_PENDING;
}

static NTSTATUS NTAPI on_file(DEVICE_OBJECT *device, IRP *irp)
{
	(void)device;
	return finish(irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver)
{
	IoDeleteSymbolicLink(&link_name);
	IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
	DEVICE_OBJECT *device;
	NTSTATUS status;

	(void)path;
	status = IoCreateDevice(driver, 0, &device_name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &device);
	if (!NT_SUCCESS(status))
		return status;
	status = IoCreateSymbolicLink(&link_name, &device_name);
	if (!NT_SUCCESS(status)) {
		IoDeleteDevice(device);
		return status;
	}
	driver->MajorFunction[IRP_MJ_CREATE] = on_file;
	driver->MajorFunction[IRP_MJ_CLEANUP] = on_file;
	driver->MajorFunction[IRP_MJ_CLOSE] = on_file;
	driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = on_control;
	driver->DriverUnload = unload;
	device->Flags &= ~DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}
