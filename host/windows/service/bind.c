/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One devnode's driver, changed and changed back. What would be simpler reaches further: an update by hardware id takes
 * a second identical device along, a real id in the INF claims devices that are not there yet, and class filters are how
 * other programs made machines unbootable. So the INF's only id is one that no device has, and our driver is selected
 * for this instance alone:
 *
 *   journal "binding" -> device and what is below removed (a veto ends it here) -> no driver -> ours -> pause -> port
 *   cycled -> device set up -> journal "bound"
 *
 * Whatever fails, and a demand for a reboot, puts the former driver back at once: a device between two drivers is of use
 * to nobody.
 */
#include "bind.h"

#include <cfgmgr32.h>
#include <newdev.h>
#include <setupapi.h>
#include <stdarg.h>
#include <stdio.h>
#include <winioctl.h>

#include <usbioctl.h>

#include "journal.h"
#include "log.h"
#include "registry.h"
#include "text.h"
#include "wide.h"

#define SETTLE 100u            /* milliseconds: usbipd-win's; 20 are almost always enough */
#define AWAY 5000u             /* milliseconds that a device may take to come back from a cycle of its port */
#define REBOOT ERROR_SUCCESS_REBOOT_REQUIRED

/* A devnode in a set of its own. */
struct node {
	HDEVINFO set;
	SP_DEVINFO_DATA data;
};

void uw_say(struct uw_outcome *outcome, uint16_t status, const char *format, ...)
{
	va_list args;

	outcome->status = status;
	va_start(args, format);
	vsnprintf(outcome->text, sizeof(outcome->text), format, args);
	va_end(args);
}

/* ---- one devnode ---- */

static bool node_open(struct node *n, const char *instance)
{
	wchar_t id[UW_INSTANCE];

	n->set = SetupDiCreateDeviceInfoList(NULL, NULL);
	n->data.cbSize = sizeof(n->data);
	if (n->set == INVALID_HANDLE_VALUE)
		return false;
	if (SetupDiOpenDeviceInfoW(n->set, uw_widen(id, UW_COUNT_OF(id), instance), NULL, 0, &n->data))
		return true;
	SetupDiDestroyDeviceInfoList(n->set);
	return false;
}

static void node_close(struct node *n)
{
	SetupDiDestroyDeviceInfoList(n->set);
}

static bool node_present(const struct node *n)
{
	ULONG status, problem;

	return !CM_Get_DevNode_Status(&status, &problem, n->data.DevInst, 0);
}

static void get_text(HKEY key, const wchar_t *name, char *to, size_t size)
{
	wchar_t text[UW_FORMER] = L"";
	DWORD bytes = sizeof(text) - sizeof(*text), type;

	if (RegQueryValueExW(key, name, NULL, &type, (BYTE *)text, &bytes) || type != REG_SZ)
		*text = 0;
	uw_narrow(to, size, text);
}

static void get_property(struct node *n, DWORD which, char *to, size_t size)
{
	wchar_t text[UW_FORMER] = L"";

	if (!SetupDiGetDeviceRegistryPropertyW(n->set, &n->data, which, NULL, (BYTE *)text,
					       sizeof(text) - sizeof(*text), NULL))
		*text = 0;
	uw_narrow(to, size, text);
}

/* What it takes to select the same driver again: the driver key goes with the driver, so it is read before. */
static void remember_former(struct node *n, struct uw_former *f)
{
	HKEY key = SetupDiOpenDevRegKey(n->set, &n->data, DICS_FLAG_GLOBAL, 0, DIREG_DRV, KEY_READ);

	memset(f, 0, sizeof(*f));
	get_property(n, SPDRP_SERVICE, f->service, sizeof(f->service));
	get_property(n, SPDRP_CLASSGUID, f->class_guid, sizeof(f->class_guid));
	if (key == INVALID_HANDLE_VALUE)
		return;
	get_text(key, L"InfPath", f->inf, sizeof(f->inf));
	get_text(key, L"InfSection", f->section, sizeof(f->section));
	get_text(key, L"ProviderName", f->provider, sizeof(f->provider));
	get_text(key, L"DriverDesc", f->description, sizeof(f->description));
	get_text(key, L"DriverVersion", f->version, sizeof(f->version));
	RegCloseKey(key);
}

/* ---- steps; 0, or a system error ---- */

static uint32_t remove_subtree(struct node *n, struct uw_outcome *outcome)
{
	wchar_t name[UW_INSTANCE] = L"";
	char who[UW_INSTANCE];
	PNP_VETO_TYPE veto = PNP_VetoTypeUnknown;
	CONFIGRET result = CM_Query_And_Remove_SubTreeW(n->data.DevInst, &veto, name, UW_COUNT_OF(name),
							CM_REMOVE_NO_RESTART | CM_REMOVE_UI_NOT_OK);

	if (result == CR_SUCCESS)
		return 0;
	if (result == CR_REMOVE_VETOED)
		uw_say(outcome, UW_CTL_BUSY, "the device is in use by %s; close what uses it and try again",
		       *name ? uw_narrow(who, sizeof(who), name) : "a program that Windows does not name");
	else
		uw_say(outcome, UW_CTL_FAILED, "Windows does not let the device go (configuration manager error %lu); unplug it and try again",
		       result);
	return ERROR_BUSY;
}

static uint32_t last_error(BOOL done, BOOL reboot)
{
	if (!done)
		return GetLastError();
	return reboot ? REBOOT : 0;
}

static uint32_t install_none(struct node *n)
{
	BOOL reboot = FALSE;
	BOOL done = DiInstallDevice(NULL, n->set, &n->data, NULL, DIIDFLAG_INSTALLNULLDRIVER, &reboot);

	return last_error(done, reboot);
}

static uint32_t install_best(struct node *n)
{
	BOOL reboot = FALSE;
	BOOL done = DiInstallDevice(NULL, n->set, &n->data, NULL, 0, &reboot);

	return last_error(done, reboot);
}

/* The drivers of one INF of the store, of its class or of this device's ids, also those that are excluded elsewhere. */
static uint32_t build_list(struct node *n, const wchar_t *inf, DWORD type)
{
	SP_DEVINSTALL_PARAMS_W params = { .cbSize = sizeof(params) };

	SetupDiDestroyDriverInfoList(n->set, &n->data, type);
	if (!SetupDiGetDeviceInstallParamsW(n->set, &n->data, &params))
		return GetLastError();
	params.Flags |= DI_ENUMSINGLEINF;
	params.FlagsEx |= DI_FLAGSEX_ALLOWEXCLUDEDDRVS;
	wcsncpy(params.DriverPath, inf, UW_COUNT_OF(params.DriverPath) - 1);
	if (!SetupDiSetDeviceInstallParamsW(n->set, &n->data, &params) ||
	    !SetupDiBuildDriverInfoList(n->set, &n->data, type))
		return GetLastError();
	return 0;
}

/* NULL: the first of the list. Else description, provider and section must be the former driver's. */
static bool is_former(struct node *n, SP_DRVINFO_DATA_W *driver, const struct uw_former *f)
{
	union {
		SP_DRVINFO_DETAIL_DATA_W detail;
		uint8_t room[sizeof(SP_DRVINFO_DETAIL_DATA_W) + 4096];
	} u = { .detail.cbSize = sizeof(SP_DRVINFO_DETAIL_DATA_W) };
	char text[UW_FORMER];

	if (!f)
		return true;
	if (!uw_text_same(uw_narrow(text, sizeof(text), driver->Description), f->description) ||
	    (*f->provider && !uw_text_same(uw_narrow(text, sizeof(text), driver->ProviderName), f->provider)))
		return false;
	if (!SetupDiGetDriverInfoDetailW(n->set, &n->data, driver, &u.detail, sizeof(u), NULL) &&
	    GetLastError() != ERROR_INSUFFICIENT_BUFFER)
		return true; /* the INF and the description are right; it cannot be told better */
	/* The section as remembered may have got a suffix for the system, ".NTamd64". */
	return !*f->section || uw_text_begins(f->section, uw_narrow(text, sizeof(text), u.detail.SectionName));
}

static uint32_t install_from(struct node *n, const wchar_t *inf, DWORD type, const struct uw_former *f)
{
	SP_DRVINFO_DATA_W driver = { .cbSize = sizeof(driver) };
	uint32_t error = build_list(n, inf, type);
	BOOL reboot = FALSE, done;
	DWORD i = 0;

	if (error)
		return error;
	while (SetupDiEnumDriverInfoW(n->set, &n->data, type, i, &driver) && !is_former(n, &driver, f)) {
		i++;
		driver.cbSize = sizeof(driver);
	}
	if (!SetupDiEnumDriverInfoW(n->set, &n->data, type, i, &driver))
		return GetLastError();
	if (!SetupDiSetSelectedDriverW(n->set, &n->data, &driver))
		return GetLastError();
	done = DiInstallDevice(NULL, n->set, &n->data, &driver, 0, &reboot);
	return last_error(done, reboot);
}

static uint32_t store_path(const wchar_t *inf, wchar_t *path, size_t count)
{
	wchar_t windows[MAX_PATH];

	if (!*inf)
		return ERROR_FILE_NOT_FOUND;
	GetWindowsDirectoryW(windows, MAX_PATH);
	swprintf(path, count, L"%ls\\INF\\%ls", windows, inf);
	return 0;
}

static uint32_t install_ours(struct node *n)
{
	wchar_t inf[64], path[MAX_PATH];
	uint32_t error;

	uw_registry_get(L"Inf", inf, UW_COUNT_OF(inf));
	error = store_path(inf, path, UW_COUNT_OF(path));
	return error ? error : install_from(n, path, SPDIT_CLASSDRIVER, NULL);
}

/* The hub gives the device a new start, as if it had been plugged in; where it cannot, the set-up below does. */
static void cycle_port(const struct uw_record *record)
{
	USB_CYCLE_PORT_PARAMS cycle = { .ConnectionIndex = record->port };
	HANDLE hub = uw_usb_open_hub(record->hub);
	DWORD bytes;

	if (hub == INVALID_HANDLE_VALUE)
		return;
	if (!DeviceIoControl(hub, IOCTL_USB_HUB_CYCLE_PORT, &cycle, sizeof(cycle), &cycle, sizeof(cycle), &bytes, NULL))
		uw_log(UW_LOG_DEBUG, "%s: the hub does not cycle the port: %s", record->bus_id,
		       uw_error_text(GetLastError()));
	CloseHandle(hub);
}

/* The cycle goes on after the hub has answered: until the device is back it looks unplugged, and would be taken for it. */
static void restart(struct node *n, const struct uw_record *record)
{
	uint64_t end;

	Sleep(SETTLE);
	cycle_port(record);
	end = GetTickCount64() + AWAY;
	do
		Sleep(SETTLE);
	while (!node_present(n) && GetTickCount64() < end);
	CM_Setup_DevNode(n->data.DevInst, CM_SETUP_DEVNODE_READY);
}

/* ---- putting back ---- */

/*
 * Exactly the former driver: among those for the device's ids first, then among all of its INF, because somebody may
 * have chosen it by hand. Where it is no more, what Windows would choose; then none, which a user can repair.
 */
static uint32_t install_former(struct node *n, const struct uw_former *f)
{
	wchar_t inf[UW_FORMER], path[MAX_PATH];
	uint32_t error = ERROR_FILE_NOT_FOUND;

	if (*f->inf && !store_path(uw_widen(inf, UW_COUNT_OF(inf), f->inf), path, UW_COUNT_OF(path))) {
		error = install_from(n, path, SPDIT_COMPATDRIVER, f);
		if (error && error != REBOOT)
			error = install_from(n, path, SPDIT_CLASSDRIVER, f);
	}
	if (!error || error == REBOOT)
		return error;
	uw_log(UW_LOG_INFO, "the former driver (%s) is not to be had: %s; Windows chooses one", f->inf,
	       uw_error_text(error));
	error = install_best(n);
	return error && error != REBOOT ? install_none(n) : error;
}

/* A phantom that still names our driver would get it when it is plugged in again: it is made unknown instead. */
static uint32_t forget_phantom(struct node *n)
{
	BOOL reboot = FALSE;
	BOOL done = DiUninstallDevice(NULL, n->set, &n->data, 0, &reboot);

	return done ? 0 : GetLastError();
}

static uint32_t put_back(struct uw_record *record)
{
	struct node n;
	uint32_t error;
	bool present;

	if (!node_open(&n, record->instance))
		return 0; /* Windows knows no such device any more */
	present = node_present(&n);
	error = present ? install_former(&n, &record->former) : forget_phantom(&n);
	if (present)
		restart(&n, record);
	node_close(&n);
	return error == REBOOT ? 0 : error;
}

static uint32_t begin_restore(struct uw_record *record)
{
	record->step = UW_STEP_RESTORING;
	return uw_journal_put(record);
}

void uw_restore(struct uw_record *record, struct uw_outcome *outcome)
{
	struct node n;
	uint32_t error = begin_restore(record);

	if (error) {
		uw_say(outcome, UW_CTL_FAILED, "the journal cannot be written, so nothing was changed: %s", uw_error_text(error));
		return;
	}
	uw_say(outcome, UW_CTL_OK, "%s has its former driver again", record->bus_id);
	if (node_open(&n, record->instance)) {
		error = node_present(&n) ? remove_subtree(&n, outcome) : 0;
		node_close(&n);
	}
	if (error)
		return;
	error = put_back(record);
	if (error) {
		uw_say(outcome, UW_CTL_FAILED, "%s does not get its former driver back: %s; choose one in the Device Manager",
		       record->bus_id, uw_error_text(error));
		return;
	}
	uw_journal_remove(record);
}

/* ---- binding ---- */

static uint32_t begin_bind(struct node *n, struct uw_record *record)
{
	remember_former(n, &record->former);
	/* A device that is ours already keeps nothing of what it had before: Windows chooses, if it is ever unbound. */
	if (uw_text_same(record->former.service, UW_FILTER_SERVICE))
		memset(&record->former, 0, sizeof(record->former));
	record->step = UW_STEP_BINDING;
	return uw_journal_put(record);
}

static uint32_t replace(struct node *n, struct uw_record *record)
{
	uint32_t error = install_none(n);

	if (!error)
		error = install_ours(n);
	restart(n, record);
	return error;
}

static void roll_back(struct uw_record *record, uint32_t why, struct uw_outcome *outcome)
{
	char reason[320];
	uint32_t error = begin_restore(record);

	UW_TEXT_PUT(reason, why == REBOOT ? "Windows wants to be restarted first" : uw_error_text(why));
	if (!error)
		error = put_back(record);
	if (error) {
		uw_say(outcome, UW_CTL_FAILED, "%s got no driver of ours (%.160s), nor its former one back: %.160s", record->bus_id,
		       reason, uw_error_text(error));
		return;
	}
	uw_journal_remove(record);
	uw_say(outcome, UW_CTL_FAILED, "%s has its former driver again, because it did not get ours: %s%s", record->bus_id, reason,
	       why == ERROR_FILE_NOT_FOUND ? "; UsbWarpService --install-drivers installs it" : "");
}

void uw_bind(struct uw_record *record, struct uw_outcome *outcome)
{
	struct node n;
	uint32_t error;

	if (!node_open(&n, record->instance)) {
		uw_say(outcome, UW_CTL_NO_DEVICE, "%s is no longer there", record->bus_id);
		return;
	}
	error = begin_bind(&n, record);
	if (error) {
		uw_say(outcome, UW_CTL_FAILED, "the journal cannot be written, so nothing was changed: %s", uw_error_text(error));
		node_close(&n);
		return;
	}
	if (remove_subtree(&n, outcome)) {
		CM_Setup_DevNode(n.data.DevInst, CM_SETUP_DEVNODE_READY);
		uw_journal_remove(record);
		node_close(&n);
		return;
	}
	error = replace(&n, record);
	node_close(&n);
	if (!error) {
		record->step = UW_STEP_BOUND;
		error = uw_journal_put(record);
	}
	if (error)
		roll_back(record, error, outcome);
	else
		uw_say(outcome, UW_CTL_OK, "%s has the driver of UsbWarp", record->bus_id);
}
