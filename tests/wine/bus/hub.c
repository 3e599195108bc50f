/* SPDX-License-Identifier: GPL-2.0-only */
/* Internal device controls of a PDO: URBs go to urb.c, what concerns hub and port is answered here. */
#include "bus.h"

#define CONTROLLER L"USBXHCI#UwBus"
#define HUB L"USB#ROOT_HUB30#UwBus#{f18a0e88-c30c-11d0-8815-00a0c906bed8}"

static NTSTATUS end(IRP *irp, NTSTATUS status)
{
	irp->IoStatus.Status = status;
	IoCompleteRequest(irp, IO_NO_INCREMENT);
	return status;
}

/* USB_HUB_NAME: the whole length is told even when the name does not fit. */
static NTSTATUS name(IRP *irp, const IO_STACK_LOCATION *at, const WCHAR *text, uint32_t bytes)
{
	uint32_t room = at->Parameters.DeviceIoControl.OutputBufferLength;
	USB_HUB_NAME *to = irp->AssociatedIrp.SystemBuffer;

	if (room < sizeof(*to))
		return STATUS_BUFFER_TOO_SMALL;
	uw_zero(to, room);
	to->ActualLength = (ULONG)(FIELD_OFFSET(USB_HUB_NAME, HubName) + bytes);
	room = uw_min(room - (uint32_t)FIELD_OFFSET(USB_HUB_NAME, HubName), bytes);
	uw_copy(to->HubName, text, room);
	irp->IoStatus.Information = FIELD_OFFSET(USB_HUB_NAME, HubName) + room;
	return STATUS_SUCCESS;
}

static NTSTATUS bus_info(IRP *irp, const IO_STACK_LOCATION *at)
{
	USB_BUS_NOTIFICATION *to = irp->AssociatedIrp.SystemBuffer;

	if (at->Parameters.DeviceIoControl.OutputBufferLength < sizeof(*to))
		return STATUS_BUFFER_TOO_SMALL;
	uw_zero(to, sizeof(*to));
	to->NotificationType = AcquireBusInfo;
	to->TotalBandwidth = 400000;
	to->ControllerNameLength = sizeof(CONTROLLER);
	irp->IoStatus.Information = sizeof(*to);
	return STATUS_SUCCESS;
}

static NTSTATUS topology(const struct uw_vdev *dev, USB_TOPOLOGY_ADDRESS *to)
{
	if (!to)
		return STATUS_INVALID_PARAMETER;
	uw_zero(to, sizeof(*to));
	to->PciDeviceNumber = 20;
	to->RootHubPortNumber = (USHORT)dev->port;
	return STATUS_SUCCESS;
}

static NTSTATUS port_status(struct uw_vdev *dev, ULONG *to)
{
	KIRQL irql;

	if (!to)
		return STATUS_INVALID_PARAMETER;
	irql = uw_lock();
	*to = dev->present && !dev->unplug ? USBD_PORT_ENABLED | USBD_PORT_CONNECTED : 0;
	uw_unlock(irql);
	return STATUS_SUCCESS;
}

static NTSTATUS put_pointer(void **to, void *value)
{
	if (!to)
		return STATUS_INVALID_PARAMETER;
	*to = value;
	return STATUS_SUCCESS;
}

static NTSTATUS root_hub(const IO_STACK_LOCATION *at)
{
	if (at->Parameters.Others.Argument2)
		*(DEVICE_OBJECT **)at->Parameters.Others.Argument2 = uw_bus.fdo;
	return put_pointer(at->Parameters.Others.Argument1, uw_bus.root);
}

static NTSTATUS hub_count(ULONG *to)
{
	if (!to)
		return STATUS_INVALID_PARAMETER;
	*to += 1;
	return STATUS_SUCCESS;
}

static bool passive(const char *what)
{
	if (uw_irql() == PASSIVE_LEVEL)
		return true;
	uw_refused("%s above PASSIVE_LEVEL", what);
	return false;
}

static NTSTATUS reset_port(struct uw_vdev *dev, IRP *irp)
{
	struct uw_xfer *x;

	if (!passive("reset of the port"))
		return end(irp, STATUS_INVALID_DEVICE_REQUEST);
	x = uw_alloc(sizeof(*x));
	if (!x)
		return end(irp, STATUS_INSUFFICIENT_RESOURCES);
	x->kind = UW_KIND_RESET_PORT;
	x->dev = dev;
	x->irp = irp;
	return uw_engine_post(x);
}

static NTSTATUS cycle_port(struct uw_vdev *dev, IRP *irp)
{
	if (!passive("cycle of the port"))
		return end(irp, STATUS_INVALID_DEVICE_REQUEST);
	return end(irp, uw_port_unplug(dev->port, true));
}

static NTSTATUS answer(struct uw_vdev *dev, IRP *irp, IO_STACK_LOCATION *at)
{
	switch (at->Parameters.DeviceIoControl.IoControlCode) {
	case IOCTL_INTERNAL_USB_GET_PORT_STATUS:
		return port_status(dev, at->Parameters.Others.Argument1);
	case IOCTL_INTERNAL_USB_GET_DEVICE_HANDLE:
		return put_pointer(at->Parameters.Others.Argument1, dev);
	case IOCTL_INTERNAL_USB_GET_ROOTHUB_PDO:
		return root_hub(at);
	case IOCTL_INTERNAL_USB_GET_HUB_COUNT:
		return hub_count(at->Parameters.Others.Argument1);
	case IOCTL_INTERNAL_USB_GET_TOPOLOGY_ADDRESS:
		return topology(dev, at->Parameters.Others.Argument1);
	case IOCTL_INTERNAL_USB_GET_BUS_INFO:
		return bus_info(irp, at);
	case IOCTL_INTERNAL_USB_GET_HUB_NAME:
		return name(irp, at, HUB, sizeof(HUB));
	case IOCTL_INTERNAL_USB_GET_CONTROLLER_NAME:
		return name(irp, at, CONTROLLER, sizeof(CONTROLLER));
	default:
		return STATUS_NOT_SUPPORTED;
	}
}

static bool enter(struct uw_vdev *dev, bool *removed)
{
	KIRQL irql = uw_lock();

	*removed = dev->removed;
	if (!*removed)
		dev->users++;
	uw_unlock(irql);
	return !*removed;
}

static void leave(struct uw_vdev *dev)
{
	KIRQL irql = uw_lock();

	dev->users--;
	uw_unlock(irql);
}

static NTSTATUS act(struct uw_vdev *dev, IRP *irp, IO_STACK_LOCATION *at)
{
	switch (at->Parameters.DeviceIoControl.IoControlCode) {
	case IOCTL_INTERNAL_USB_SUBMIT_URB:
		return uw_urb_submit(dev, irp, at->Parameters.Others.Argument1);
	case IOCTL_INTERNAL_USB_RESET_PORT:
		return reset_port(dev, irp);
	case IOCTL_INTERNAL_USB_CYCLE_PORT:
		return cycle_port(dev, irp);
	default:
		return end(irp, answer(dev, irp, at));
	}
}

NTSTATUS uw_pdo_internal(DEVICE_OBJECT *pdo, IRP *irp, IO_STACK_LOCATION *at)
{
	struct uw_vdev *dev = ((struct uw_extension *)pdo->DeviceExtension)->dev;
	bool removed;
	NTSTATUS status;

	irp->IoStatus.Information = 0;
	if (at->Parameters.DeviceIoControl.IoControlCode == UWB_USBD_OPEN) /* by AddDevice, before the device is started */
		return end(irp, uw_client_open(dev, at->Parameters.Others.Argument1));
	if (!enter(dev, &removed)) {
		uw_refused("request %x after REMOVE_DEVICE",
			   (unsigned int)at->Parameters.DeviceIoControl.IoControlCode);
		return end(irp, STATUS_NO_SUCH_DEVICE);
	}
	status = act(dev, irp, at);
	leave(dev);
	return status;
}
