// SPDX-License-Identifier: GPL-2.0-only
/*
 * uwlabadv.dll: advapi32 but for what a service does when it fails. Wine answers success and keeps nothing of it; Windows'
 * service control manager keeps it in the service's key, in the form that is written here.
 */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fault(...) lab_report("services", __VA_ARGS__)
#define NAME_UNITS 256

/* The structure's first members with 32-bit offsets in the place of pointers, then the actions. */
struct kept {
	DWORD reset, message, command, count, actions;
	SC_ACTION action[8];
};

/* Only the key's name is missing from a handle: the configuration tells the display name, which leads to it. */
static bool key_name(SC_HANDLE service, WCHAR name[NAME_UNITS])
{
	union {
		QUERY_SERVICE_CONFIGW config;
		BYTE room[8192];
	} *u = malloc(sizeof(*u));
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
	DWORD units = NAME_UNITS, needed;
	bool found = u && manager && QueryServiceConfigW(service, &u->config, sizeof(*u), &needed) &&
		     GetServiceKeyNameW(manager, u->config.lpDisplayName, name, &units);

	if (manager)
		CloseServiceHandle(manager);
	free(u);
	return found;
}

static bool keep(SC_HANDLE service, const WCHAR *value, DWORD type, const void *data, DWORD bytes)
{
	WCHAR path[NAME_UNITS + 64] = L"System\\CurrentControlSet\\Services\\";

	if (!key_name(service, path + wcslen(path))) {
		fault("ChangeServiceConfig2: the service has no key: error %lu", GetLastError());
		return false;
	}
	return !RegSetKeyValueW(HKEY_LOCAL_MACHINE, path, value, type, data, bytes);
}

static bool keep_actions(SC_HANDLE service, const SERVICE_FAILURE_ACTIONSW *given)
{
	struct kept k = { .reset = given->dwResetPeriod, .count = given->cActions, .actions = 20 };

	if (given->lpRebootMsg || given->lpCommand || !given->lpsaActions || given->cActions > 8) {
		fault("ChangeServiceConfig2: a message, a command, or no actions");
		return false;
	}
	memcpy(k.action, given->lpsaActions, given->cActions * sizeof(*k.action));
	return keep(service, L"FailureActions", REG_BINARY, &k, k.actions + k.count * sizeof(*k.action));
}

BOOL WINAPI UwlabChangeServiceConfig2W(SC_HANDLE service, DWORD level, void *info)
{
	DWORD flag;

	if (level == SERVICE_CONFIG_FAILURE_ACTIONS && info)
		return keep_actions(service, info);
	if (level == SERVICE_CONFIG_FAILURE_ACTIONS_FLAG && info) {
		flag = ((const SERVICE_FAILURE_ACTIONS_FLAG *)info)->fFailureActionsOnNonCrashFailures;
		return keep(service, L"FailureActionsOnNonCrashFailures", REG_DWORD, &flag, sizeof(flag));
	}
	return ChangeServiceConfig2W(service, level, info);
}
