// SPDX-License-Identifier: GPL-2.0-only
/*
 * uwlabset.dll: setupapi, with lists of drivers as Windows makes them. Wine's own know neither SPDIT_CLASSDRIVER nor
 * DI_ENUMSINGLEINF, so all functions on driver lists are here.
 */
#include "setup.h"

#include <cfgmgr32.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTS 64
#define DRIVERS 64
#define ALLOW_EXCLUDED 0x00000800      /* DI_FLAGSEX_ALLOWEXCLUDEDDRVS */

struct list {
	bool used;
	HDEVINFO set;
	WCHAR id[SETUP_ID];             /* of the element; empty: the set's own list */
	DWORD type;
	uint32_t count;
	struct setup_driver *drivers[DRIVERS];
	struct setup_driver *selected;
};

static struct list lists[LISTS];

static BOOL refuse(DWORD error)
{
	SetLastError(error);
	return FALSE;
}

static bool element_id(HDEVINFO set, SP_DEVINFO_DATA *element, WCHAR id[SETUP_ID])
{
	id[0] = 0;
	return !element || setup_id_of_element(set, element, id);
}

static struct list *find_list(HDEVINFO set, const WCHAR *id, DWORD type)
{
	struct list *l;

	for (l = lists; l < lists + LISTS; l++)
		if (l->used && l->set == set && l->type == type && !_wcsicmp(l->id, id))
			return l;
	return NULL;
}

static struct list *new_list(HDEVINFO set, const WCHAR *id, DWORD type)
{
	struct list *l;

	for (l = lists; l < lists + LISTS && l->used; l++)
		;
	if (l == lists + LISTS)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->used = true;
	l->set = set;
	l->type = type;
	wcscpy(l->id, id);
	return l;
}

/* ---- building ---- */

struct building {
	struct list *list;
	bool excluded_too;
};

static void add(const struct setup_driver *d, void *context)
{
	struct building *b = context;
	struct setup_driver *copy;

	if (b->list->count == DRIVERS || (d->excluded && !b->excluded_too))
		return;
	copy = malloc(sizeof(*copy));
	*copy = *d;
	b->list->drivers[b->list->count++] = copy;
}

static void add_store(struct building *b, const WCHAR *hardware, const WCHAR *compatible)
{
	WCHAR pattern[MAX_PATH], path[MAX_PATH];
	UINT length = GetWindowsDirectoryW(pattern, MAX_PATH - 16);
	WIN32_FIND_DATAW file;
	HANDLE find;

	wcscpy(pattern + length, L"\\INF\\oem*.inf");
	find = FindFirstFileW(pattern, &file);
	if (find == INVALID_HANDLE_VALUE)
		return;
	do {
		wcscpy(path, pattern);
		wcscpy(path + length + 5, file.cFileName);
		setup_inf_drivers(path, hardware, compatible, add, b);
	} while (FindNextFileW(find, &file));
	FindClose(find);
}

static void build(struct building *b, const SP_DEVINSTALL_PARAMS_W *params)
{
	static WCHAR hardware[4096], compatible[4096];
	bool compat = b->list->type == SPDIT_COMPATDRIVER;
	HKEY key = setup_enum_key(b->list->id, KEY_READ);

	hardware[0] = compatible[0] = 0;
	if (key) {
		setup_get(key, L"HardwareID", hardware, 4096);
		setup_get(key, L"CompatibleIDs", compatible, 4096);
		RegCloseKey(key);
	}
	if (params->Flags & DI_ENUMSINGLEINF)
		setup_inf_drivers(params->DriverPath, compat ? hardware : NULL, compat ? compatible : NULL, add, b);
	else
		add_store(b, compat ? hardware : NULL, compat ? compatible : NULL);
}

BOOL WINAPI UwlabSetupDiBuildDriverInfoList(HDEVINFO set, SP_DEVINFO_DATA *element, DWORD type)
{
	SP_DEVINSTALL_PARAMS_W params = { .cbSize = sizeof(params) };
	struct building b = { NULL, false };
	WCHAR id[SETUP_ID];

	if ((type != SPDIT_CLASSDRIVER && type != SPDIT_COMPATDRIVER) || (type == SPDIT_COMPATDRIVER && !element) ||
	    !element_id(set, element, id) || !SetupDiGetDeviceInstallParamsW(set, element, &params)) {
		setup_fault("SetupDiBuildDriverInfoList: type %lu, or no device of that set", type);
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (params.Flags & DI_ENUMSINGLEINF && GetFileAttributesW(params.DriverPath) == INVALID_FILE_ATTRIBUTES) {
		setup_fault("SetupDiBuildDriverInfoList: DI_ENUMSINGLEINF with %ls, which is no file", params.DriverPath);
		return refuse(ERROR_FILE_NOT_FOUND);
	}
	if (find_list(set, id, type))
		return TRUE;
	b.list = new_list(set, id, type);
	b.excluded_too = params.FlagsEx & ALLOW_EXCLUDED;
	if (!b.list)
		return refuse(ERROR_NOT_ENOUGH_MEMORY);
	build(&b, &params);
	lab_trace("setup", "%u drivers of type %lu for %ls", b.list->count, type, id);
	return TRUE;
}

BOOL WINAPI UwlabSetupDiDestroyDriverInfoList(HDEVINFO set, SP_DEVINFO_DATA *element, DWORD type)
{
	WCHAR id[SETUP_ID];
	struct list *l;

	if (!element_id(set, element, id))
		return refuse(ERROR_INVALID_PARAMETER);
	l = find_list(set, id, type);
	if (!l)
		return refuse(ERROR_NO_DRIVER_SELECTED);
	while (l->count)
		free(l->drivers[--l->count]);
	l->used = false;
	return TRUE;
}

/* A set that goes takes its lists with it. */
BOOL WINAPI UwlabSetupDiDestroyDeviceInfoList(HDEVINFO set)
{
	struct list *l;

	for (l = lists; l < lists + LISTS; l++)
		if (l->used && l->set == set) {
			while (l->count)
				free(l->drivers[--l->count]);
			l->used = false;
		}
	return SetupDiDestroyDeviceInfoList(set);
}

/* ---- reading ---- */

static void print_driver(struct setup_driver *d, DWORD type, SP_DRVINFO_DATA_W *info)
{
	info->DriverType = type;
	info->Reserved = (ULONG_PTR)d;
	wcsncpy(info->Description, d->description, LINE_LEN - 1);
	wcsncpy(info->MfgName, d->manufacturer, LINE_LEN - 1);
	wcsncpy(info->ProviderName, d->provider, LINE_LEN - 1);
	info->DriverDate = d->date;
	info->DriverVersion = d->version;
}

BOOL WINAPI UwlabSetupDiEnumDriverInfoW(HDEVINFO set, SP_DEVINFO_DATA *element, DWORD type, DWORD index,
					SP_DRVINFO_DATA_W *info)
{
	DWORD size = info ? info->cbSize : 0;
	WCHAR id[SETUP_ID];
	struct list *l;

	if (size != sizeof(*info) || !element_id(set, element, id)) {
		setup_fault("SetupDiEnumDriverInfo: cbSize %lu", size);
		return refuse(ERROR_INVALID_USER_BUFFER);
	}
	l = find_list(set, id, type);
	if (!l || index >= l->count)
		return refuse(ERROR_NO_MORE_ITEMS);
	memset(info, 0, sizeof(*info));
	info->cbSize = size;
	print_driver(l->drivers[index], type, info);
	return TRUE;
}

/* The driver that the caller means: by its cookie where it has one, else by what it says. */
static struct setup_driver *find_driver(struct list *l, const SP_DRVINFO_DATA_W *info)
{
	uint32_t i;

	for (i = 0; l && i < l->count; i++) {
		struct setup_driver *d = l->drivers[i];

		if (info->Reserved ? info->Reserved == (ULONG_PTR)d : !wcscmp(info->Description, d->description) &&
		    !wcscmp(info->ProviderName, d->provider))
			return d;
	}
	return NULL;
}

BOOL WINAPI UwlabSetupDiGetDriverInfoDetailW(HDEVINFO set, SP_DEVINFO_DATA *element, SP_DRVINFO_DATA_W *info,
					     SP_DRVINFO_DETAIL_DATA_W *detail, DWORD size, DWORD *needed)
{
	WCHAR id[SETUP_ID];
	struct setup_driver *d;
	size_t want;

	if (!element_id(set, element, id) || (detail && detail->cbSize != sizeof(*detail)))
		return refuse(ERROR_INVALID_USER_BUFFER);
	d = find_driver(find_list(set, id, info->DriverType), info);
	if (!d)
		return refuse(ERROR_INVALID_PARAMETER);
	want = FIELD_OFFSET(SP_DRVINFO_DETAIL_DATA_W, HardwareID) + (wcslen(d->id) + 2) * sizeof(WCHAR);
	if (needed)
		*needed = (DWORD)want;
	if (!detail || size < sizeof(*detail))
		return refuse(ERROR_INSUFFICIENT_BUFFER);
	memset((char *)detail + sizeof(detail->cbSize), 0, size - sizeof(detail->cbSize));
	detail->InfDate = d->date;
	wcsncpy(detail->SectionName, d->section, LINE_LEN - 1);
	wcsncpy(detail->InfFileName, d->inf, MAX_PATH - 1);
	wcsncpy(detail->DrvDescription, d->description, LINE_LEN - 1);
	if (size < want)
		return refuse(ERROR_INSUFFICIENT_BUFFER);
	wcscpy(detail->HardwareID, d->id);
	return TRUE;
}

BOOL WINAPI UwlabSetupDiSetSelectedDriverW(HDEVINFO set, SP_DEVINFO_DATA *element, SP_DRVINFO_DATA_W *info)
{
	struct setup_driver *d;
	WCHAR id[SETUP_ID];
	struct list *l;

	if (!element_id(set, element, id))
		return refuse(ERROR_INVALID_PARAMETER);
	l = info ? find_list(set, id, info->DriverType) : NULL;
	d = info ? find_driver(l, info) : NULL;
	if (info && !d) {
		setup_fault("SetupDiSetSelectedDriver: the driver is not in the list");
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (l) {
		l->selected = d;
		info->Reserved = (ULONG_PTR)d;
	}
	return TRUE;
}

BOOL WINAPI UwlabSetupDiGetSelectedDriverW(HDEVINFO set, SP_DEVINFO_DATA *element, SP_DRVINFO_DATA_W *info)
{
	WCHAR id[SETUP_ID];
	struct list *l;

	if (!element_id(set, element, id) || info->cbSize != sizeof(*info))
		return refuse(ERROR_INVALID_USER_BUFFER);
	for (l = lists; l < lists + LISTS; l++)
		if (l->used && l->set == set && !_wcsicmp(l->id, id) && l->selected) {
			print_driver(l->selected, l->type, info);
			return TRUE;
		}
	return refuse(ERROR_NO_DRIVER_SELECTED);
}

/* ---- properties ---- */

/* Wine asks no bus for a device's location: for what is on ours it is said as Windows' hub driver says it. */
BOOL WINAPI UwlabSetupDiGetDeviceRegistryPropertyW(HDEVINFO set, SP_DEVINFO_DATA *element, DWORD which, DWORD *type, BYTE *to,
						   DWORD size, DWORD *needed)
{
	uint32_t port, state, enumerated;
	WCHAR id[SETUP_ID], text[64];
	DWORD length;

	if (which != SPDRP_LOCATION_INFORMATION || !setup_id_of_element(set, element, id) ||
	    !setup_bus_find(id, &port, &state, &enumerated))
		return SetupDiGetDeviceRegistryPropertyW(set, element, which, type, to, size, needed);
	swprintf(text, 64, L"Port_#%04u.Hub_#0001", port);
	length = (wcslen(text) + 1) * sizeof(*text);
	if (type)
		*type = REG_SZ;
	if (needed)
		*needed = length;
	if (!to || size < length)
		return refuse(ERROR_INSUFFICIENT_BUFFER);
	memcpy(to, text, length);
	return TRUE;
}

/* ---- the store ---- */

BOOL WINAPI UwlabSetupCopyOEMInfW(const WCHAR *source, const WCHAR *location, DWORD kind, DWORD style, WCHAR *target,
				  DWORD units, DWORD *needed, WCHAR **component)
{
	if (!source || (location && kind == SPOST_NONE)) {
		setup_fault("SetupCopyOEMInf: arguments");
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (setup_fails("SetupCopyOEMInf", source))
		return refuse(ERROR_ACCESS_DENIED);
	return SetupCopyOEMInfW(source, location, kind, style, target, units, needed, component);
}

/* SUOI_FORCEDELETE aside, Windows refuses while a device has a driver of that INF. */
static bool in_use(const WCHAR *name)
{
	WCHAR path[SETUP_ID], ids[15][SETUP_ID], driver[64], inf[MAX_PATH];
	uint32_t i, count = setup_bus_list(ids, 15);
	bool used = false;
	HKEY key, software;

	for (i = 0; i < count && !used; i++) {
		key = setup_enum_key(ids[i], KEY_READ);
		if (!key)
			continue;
		if (setup_get(key, L"Driver", driver, 64)) {
			wcscpy(path, L"System\\CurrentControlSet\\Control\\Class\\");
			wcscat(path, driver);
			if (!RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &software)) {
				used = setup_get(software, L"InfPath", inf, MAX_PATH) && !_wcsicmp(inf, name);
				RegCloseKey(software);
			}
		}
		RegCloseKey(key);
	}
	return used;
}

BOOL WINAPI UwlabSetupUninstallOEMInfW(const WCHAR *name, DWORD flags, void *reserved)
{
	if (!name || wcschr(name, '\\') || flags & ~1u || reserved) {
		setup_fault("SetupUninstallOEMInf: %ls, flags %lx", name, flags);
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (setup_fails("SetupUninstallOEMInf", name))
		return refuse(ERROR_ACCESS_DENIED);
	if (!(flags & 1) && in_use(name))
		return refuse(ERROR_INF_IN_USE_BY_DEVICES);
	return SetupUninstallOEMInfW(name, flags, NULL);
}

/* ---- changes of state ---- */

static bool property_change(HDEVINFO set, SP_DEVINFO_DATA *element, SP_PROPCHANGE_PARAMS *change)
{
	change->ClassInstallHeader.cbSize = sizeof(SP_CLASSINSTALL_HEADER);
	return SetupDiGetClassInstallParamsW(set, element, &change->ClassInstallHeader, sizeof(*change), NULL) &&
	       change->ClassInstallHeader.InstallFunction == DIF_PROPERTYCHANGE;
}

BOOL WINAPI UwlabSetupDiChangeState(HDEVINFO set, SP_DEVINFO_DATA *element)
{
	SP_PROPCHANGE_PARAMS change;
	WCHAR id[SETUP_ID];

	if (!setup_id_of_element(set, element, id) || !property_change(set, element, &change))
		return refuse(ERROR_INVALID_PARAMETER);
	if (setup_fails("SetupDiChangeState", id))
		return refuse(ERROR_INSTALL_FAILURE);
	if (change.StateChange == DICS_PROPCHANGE || change.StateChange == DICS_START || change.StateChange == DICS_ENABLE)
		return setup_bus_restart(id) ? TRUE : refuse(ERROR_INSTALL_FAILURE);
	setup_fault("SetupDiChangeState: %lu would leave the device without a driver", change.StateChange);
	return refuse(ERROR_INVALID_PARAMETER);
}
