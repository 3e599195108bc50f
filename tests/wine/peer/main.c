// SPDX-License-Identifier: GPL-2.0-only
/* uwpeer.sys as a driver: its devnodes, each of which is one scripted device, and the device that programs open. */
#include <initguid.h>

#include "script.h"

#include "usbwarp/ioctl.h"

#define GUID_OF(name, guid) DEFINE_GUID(name, guid)
GUID_OF(interface_guid, UW_NT_INTERFACE);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path);

static UNICODE_STRING device_name = RTL_CONSTANT_STRING(L"\\Device\\UwPeer");
static UNICODE_STRING link_name = RTL_CONSTANT_STRING(L"\\DosDevices\\UwPeer");
static DEVICE_OBJECT *control;
static struct script *scripts[UWP_DEVICES];

/* NULL: the device that programs open. */
static struct script *script_of(DEVICE_OBJECT *device)
{
	return device == control ? NULL : device->DeviceExtension;
}

static NTSTATUS finish(IRP *irp, NTSTATUS status, ULONG_PTR bytes)
{
	irp->IoStatus.Status = status;
	irp->IoStatus.Information = bytes;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

/* ---- what programs ask ---- */

static struct script *member(uint32_t set, uint32_t number)
{
	return set >> number & 1 ? scripts[number] : NULL;
}

static void look(void *buffer)
{
	uint32_t set = ((const struct uwp_set *)buffer)->devices, i;
	struct uwp_state *state = buffer;

	uw_zero(state, sizeof(*state));
	for (i = 0; i < UWP_DEVICES; i++)
		if (member(set, i))
			uwp_look(scripts[i], state);
}

static NTSTATUS complete(const struct uwp_complete *c)
{
	struct script *oldest = NULL;
	uint64_t when = UW_NEVER;
	uint32_t i;

	for (i = 0; i < UWP_DEVICES; i++)
		if (member(c->devices, i) && uwp_oldest(scripts[i]) < when) {
			oldest = scripts[i];
			when = uwp_oldest(oldest);
		}
	return oldest && uwp_complete(oldest, c->status, c->actual) ? STATUS_SUCCESS : STATUS_NOT_FOUND;
}

static NTSTATUS NTAPI on_control(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
	ULONG code = at->Parameters.DeviceIoControl.IoControlCode, in = at->Parameters.DeviceIoControl.InputBufferLength;

	if (script_of(device))
		return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
	if (code == UWP_COMPLETE && in == sizeof(struct uwp_complete))
		return finish(irp, complete(irp->AssociatedIrp.SystemBuffer), 0);
	if (code != UWP_LOOK || in != sizeof(struct uwp_set) ||
	    at->Parameters.DeviceIoControl.OutputBufferLength != sizeof(struct uwp_state))
		return finish(irp, STATUS_INVALID_PARAMETER, 0);
	look(irp->AssociatedIrp.SystemBuffer);
	return finish(irp, STATUS_SUCCESS, sizeof(struct uwp_state));
}

/* ---- what UsbWarp.sys asks ---- */

static NTSTATUS NTAPI on_internal(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
	struct script *s = script_of(device);

	if (!s || at->Parameters.DeviceIoControl.IoControlCode != UW_PEER_CONNECT)
		return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
	return finish(irp, uwp_connect(s, at->FileObject, at->Parameters.DeviceIoControl.Type3InputBuffer), 0);
}

static NTSTATUS NTAPI on_file(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
	struct script *s = script_of(device);

	if (s && at->MajorFunction != IRP_MJ_CREATE)
		uwp_disconnect(s, at->FileObject);
	return finish(irp, STATUS_SUCCESS, 0);
}

/* ---- plug and play ---- */

static void leave(struct script *s)
{
	uint32_t i;

	for (i = 0; i < UWP_DEVICES; i++)
		if (scripts[i] == s)
			scripts[i] = NULL;
	IoDetachDevice(s->lower);
	RtlFreeUnicodeString(&s->link);
	IoDeleteDevice(s->self);
}

static NTSTATUS NTAPI on_pnp(DEVICE_OBJECT *device, IRP *irp)
{
	UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
	struct script *s = script_of(device);
	NTSTATUS status;

	if (!s)
		return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
	if (minor == IRP_MN_START_DEVICE || minor == IRP_MN_REMOVE_DEVICE)
		IoSetDeviceInterfaceState(&s->link, minor == IRP_MN_START_DEVICE);
	if (minor == IRP_MN_START_DEVICE || minor == IRP_MN_REMOVE_DEVICE || minor == IRP_MN_QUERY_REMOVE_DEVICE ||
	    minor == IRP_MN_CANCEL_REMOVE_DEVICE || minor == IRP_MN_SURPRISE_REMOVAL)
		irp->IoStatus.Status = STATUS_SUCCESS;
	IoSkipCurrentIrpStackLocation(irp);
	status = IoCallDriver(s->lower, irp);
	if (minor == IRP_MN_REMOVE_DEVICE)
		leave(s);
	return status;
}

static NTSTATUS NTAPI on_power(DEVICE_OBJECT *device, IRP *irp)
{
	struct script *s = script_of(device);

	if (!s)
		return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
	IoSkipCurrentIrpStackLocation(irp);
	return IoCallDriver(s->lower, irp);
}

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
	DEVICE_OBJECT *self;
	NTSTATUS status;
	struct script *s;
	uint32_t number;

	for (number = 0; number < UWP_DEVICES && scripts[number]; number++)
		;
	if (number == UWP_DEVICES)
		return STATUS_INSUFFICIENT_RESOURCES;
	status = IoCreateDevice(driver, sizeof(*s), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &self);
	if (!NT_SUCCESS(status))
		return status;
	s = self->DeviceExtension;
	s->self = self;
	uwp_init(s, number);
	s->lower = IoAttachDeviceToDeviceStack(self, pdo);
	status = s->lower ? IoRegisterDeviceInterface(pdo, &interface_guid, NULL, &s->link) : STATUS_NO_SUCH_DEVICE;
	if (!NT_SUCCESS(status)) {
		if (s->lower)
			IoDetachDevice(s->lower);
		IoDeleteDevice(self);
		return status;
	}
	scripts[number] = s;
	self->Flags &= ~DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}

static VOID NTAPI unload(DRIVER_OBJECT *driver)
{
	(void)driver;
	IoDeleteSymbolicLink(&link_name);
	IoDeleteDevice(control);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
	NTSTATUS status = IoCreateDevice(driver, 0, &device_name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &control);

	(void)path;
	if (!NT_SUCCESS(status))
		return status;
	status = IoCreateSymbolicLink(&link_name, &device_name);
	if (!NT_SUCCESS(status)) {
		IoDeleteDevice(control);
		return status;
	}
	driver->MajorFunction[IRP_MJ_CREATE] = on_file;
	driver->MajorFunction[IRP_MJ_CLEANUP] = on_file;
	driver->MajorFunction[IRP_MJ_CLOSE] = on_file;
	driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = on_control;
	driver->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = on_internal;
	driver->MajorFunction[IRP_MJ_PNP] = on_pnp;
	driver->MajorFunction[IRP_MJ_POWER] = on_power;
	driver->DriverExtension->AddDevice = add_device;
	driver->DriverUnload = unload;
	control->Flags &= ~DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}
