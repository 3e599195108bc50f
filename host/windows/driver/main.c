// SPDX-License-Identifier: GPL-2.0-only
/* UsbWarp.sys: the Windows host's end of every VM's session. Its beginning and its end. */
#include <ntifs.h>

#include "ctl.h"
#include "trace.h"

#define WIDE(text) L##text
#define DEVICE_NAME L"\\Device\\" WIDE_OF(UW_NT_DEVICE)
#define LINK_NAME L"\\DosDevices\\" WIDE_OF(UW_NT_DEVICE)
#define WIDE_OF(text) WIDE(text)

struct uw_driver uw_driver;

/* A security identifier of two parts: S-1-5-32-544 is Administrators, S-1-5-18 is SYSTEM. */
struct sid {
	UCHAR revision, count;
	UCHAR authority[6];
	ULONG part[2];
};

static const struct sid system_sid = { 1, 1, { 0, 0, 0, 0, 0, 5 }, { 18, 0 } };
static const struct sid administrators_sid = { 1, 2, { 0, 0, 0, 0, 0, 5 }, { 32, 544 } };

static NTSTATUS make_list(ACL *acl, ULONG bytes)
{
	NTSTATUS status = RtlCreateAcl(acl, bytes, ACL_REVISION);

	if (NT_SUCCESS(status))
		status = RtlAddAccessAllowedAce(acl, ACL_REVISION, GENERIC_ALL | STANDARD_RIGHTS_ALL | FILE_ALL_ACCESS,
						(void *)(ULONG_PTR)&system_sid);
	if (NT_SUCCESS(status))
		status = RtlAddAccessAllowedAce(acl, ACL_REVISION, GENERIC_ALL | STANDARD_RIGHTS_ALL | FILE_ALL_ACCESS,
						(void *)(ULONG_PTR)&administrators_sid);
	return status;
}

static NTSTATUS apply(SECURITY_DESCRIPTOR *descriptor)
{
	HANDLE handle;
	NTSTATUS status = ObOpenObjectByPointer(uw_driver.device, OBJ_KERNEL_HANDLE, NULL, WRITE_DAC, NULL, KernelMode,
						&handle);

	if (!NT_SUCCESS(status))
		return status;
	status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, descriptor);
	ZwClose(handle);
	return status;
}

/* IoCreateDeviceSecure would do this, but lies in a library that is not to be had. Nobody can open the device before:
 * it is still marked as being initialised. */
static NTSTATUS protect(void)
{
	SECURITY_DESCRIPTOR descriptor;
	ULONG list[32];
	NTSTATUS status = make_list((ACL *)list, sizeof(list));

	if (NT_SUCCESS(status))
		status = RtlCreateSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
	if (NT_SUCCESS(status))
		status = RtlSetDaclSecurityDescriptor(&descriptor, TRUE, (ACL *)list, FALSE);
	return NT_SUCCESS(status) ? apply(&descriptor) : status;
}

static void init(DRIVER_OBJECT *object)
{
	LARGE_INTEGER ticks;

	RtlZeroMemory(&uw_driver, sizeof(uw_driver));
	uw_driver.object = object;
	uw_driver.users = 1;
	uw_driver.generation = 1;
	ExInitializeFastMutex(&uw_driver.lock);
	uw_list_init(&uw_driver.links);
	uw_list_init(&uw_driver.devs);
	uw_queue_init(&uw_driver.watches);
	KeInitializeEvent(&uw_driver.idle, NotificationEvent, FALSE);
	(void)KeQueryPerformanceCounter(&ticks);
	uw_driver.ticks = ticks.QuadPart;
}

/* With no handle open. What may still run are sessions whose devices are being closed; they end by themselves. */
static void NTAPI unload(DRIVER_OBJECT *object)
{
	UNICODE_STRING name = RTL_CONSTANT_STRING(LINK_NAME);
	struct uw_list *node;

	(void)object;
	uw_lock();
	uw_driver.stopping = true;
	for (node = uw_driver.links.next; node != &uw_driver.links; node = node->next)
		uw_link_end(UW_CONTAINER(node, struct uw_link, node));
	uw_unlock();
	uw_devs_close();
	uw_user_put();
	KeWaitForSingleObject(&uw_driver.idle, Executive, KernelMode, FALSE, NULL);
	IoDeleteSymbolicLink(&name);
	IoDeleteDevice(uw_driver.device);
	uw_trace_close();
}

static NTSTATUS open_all(void)
{
	UNICODE_STRING link = RTL_CONSTANT_STRING(LINK_NAME), name = RTL_CONSTANT_STRING(DEVICE_NAME);
	NTSTATUS status = protect();

	if (NT_SUCCESS(status))
		status = IoCreateSymbolicLink(&link, &name);
	if (!NT_SUCCESS(status))
		return status;
	status = uw_devs_open();
	if (!NT_SUCCESS(status))
		IoDeleteSymbolicLink(&link);
	return status;
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *object, UNICODE_STRING *path)
{
	UNICODE_STRING name = RTL_CONSTANT_STRING(DEVICE_NAME);
	NTSTATUS status;

	(void)path;
	init(object);
	status = IoCreateDevice(object, 0, &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &uw_driver.device);
	if (!NT_SUCCESS(status))
		return status;
	uw_trace_open();
	object->MajorFunction[IRP_MJ_CREATE] = uw_ctl_create;
	object->MajorFunction[IRP_MJ_CLEANUP] = uw_ctl_cleanup;
	object->MajorFunction[IRP_MJ_CLOSE] = uw_ctl_close;
	object->MajorFunction[IRP_MJ_DEVICE_CONTROL] = uw_ctl_control;
	object->DriverUnload = unload;
	status = open_all();
	if (!NT_SUCCESS(status)) {
		uw_trace_close();
		IoDeleteDevice(uw_driver.device);
		return status;
	}
	uw_driver.device->Flags &= ~DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}
