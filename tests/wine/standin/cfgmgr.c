// SPDX-License-Identifier: GPL-2.0-only
/* uwlabcfg.dll: cfgmgr32, with what acts on single devnodes, interface lists and notifications, which Wine lacks. */
#include "setup.h"

#include <cfgmgr32.h>
#include <dbt.h>
#include <initguid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uwbus.h"

#define NEVER_SHOWN (CM_REMOVE_UI_NOT_OK | CM_REMOVE_NO_RESTART)
#define NODES 64

/* A devnode that was removed with CM_REMOVE_NO_RESTART and waits for CM_Setup_DevNode. */
static WCHAR parked[NODES][SETUP_ID];

static WCHAR *find_parked(const WCHAR *id)
{
	int i;

	for (i = 0; i < NODES; i++)
		if (!_wcsicmp(parked[i], id))
			return parked[i];
	return NULL;
}

/* ---- devnodes ---- */

static bool is_present(const WCHAR *id)
{
	uint32_t port, state, enumerated;

	if (_wcsnicmp(id, L"USB\\VID_", 8))
		return true;
	return setup_bus_find(id, &port, &state, &enumerated) && state != UWB_LEAVING;
}

CONFIGRET WINAPI UwlabCM_Locate_DevNodeW(DEVINST *node, WCHAR *id, ULONG flags)
{
	HKEY key = id ? setup_enum_key(id, KEY_READ) : NULL;

	if (!node || flags & ~(ULONG)(CM_LOCATE_DEVNODE_PHANTOM | CM_LOCATE_DEVNODE_NOVALIDATION)) {
		setup_fault("CM_Locate_DevNode: flags %lx", flags);
		return node ? CR_INVALID_FLAG : CR_INVALID_POINTER;
	}
	if (!id)        /* the root of the tree */
		return *node = 1, CR_SUCCESS;
	if (!key)
		return CR_NO_SUCH_DEVNODE;
	RegCloseKey(key);
	if (!(flags & CM_LOCATE_DEVNODE_PHANTOM) && !is_present(id))
		return CR_NO_SUCH_DEVNODE;
	*node = setup_node_of_id(id);
	return *node ? CR_SUCCESS : CR_NO_SUCH_DEVNODE;
}

CONFIGRET WINAPI UwlabCM_Get_DevNode_Status(ULONG *status, ULONG *problem, DEVINST node, ULONG flags)
{
	uint32_t port, state = UWB_ABSENT, enumerated;
	WCHAR id[SETUP_ID], service[SETUP_TEXT];
	bool driven;
	HKEY key;

	if (flags || !setup_id_of_node(node, id))
		return flags ? CR_INVALID_FLAG : CR_NO_SUCH_DEVNODE;
	if (!is_present(id))
		return CR_NO_SUCH_DEVNODE;
	*status = DN_DRIVER_LOADED | DN_STARTED | DN_NT_ENUMERATOR;
	*problem = 0;
	if (!setup_bus_find(id, &port, &state, &enumerated))
		return CR_SUCCESS;
	key = setup_enum_key(id, KEY_READ);
	driven = key && setup_get(key, L"Service", service, SETUP_TEXT) && service[0];
	if (key)
		RegCloseKey(key);
	if (driven && state == UWB_STARTED && !find_parked(id))
		return CR_SUCCESS;
	*status = DN_HAS_PROBLEM | DN_NT_ENUMERATOR;
	*problem = find_parked(id) ? CM_PROB_WILL_BE_REMOVED : driven ? CM_PROB_FAILED_START : CM_PROB_FAILED_INSTALL;
	return CR_SUCCESS;
}

/* The hub of what is on our bus is the bus. */
CONFIGRET WINAPI UwlabCM_Get_Parent(DEVINST *parent, DEVINST node, ULONG flags)
{
	uint32_t port, state, enumerated;
	WCHAR id[SETUP_ID];

	if (flags || !setup_id_of_node(node, id))
		return flags ? CR_INVALID_FLAG : CR_NO_SUCH_DEVNODE;
	*parent = setup_bus_find(id, &port, &state, &enumerated) ? setup_node_of_id(L"ROOT\\UWBUS\\0000") : 1;
	return *parent ? CR_SUCCESS : CR_NO_SUCH_DEVNODE;
}

/* ---- removal and return ---- */

/* UWLAB_VETO is "type:name of who says no", type being a PNP_VETO_TYPE. */
static bool vetoed(PNP_VETO_TYPE *type, WCHAR *name, ULONG units)
{
	char plan[128], *colon;

	if (!lab_setting("UWLAB_VETO", plan, sizeof(plan)))
		return false;
	colon = strchr(plan, ':');
	if (type)
		*type = (PNP_VETO_TYPE)atoi(plan);
	if (name && units)
		swprintf(name, units, L"%hs", colon ? colon + 1 : "");
	return true;
}

/* Drivers of a started device are asked, and removed when all agree. false: one does not. */
static bool take_down(const WCHAR *id)
{
	uint32_t port, state = UWB_ABSENT, enumerated;

	if (!setup_bus_find(id, &port, &state, &enumerated) || state != UWB_STARTED)
		return true;
	if (lab_kernel("query-remove", id) == LAB_REFUSED)
		return false;
	switch (lab_kernel("remove", id)) {
	case LAB_DONE:
		lab_trace("setup", "%ls: its drivers agreed and are removed", id);
		break;
	case LAB_REFUSED:
		setup_fault("%ls: its drivers agreed, and then failed to be removed", id);
		break;
	case LAB_NO_KERNEL:
		break;
	}
	return true;
}

/* Its drivers are gone then, and it is out of use until it is set up. */
CONFIGRET WINAPI UwlabCM_Query_And_Remove_SubTreeW(DEVINST node, PNP_VETO_TYPE *type, WCHAR *name, ULONG units, ULONG flags)
{
	WCHAR id[SETUP_ID], *place;

	if (!setup_id_of_node(node, id))
		return CR_NO_SUCH_DEVNODE;
	if (flags != NEVER_SHOWN || (name && !type)) {
		setup_fault("CM_Query_And_Remove_SubTree: flags %lx may show a window or restart the device", flags);
		return CR_INVALID_FLAG;
	}
	if (type)
		*type = PNP_VetoTypeUnknown;
	if (name && units)
		name[0] = 0;
	if (!is_present(id))
		return CR_NO_SUCH_DEVNODE;
	if (setup_fails("CM_Query_And_Remove_SubTree", id))
		return CR_FAILURE;
	if (vetoed(type, name, units))
		return CR_REMOVE_VETOED;
	if (!find_parked(id) && !take_down(id)) {
		if (type)
			*type = PNP_VetoDevice;
		if (name && units > wcslen(id))
			wcscpy(name, id);
		return CR_REMOVE_VETOED;
	}
	place = find_parked(L"");
	if (!find_parked(id) && place)
		wcscpy(place, id);
	return CR_SUCCESS;
}

CONFIGRET WINAPI UwlabCM_Setup_DevNode(DEVINST node, ULONG flags)
{
	WCHAR id[SETUP_ID], *place;

	if (!setup_id_of_node(node, id))
		return CR_NO_SUCH_DEVNODE;
	if (flags != CM_SETUP_DEVNODE_READY && flags != CM_SETUP_DEVNODE_RESET) {
		setup_fault("CM_Setup_DevNode: flags %lx", flags);
		return CR_INVALID_FLAG;
	}
	if (setup_fails("CM_Setup_DevNode", id))
		return CR_FAILURE;
	place = find_parked(id);
	if (!place)
		return CR_SUCCESS;
	place[0] = 0;
	return setup_bus_restart(id) ? CR_SUCCESS : CR_NO_SUCH_DEVNODE;
}

CONFIGRET WINAPI UwlabCM_Enable_DevNode(DEVINST node, ULONG flags)
{
	return UwlabCM_Setup_DevNode(node, flags ? CM_SETUP_DEVNODE_CONFIG : CM_SETUP_DEVNODE_READY);
}

CONFIGRET WINAPI UwlabCM_Disable_DevNode(DEVINST node, ULONG flags)
{
	(void)node;
	setup_fault("CM_Disable_DevNode: flags %lx: a disabled device stays disabled after an uninstall", flags);
	return CR_ACCESS_DENIED;
}

/* Of a parent: what is parked below it comes back, as all that is plugged in and not started. */
CONFIGRET WINAPI UwlabCM_Reenumerate_DevNode(DEVINST node, ULONG flags)
{
	int i;

	(void)node;
	if (flags & ~7u)
		return CR_INVALID_FLAG;
	if (setup_fails("CM_Reenumerate_DevNode", NULL))
		return CR_FAILURE;
	for (i = 0; i < NODES; i++)
		if (parked[i][0]) {
			setup_bus_restart(parked[i]);
			parked[i][0] = 0;
		}
	return CR_SUCCESS;
}

/* ---- interfaces ---- */

/* Links of an interface class, one zero-terminated string after the other, and a zero; bytes of all that in units. */
static CONFIGRET list_interfaces(GUID *class, const WCHAR *id, WCHAR *to, ULONG room, ULONG *units, ULONG flags)
{
	HDEVINFO set = SetupDiGetClassDevsW(class, id, NULL, DIGCF_DEVICEINTERFACE | (flags ? 0 : DIGCF_PRESENT));
	struct {
		SP_DEVICE_INTERFACE_DETAIL_DATA_W head;
		WCHAR more[512];
	} detail;
	SP_DEVICE_INTERFACE_DATA face = { .cbSize = sizeof(face) };
	ULONG used = 0, length;
	DWORD i;

	for (i = 0; SetupDiEnumDeviceInterfaces(set, NULL, class, i, &face); i++) {
		detail.head.cbSize = sizeof(detail.head);
		if (!SetupDiGetDeviceInterfaceDetailW(set, &face, &detail.head, sizeof(detail), NULL, NULL))
			continue;
		length = wcslen(detail.head.DevicePath) + 1;
		if (to && used + length < room)
			wcscpy(to + used, detail.head.DevicePath);
		used += length;
	}
	SetupDiDestroyDeviceInfoList(set);
	*units = used + 1;
	if (to && used + 1 <= room)
		to[used] = 0;
	return !to || used + 1 <= room ? CR_SUCCESS : CR_BUFFER_SMALL;
}

CONFIGRET WINAPI UwlabCM_Get_Device_Interface_List_SizeW(ULONG *units, GUID *class, WCHAR *id, ULONG flags)
{
	return list_interfaces(class, id, NULL, 0, units, flags);
}

CONFIGRET WINAPI UwlabCM_Get_Device_Interface_ListW(GUID *class, WCHAR *id, WCHAR *to, ULONG room, ULONG flags)
{
	ULONG units;

	return list_interfaces(class, id, to, room, &units, flags);
}

/* ---- notifications ---- */

/* cfgmgr32.h of newer SDKs */
#define NOTIFY_ALL_INTERFACES 1u
#define NOTIFY_ALL_INSTANCES 2u

enum { FILTER_INTERFACE, FILTER_HANDLE, FILTER_INSTANCE };
enum { ACTION_ARRIVAL, ACTION_REMOVAL, ACTION_INSTANCE_ENUMERATED = 7, ACTION_INSTANCE_STARTED, ACTION_INSTANCE_REMOVED };

struct filter {
	DWORD size, flags, type, reserved;
	union {
		GUID class;
		HANDLE handle;
		WCHAR id[200];
	} u;
};

struct event {
	DWORD type, reserved;
	union {
		struct {
			GUID class;
			WCHAR link[260];
		} face;
		WCHAR id[200];
	} u;
};

typedef DWORD(CALLBACK *notify_fn)(void *handle, void *context, DWORD action, struct event *event, DWORD size);

struct notification {
	bool alive;
	struct filter filter;
	void *context;
	notify_fn call;
	HANDLE thread, quit;
	DWORD thread_id;
	WCHAR known[16][SETUP_ID];
	uint32_t known_count;
	WCHAR *links;               /* those of the class that were there when it was looked last */
};

static bool has_link(const WCHAR *list, const WCHAR *link)
{
	for (; list && *list; list += wcslen(list) + 1)
		if (!_wcsicmp(list, link))
			return true;
	return false;
}

static void tell_link(struct notification *n, const WCHAR *link, DWORD action)
{
	struct event e = { .type = FILTER_INTERFACE };

	e.u.face.class = n->filter.u.class;
	wcsncpy(e.u.face.link, link, 259);
	n->call(n, n->context, action, &e, FIELD_OFFSET(struct event, u.face.link) + (wcslen(link) + 1) * sizeof(WCHAR));
}

/* GUID_DEVINTERFACE_USB_DEVICE, which the hub driver registers for each device: here the bus is asked. */
static const GUID usb_device = { 0xa5dcbf10, 0x6530, 0x11d2, { 0x90, 0x1f, 0x00, 0xc0, 0x4f, 0xb9, 0x51, 0xed } };

static void usb_links(WCHAR *to)
{
	WCHAR ids[16][SETUP_ID], *p;
	uint32_t count = setup_bus_list(ids, 16), i;

	for (i = 0; i < count; i++) {
		for (p = ids[i]; *p; p++)
			*p = *p == '\\' ? '#' : *p;
		to += swprintf(to, SETUP_ID + 64, L"\\\\?\\%ls#{a5dcbf10-6530-11d2-901f-00c04fb951ed}", ids[i]) + 1;
	}
}

static WCHAR *current_links(struct notification *n)
{
	ULONG room = 8192;
	WCHAR *links = calloc(room, sizeof(*links));

	if (IsEqualGUID(&n->filter.u.class, &usb_device)) {
		usb_links(links);
		return links;
	}
	UwlabCM_Get_Device_Interface_ListW(&n->filter.u.class, NULL, links, room, 0);
	return links;
}

static void look_at_links(struct notification *n)
{
	WCHAR *now = current_links(n), *former = n->links, *link;

	for (link = former; link && *link; link += wcslen(link) + 1)
		if (!has_link(now, link))
			tell_link(n, link, ACTION_REMOVAL);
	for (link = now; *link; link += wcslen(link) + 1)
		if (!has_link(former, link))
			tell_link(n, link, ACTION_ARRIVAL);
	n->links = now;
	free(former);
}

static bool has_id(WCHAR ids[][SETUP_ID], uint32_t count, const WCHAR *id)
{
	uint32_t i;

	for (i = 0; i < count && _wcsicmp(ids[i], id); i++)
		;
	return i < count;
}

static void tell_id(struct notification *n, const WCHAR *id, DWORD action)
{
	struct event e = { .type = FILTER_INSTANCE };

	if (!(n->filter.flags & NOTIFY_ALL_INSTANCES) && _wcsicmp(n->filter.u.id, id))
		return;
	wcscpy(e.u.id, id);
	n->call(n, n->context, action, &e, FIELD_OFFSET(struct event, u.id) + (wcslen(id) + 1) * sizeof(WCHAR));
}

static void look_at_bus(struct notification *n)
{
	WCHAR now[16][SETUP_ID];
	uint32_t count = setup_bus_list(now, 16), i;

	for (i = 0; i < n->known_count; i++)
		if (!has_id(now, count, n->known[i]))
			tell_id(n, n->known[i], ACTION_INSTANCE_REMOVED);
	for (i = 0; i < count; i++)
		if (!has_id(n->known, n->known_count, now[i])) {
			tell_id(n, now[i], ACTION_INSTANCE_ENUMERATED);
			tell_id(n, now[i], ACTION_INSTANCE_STARTED);
		}
	memcpy(n->known, now, sizeof(now));
	n->known_count = count;
}

/* Wine tells windows of interfaces, and nobody of devnodes: looking a few times a second is what is left. */
static DWORD WINAPI watch(void *argument)
{
	struct notification *n = argument;

	while (WaitForSingleObject(n->quit, 150) == WAIT_TIMEOUT)
		if (n->filter.type == FILTER_INSTANCE)
			look_at_bus(n);
		else
			look_at_links(n);
	return 0;
}

CONFIGRET WINAPI UwlabCM_Register_Notification(struct filter *filter, void *context, notify_fn call, void **handle)
{
	struct notification *n;

	if (!filter || !call || !handle || filter->size != sizeof(*filter) || filter->reserved ||
	    filter->flags & ~(NOTIFY_ALL_INTERFACES | NOTIFY_ALL_INSTANCES) || filter->type > FILTER_INSTANCE) {
		setup_fault("CM_Register_Notification: filter");
		return CR_INVALID_DATA;
	}
	if (filter->type == FILTER_HANDLE || (filter->type == FILTER_INTERFACE && filter->flags)) {
		setup_fault("CM_Register_Notification: not played: handles, and interfaces of all classes");
		return CR_CALL_NOT_IMPLEMENTED;
	}
	n = calloc(1, sizeof(*n));
	n->alive = true;
	n->filter = *filter;
	n->context = context;
	n->call = call;
	n->quit = CreateEventW(NULL, TRUE, FALSE, NULL);
	if (filter->type == FILTER_INSTANCE)
		n->known_count = setup_bus_list(n->known, 16);
	else
		n->links = current_links(n);
	*handle = n;
	n->thread = CreateThread(NULL, 0, watch, n, 0, &n->thread_id);
	return CR_SUCCESS;
}

/* Waits for callbacks to return, so it must not be called in one. */
CONFIGRET WINAPI UwlabCM_Unregister_Notification(void *handle)
{
	struct notification *n = handle;

	if (!n || !n->alive || n->thread_id == GetCurrentThreadId()) {
		setup_fault("CM_Unregister_Notification: %s", n && n->alive ? "called in the callback" : "no notification");
		return CR_INVALID_DATA;
	}
	n->alive = false;
	SetEvent(n->quit);
	WaitForSingleObject(n->thread, INFINITE);
	CloseHandle(n->thread);
	CloseHandle(n->quit);
	free(n->links);
	n->links = NULL;
	return CR_SUCCESS;
}
