// SPDX-License-Identifier: GPL-2.0-only
/* Shared by the stand-ins for setupapi, cfgmgr32 and newdev: steps, devnodes, and the laboratory's bus. */
#include "setup.h"

#include <cfgmgr32.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uwbus.h"

#define KEY L"Software\\UwLab"
#define ENUM L"System\\CurrentControlSet\\Enum\\"
#define CLASS L"System\\CurrentControlSet\\Control\\Class\\"
#define SERVICES L"System\\CurrentControlSet\\Services\\"
#define RETURN_TIME 10000           /* milliseconds for a device to be reported again */

/* ---- steps ---- */

bool setup_fails(const char *call, const WCHAR *id)
{
	DWORD count = 0, size = sizeof(count);
	uint32_t failing = lab_number("UWLAB_SETUP_FAIL", 0);
	HKEY key;

	if (!RegCreateKeyExW(HKEY_LOCAL_MACHINE, KEY, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key, NULL)) {
		RegQueryValueExW(key, L"SetupStep", NULL, NULL, (BYTE *)&count, &size);
		count++;
		RegSetValueExW(key, L"SetupStep", 0, REG_DWORD, (const BYTE *)&count, sizeof(count));
		RegCloseKey(key);
	}
	lab_trace("setup", "step %lu: %s %ls%s", count, call, id ? id : L"", count == failing ? ": fails, as planned" : "");
	if (count == lab_number("UWLAB_SETUP_HANG", 0)) {
		lab_trace("setup", "step %lu waits to be killed", count);
		Sleep(INFINITE);
	}
	return count == failing;
}

/* ---- devnodes ---- */

bool setup_id_of_node(DWORD node, WCHAR id[SETUP_ID])
{
	return CM_Get_Device_IDW(node, id, SETUP_ID, 0) == CR_SUCCESS;
}

bool setup_id_of_element(HDEVINFO set, SP_DEVINFO_DATA *element, WCHAR id[SETUP_ID])
{
	return element && SetupDiGetDeviceInstanceIdW(set, element, id, SETUP_ID, NULL);
}

/* Wine numbers devnodes as they are opened, and forgets them with their set. */
DWORD setup_node_of_id(const WCHAR *id)
{
	static HDEVINFO set = INVALID_HANDLE_VALUE;
	SP_DEVINFO_DATA element = { .cbSize = sizeof(element) };
	WCHAR other[SETUP_ID];
	DWORD i;

	if (set == INVALID_HANDLE_VALUE)
		set = SetupDiCreateDeviceInfoList(NULL, NULL);
	for (i = 0; SetupDiEnumDeviceInfo(set, i, &element); i++)
		if (setup_id_of_element(set, &element, other) && !_wcsicmp(id, other))
			return element.DevInst;
	return SetupDiOpenDeviceInfoW(set, id, NULL, 0, &element) ? element.DevInst : 0;
}

HKEY setup_enum_key(const WCHAR *id, REGSAM access)
{
	WCHAR path[SETUP_ID + 64];
	HKEY key;

	swprintf(path, SETUP_ID + 64, L"%ls%ls", ENUM, id);
	return RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, access, &key) ? NULL : key;
}

bool setup_get(HKEY key, const WCHAR *name, WCHAR *value, uint32_t units)
{
	DWORD size = units * sizeof(*value);

	return !RegGetValueW(key, NULL, name, RRF_RT_REG_SZ | RRF_RT_REG_MULTI_SZ, NULL, value, &size);
}

void setup_set(HKEY key, const WCHAR *name, const WCHAR *value)
{
	RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)value, (wcslen(value) + 1) * sizeof(*value));
}

/* ---- what a devnode's driver is ---- */

static bool service_is_there(const WCHAR *service)
{
	WCHAR path[SETUP_TEXT + 64];
	HKEY key;

	swprintf(path, SETUP_TEXT + 64, L"%ls%ls", SERVICES, service);
	if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &key))
		return false;
	RegCloseKey(key);
	return true;
}

/*
 * What AddService makes of the INF, if the driver's file has been put where Windows would have: the group is the
 * laboratory's, so that Wine loads all drivers into one process.
 */
static bool add_service(const WCHAR *service)
{
	WCHAR path[SETUP_TEXT + MAX_PATH];
	UINT length = GetSystemDirectoryW(path, MAX_PATH);
	SC_HANDLE manager, made = NULL;

	swprintf(path + length, SETUP_TEXT + 32, L"\\drivers\\%ls.sys", service);
	manager = GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES ? OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS) : NULL;
	if (!manager)
		return false;
	made = CreateServiceW(manager, service, service, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START,
			      SERVICE_ERROR_NORMAL, path, L"UsbWarp", NULL, NULL, NULL, NULL);
	lab_trace("setup", "service %ls%s made", service, made ? "" : " not");
	if (made)
		CloseServiceHandle(made);
	CloseServiceHandle(manager);
	return made != NULL;
}

static void print_class(const GUID *class, WCHAR text[40])
{
	char plain[37];

	lab_guid_print(class, plain);
	swprintf(text, 40, L"{%hs}", plain);
}

/* The software key below Class\{GUID}: the devnode's own if it has one of that class, else the next free number. */
static HKEY driver_key(HKEY node, const GUID *class, WCHAR driver[64])
{
	WCHAR text[40], path[128];
	DWORD i, how;
	HKEY key;

	print_class(class, text);
	if (!setup_get(node, L"Driver", driver, 64) || _wcsnicmp(driver, text, 38))
		driver[0] = 0;
	for (i = 0; i < 10000; i++) {
		if (!driver[0] || i)
			swprintf(driver, 64, L"%ls\\%04lu", text, i);
		swprintf(path, 128, L"%ls%ls", CLASS, driver);
		if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key, &how))
			return NULL;
		if (how == REG_CREATED_NEW_KEY || (!i && setup_get(node, L"Driver", path, 64) && !_wcsicmp(path, driver)))
			return key;
		RegCloseKey(key);
	}
	return NULL;
}

/*
 * Wine gives a devnode without a class the class of zeros, and opens none without a value. A software key with an InfPath
 * tells it that a driver was chosen, if only none: or it would choose one itself when the device returns.
 */
static void put_none(HKEY node)
{
	static const GUID zeros;
	WCHAR driver[64], class[40];
	HKEY key = driver_key(node, &zeros, driver);

	print_class(&zeros, class);
	setup_set(node, L"ClassGUID", class);
	if (!key)
		return;
	setup_set(node, L"Driver", driver);
	setup_set(key, L"InfPath", L"");
	RegCloseKey(key);
}

static void forget_driver(HKEY node)
{
	static const WCHAR *const names[] = { L"Service", L"Driver", L"Class", L"Mfg" };
	WCHAR driver[64], path[128];
	uint32_t i;

	if (setup_get(node, L"Driver", driver, 64)) {
		swprintf(path, 128, L"%ls%ls", CLASS, driver);
		RegDeleteTreeW(HKEY_LOCAL_MACHINE, path);
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		RegDeleteValueW(node, names[i]);
	put_none(node);
}

/* A software key belongs to its class: Windows deletes it when the devnode's becomes another. */
static void leave_class(HKEY node, const GUID *class)
{
	WCHAR driver[64], path[128], text[40];

	print_class(class, text);
	if (!setup_get(node, L"Driver", driver, 64) || !_wcsnicmp(driver, text, 38))
		return;
	swprintf(path, 128, L"%ls%ls", CLASS, driver);
	RegDeleteTreeW(HKEY_LOCAL_MACHINE, path);
}

static void write_driver(HKEY node, const struct setup_driver *d, const WCHAR *service)
{
	WCHAR driver[64], class[40];
	DWORD none = 0;
	HKEY key;

	leave_class(node, &d->class);
	key = driver_key(node, &d->class, driver);
	print_class(&d->class, class);
	setup_set(node, L"Service", service);
	setup_set(node, L"ClassGUID", class);
	setup_set(node, L"Class", d->class_name);
	setup_set(node, L"Driver", driver);
	setup_set(node, L"DeviceDesc", d->description);
	setup_set(node, L"Mfg", d->manufacturer);
	RegSetValueExW(node, L"ConfigFlags", 0, REG_DWORD, (const BYTE *)&none, sizeof(none));
	if (!key)
		return;
	setup_set(key, L"DriverDesc", d->description);
	setup_set(key, L"InfPath", wcsrchr(d->inf, '\\') ? wcsrchr(d->inf, '\\') + 1 : d->inf);
	setup_set(key, L"InfSection", d->section);
	setup_set(key, L"ProviderName", d->provider);
	setup_set(key, L"DriverVersion", d->version_text);
	setup_set(key, L"MatchingDeviceId", d->id);
	RegCloseKey(key);
}

bool setup_write(const WCHAR *id, const struct setup_driver *d)
{
	WCHAR service[SETUP_TEXT];
	HKEY node;

	if (d && !(setup_inf_service(d, service) && (service_is_there(service) || add_service(service)))) {
		setup_fault("%ls: the INF's service is not installed", d->inf);
		return false;
	}
	node = setup_enum_key(id, KEY_ALL_ACCESS);
	if (!node)
		return false;
	if (d)
		write_driver(node, d, service);
	else
		forget_driver(node);
	RegCloseKey(node);
	return true;
}

/* ---- the bus ---- */

static bool ask_bus(uint32_t code, void *in, uint32_t in_size, void *out, uint32_t out_size)
{
	HANDLE bus = CreateFileW(L"\\\\.\\UwBus", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
				 OPEN_EXISTING, 0, NULL);
	DWORD got;
	bool good;

	if (bus == INVALID_HANDLE_VALUE)
		return false;
	good = DeviceIoControl(bus, code, in, in_size, out, out_size, &got, NULL);
	CloseHandle(bus);
	return good;
}

static bool same(const char *id, const WCHAR *wide)
{
	WCHAR text[SETUP_ID];

	swprintf(text, SETUP_ID, L"%.95hs", id);
	return !_wcsicmp(text, wide);
}

bool setup_bus_find(const WCHAR *id, uint32_t *port, uint32_t *state, uint32_t *enumerated)
{
	struct uwb_list *list = calloc(1, sizeof(*list));
	bool found = false;
	uint32_t i;

	if (ask_bus(UWB_LIST, NULL, 0, list, sizeof(*list)))
		for (i = 0; i < list->count && i < UWB_PORTS && !found; i++) {
			found = list->entry[i].state != UWB_ABSENT && same(list->entry[i].id, id);
			*port = list->entry[i].port;
			*state = list->entry[i].state;
			*enumerated = list->entry[i].enumerated;
		}
	free(list);
	return found;
}

uint32_t setup_bus_list(WCHAR ids[][SETUP_ID], uint32_t max)
{
	struct uwb_list *list = calloc(1, sizeof(*list));
	uint32_t i, count = 0;

	if (ask_bus(UWB_LIST, NULL, 0, list, sizeof(*list)))
		for (i = 0; i < list->count && i < UWB_PORTS && count < max; i++)
			if (list->entry[i].state == UWB_PLUGGED || list->entry[i].state == UWB_STARTED)
				swprintf(ids[count++], SETUP_ID, L"%.95hs", list->entry[i].id);
	free(list);
	return count;
}

/* With a driver it has to start; without one it only has to be there. */
static bool settled(const WCHAR *id, uint32_t before)
{
	uint32_t port, state, enumerated;
	WCHAR service[SETUP_TEXT];
	HKEY key = setup_enum_key(id, KEY_READ);
	bool driven = key && setup_get(key, L"Service", service, SETUP_TEXT);

	if (key)
		RegCloseKey(key);
	return setup_bus_find(id, &port, &state, &enumerated) && enumerated != before &&
	       (state == UWB_STARTED || (state == UWB_PLUGGED && !driven));
}

bool setup_bus_restart(const WCHAR *id)
{
	uint32_t port, state, before;
	struct uwb_port cycle = { 0 };
	uint64_t end = GetTickCount64() + RETURN_TIME;

	if (!setup_bus_find(id, &port, &state, &before))
		return false;
	cycle.port = port;
	if (!ask_bus(UWB_CYCLE, &cycle, sizeof(cycle), NULL, 0))
		return false;
	while (!settled(id, before)) {
		if (GetTickCount64() > end) {
			setup_fault("%ls did not come back in %u ms", id, RETURN_TIME);
			return false;
		}
		Sleep(10);
	}
	return true;
}
