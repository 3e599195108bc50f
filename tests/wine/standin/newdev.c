// SPDX-License-Identifier: GPL-2.0-only
/* uwlnew.dll: newdev, with the installation of drivers on single devnodes that Wine lacks. */
#include "setup.h"

#include <newdev.h>
#include <string.h>

#define FLAGS_KNOWN 0xfu
#define INSTALL_NULL 4u

static BOOL refuse(DWORD error)
{
	SetLastError(error);
	return FALSE;
}

struct best {
	struct setup_driver driver;
	bool found;
};

static void take_best(const struct setup_driver *d, void *context)
{
	struct best *b = context;

	if (b->found && b->driver.rank <= d->rank)
		return;
	b->driver = *d;
	b->found = true;
}

/* Windows' own choice: of all INFs in the store the one that names the device's most specific id. */
static bool find_best(const WCHAR *id, struct best *best)
{
	static WCHAR hardware[4096], compatible[4096];
	WCHAR pattern[MAX_PATH], path[MAX_PATH];
	WIN32_FIND_DATAW file;
	HKEY key = setup_enum_key(id, KEY_READ);
	HANDLE find;
	UINT length = GetWindowsDirectoryW(pattern, MAX_PATH - 16);

	if (!key)
		return false;
	hardware[0] = compatible[0] = 0;
	setup_get(key, L"HardwareID", hardware, 4096);
	setup_get(key, L"CompatibleIDs", compatible, 4096);
	RegCloseKey(key);
	wcscpy(pattern + length, L"\\INF\\oem*.inf");
	find = FindFirstFileW(pattern, &file);
	if (find == INVALID_HANDLE_VALUE)
		return false;
	do {
		if (length + 6 + wcslen(file.cFileName) >= MAX_PATH)
			continue;
		wcscpy(path, pattern);
		wcscpy(path + length + 5, file.cFileName);
		setup_inf_drivers(path, hardware, compatible, take_best, best);
	} while (FindNextFileW(find, &file));
	FindClose(find);
	return best->found;
}

/* Writes what the devnode's driver is, then starts it anew where it is present. Each half may be planned to fail. */
static BOOL apply(const WCHAR *id, const struct setup_driver *d, BOOL *reboot)
{
	uint32_t port, state, enumerated;

	if (setup_fails("DiInstallDevice", id))
		return refuse(ERROR_INSTALL_FAILURE);
	if (!setup_write(id, d))
		return refuse(ERROR_SERVICE_DOES_NOT_EXIST);
	if (setup_fails("DiInstallDevice, written", id))
		return refuse(ERROR_INSTALL_FAILURE);
	if (reboot)
		*reboot = lab_number("UWLAB_REBOOT", 0) && d;
	if (setup_bus_find(id, &port, &state, &enumerated) && !(reboot && *reboot) && !setup_bus_restart(id))
		return refuse(ERROR_INSTALL_FAILURE);
	return TRUE;
}

BOOL WINAPI UwlabDiInstallDevice(HWND window, HDEVINFO set, SP_DEVINFO_DATA *element, SP_DRVINFO_DATA_W *info, DWORD flags,
				 BOOL *reboot)
{
	struct setup_driver *d = info ? (struct setup_driver *)info->Reserved : NULL;
	struct best best = { .found = false };
	WCHAR id[SETUP_ID];

	(void)window;
	if (!setup_id_of_element(set, element, id)) {
		setup_fault("DiInstallDevice: no device of that set");
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (flags & ~FLAGS_KNOWN || (flags & INSTALL_NULL && info)) {
		setup_fault("DiInstallDevice: flags %lx%s", flags, info ? " and a driver" : "");
		return refuse(ERROR_INVALID_FLAGS);
	}
	if (flags & INSTALL_NULL)
		return apply(id, NULL, reboot);
	if (!info) {
		if (!find_best(id, &best))
			return refuse(ERROR_NO_MORE_ITEMS);
		d = &best.driver;
	}
	if (info && (info->cbSize != sizeof(*info) || !d || d->magic != SETUP_DRIVER_MAGIC)) {
		setup_fault("DiInstallDevice: the driver is not of SetupDiEnumDriverInfo's");
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (!setup_in_store(d->inf)) {
		setup_fault("DiInstallDevice: %ls is not in the driver store", d->inf);
		return refuse(ERROR_NOT_FOUND);
	}
	return apply(id, d, reboot);
}

/* Not used by us on purpose: a roll-back does not survive the null driver. So a call is a fault. */
BOOL WINAPI UwlabDiRollbackDriver(HDEVINFO set, SP_DEVINFO_DATA *element, HWND window, DWORD flags, BOOL *reboot)
{
	(void)set;
	(void)element;
	(void)window;
	(void)flags;
	(void)reboot;
	setup_fault("DiRollbackDriver: there is nothing to roll back to after a null driver");
	return refuse(ERROR_NO_MORE_ITEMS);
}

/* The devnode goes, with its software key; on the bus it would be reported anew with the next enumeration. */
BOOL WINAPI UwlabDiUninstallDevice(HWND window, HDEVINFO set, SP_DEVINFO_DATA *element, DWORD flags, BOOL *reboot)
{
	WCHAR id[SETUP_ID];

	(void)window;
	if (flags || !setup_id_of_element(set, element, id)) {
		setup_fault("DiUninstallDevice: flags %lx, or no device of that set", flags);
		return refuse(ERROR_INVALID_PARAMETER);
	}
	if (setup_fails("DiUninstallDevice", id))
		return refuse(ERROR_ACCESS_DENIED);
	if (reboot)
		*reboot = FALSE;
	setup_write(id, NULL);
	return SetupDiRemoveDevice(set, element);
}

/* Into the store, as SetupCopyOEMInf; no present device has the id, so nothing is installed on any. */
BOOL WINAPI UwlabDiInstallDriverW(HWND window, const WCHAR *inf, DWORD flags, BOOL *reboot)
{
	(void)window;
	if (flags & ~7u || !inf) {
		setup_fault("DiInstallDriver: flags %lx", flags);
		return refuse(ERROR_INVALID_FLAGS);
	}
	if (setup_fails("DiInstallDriver", inf))
		return refuse(ERROR_INSTALL_FAILURE);
	if (reboot)
		*reboot = FALSE;
	return SetupCopyOEMInfW(inf, NULL, SPOST_PATH, 0, NULL, 0, NULL, NULL);
}

/* Wine remembers no original name: the copy with the same contents is the one that goes. */
static bool same_file(const WCHAR *a, const WCHAR *b)
{
	HANDLE x = CreateFileW(a, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
	HANDLE y = CreateFileW(b, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
	char p[4096], q[4096];
	DWORD m = 0, n = 0;
	bool same = x != INVALID_HANDLE_VALUE && y != INVALID_HANDLE_VALUE;

	do {
		same = same && ReadFile(x, p, sizeof(p), &m, NULL) && ReadFile(y, q, sizeof(q), &n, NULL) && m == n && !memcmp(p, q, m);
	} while (same && m);
	CloseHandle(x);
	CloseHandle(y);
	return same;
}

BOOL WINAPI DiUninstallDriverW(HWND window, const WCHAR *inf, DWORD flags, BOOL *reboot)
{
	WCHAR pattern[MAX_PATH], path[MAX_PATH];
	WIN32_FIND_DATAW file;
	HANDLE find;
	UINT length = GetWindowsDirectoryW(pattern, MAX_PATH - 16);
	bool found = false;

	(void)window;
	if (setup_fails("DiUninstallDriver", inf) || flags)
		return refuse(flags ? ERROR_INVALID_FLAGS : ERROR_ACCESS_DENIED);
	if (reboot)
		*reboot = FALSE;
	wcscpy(pattern + length, L"\\INF\\oem*.inf");
	find = FindFirstFileW(pattern, &file);
	if (find == INVALID_HANDLE_VALUE)
		return refuse(ERROR_FILE_NOT_FOUND);
	do {
		wcscpy(path, pattern);
		wcscpy(path + length + 5, file.cFileName);
		if (same_file(inf, path) || !_wcsicmp(inf, path))
			found = SetupUninstallOEMInfW(file.cFileName, 1, NULL) || found;
	} while (FindNextFileW(find, &file));
	FindClose(find);
	return found ? TRUE : refuse(ERROR_FILE_NOT_FOUND);
}
