/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs ask of the hub, by its interface GUID_DEVINTERFACE_USB_HUB: the device controls of usbioctl.h that a
 * service of ours uses, METHOD_BUFFERED. As in Windows, what the older control calls high speed may be SuperSpeed: the
 * newer one tells.
 */
#include "bus.h"

#include <usbioctl.h>

/* Under the lock. NULL: the port is empty. */
static struct uw_vdev *device_at(uint32_t port)
{
	struct uw_vdev *dev = port && port <= UWB_PORTS ? uw_bus.port[port] : NULL;

	return dev && dev->present ? dev : NULL;
}

static void describe(USB_DEVICE_DESCRIPTOR *to, const struct uw_vdev *dev)
{
	const struct uw_device *d = &dev->model->dev;
	const struct uw_desc_device *desc = dev->model->class->desc;

	to->bLength = sizeof(*to);
	to->bDescriptorType = USB_DEVICE_DESCRIPTOR_TYPE;
	to->bcdUSB = d->speed == UW_SPEED_SUPER ? 0x0320 : 0x0200;
	to->bDeviceClass = desc->class_code;
	to->bDeviceSubClass = desc->subclass;
	to->bDeviceProtocol = desc->protocol;
	to->idVendor = d->vendor;
	to->idProduct = d->product;
	to->bcdDevice = d->release;
	to->bNumConfigurations = desc->configs;
}

static NTSTATUS information(USB_NODE_CONNECTION_INFORMATION_EX *info, uint32_t room)
{
	uint32_t port = info->ConnectionIndex;
	struct uw_vdev *dev;
	KIRQL irql;

	if (!port || port > UWB_PORTS)
		return STATUS_INVALID_PARAMETER;
	uw_zero(info, room);
	info->ConnectionIndex = port;
	irql = uw_lock();
	dev = device_at(port);
	info->ConnectionStatus = dev ? DeviceConnected : NoDeviceConnected;
	if (dev) {
		describe(&info->DeviceDescriptor, dev);
		info->CurrentConfigurationValue = dev->config_value;
		info->DeviceAddress = (USHORT)port;
		info->Speed = dev->model->dev.speed == UW_SPEED_FULL ? UsbFullSpeed : UsbHighSpeed;
	}
	uw_unlock(irql);
	return STATUS_SUCCESS;
}

static NTSTATUS information_v2(USB_NODE_CONNECTION_INFORMATION_EX_V2 *info)
{
	uint32_t port = info->ConnectionIndex;
	struct uw_vdev *dev;
	KIRQL irql;

	if (!port || port > UWB_PORTS || info->Length != sizeof(*info) || info->Flags.ul)
		return STATUS_INVALID_PARAMETER;
	irql = uw_lock();
	dev = device_at(port);
	if (dev && dev->model->dev.speed == UW_SPEED_SUPER && info->SupportedUsbProtocols.Usb300) {
		info->Flags.DeviceIsOperatingAtSuperSpeedOrHigher = 1;
		info->Flags.DeviceIsSuperSpeedCapableOrHigher = 1;
	}
	uw_unlock(irql);
	return STATUS_SUCCESS;
}

static NTSTATUS cycle(USB_CYCLE_PORT_PARAMS *params)
{
	params->StatusReturned = USBD_STATUS_SUCCESS;
	return uw_port_unplug(params->ConnectionIndex, true);
}

NTSTATUS uw_user_hub(IRP *irp, IO_STACK_LOCATION *at)
{
	static const struct {
		uint32_t code, bytes;
	} known[] = {
		{ IOCTL_USB_GET_NODE_CONNECTION_INFORMATION_EX, sizeof(USB_NODE_CONNECTION_INFORMATION_EX) },
		{ IOCTL_USB_GET_NODE_CONNECTION_INFORMATION_EX_V2, sizeof(USB_NODE_CONNECTION_INFORMATION_EX_V2) },
		{ IOCTL_USB_HUB_CYCLE_PORT, sizeof(USB_CYCLE_PORT_PARAMS) },
	};
	uint32_t code = at->Parameters.DeviceIoControl.IoControlCode, room = at->Parameters.DeviceIoControl.OutputBufferLength, i;
	void *buffer = irp->AssociatedIrp.SystemBuffer;
	NTSTATUS status;

	irp->IoStatus.Information = 0;
	for (i = 0; i < UW_COUNT_OF(known) && known[i].code != code; i++)
		;
	if (i == UW_COUNT_OF(known))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (at->Parameters.DeviceIoControl.InputBufferLength < known[i].bytes || room < known[i].bytes)
		return STATUS_BUFFER_TOO_SMALL;
	if (i == 0)
		status = information(buffer, room);
	else
		status = i == 1 ? information_v2(buffer) : cycle(buffer);
	if (NT_SUCCESS(status))
		irp->IoStatus.Information = known[i].bytes;
	return status;
}
