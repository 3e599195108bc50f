/* SPDX-License-Identifier: GPL-2.0-only */
/* The USB devices that Windows has now, as SetupAPI and their hubs tell. */
#include "usblist.h"

#include <initguid.h>

#include <cfgmgr32.h>
#include <setupapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <winioctl.h>

#include <usbioctl.h>
#include <usbiodef.h>

#include "text.h"
#include "wide.h"

#define PROPERTY 2048u         /* UTF-16 units of a property */
#define CLASS_HUB 0x09

/* DEVPKEY_Device_BusReportedDeviceDesc */
static const DEVPROPKEY product_key = {
	{ 0x540b947e, 0x8b40, 0x45bc, { 0xa8, 0xa2, 0x6a, 0x0b, 0x89, 0x4c, 0xbd, 0xa2 } }, 4
};

static const wchar_t *property(HDEVINFO set, SP_DEVINFO_DATA *node, DWORD which)
{
	static _Thread_local wchar_t text[PROPERTY];
	DWORD type, bytes = 0;

	memset(text, 0, sizeof(text));
	if (!SetupDiGetDeviceRegistryPropertyW(set, node, which, &type, (BYTE *)text, sizeof(text) - 2 * sizeof(*text),
					       &bytes))
		*text = 0;
	return text;
}

/* ---- what the hub tells ---- */

HANDLE uw_usb_open_hub(const char *hub)
{
	wchar_t id[UW_INSTANCE], links[512];

	uw_widen(id, UW_COUNT_OF(id), hub);
	if (CM_Get_Device_Interface_ListW((GUID *)(uintptr_t)&GUID_DEVINTERFACE_USB_HUB, id, links, UW_COUNT_OF(links),
					  CM_GET_DEVICE_INTERFACE_LIST_PRESENT) ||
	    !*links)
		return INVALID_HANDLE_VALUE;
	return CreateFileW(links, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING,
			   SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
}

static uint8_t speed_of(HANDLE hub, uint32_t port)
{
	/* The hub's answer goes on behind the structure with pipes that nobody needs. */
	union {
		USB_NODE_CONNECTION_INFORMATION_EX info;
		uint8_t room[sizeof(USB_NODE_CONNECTION_INFORMATION_EX) + 32 * sizeof(USB_PIPE_INFO)];
	} u = { .info.ConnectionIndex = port };
	USB_NODE_CONNECTION_INFORMATION_EX_V2 v2 = { .ConnectionIndex = port, .Length = sizeof(v2) };
	DWORD bytes;

	v2.SupportedUsbProtocols.Usb300 = 1;
	if (DeviceIoControl(hub, IOCTL_USB_GET_NODE_CONNECTION_INFORMATION_EX_V2, &v2, sizeof(v2), &v2, sizeof(v2),
			    &bytes, NULL) &&
	    v2.Flags.DeviceIsOperatingAtSuperSpeedOrHigher)
		return UW_SPEED_SUPER;
	if (!DeviceIoControl(hub, IOCTL_USB_GET_NODE_CONNECTION_INFORMATION_EX, &u, sizeof(u), &u, sizeof(u), &bytes,
			     NULL))
		return UW_SPEED_NONE;
	switch (u.info.Speed) {
	case UsbLowSpeed:
		return UW_SPEED_LOW;
	case UsbFullSpeed:
		return UW_SPEED_FULL;
	case UsbHighSpeed:
		return UW_SPEED_HIGH;
	default:
		return UW_SPEED_SUPER;
	}
}

static void ask_hub(struct uw_usb_info *info)
{
	HANDLE hub = *info->hub ? uw_usb_open_hub(info->hub) : INVALID_HANDLE_VALUE;

	if (hub == INVALID_HANDLE_VALUE)
		return;
	info->speed = speed_of(hub, info->port);
	CloseHandle(hub);
}

/* ---- what the devnode tells ---- */

static void take_ids(HDEVINFO set, SP_DEVINFO_DATA *node, struct uw_usb_info *info)
{
	const wchar_t *p;
	char id[128];

	snprintf(info->id, sizeof(info->id), "USB\\VID_%04X&PID_%04X", info->vendor, info->product);
	for (p = property(set, node, SPDRP_HARDWAREID); *p; p += wcslen(p) + 1)
		if (uw_usbid_release(uw_narrow(id, sizeof(id), p), &info->release))
			break;
	for (p = property(set, node, SPDRP_COMPATIBLEIDS); *p; p += wcslen(p) + 1)
		if (uw_usbid_class(uw_narrow(id, sizeof(id), p), info->class_code))
			break;
	info->is_hub |= info->class_code[0] == CLASS_HUB;
}

/* Where it is: a device without a place is a phantom, or not under a hub. */
static bool take_place(HDEVINFO set, SP_DEVINFO_DATA *node, struct uw_usb_info *info)
{
	wchar_t parent_id[UW_INSTANCE];
	char location[64];
	DEVINST parent;
	const char *dash;

	uw_narrow(location, sizeof(location), property(set, node, SPDRP_LOCATION_INFORMATION));
	if (!uw_usbid_bus(location, info->bus_id))
		return false;
	dash = strchr(info->bus_id, '-');
	info->port = (uint32_t)strtoul(dash + 1, NULL, 10);
	if (!CM_Get_Parent(&parent, node->DevInst, 0) &&
	    !CM_Get_Device_IDW(parent, parent_id, UW_COUNT_OF(parent_id), 0))
		uw_narrow(info->hub, sizeof(info->hub), parent_id);
	else /* the hub's number stands for it, so that two devices at one place are still known as one */
		snprintf(info->hub, sizeof(info->hub), "HUB#%.*s", (int)(dash - info->bus_id), info->bus_id);
	return true;
}

/* What the device says itself, whatever driver it has. */
static const wchar_t *product_name(HDEVINFO set, SP_DEVINFO_DATA *node)
{
	static _Thread_local wchar_t text[UW_CTL_DESCRIPTION];
	DEVPROPTYPE type;

	if (!SetupDiGetDevicePropertyW(set, node, &product_key, &type, (BYTE *)text, sizeof(text), NULL, 0) ||
	    type != DEVPROP_TYPE_STRING)
		*text = 0;
	return text;
}

static void take_name(HDEVINFO set, SP_DEVINFO_DATA *node, struct uw_usb_info *info)
{
	char service[64], class_name[32];

	uw_narrow(info->name, sizeof(info->name), product_name(set, node));
	if (!*info->name)
		uw_narrow(info->name, sizeof(info->name), property(set, node, SPDRP_FRIENDLYNAME));
	if (!*info->name)
		uw_narrow(info->name, sizeof(info->name), property(set, node, SPDRP_DEVICEDESC));
	uw_narrow(service, sizeof(service), property(set, node, SPDRP_SERVICE));
	info->ours = uw_text_same(service, UW_FILTER_SERVICE);
	uw_narrow(class_name, sizeof(class_name), property(set, node, SPDRP_CLASS));
	info->warn = uw_text_same(class_name, "Net") || uw_text_same(class_name, "MEDIA");
}

static bool describe(HDEVINFO set, SP_DEVINFO_DATA *node, struct uw_usb_info *info)
{
	wchar_t instance[UW_INSTANCE];
	enum uw_usbid_kind kind;

	memset(info, 0, sizeof(*info));
	if (!SetupDiGetDeviceInstanceIdW(set, node, instance, UW_COUNT_OF(instance), NULL))
		return false;
	uw_narrow(info->instance, sizeof(info->instance), instance);
	kind = uw_usbid_instance(info->instance, &info->vendor, &info->product);
	if (kind != UW_USBID_DEVICE)
		return false;
	take_ids(set, node, info);
	if (!take_place(set, node, info))
		return false;
	take_name(set, node, info);
	ask_hub(info);
	return true;
}

uint32_t uw_usb_list(struct uw_usb_info *infos, uint32_t max)
{
	HDEVINFO set = SetupDiGetClassDevsW(NULL, L"USB", NULL, DIGCF_PRESENT | DIGCF_ALLCLASSES);
	SP_DEVINFO_DATA node = { .cbSize = sizeof(node) };
	uint32_t count = 0;
	DWORD i;

	if (set == INVALID_HANDLE_VALUE)
		return 0;
	for (i = 0; count < max && SetupDiEnumDeviceInfo(set, i, &node); i++)
		count += describe(set, &node, &infos[count]);
	SetupDiDestroyDeviceInfoList(set);
	return count;
}

uint32_t uw_usb_ours(char (*instances)[UW_INSTANCE], uint32_t max)
{
	HDEVINFO set = SetupDiGetClassDevsW(NULL, L"USB", NULL, DIGCF_ALLCLASSES);
	SP_DEVINFO_DATA node = { .cbSize = sizeof(node) };
	wchar_t instance[UW_INSTANCE];
	char service[64];
	uint32_t count = 0;
	DWORD i;

	if (set == INVALID_HANDLE_VALUE)
		return 0;
	for (i = 0; count < max && SetupDiEnumDeviceInfo(set, i, &node); i++) {
		uw_narrow(service, sizeof(service), property(set, &node, SPDRP_SERVICE));
		if (uw_text_same(service, UW_FILTER_SERVICE) &&
		    SetupDiGetDeviceInstanceIdW(set, &node, instance, UW_COUNT_OF(instance), NULL))
			uw_narrow(instances[count++], UW_INSTANCE, instance);
	}
	SetupDiDestroyDeviceInfoList(set);
	return count;
}

void uw_usb_record(struct uw_record *record, const struct uw_usb_info *info, const char *vm, bool by_id)
{
	memset(record, 0, sizeof(*record));
	UW_TEXT_PUT(record->vm, vm);
	UW_TEXT_PUT(record->bus_id, info->bus_id);
	UW_TEXT_PUT(record->instance, info->instance);
	UW_TEXT_PUT(record->hub, info->hub);
	UW_TEXT_PUT(record->id, info->id);
	UW_TEXT_PUT(record->name, info->name);
	record->port = info->port;
	record->by_id = by_id;
}

void uw_usb_recorded(struct uw_usb_info *info, const struct uw_record *record)
{
	memset(info, 0, sizeof(*info));
	uw_usbid_instance(record->instance, &info->vendor, &info->product);
	UW_TEXT_PUT(info->instance, record->instance);
	UW_TEXT_PUT(info->bus_id, record->bus_id);
	UW_TEXT_PUT(info->hub, record->hub);
	UW_TEXT_PUT(info->id, record->id);
	UW_TEXT_PUT(info->name, record->name);
	info->port = record->port;
}
