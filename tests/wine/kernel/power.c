// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine's sleep and resume, requests of drivers for device power, and the plug and play requests that Wine never
 * sends. They are driven by commands (control.c) and go through the stacks of all our drivers in Windows' order.
 */
#include "pnp.h"
#include "object.h"
#include "power.h"

struct request {
	DEVICE_OBJECT *device;
	UCHAR minor;
	POWER_STATE state;
	PREQUEST_POWER_COMPLETE fn;
	void *context;
};

static NTSTATUS NTAPI request_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
	struct request *r = context;

	(void)device;
	if (r->fn)
		r->fn(r->device, r->minor, r->state, r->context, &irp->IoStatus);
	lab_free(r);
	IoFreeIrp(irp);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

NTSTATUS NTAPI lab_PoRequestPowerIrp(PDEVICE_OBJECT device, UCHAR minor, POWER_STATE state,
	PREQUEST_POWER_COMPLETE fn, PVOID context, PIRP *out)
{
	DEVICE_OBJECT *top = lab_top(device);
	IRP *irp = lab_allocate_irp(top->StackSize, FALSE);
	struct request *r = lab_alloc(sizeof(*r));
	IO_STACK_LOCATION *sp;

	if (!irp || !r || (minor != IRP_MN_SET_POWER && minor != IRP_MN_QUERY_POWER && minor != IRP_MN_WAIT_WAKE))
		return STATUS_INVALID_PARAMETER_2;
	*r = (struct request){ device, minor, state, fn, context };
	sp = IoGetNextIrpStackLocation(irp);
	sp->MajorFunction = IRP_MJ_POWER;
	sp->MinorFunction = minor;
	if (minor == IRP_MN_WAIT_WAKE) {
		sp->Parameters.WaitWake.PowerState = state.SystemState;
	} else {
		sp->Parameters.Power.Type = DevicePowerState;
		sp->Parameters.Power.State = state;
	}
	irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
	IoSetCompletionRoutine(irp, request_done, r, TRUE, TRUE, TRUE);
	if (out)
		*out = irp;
	lab_IoCallDriver(top, irp);
	return STATUS_PENDING;
}

/* ---- device power as drivers report it ---- */

static struct reported {
	struct reported *next;
	DEVICE_OBJECT *device;
	POWER_STATE state;
} *all;
static struct lab_lock all_lock;

POWER_STATE NTAPI lab_PoSetPowerState(PDEVICE_OBJECT device, POWER_STATE_TYPE type, POWER_STATE state)
{
	struct reported *r;
	POWER_STATE old = { .DeviceState = PowerDeviceUnspecified };

	if (type != DevicePowerState)
		lab_report("PoSetPowerState of type %d", type);
	lab_lock(&all_lock);
	for (r = all; r && r->device != device; r = r->next)
		;
	if (!r && (r = lab_alloc(sizeof(*r)))) {
		r->device = device;
		r->next = all;
		all = r;
	} else if (r) {
		old = r->state;
	}
	r->state = state;
	lab_unlock(&all_lock);
	return old;
}

/* ---- the machine ---- */

static bool asleep;

static unsigned int stacks(void)
{
	unsigned int n = 0;

	while (lab_pnp_stack(n))
		n++;
	return n;
}

static NTSTATUS system_power(unsigned int n, UCHAR minor, SYSTEM_POWER_STATE to)
{
	POWER_STATE state = { .SystemState = to };

	return lab_pnp_send(lab_pnp_stack(n), IRP_MJ_POWER, minor, &state, SystemPowerState);
}

/* S3: asks all, children before parents, and puts all to sleep in that order; a refusal wakes those already asked. */
NTSTATUS lab_power_sleep(char *who, size_t size)
{
	unsigned int count = stacks(), n;
	NTSTATUS status = STATUS_SUCCESS;

	if (asleep)
		return STATUS_INVALID_DEVICE_STATE;
	lab_callback_notify(3, 0);
	for (n = count; n-- && NT_SUCCESS(status);) {
		status = system_power(n, IRP_MN_QUERY_POWER, PowerSystemSleeping3);
		if (!NT_SUCCESS(status))
			_snprintf(who, size, "%ls", lab_pnp_instance(lab_pnp_stack(n)));
	}
	if (!NT_SUCCESS(status)) {
		for (n = 0; n < count; n++)
			system_power(n, IRP_MN_SET_POWER, PowerSystemWorking);
		lab_callback_notify(3, 1);
		return status;
	}
	for (n = count; n--;) {
		status = system_power(n, IRP_MN_SET_POWER, PowerSystemSleeping3);
		if (!NT_SUCCESS(status))
			lab_report("S3 refused by %ls with %#lx", lab_pnp_instance(lab_pnp_stack(n)), status);
	}
	asleep = true;
	return STATUS_SUCCESS;
}

NTSTATUS lab_power_resume(void)
{
	unsigned int count = stacks();
	NTSTATUS status;

	if (!asleep)
		return STATUS_INVALID_DEVICE_STATE;
	for (unsigned int n = 0; n < count; n++) {
		status = system_power(n, IRP_MN_SET_POWER, PowerSystemWorking);
		if (!NT_SUCCESS(status))
			lab_report("S0 refused by %ls with %#lx", lab_pnp_instance(lab_pnp_stack(n)), status);
	}
	asleep = false;
	lab_callback_notify(3, 1);
	return STATUS_SUCCESS;
}

/* ---- one device ---- */

static NTSTATUS send(DEVICE_OBJECT *lowest, UCHAR minor)
{
	return lab_pnp_send(lowest, IRP_MJ_PNP, minor, NULL, 0);
}

/* Asks those who hold the device open first, then its drivers; whoever refuses has the rest told that it is off. */
NTSTATUS lab_query_remove(DEVICE_OBJECT *lowest)
{
	NTSTATUS status = lab_pnp_target(lowest, LAB_QUERY_REMOVE);

	if (NT_SUCCESS(status) && lab_open_count(lowest))
		status = STATUS_DEVICE_BUSY;
	if (NT_SUCCESS(status))
		status = send(lowest, IRP_MN_QUERY_REMOVE_DEVICE);
	if (!NT_SUCCESS(status))
		lab_cancel_remove(lowest);
	return status;
}

NTSTATUS lab_cancel_remove(DEVICE_OBJECT *lowest)
{
	NTSTATUS status = send(lowest, IRP_MN_CANCEL_REMOVE_DEVICE);

	lab_pnp_target(lowest, LAB_REMOVE_CANCELLED);
	return status;
}

/* After a query that was granted: the drivers above the bus go, the physical device stays for the next one. */
NTSTATUS lab_remove(DEVICE_OBJECT *lowest)
{
	return send(lowest, IRP_MN_REMOVE_DEVICE);
}

/* HKLM\\System\\CurrentControlSet\\Enum\\ID: Service, as text. */
static NTSTATUS service_of(const WCHAR *instance, WCHAR *name, size_t units)
{
	static const WCHAR root[] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Enum\\";
	uint8_t buffer[256] __attribute__((aligned(8)));
	KEY_VALUE_PARTIAL_INFORMATION *value = (KEY_VALUE_PARTIAL_INFORMATION *)buffer;
	WCHAR path[sizeof(root) / sizeof(WCHAR) + 200];
	UNICODE_STRING text, service;
	OBJECT_ATTRIBUTES attr;
	NTSTATUS status;
	HANDLE key;
	ULONG size;

	memcpy(path, root, sizeof(root));
	RtlInitUnicodeString(&text, instance);
	memcpy(path + sizeof(root) / sizeof(WCHAR) - 1, instance, text.Length + sizeof(WCHAR));
	RtlInitUnicodeString(&text, path);
	RtlInitUnicodeString(&service, L"Service");
	InitializeObjectAttributes(&attr, &text, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
	status = ZwOpenKey(&key, KEY_READ, &attr);
	if (!NT_SUCCESS(status))
		return status;
	status = ZwQueryValueKey(key, &service, KeyValuePartialInformation, value, sizeof(buffer), &size);
	ZwClose(key);
	if (!NT_SUCCESS(status) || value->Type != REG_SZ || value->DataLength / sizeof(WCHAR) >= units)
		return NT_SUCCESS(status) ? STATUS_OBJECT_NAME_NOT_FOUND : status;
	memcpy(name, value->Data, value->DataLength);
	name[value->DataLength / sizeof(WCHAR)] = 0;
	return STATUS_SUCCESS;
}

static void join(WCHAR *to, const WCHAR *a, const WCHAR *b)
{
	while (*a)
		*to++ = *a++;
	while ((*to++ = *b++))
		;
}

/* A bare physical device gets the driver that its devnode names now. */
NTSTATUS lab_setup(DEVICE_OBJECT *lowest)
{
	WCHAR service[100], path[100 + 70];
	UNICODE_STRING name;
	DRIVER_OBJECT *driver;
	NTSTATUS status = service_of(lab_pnp_instance(lowest), service, 100);

	if (!NT_SUCCESS(status))
		return status;
	if (lowest->AttachedDevice)
		return STATUS_INVALID_DEVICE_STATE;
	join(path, L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\", service);
	RtlInitUnicodeString(&name, path);
	status = ZwLoadDriver(&name);
	if (!NT_SUCCESS(status) && status != STATUS_IMAGE_ALREADY_LOADED)
		return status;
	join(path, L"\\Driver\\", service);
	RtlInitUnicodeString(&name, path);
	status = ObReferenceObjectByName(&name, OBJ_CASE_INSENSITIVE, NULL, 0, NULL, KernelMode, NULL, (void **)&driver);
	if (!NT_SUCCESS(status))
		return status;
	status = driver->DriverExtension->AddDevice ? driver->DriverExtension->AddDevice(driver, lowest) : STATUS_NOT_SUPPORTED;
	ObfDereferenceObject(driver);
	if (!NT_SUCCESS(status))
		return status;
	status = send(lowest, IRP_MN_START_DEVICE);
	if (!NT_SUCCESS(status))
		send(lowest, IRP_MN_REMOVE_DEVICE);
	return status;
}

NTSTATUS lab_stop(DEVICE_OBJECT *lowest, UCHAR minor)
{
	return send(lowest, minor);
}
