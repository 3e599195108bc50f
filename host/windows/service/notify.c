/* SPDX-License-Identifier: GPL-2.0-only */
/* Windows tells when USB devices come and go. */
#include "notify.h"

#include <cfgmgr32.h>

/* mingw's header has the types alone. */
CONFIGRET WINAPI CM_Register_Notification(CM_NOTIFY_FILTER *filter, void *context, PCM_NOTIFY_CALLBACK callback,
					  HCMNOTIFICATION *notification);
CONFIGRET WINAPI CM_Unregister_Notification(HCMNOTIFICATION notification);

/* GUID_DEVINTERFACE_USB_DEVICE: each device that a hub drives, whatever its own driver. */
static const GUID usb_device = { 0xa5dcbf10, 0x6530, 0x11d2, { 0x90, 0x1f, 0x00, 0xc0, 0x4f, 0xb9, 0x51, 0xed } };

static void on_op(struct uw_op *op, uint32_t error, uint32_t bytes)
{
	struct uw_notify *n = UW_CONTAINER(op, struct uw_notify, op);

	(void)error;
	(void)bytes;
	InterlockedExchange(&n->posted, 0);
	n->arrived(n);
}

static DWORD CALLBACK on_notify(HCMNOTIFICATION notification, void *context, CM_NOTIFY_ACTION action,
				CM_NOTIFY_EVENT_DATA *data, DWORD bytes)
{
	struct uw_notify *n = context;

	(void)notification;
	(void)action;
	(void)data;
	(void)bytes;
	if (!InterlockedExchange(&n->posted, 1))
		uw_loop_post(n->loop, &n->op, 0, 0);
	return ERROR_SUCCESS;
}

bool uw_notify_open(struct uw_notify *n, struct uw_loop *loop)
{
	CM_NOTIFY_FILTER filter = { .cbSize = sizeof(filter), .FilterType = CM_NOTIFY_FILTER_TYPE_DEVICEINTERFACE };
	HCMNOTIFICATION handle;

	filter.u.DeviceInterface.ClassGuid = usb_device;
	n->loop = loop;
	n->op.done = on_op;
	if (CM_Register_Notification(&filter, n, on_notify, &handle) != CR_SUCCESS)
		return false;
	n->handle = handle;
	return true;
}

void uw_notify_close(struct uw_notify *n)
{
	if (n->handle)
		CM_Unregister_Notification((HCMNOTIFICATION)n->handle);
	n->handle = NULL;
}
