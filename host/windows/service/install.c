/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is written into a Windows when UsbWarp is installed: the service with its recovery, the event source,
 * UsbWarp.sys as a kernel service, UsbWarpFilter's package in the driver store. Nothing else, and all of it is taken out
 * again; every devnode that was given our driver, absent ones too, gets its former one first.
 */
#include "install.h"

#include <windows.h>

#include <newdev.h>
#include <setupapi.h>
#include <stdio.h>

#include "bind.h"
#include "journal.h"
#include "log.h"
#include "registry.h"
#include "text.h"

#define EVENT_KEY L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\UsbWarp"
#define STOP_PATIENCE 30000u   /* milliseconds */
#define OURS_MAX 256u

BOOL WINAPI DiUninstallDriverW(HWND parent, LPCWSTR inf, DWORD flags, PBOOL reboot);

static bool fail(const char *what, uint32_t error)
{
	uw_log(UW_LOG_ERROR, "%s: %s%s", what, uw_error_text(error),
	       error == ERROR_ACCESS_DENIED ? "; run this from an elevated prompt" : "");
	return false;
}

/* A file beside this program. */
static wchar_t *beside(wchar_t path[MAX_PATH], const wchar_t *name)
{
	wchar_t *slash;

	if (!GetModuleFileNameW(NULL, path, MAX_PATH - 40))
		*path = 0;
	slash = wcsrchr(path, L'\\');
	if (name)
		wcscpy(slash ? slash + 1 : path, name);
	return path;
}

/* ---- the event source ---- */

static bool add_event_source(void)
{
	DWORD types = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
	wchar_t path[MAX_PATH];
	HKEY key;
	LONG error = RegCreateKeyExW(HKEY_LOCAL_MACHINE, EVENT_KEY, 0, NULL, 0, KEY_WRITE, NULL, &key, NULL);

	if (error)
		return fail("the event source", (uint32_t)error);
	beside(path, NULL);
	error = RegSetValueExW(key, L"EventMessageFile", 0, REG_EXPAND_SZ, (const BYTE *)path,
			       (DWORD)((wcslen(path) + 1) * sizeof(*path)));
	if (!error)
		error = RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&types, sizeof(types));
	RegCloseKey(key);
	return !error || fail("the event source", (uint32_t)error);
}

/* ---- services ---- */

/* After a crash at once, then slower; a service that crashes all day is not restarted for ever. */
static bool set_recovery(SC_HANDLE service)
{
	SC_ACTION actions[] = { { SC_ACTION_RESTART, 1000 }, { SC_ACTION_RESTART, 5000 }, { SC_ACTION_RESTART, 60000 } };
	SERVICE_FAILURE_ACTIONSW failure = { .dwResetPeriod = 86400, .cActions = UW_COUNT_OF(actions), .lpsaActions = actions };
	SERVICE_FAILURE_ACTIONS_FLAG flag = { .fFailureActionsOnNonCrashFailures = TRUE };
	SERVICE_DESCRIPTIONW text = { (wchar_t *)(uintptr_t)L"Gives USB devices to WSL2 and virtual machines through shared memory." };

	ChangeServiceConfig2W(service, SERVICE_CONFIG_DESCRIPTION, &text);
	if (!ChangeServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS, &failure))
		return fail("the service's recovery", GetLastError());
	/* Not known to every system; then only crashes count as failures. */
	ChangeServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &flag);
	return true;
}

static SC_HANDLE open_manager(void)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE);

	if (!manager)
		fail("the service control manager", GetLastError());
	return manager;
}

/* Made, or changed to be so. */
static SC_HANDLE put_service(SC_HANDLE manager, const wchar_t *name, const wchar_t *display, DWORD type, DWORD start,
			     const wchar_t *path, const wchar_t *group)
{
	SC_HANDLE service = CreateServiceW(manager, name, display, SERVICE_ALL_ACCESS, type, start, SERVICE_ERROR_NORMAL, path, group,
					   NULL, NULL, NULL, NULL);

	if (service || GetLastError() != ERROR_SERVICE_EXISTS)
		return service;
	service = OpenServiceW(manager, name, SERVICE_ALL_ACCESS);
	if (service && !ChangeServiceConfigW(service, type, start, SERVICE_ERROR_NORMAL, path, group, NULL, NULL, NULL, NULL,
					     display)) {
		CloseServiceHandle(service);
		return NULL;
	}
	return service;
}

static void stop_and_wait(SC_HANDLE service)
{
	SERVICE_STATUS status;
	uint32_t waited;

	if (!ControlService(service, SERVICE_CONTROL_STOP, &status))
		return;
	for (waited = 0; waited < STOP_PATIENCE && QueryServiceStatus(service, &status); waited += 100) {
		if (status.dwCurrentState == SERVICE_STOPPED)
			break;
		Sleep(100);
	}
}

/* One that is not there counts as removed. A driver of devices is not stopped: it goes with its last device. */
static bool remove_service(SC_HANDLE manager, const wchar_t *name, bool stop)
{
	SC_HANDLE service = OpenServiceW(manager, name, SERVICE_STOP | SERVICE_QUERY_STATUS | DELETE);
	bool done;

	if (!service)
		return GetLastError() == ERROR_SERVICE_DOES_NOT_EXIST || fail("the service", GetLastError());
	if (stop)
		stop_and_wait(service);
	done = DeleteService(service) || GetLastError() == ERROR_SERVICE_MARKED_FOR_DELETE;
	if (!done)
		fail("the service cannot be deleted", GetLastError());
	CloseServiceHandle(service);
	return done;
}

int uw_install(void)
{
	wchar_t path[MAX_PATH], quoted[MAX_PATH + 2];
	SC_HANDLE manager = open_manager(), service;
	bool done = false;

	if (!manager)
		return 1;
	swprintf(quoted, UW_COUNT_OF(quoted), L"\"%ls\"", beside(path, NULL));
	service = put_service(manager, UW_SERVICE_NAME, L"UsbWarp", SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, quoted, NULL);
	if (service) {
		done = set_recovery(service) && add_event_source();
		CloseServiceHandle(service);
	} else {
		fail("the service cannot be made", GetLastError());
	}
	CloseServiceHandle(manager);
	return !done;
}

int uw_uninstall(void)
{
	SC_HANDLE manager = open_manager();
	bool done;

	if (!manager)
		return 1;
	done = remove_service(manager, UW_SERVICE_NAME, true);
	CloseServiceHandle(manager);
	RegDeleteKeyW(HKEY_LOCAL_MACHINE, EVENT_KEY);
	return !done;
}

/* ---- drivers ---- */

/* The package as the store calls it, oemN.inf, is how it is found again. */
static bool add_package(void)
{
	wchar_t inf[MAX_PATH], stored[MAX_PATH] = L"", *name = NULL;
	uint32_t error;

	if (!SetupCopyOEMInfW(beside(inf, L"UsbWarpFilter.inf"), NULL, SPOST_NONE, 0, stored, MAX_PATH, NULL, &name) &&
	    GetLastError() != ERROR_FILE_EXISTS)
		return fail("UsbWarpFilter.inf is not taken into the driver store; is it signed by somebody this Windows trusts?",
			    GetLastError());
	if (!name)
		name = wcsrchr(stored, L'\\') ? wcsrchr(stored, L'\\') + 1 : stored;
	error = uw_registry_put(L"Inf", name);
	return !error || fail("HKLM\\SOFTWARE\\UsbWarp", error);
}

static bool remove_package(void)
{
	wchar_t name[MAX_PATH], windows[MAX_PATH], path[2 * MAX_PATH];
	BOOL reboot = FALSE;
	HKEY key;

	uw_registry_get(L"Inf", name, MAX_PATH);
	if (!*name)
		return true;
	GetWindowsDirectoryW(windows, MAX_PATH);
	swprintf(path, UW_COUNT_OF(path), L"%ls\\INF\\%ls", windows, name);
	if (!DiUninstallDriverW(NULL, path, 0, &reboot) && !SetupUninstallOEMInfW(name, SUOI_FORCEDELETE, NULL) &&
	    GetLastError() != ERROR_FILE_NOT_FOUND)
		return fail("UsbWarpFilter's package stays in the driver store", GetLastError());
	if (!RegOpenKeyExW(HKEY_LOCAL_MACHINE, UW_KEY, 0, KEY_WRITE, &key)) {
		RegDeleteValueW(key, L"Inf");
		RegCloseKey(key);
	}
	return true;
}

static bool add_driver(SC_HANDLE manager)
{
	wchar_t file[MAX_PATH], path[MAX_PATH + 4];
	SC_HANDLE service;

	swprintf(path, UW_COUNT_OF(path), L"\\??\\%ls", beside(file, L"UsbWarp.sys"));
	service = put_service(manager, UW_DRIVER_NAME, L"UsbWarp session driver", SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, path,
			      L"UsbWarp");
	if (!service)
		return fail("UsbWarp.sys cannot be made a service", GetLastError());
	CloseServiceHandle(service);
	return true;
}

/* Windows Installer makes the service, but knows only half of its recovery. */
static void complete_service(SC_HANDLE manager)
{
	SC_HANDLE service = OpenServiceW(manager, UW_SERVICE_NAME, SERVICE_ALL_ACCESS);

	if (!service)
		return;
	set_recovery(service);
	CloseServiceHandle(service);
}

int uw_install_drivers(void)
{
	SC_HANDLE manager = open_manager();
	bool done;

	if (!manager)
		return 1;
	done = add_event_source() && add_package() && add_driver(manager);
	if (done)
		complete_service(manager);
	CloseServiceHandle(manager);
	if (!done)
		uw_remove_drivers();
	return !done;
}

static bool restore_record(struct uw_record *record)
{
	struct uw_outcome outcome;

	uw_restore(record, &outcome);
	uw_log(outcome.status ? UW_LOG_ERROR : UW_LOG_NOTICE, "%s", outcome.text);
	return !outcome.status;
}

/* Those of the journal, whose former driver is known; then all that have ours nevertheless. */
static bool unbind_all(void)
{
	static struct uw_record records[UW_RECORDS_MAX];
	static char instances[OURS_MAX][UW_INSTANCE];
	uint32_t count = uw_journal_load(records, UW_RECORDS_MAX), i;
	bool done = true;

	for (i = 0; i < count; i++)
		done &= restore_record(&records[i]);
	count = uw_usb_ours(instances, OURS_MAX);
	for (i = 0; i < count; i++) {
		struct uw_record record = { .step = UW_STEP_RESTORING };

		UW_TEXT_PUT(record.instance, instances[i]);
		UW_TEXT_PUT(record.bus_id, "device");
		done &= restore_record(&record);
	}
	return done;
}

/* A device that is in use keeps our driver: then the driver has to stay too, and the exit code says so. */
int uw_remove_drivers(void)
{
	SC_HANDLE manager = open_manager(), service;
	bool done;

	if (!manager)
		return 1;
	service = OpenServiceW(manager, UW_SERVICE_NAME, SERVICE_STOP | SERVICE_QUERY_STATUS);
	if (service) {
		stop_and_wait(service);
		CloseServiceHandle(service);
	}
	done = unbind_all();
	if (done)
		done = remove_package();
	/* The INF made the second one; not every Windows takes it away with the package. */
	if (done)
		done = remove_service(manager, UW_DRIVER_NAME, true) && remove_service(manager, UW_FILTER_NAME, false);
	CloseServiceHandle(manager);
	if (done) {
		RegDeleteKeyW(HKEY_LOCAL_MACHINE, EVENT_KEY);
		RegDeleteKeyW(HKEY_LOCAL_MACHINE, UW_KEY L"\\Bindings");
		RegDeleteKeyW(HKEY_LOCAL_MACHINE, UW_KEY); /* stays while Parameters are in it: those are the user's */
	}
	return !done;
}
