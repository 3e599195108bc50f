/* SPDX-License-Identifier: GPL-2.0-only */
/* A device's names, as Windows' hub driver makes them of descriptors: "Standard USB Identifiers". */
#include "bus.h"

#include <stdio.h>

/* What is interpreted by drivers, so it is a class of the interface unless the device has one itself. */
struct triple {
	uint8_t class_code, subclass, protocol;
	bool composite;
};

static struct triple triple_of(const struct uw_vdev *dev)
{
	const struct uw_desc_device *desc = dev->model->class->desc;
	const struct uw_desc_config *config = &desc->config[0];
	bool grouped = desc->class_code == 0xef && desc->subclass == 2 && desc->protocol == 1;
	struct triple t = { desc->class_code, desc->subclass, desc->protocol, false };

	t.composite = desc->configs == 1 && config->interfaces > 1 && (!desc->class_code || grouped);
	if (!desc->class_code && !t.composite) {
		t.class_code = config->itf[0].class_code;
		t.subclass = config->itf[0].subclass;
		t.protocol = config->itf[0].protocol;
	}
	return t;
}

/* Texts of a multi-string, one after the other. */
struct multi {
	WCHAR text[256];
	uint32_t used;
};

#define ADD(m, ...) ((m)->used += (uint32_t)_snwprintf((m)->text + (m)->used, 254 - (m)->used, __VA_ARGS__) + 1)

static void hardware(const struct uw_vdev *dev, struct multi *m)
{
	const struct uw_device *d = &dev->model->dev;

	ADD(m, L"USB\\VID_%04X&PID_%04X&REV_%04X", d->vendor, d->product, d->release);
	ADD(m, L"USB\\VID_%04X&PID_%04X", d->vendor, d->product);
}

static void compatible(const struct uw_vdev *dev, struct multi *m)
{
	struct triple t = triple_of(dev);
	const WCHAR *kind = t.composite ? L"DevClass" : L"Class";

	ADD(m, L"USB\\%ls_%02X&SubClass_%02X&Prot_%02X", kind, t.class_code, t.subclass, t.protocol);
	ADD(m, L"USB\\%ls_%02X&SubClass_%02X", kind, t.class_code, t.subclass);
	ADD(m, L"USB\\%ls_%02X", kind, t.class_code);
	if (t.composite)
		ADD(m, L"USB\\COMPOSITE");
}

static const char *serial_of(const struct uw_vdev *dev) { return dev->model->serial; }

/* Windows takes a serial number only when all of it is printable and without commas. */
static bool good_serial(const struct uw_vdev *dev)
{
	const char *s = serial_of(dev);

	if (dev->no_serial || !s || !*s)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || *s == ',')
			return false;
	return true;
}

static void instance(const struct uw_vdev *dev, char *to, size_t size)
{
	if (good_serial(dev))
		_snprintf(to, size - 1, "%s", serial_of(dev));
	else
		_snprintf(to, size - 1, "5&2A7C1B0&0&%u", (unsigned int)dev->port);
	to[size - 1] = 0;
}

/* The device instance id, for people and programs. */
void uw_id_instance(struct uw_vdev *dev)
{
	char tail[UWB_ID];

	uw_zero(dev->id, sizeof(dev->id));
	instance(dev, tail, sizeof(tail));
	_snprintf(dev->id, sizeof(dev->id) - 1, "USB\\VID_%04X&PID_%04X\\%s", dev->model->dev.vendor,
		  dev->model->dev.product, tail);
}

/* Devices with the same identity are the same container, in whatever port. */
static void container(const struct uw_vdev *dev, struct multi *m)
{
	uint32_t h[4], i;
	const char *p;

	for (i = 0; i < 4; i++) {
		h[i] = 2166136261u + i;
		for (p = dev->id; *p; p++)
			h[i] = (h[i] ^ (uint8_t)*p) * 16777619u;
	}
	ADD(m, L"{%08x-%04x-5%03x-8%03x-%04x%08x}", h[0], h[1] >> 16, h[1] & 0xfff, h[2] >> 20, h[2] & 0xffff, h[3]);
}

/* PnP frees it. */
static NTSTATUS give(IRP *irp, const struct multi *m)
{
	size_t bytes = (m->used + 1) * sizeof(WCHAR);
	WCHAR *text = ExAllocatePoolWithTag(PagedPool, bytes, UW_TAG);

	if (!text)
		return STATUS_INSUFFICIENT_RESOURCES;
	uw_copy(text, m->text, bytes);
	irp->IoStatus.Information = (ULONG_PTR)text;
	return STATUS_SUCCESS;
}

NTSTATUS uw_id_query(struct uw_vdev *dev, IRP *irp, BUS_QUERY_ID_TYPE type)
{
	struct multi m = { .used = 0 };
	char tail[UWB_ID];

	switch (type) {
	case BusQueryDeviceID:
		ADD(&m, L"USB\\VID_%04X&PID_%04X", dev->model->dev.vendor, dev->model->dev.product);
		break;
	case BusQueryInstanceID:
		instance(dev, tail, sizeof(tail));
		ADD(&m, L"%hs", tail);
		break;
	case BusQueryHardwareIDs:
		hardware(dev, &m);
		break;
	case BusQueryCompatibleIDs:
		compatible(dev, &m);
		break;
	case BusQueryContainerID:
		container(dev, &m);
		break;
	default:
		return irp->IoStatus.Status;
	}
	return give(irp, &m);
}

NTSTATUS uw_id_text(struct uw_vdev *dev, IRP *irp, DEVICE_TEXT_TYPE type)
{
	struct multi m = { .used = 0 };

	if (type == DeviceTextDescription)
		ADD(&m, L"%hs", dev->model->class->desc->string[UW_STRING_PRODUCT - 1]);
	else if (type == DeviceTextLocationInformation)
		ADD(&m, L"Port_#%04u.Hub_#0001", (unsigned int)dev->port);
	else
		return irp->IoStatus.Status;
	return give(irp, &m);
}
