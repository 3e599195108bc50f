// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unloading. Wine unloads a driver whatever hangs on it; here that waits until its devices are closed, and is refused
 * while one is attached to another. After the driver's own routine, what it has left behind is reported: memory,
 * references, devices. A driver whose unloading was refused cannot be stopped any more: winedevice.exe forgets to say
 * that it still accepts it.
 */
#include "pnp.h"
#include "object.h"

static NTSTATUS (NTAPI *wine_unload)(const UNICODE_STRING *);
static PDRIVER_UNLOAD real_unload;
static struct lab_lock unload_lock;

size_t lab_image_size(const void *base)
{
	const uint8_t *p = base;

	return p ? *(const uint32_t *)(p + *(const uint32_t *)(p + 0x3c) + 0x50) : 0;
}

static VOID NTAPI unload_and_look(PDRIVER_OBJECT driver)
{
	void *base = NULL;
	size_t size;
	uint64_t bytes;
	uint32_t left;
	KIRQL irql;

	RtlPcToFileHeader((void *)real_unload, &base);
	size = lab_image_size(base);
	real_unload(driver);
	lab_work_wait(base, size);
	irql = lab_set_irql(PASSIVE_LEVEL);
	if (irql != PASSIVE_LEVEL)
		lab_report("%ls unloads at IRQL %u", driver->DriverName.Buffer, irql);
	if (driver->DeviceObject)
		lab_report("%ls leaves device %p behind", driver->DriverName.Buffer, driver->DeviceObject);
	left = lab_pool_left(base, size, &bytes, true);
	if (left)
		lab_report("%ls leaves %u blocks of %llu bytes behind", driver->DriverName.Buffer, left, bytes);
	left = lab_object_left(base, size);
	if (left)
		lab_report("%ls leaves references to %u objects behind", driver->DriverName.Buffer, left);
	lab_pnp_left(driver);
	lab_dpc_left(base, size);
}

/* STATUS_SUCCESS: nothing is attached to its devices, they to nothing, and nobody has one open. */
static NTSTATUS may_unload(DRIVER_OBJECT *driver)
{
	for (DEVICE_OBJECT *d = driver->DeviceObject; d; d = d->NextDevice) {
		if (d->AttachedDevice || lab_below(d))
			return STATUS_INVALID_DEVICE_REQUEST;
		if (lab_open_count(d))
			return STATUS_DEVICE_BUSY;
	}
	return STATUS_SUCCESS;
}

static NTSTATUS NTAPI unload(const UNICODE_STRING *service)
{
	static const WCHAR prefix[] = L"\\Driver\\";
	WCHAR path[64 + 8];
	UNICODE_STRING name = { .Buffer = path };
	const WCHAR *tail = service->Buffer + service->Length / sizeof(WCHAR);
	DRIVER_OBJECT *driver;
	NTSTATUS status;

	while (tail > service->Buffer && tail[-1] != '\\')
		tail--;
	memcpy(path, prefix, sizeof(prefix) - sizeof(WCHAR));
	for (USHORT i = 0; i < 64 && tail + i < service->Buffer + service->Length / sizeof(WCHAR); i++) {
		path[8 + i] = tail[i];
		name.Length = (USHORT)((8 + i + 1) * sizeof(WCHAR));
	}
	name.MaximumLength = name.Length;
	if (!NT_SUCCESS(ObReferenceObjectByName(&name, 0x40, NULL, 0, NULL, KernelMode, NULL, (void **)&driver)))
		return wine_unload(service);
	for (unsigned int ms = 0; (status = may_unload(driver)) == STATUS_DEVICE_BUSY && ms < 20000; ms += 10)
		Sleep(10);
	if (!NT_SUCCESS(status)) {
		DbgPrint("uwlab: %ls is not unloaded: %#lx\n", driver->DriverName.Buffer, status);
		ObfDereferenceObject(driver);
		return status;
	}
	lab_lock(&unload_lock);
	real_unload = driver->DriverUnload;
	if (real_unload)
		driver->DriverUnload = unload_and_look;
	ObfDereferenceObject(driver);
	status = wine_unload(service);
	lab_unlock(&unload_lock);
	return status;
}

void lab_unload_init(void)
{
	wine_unload = lab_hook("ZwUnloadDriver", unload, true);
}
