/* SPDX-License-Identifier: GPL-2.0-only */
/* A PDO's plug and play, and its power. All of it is answered at once. */
#define INITGUID
#include "bus.h"

#include <usbbusif.h>
#include <wdmguid.h>

static struct uw_vdev *dev_of(DEVICE_OBJECT *pdo) { return ((struct uw_extension *)pdo->DeviceExtension)->dev; }

static NTSTATUS capabilities(const struct uw_vdev *dev, DEVICE_CAPABILITIES *caps)
{
	uint32_t i;

	if (caps->Version != 1 || caps->Size < sizeof(*caps))
		return STATUS_UNSUCCESSFUL;
	caps->Removable = 1;
	caps->SurpriseRemovalOK = 1;
	caps->UniqueID = !dev->no_serial;
	caps->RawDeviceOK = 0;
	caps->Address = dev->port;
	caps->UINumber = MAXULONG;
	for (i = PowerSystemWorking; i < PowerSystemMaximum; i++)
		caps->DeviceState[i] = i == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
	caps->SystemWake = PowerSystemUnspecified;
	caps->DeviceWake = PowerDeviceUnspecified;
	return STATUS_SUCCESS;
}

static NTSTATUS bus_information(IRP *irp)
{
	PNP_BUS_INFORMATION *info = ExAllocatePoolWithTag(PagedPool, sizeof(*info), UW_TAG);

	if (!info)
		return STATUS_INSUFFICIENT_RESOURCES;
	info->BusTypeGuid = GUID_BUS_TYPE_USB;
	info->LegacyBusType = PNPBus;
	info->BusNumber = 0;
	irp->IoStatus.Information = (ULONG_PTR)info;
	return STATUS_SUCCESS;
}

static NTSTATUS relations(DEVICE_OBJECT *pdo, IRP *irp, DEVICE_RELATION_TYPE type)
{
	DEVICE_RELATIONS *one;

	if (type != TargetDeviceRelation)
		return irp->IoStatus.Status;
	one = ExAllocatePoolWithTag(PagedPool, sizeof(*one), UW_TAG);
	if (!one)
		return STATUS_INSUFFICIENT_RESOURCES;
	one->Count = 1;
	one->Objects[0] = pdo;
	ObReferenceObject(pdo);
	irp->IoStatus.Information = (ULONG_PTR)one;
	return STATUS_SUCCESS;
}

static NTSTATUS started(struct uw_vdev *dev, bool on)
{
	KIRQL irql = uw_lock();

	dev->started = on;
	uw_unlock(irql);
	return STATUS_SUCCESS;
}

static NTSTATUS surprised(struct uw_vdev *dev)
{
	KIRQL irql = uw_lock();

	dev->surprised = true;
	dev->unplug = true;
	uw_unlock(irql);
	uw_engine_kick();
	return STATUS_SUCCESS;
}

/* The driver above has let go. If the device is still there the PDO stays, as the hub driver's does. */
static NTSTATUS removed(DEVICE_OBJECT *pdo, IRP *irp)
{
	struct uw_vdev *dev = dev_of(pdo);
	uint32_t left;
	bool present;
	KIRQL irql = uw_lock();

	present = dev->present;
	left = dev->outstanding;
	dev->started = false;
	dev->removed = true;
	if (!present) {
		dev->pdo = NULL;
		dev->old_pdo = pdo;
	}
	uw_unlock(irql);
	uw_client_gone(dev);
	if (left)
		uw_refused("REMOVE_DEVICE while %u requests are under way", (unsigned int)left);
	irp->IoStatus.Status = STATUS_SUCCESS;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	if (!present)
		uw_engine_kick();
	return STATUS_SUCCESS;
}

static NTSTATUS start(struct uw_vdev *dev)
{
	KIRQL irql = uw_lock();

	dev->removed = false;
	uw_unlock(irql);
	return started(dev, true);
}

static NTSTATUS answer(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at)
{
	struct uw_vdev *dev = dev_of(pdo);

	switch (at->MinorFunction) {
	case IRP_MN_START_DEVICE:
		return start(dev);
	case IRP_MN_STOP_DEVICE:
		return started(dev, false);
	case IRP_MN_QUERY_REMOVE_DEVICE:
	case IRP_MN_CANCEL_REMOVE_DEVICE:
	case IRP_MN_QUERY_STOP_DEVICE:
	case IRP_MN_CANCEL_STOP_DEVICE:
		return STATUS_SUCCESS;
	case IRP_MN_SURPRISE_REMOVAL:
		return surprised(dev);
	case IRP_MN_QUERY_ID:
		return uw_id_query(dev, irp, at->Parameters.QueryId.IdType);
	case IRP_MN_QUERY_DEVICE_TEXT:
		return uw_id_text(dev, irp, at->Parameters.QueryDeviceText.DeviceTextType);
	case IRP_MN_QUERY_CAPABILITIES:
		return capabilities(dev, at->Parameters.DeviceCapabilities.Capabilities);
	case IRP_MN_QUERY_BUS_INFORMATION:
		return bus_information(irp);
	case IRP_MN_QUERY_DEVICE_RELATIONS:
		return relations(pdo, irp, at->Parameters.QueryDeviceRelations.Type);
	case IRP_MN_QUERY_INTERFACE:
		return uw_pdo_interface(dev, at) ? irp->IoStatus.Status : STATUS_SUCCESS;
	default:
		return irp->IoStatus.Status;
	}
}

NTSTATUS uw_pdo_pnp(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at)
{
	NTSTATUS status;

	if (at->MinorFunction == IRP_MN_REMOVE_DEVICE)
		return removed(pdo, irp);
	status = answer(pdo, irp, at);
	irp->IoStatus.Status = status;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

/* ---- power ---- */

/* Transfers outside D0 are refused by urb.c; the device itself keeps its configuration, as in a suspended port. */
NTSTATUS uw_pdo_power(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at)
{
	struct uw_vdev *dev = dev_of(pdo);
	NTSTATUS status = irp->IoStatus.Status;
	KIRQL irql;

	if (at->MinorFunction == IRP_MN_SET_POWER && at->Parameters.Power.Type == DevicePowerState) {
		irql = uw_lock();
		dev->power = at->Parameters.Power.State.DeviceState;
		uw_unlock(irql);
		PoSetPowerState(pdo, DevicePowerState, at->Parameters.Power.State);
	}
	if (at->MinorFunction == IRP_MN_SET_POWER || at->MinorFunction == IRP_MN_QUERY_POWER)
		status = STATUS_SUCCESS;
	PoStartNextPowerIrp(irp);
	irp->IoStatus.Status = status;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

/* ---- the interface of function drivers ---- */

static void NTAPI hold(void *context) { (void)context; }

static void NTAPI usbdi_version(void *context, USBD_VERSION_INFORMATION *version, ULONG *capabilities)
{
	(void)context;
	if (version) {
		version->USBDI_Version = USBDI_VERSION;
		version->Supported_USB_Version = 0x300;
	}
	if (capabilities)
		*capabilities = 0;
}

static NTSTATUS NTAPI bus_time(void *context, ULONG *frame)
{
	(void)context;
	if (frame)
		*frame = (ULONG)(uw_now() / UW_FRAME);
	return STATUS_SUCCESS;
}

static NTSTATUS NTAPI no_iso_out(void *context, URB *urb)
{
	(void)context;
	(void)urb;
	return STATUS_NOT_SUPPORTED;
}

static NTSTATUS NTAPI no_bus_information(void *context, ULONG level, void *buffer, ULONG *size, ULONG *actual)
{
	(void)context;
	(void)level;
	(void)buffer;
	(void)size;
	(void)actual;
	return STATUS_NOT_SUPPORTED;
}

static BOOLEAN NTAPI is_high_speed(void *context)
{
	return ((struct uw_vdev *)context)->model->dev.speed >= UW_SPEED_HIGH;
}

static NTSTATUS NTAPI no_log(void *context, ULONG tag, ULONG a, ULONG b, ULONG c)
{
	(void)context;
	(void)tag;
	(void)a;
	(void)b;
	(void)c;
	return STATUS_SUCCESS;
}

static NTSTATUS NTAPI bus_time_ex(void *context, ULONG *microframe)
{
	(void)context;
	if (microframe)
		*microframe = (ULONG)(uw_now() / (UW_FRAME / 8));
	return STATUS_SUCCESS;
}

static NTSTATUS NTAPI no_controller(void *context, ULONG *flags, USHORT *vendor, USHORT *device, UCHAR *class_code,
				    UCHAR *subclass, UCHAR *interface, UCHAR *revision)
{
	(void)context;
	(void)flags;
	(void)vendor;
	(void)device;
	(void)class_code;
	(void)subclass;
	(void)interface;
	(void)revision;
	return STATUS_NOT_SUPPORTED;
}

NTSTATUS uw_pdo_interface(struct uw_vdev *dev, IO_STACK_LOCATION *at)
{
	static const uint16_t sizes[] = {
		sizeof(USB_BUS_INTERFACE_USBDI_V0), sizeof(USB_BUS_INTERFACE_USBDI_V1),
		sizeof(USB_BUS_INTERFACE_USBDI_V2), sizeof(USB_BUS_INTERFACE_USBDI_V3),
	};
	USB_BUS_INTERFACE_USBDI_V3 all = {
		.BusContext = dev, .InterfaceReference = hold, .InterfaceDereference = hold,
		.GetUSBDIVersion = usbdi_version, .QueryBusTime = bus_time, .SubmitIsoOutUrb = no_iso_out,
		.QueryBusInformation = no_bus_information, .IsDeviceHighSpeed = is_high_speed, .EnumLogEntry = no_log,
		.QueryBusTimeEx = bus_time_ex, .QueryControllerType = no_controller,
	};
	uint16_t version = at->Parameters.QueryInterface.Version;

	if (RtlCompareMemory(at->Parameters.QueryInterface.InterfaceType, &USB_BUS_INTERFACE_USBDI_GUID,
			     sizeof(GUID)) != sizeof(GUID))
		return STATUS_NOT_SUPPORTED;
	if (version >= UW_COUNT_OF(sizes) || at->Parameters.QueryInterface.Size < sizes[version])
		return STATUS_NOT_SUPPORTED;
	all.Size = sizes[version];
	all.Version = version;
	uw_copy(at->Parameters.QueryInterface.Interface, &all, sizes[version]);
	return STATUS_SUCCESS;
}
