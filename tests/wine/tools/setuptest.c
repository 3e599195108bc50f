// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes the driver of one devnode, as the service does, in the smallest program that can; and in ways that are wrong,
 * which the stand-ins have to report. Prints one line for each step.
 *
 *   setuptest bind ID INF | null ID | best ID | restore ID INF | remove ID | status ID | uninstall ID | drivers ID INF
 *   setuptest wrong ID INF MISTAKE
 */
#include <windows.h>

#include <cfgmgr32.h>
#include <newdev.h>
#include <setupapi.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ALLOW_EXCLUDED 0x00000800
#define INSTALL_NULL 4

/* Not in mingw's import library of newdev. */
typedef BOOL WINAPI install_fn(HWND, HDEVINFO, SP_DEVINFO_DATA *, SP_DRVINFO_DATA_W *, DWORD, BOOL *);
typedef BOOL WINAPI uninstall_fn(HWND, HDEVINFO, SP_DEVINFO_DATA *, DWORD, BOOL *);

static HDEVINFO set;
static SP_DEVINFO_DATA node = { .cbSize = sizeof(node) };
static install_fn *install;
static uninstall_fn *uninstall;

static int say(const char *step, bool done, DWORD error)
{
	if (done)
		printf("%s: done\n", step);
	else
		printf("%s: error %lu\n", step, error);
	return !done;
}

static int open_node(const WCHAR *id)
{
	HMODULE newdev = LoadLibraryA("uwlnew.dll");

	install = (install_fn *)(void *)GetProcAddress(newdev, "DiInstallDevice");
	uninstall = (uninstall_fn *)(void *)GetProcAddress(newdev, "DiUninstallDevice");
	set = SetupDiCreateDeviceInfoList(NULL, NULL);
	if (install && uninstall && SetupDiOpenDeviceInfoW(set, id, NULL, 0, &node))
		return 0;
	return say("open", false, GetLastError());
}

static int remove_tree(ULONG flags)
{
	PNP_VETO_TYPE type = PNP_VetoTypeUnknown;
	WCHAR name[200] = L"";
	CONFIGRET result = CM_Query_And_Remove_SubTreeW(node.DevInst, &type, name, 200, flags);

	if (result == CR_REMOVE_VETOED)
		printf("vetoed: %d %ls\n", type, name);
	return say("remove", result == CR_SUCCESS, result);
}

static int install_driver(SP_DRVINFO_DATA_W *driver, DWORD flags)
{
	BOOL reboot = FALSE, done = install(NULL, set, &node, driver, flags, &reboot);
	DWORD error = GetLastError();

	if (reboot)
		printf("reboot\n");
	return say(flags & INSTALL_NULL ? "null" : "install", done, error);
}

static int build_list(const WCHAR *inf, DWORD type, DWORD excluded)
{
	SP_DEVINSTALL_PARAMS_W params = { .cbSize = sizeof(params) };

	if (!SetupDiGetDeviceInstallParamsW(set, &node, &params))
		return say("parameters", false, GetLastError());
	params.Flags |= DI_ENUMSINGLEINF;
	params.FlagsEx |= excluded;
	wcscpy(params.DriverPath, inf);
	if (!SetupDiSetDeviceInstallParamsW(set, &node, &params))
		return say("parameters", false, GetLastError());
	return say("list", SetupDiBuildDriverInfoList(set, &node, type), GetLastError());
}

static int install_from(const WCHAR *inf, DWORD type)
{
	SP_DRVINFO_DATA_W driver = { .cbSize = sizeof(driver) };

	if (build_list(inf, type, ALLOW_EXCLUDED))
		return 1;
	if (!SetupDiEnumDriverInfoW(set, &node, type, 0, &driver))
		return say("driver", false, GetLastError());
	if (!SetupDiSetSelectedDriverW(set, &node, &driver))
		return say("select", false, GetLastError());
	return install_driver(&driver, 0);
}

static int set_up(ULONG flags)
{
	CONFIGRET result = CM_Setup_DevNode(node.DevInst, flags);

	return say("setup", result == CR_SUCCESS, result);
}

static int bind_node(const WCHAR *inf)
{
	return remove_tree(CM_REMOVE_NO_RESTART | CM_REMOVE_UI_NOT_OK) || install_driver(NULL, INSTALL_NULL) ||
	       install_from(inf, SPDIT_CLASSDRIVER) || set_up(CM_SETUP_DEVNODE_READY);
}

static int status(void)
{
	ULONG flags = 0, problem = 0;
	CONFIGRET result = CM_Get_DevNode_Status(&flags, &problem, node.DevInst, 0);

	printf("status %lx problem %lu\n", flags, problem);
	return say("status", result == CR_SUCCESS, result);
}

static int list_drivers(const WCHAR *inf)
{
	static const DWORD types[] = { SPDIT_CLASSDRIVER, SPDIT_COMPATDRIVER };
	SP_DRVINFO_DATA_W driver = { .cbSize = sizeof(driver) };
	int i, n, failed = 0;

	for (i = 0; i < 4; i++) {
		DWORD type = types[i & 1];

		failed |= build_list(inf, type, i & 2 ? ALLOW_EXCLUDED : 0);
		for (n = 0; SetupDiEnumDriverInfoW(set, &node, type, n, &driver); n++)
			printf("%s%s: %ls by %ls, %ls\n", i & 1 ? "compatible" : "class", i & 2 ? ", excluded too" : "",
			       driver.Description, driver.ProviderName, driver.MfgName);
		SetupDiDestroyDriverInfoList(set, &node, type);
	}
	return failed;
}

/* One mistake each; what the call answers is of no interest. */
static int wrong(const WCHAR *inf, const char *mistake)
{
	SP_DRVINFO_DATA_W driver = { .cbSize = sizeof(driver), .DriverType = SPDIT_CLASSDRIVER };
	SP_DEVINFO_DATA nothing = { .cbSize = sizeof(nothing) };
	BOOL reboot;

	if (!strcmp(mistake, "restart"))
		return remove_tree(CM_REMOVE_UI_NOT_OK), 0;
	if (!strcmp(mistake, "window"))
		return remove_tree(CM_REMOVE_NO_RESTART), 0;
	if (!strcmp(mistake, "both"))
		return install_driver(&driver, INSTALL_NULL), 0;
	if (!strcmp(mistake, "flags"))
		return install_driver(NULL, 0x10), 0;
	if (!strcmp(mistake, "foreign"))
		return install_driver(&driver, 0), 0;
	if (!strcmp(mistake, "unlisted"))
		return SetupDiSetSelectedDriverW(set, &node, &driver), 0;
	if (!strcmp(mistake, "nobody"))
		return install(NULL, set, &nothing, NULL, 0, &reboot), 0;
	if (!strcmp(mistake, "inf"))
		return build_list(L"C:\\nowhere.inf", SPDIT_CLASSDRIVER, 0), 0;
	if (!strcmp(mistake, "store"))
		return install_from(inf, SPDIT_CLASSDRIVER), 0;
	if (!strcmp(mistake, "setup"))
		return set_up(CM_SETUP_DEVNODE_CONFIG), 0;
	if (!strcmp(mistake, "disable"))
		return CM_Disable_DevNode(node.DevInst, 0), 0;
	return 2;
}

int wmain(int argc, WCHAR **argv)
{
	const WCHAR *what = argc > 2 ? argv[1] : L"", *inf = argc > 3 ? argv[3] : L"";
	char mistake[32] = "";
	BOOL reboot = FALSE;

	if (argc < 3 || open_node(argv[2]))
		return 2;
	if (argc > 4)
		snprintf(mistake, sizeof(mistake), "%ls", argv[4]);
	if (!wcscmp(what, L"bind"))
		return bind_node(inf);
	if (!wcscmp(what, L"null"))
		return install_driver(NULL, INSTALL_NULL);
	if (!wcscmp(what, L"best"))
		return install_driver(NULL, 0);
	if (!wcscmp(what, L"restore"))
		return install_from(inf, SPDIT_COMPATDRIVER);
	if (!wcscmp(what, L"remove"))
		return remove_tree(CM_REMOVE_NO_RESTART | CM_REMOVE_UI_NOT_OK);
	if (!wcscmp(what, L"status"))
		return status();
	if (!wcscmp(what, L"drivers"))
		return list_drivers(inf);
	if (!wcscmp(what, L"uninstall"))
		return say("uninstall", uninstall(NULL, set, &node, 0, &reboot), GetLastError());
	return !wcscmp(what, L"wrong") ? wrong(inf, mistake) : 2;
}
