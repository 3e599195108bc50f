/* SPDX-License-Identifier: GPL-2.0-only */
/* What Windows calls USB devices, taken apart. */
#include "usbid.h"

#include <stdio.h>

#include "text.h"

#define INTERFACE_GUID "#{fe90d5d0-814c-4e90-a6b5-6b5370d68b35}" /* UW_NT_INTERFACE of ioctl.h */

static int digit(char c, uint32_t base)
{
	int value = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;

	return value < (int)base ? value : -1;
}

/* Up to max digits; behind them, or NULL when there is none or one too many. */
static const char *number(const char *p, uint32_t base, uint32_t max, uint32_t *value)
{
	uint32_t count = 0;

	for (*value = 0; digit(*p, base) >= 0; p++, count++)
		*value = *value * base + (uint32_t)digit(*p, base);
	return count && count <= max ? p : NULL;
}

/* Behind tag and the number that follows it. */
static const char *tagged(const char *p, const char *tag, uint32_t base, uint32_t max, uint32_t *value)
{
	return p && uw_text_begins(p, tag) ? number(p + strlen(tag), base, max, value) : NULL;
}

bool uw_usbid_bus(const char *location, char bus_id[UW_CTL_NAME])
{
	uint32_t port, hub;
	const char *p = tagged(location, "Port_#", 10, 4, &port);

	p = tagged(p, ".Hub_#", 10, 4, &hub);
	if (!p || *p || !port || !hub)
		return false;
	uw_zero(bus_id, UW_CTL_NAME);
	snprintf(bus_id, UW_CTL_NAME, "%u-%u", hub, port);
	return true;
}

enum uw_usbid_kind uw_usbid_instance(const char *instance, uint16_t *vendor, uint16_t *product)
{
	uint32_t v, d, interface;
	const char *p;

	*vendor = *product = 0;
	if (uw_text_begins(instance, "USB\\ROOT_HUB"))
		return UW_USBID_HUB;
	p = tagged(tagged(instance, "USB\\VID_", 16, 4, &v), "&PID_", 16, 4, &d);
	if (!p)
		return UW_USBID_OTHER;
	*vendor = (uint16_t)v;
	*product = (uint16_t)d;
	if (*p == '\\')
		return UW_USBID_DEVICE;
	return tagged(p, "&MI_", 16, 2, &interface) ? UW_USBID_FUNCTION : UW_USBID_OTHER;
}

/* A composite device says DevClass, which is the device's own; others say Class, of the device or its only interface. */
bool uw_usbid_class(const char *compatible, uint8_t class_code[3])
{
	uint32_t value[3] = { 0 };
	const char *p = tagged(compatible, "USB\\Class_", 16, 2, &value[0]), *q;

	if (!p)
		p = tagged(compatible, "USB\\DevClass_", 16, 2, &value[0]);
	if (!p)
		return false;
	q = tagged(p, "&SubClass_", 16, 2, &value[1]);
	p = q ? tagged(q, "&Prot_", 16, 2, &value[2]) : NULL;
	class_code[0] = (uint8_t)value[0];
	class_code[1] = q ? (uint8_t)value[1] : 0;
	class_code[2] = p ? (uint8_t)value[2] : 0;
	return true;
}

bool uw_usbid_release(const char *hardware, uint16_t *release)
{
	uint32_t v, d, r;
	const char *p = tagged(tagged(hardware, "USB\\VID_", 16, 4, &v), "&PID_", 16, 4, &d);

	if (!tagged(p, "&REV_", 16, 4, &r))
		return false;
	*release = (uint16_t)r;
	return true;
}

/* Instance ids are made of printable ASCII without a comma: each byte is one unit. */
bool uw_usbid_link(const char *instance, uw_le16 *link, uint32_t count)
{
	uint32_t at = 0;
	const char *p;

	uw_zero(link, count * sizeof(*link));
	for (p = instance; *p && at + 1 < count; p++)
		link[at++] = uw_put16(*p == '\\' ? '#' : (uint8_t)*p);
	if (*p)
		return false;
	for (p = INTERFACE_GUID; *p && at + 1 < count; p++)
		link[at++] = uw_put16((uint8_t)*p);
	return !*p;
}
