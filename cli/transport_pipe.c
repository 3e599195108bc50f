/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The connection to the service on Windows: a named pipe in a namespace where only administrators can create one, and a
 * look at who serves it, so that nobody else can stand in for the service.
 */
#include "transport.h"

#include <windows.h>
#include <shellapi.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE L"UsbWarpService"
#define SYSTEM_PIPE L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\UsbWarp"
#define BUSY_PATIENCE 5000u    /* milliseconds for an instance of the pipe to be free */
#define PATH_MAX_WIDE 300

const char uw_transport_peer[] = "UsbWarpService";

static HANDLE connection = INVALID_HANDLE_VALUE;
static HANDLE done;            /* of the one transfer that is under way */
static UINT former_page;

/* ---- the console ---- */

static void restore_page(void)
{
	SetConsoleOutputCP(former_page);
}

/* Escape sequences are for consoles alone; where they are refused, text without them still comes out. */
static void set_console(void)
{
	HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
	DWORD mode;

	former_page = GetConsoleOutputCP();
	if (former_page && SetConsoleOutputCP(CP_UTF8))
		atexit(restore_page);
	if (GetConsoleMode(out, &mode))
		SetConsoleMode(out, mode | ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
	/* The same bytes as on other systems; consoles understand a bare line feed. */
	_setmode(_fileno(stdout), _O_BINARY);
	_setmode(_fileno(stderr), _O_BINARY);
}

static char *to_utf8(const wchar_t *wide)
{
	int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
	char *text = bytes > 0 ? malloc((size_t)bytes) : NULL;

	if (!text)
		abort();
	WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL);
	return text;
}

void uw_transport_begin(int *argc, char ***argv)
{
	int count, i;
	wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
	char **words = calloc((size_t)(wide ? count : 0) + 1, sizeof(*words));

	set_console();
	if (!wide || !words)
		return;
	for (i = 0; i < count; i++)
		words[i] = to_utf8(wide[i]);
	LocalFree(wide);
	*argc = count;
	*argv = words;
}

/* ---- opening ---- */

/* "NAME" is short for "\\.\pipe\NAME". False: no pipe has such a name. */
static bool pipe_path(const char *where, wchar_t *path)
{
	static const wchar_t prefix[] = L"\\\\.\\pipe\\";
	wchar_t given[PATH_MAX_WIDE];
	size_t begin = wcslen(prefix);

	if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, where, -1, given, PATH_MAX_WIDE))
		return false;
	if (!_wcsnicmp(given, prefix, begin))
		memmove(given, given + begin, (wcslen(given + begin) + 1) * sizeof(*given));
	else if (wcschr(given, L'/') || !wcsncmp(given, L"\\\\", 2))
		return false;
	if (!*given || wcslen(given) + begin >= PATH_MAX_WIDE)
		return false;
	wcscpy(path, prefix);
	wcscat(path, given);
	return true;
}

/* The server may learn who we are, and nothing more: it cannot act as this user. */
static DWORD try_connect(const wchar_t *path)
{
	ULONGLONG end = GetTickCount64() + BUSY_PATIENCE;
	DWORD error;

	do {
		connection = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
					 FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
		if (connection != INVALID_HANDLE_VALUE)
			return 0;
		error = GetLastError();
	} while (error == ERROR_PIPE_BUSY && GetTickCount64() < end && WaitNamedPipeW(path, BUSY_PATIENCE));
	return error;
}

/* 0: the service is not installed, or does not run. */
static DWORD service_process(void)
{
	SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
	SC_HANDLE service = manager ? OpenServiceW(manager, SERVICE, SERVICE_QUERY_STATUS) : NULL;
	SERVICE_STATUS_PROCESS status = { 0 };
	DWORD size;

	if (service && !QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof(status), &size))
		status.dwProcessId = 0;
	if (service)
		CloseServiceHandle(service);
	if (manager)
		CloseServiceHandle(manager);
	return status.dwProcessId;
}

static bool served_by_service(char *why)
{
	DWORD expected = service_process();
	ULONG server = 0;

	if (GetNamedPipeServerProcessId(connection, &server) && server && server == expected)
		return true;
	snprintf(why, UW_TRANSPORT_WHY,
		 "process %lu serves the pipe of UsbWarpService, which is process %lu; nothing was sent. For a service in a "
		 "console, name its pipe with --socket", server, expected);
	return false;
}

static void explain(const char *path, DWORD error, char *why)
{
	switch (error) {
	case ERROR_FILE_NOT_FOUND:
		snprintf(why, UW_TRANSPORT_WHY,
			 "UsbWarpService does not run (nobody listens at %.200s); start it from an elevated prompt with "
			 "sc start UsbWarpService, or give --socket", path);
		break;
	case ERROR_ACCESS_DENIED:
		snprintf(why, UW_TRANSPORT_WHY,
			 "%.200s: access denied; list, status and stats are for users who are logged on here, bind and unbind "
			 "need an elevated prompt (Run as administrator)", path);
		break;
	case ERROR_PIPE_BUSY:
	case ERROR_SEM_TIMEOUT:
		snprintf(why, UW_TRANSPORT_WHY, "UsbWarpService has too many clients; try again");
		break;
	default:
		snprintf(why, UW_TRANSPORT_WHY, "%.200s: Windows error %lu; net helpmsg %lu explains it", path, error, error);
	}
}

bool uw_transport_open(const char *where, char *why)
{
	const wchar_t *variable = where ? NULL : _wgetenv(L"USBWARP_SOCKET");
	const char *given = where ? where : variable ? to_utf8(variable) : NULL;
	wchar_t path[PATH_MAX_WIDE] = SYSTEM_PIPE;
	bool named = given && *given;
	DWORD error;
	char *shown;

	if (named && !pipe_path(given, path)) {
		snprintf(why, UW_TRANSPORT_WHY, "%.200s: this is no name of a pipe; give NAME or \\\\.\\pipe\\NAME", given);
		return false;
	}
	error = try_connect(path);
	if (!error && !done)
		done = CreateEventW(NULL, TRUE, FALSE, NULL);
	if (!error && !done)
		error = GetLastError();
	if (error) {
		shown = to_utf8(path);
		explain(shown, error, why);
		free(shown);
	}
	if (!error && (named || served_by_service(why)))
		return true;
	if (connection != INVALID_HANDLE_VALUE)
		CloseHandle(connection);
	connection = INVALID_HANDLE_VALUE;
	return false;
}

/* ---- talking ---- */

/* Waits for a transfer that was begun, or takes it back; bytes moved, and the error in *error. */
static DWORD finish(OVERLAPPED *o, BOOL begun, DWORD patience, DWORD *error)
{
	DWORD moved = 0;

	*error = begun ? 0 : GetLastError();
	if (*error && *error != ERROR_IO_PENDING)
		return 0;
	if (*error && WaitForSingleObject(done, patience) != WAIT_OBJECT_0)
		CancelIoEx(connection, o);
	*error = GetOverlappedResult(connection, o, &moved, TRUE) ? 0 : GetLastError();
	return moved;
}

/* A service that refuses at once may have closed already: what it said is read all the same. */
bool uw_transport_send(const void *bytes, uint32_t count)
{
	const char *at = bytes;
	OVERLAPPED o;
	DWORD sent, error;

	while (count) {
		memset(&o, 0, sizeof(o));
		o.hEvent = done;
		sent = finish(&o, WriteFile(connection, at, count, NULL, &o), INFINITE, &error);
		if (error)
			return error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA || error == ERROR_PIPE_NOT_CONNECTED;
		at += sent;
		count -= sent;
	}
	return true;
}

bool uw_transport_receive(void *bytes, uint32_t count, uint32_t patience)
{
	char *at = bytes;
	OVERLAPPED o;
	DWORD got, error;

	while (count) {
		memset(&o, 0, sizeof(o));
		o.hEvent = done;
		got = finish(&o, ReadFile(connection, at, count, NULL, &o), patience, &error);
		/* ERROR_MORE_DATA: the server writes whole messages, and this one is longer than what we asked for. */
		if (error && error != ERROR_MORE_DATA)
			return false;
		at += got;
		count -= got;
	}
	return true;
}

int uw_transport_some(void *bytes, uint32_t count, uint32_t patience)
{
	OVERLAPPED o = { .hEvent = done };
	DWORD error, got = finish(&o, ReadFile(connection, bytes, count, NULL, &o), patience, &error);

	return got ? (int)got : error && error != ERROR_OPERATION_ABORTED ? -1 : 0;
}

void uw_transport_pause(uint32_t milliseconds)
{
	Sleep(milliseconds);
}

uint64_t uw_transport_clock(void)
{
	LARGE_INTEGER now, frequency;

	QueryPerformanceCounter(&now);
	QueryPerformanceFrequency(&frequency);
	return (uint64_t)(now.QuadPart / frequency.QuadPart) * 1000000000 +
	       (uint64_t)(now.QuadPart % frequency.QuadPart) * 1000000000 / (uint64_t)frequency.QuadPart;
}

/* The system counts in 100 ns, since 1601. */
uint64_t uw_transport_time(void)
{
	FILETIME now;

	GetSystemTimeAsFileTime(&now);
	return ((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) * 100 - 11644473600000000000ull;
}

/* ---- interruptions, files ---- */

static volatile LONG interrupted;

/* On a thread of its own. When the console closes, the process has a few seconds; Windows ends it when this returns. */
static BOOL WINAPI on_control(DWORD event)
{
	InterlockedExchange(&interrupted, 1);
	if (event == CTRL_CLOSE_EVENT)
		Sleep(INFINITE);
	return TRUE;
}

void uw_transport_catch(void)
{
	SetConsoleCtrlHandler(on_control, TRUE);
}

bool uw_transport_interrupted(void)
{
	return InterlockedExchange(&interrupted, 0);
}

FILE *uw_transport_create(const char *path)
{
	wchar_t wide[PATH_MAX_WIDE];

	if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_MAX_WIDE))
		return _wfopen(wide, L"wb");
	errno = EINVAL;
	return NULL;
}

bool uw_transport_is_terminal(void)
{
	return _isatty(_fileno(stdout));
}

/* The next write fails soon enough. */
bool uw_transport_unread(void)
{
	return false;
}
