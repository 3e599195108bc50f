/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Takes UsbWarpService.exe's place in a test of the installer: writes down each command it is given, with the number of our
 * files beside it at that moment, and fails when told to. As a service it starts and stops.
 */
#include <windows.h>

#include <stdio.h>
#include <string.h>

#define RECORD "C:\\record.txt"
#define FAIL "C:\\fail.txt"    /* has the command that is to fail */

static SERVICE_STATUS_HANDLE handle;

static void note(const char *word)
{
	WIN32_FIND_DATAA found;
	char pattern[MAX_PATH];
	FILE *out = fopen(RECORD, "a");
	HANDLE search;
	int files = 0;

	GetModuleFileNameA(NULL, pattern, MAX_PATH - 16);
	strcpy(strrchr(pattern, '\\') + 1, "UsbWarp*.*");
	search = FindFirstFileA(pattern, &found);
	if (search != INVALID_HANDLE_VALUE) {
		do
			files++;
		while (FindNextFileA(search, &found));
		FindClose(search);
	}
	if (out) {
		fprintf(out, "%s %d\n", word, files);
		fclose(out);
	}
}

static int told_to_fail(const char *word)
{
	char line[64] = "";
	FILE *in = fopen(FAIL, "r");

	if (!in)
		return 0;
	if (!fgets(line, sizeof(line), in))
		line[0] = 0;
	fclose(in);
	return !strcmp(line, word);
}

static DWORD WINAPI control(DWORD code, DWORD type, void *data, void *context)
{
	SERVICE_STATUS status = { .dwServiceType = SERVICE_WIN32_OWN_PROCESS, .dwCurrentState = SERVICE_STOPPED };

	(void)type;
	(void)data;
	(void)context;
	if (code == SERVICE_CONTROL_STOP) {
		note("stop");
		SetServiceStatus(handle, &status);
	}
	return NO_ERROR;
}

static void WINAPI service_main(DWORD argc, wchar_t **argv)
{
	SERVICE_STATUS status = {
		.dwServiceType = SERVICE_WIN32_OWN_PROCESS,
		.dwCurrentState = SERVICE_RUNNING,
		.dwControlsAccepted = SERVICE_ACCEPT_STOP,
	};

	(void)argc;
	handle = RegisterServiceCtrlHandlerExW(argv[0], control, NULL);
	note("start");
	SetServiceStatus(handle, &status);
}

int main(int argc, char **argv)
{
	SERVICE_TABLE_ENTRYW table[] = { { (wchar_t *)L"UsbWarpService", service_main }, { NULL, NULL } };

	if (argc < 2)
		return !StartServiceCtrlDispatcherW(table);
	note(argv[1]);
	return told_to_fail(argv[1]);
}
