// SPDX-License-Identifier: GPL-2.0-only
/* What the stand-in DLLs have in common: reports of violations, settings, and the line to the broker. */
#include "lab.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 600
#define KEY "Software\\UwLab"

bool lab_setting(const char *name, char *value, uint32_t size)
{
	DWORD length = size;

	if (GetEnvironmentVariableA(name, value, size) && value[0])
		return true;
	return !RegGetValueA(HKEY_LOCAL_MACHINE, KEY, name, RRF_RT_REG_SZ, NULL, value, &length) && value[0];
}

uint32_t lab_number(const char *name, uint32_t otherwise)
{
	char value[32];

	return lab_setting(name, value, sizeof(value)) ? strtoul(value, NULL, 0) : otherwise;
}

/* Appended by one write, so that lines of several processes stay whole. */
static void append(const char *setting, const char *area, const char *format, va_list args)
{
	char path[LAB_PATH + 2] = "Z:", line[LINE];
	bool unix_path;
	DWORD written;
	HANDLE file;
	int length;

	length = snprintf(line, sizeof(line) - 1, "UWLAB: %s: ", area);
	length += vsnprintf(line + length, sizeof(line) - 1 - length, format, args);
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	if (!lab_setting(setting, path + 2, LAB_PATH))
		return;
	unix_path = path[2] == '/';
	file = CreateFileA(path + (unix_path ? 0 : 2), FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS, 0, NULL);
	if (file == INVALID_HANDLE_VALUE)
		return;
	WriteFile(file, line, length, &written, NULL);
	CloseHandle(file);
}

void lab_report(const char *area, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	append("UWLAB_REPORT", area, format, args);
	va_end(args);
	va_start(args, format);
	append("UWLAB_TRACE", area, format, args);
	va_end(args);
}

void lab_trace(const char *area, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	append("UWLAB_TRACE", area, format, args);
	va_end(args);
}

/* ---- the line ---- */

static bool receive_all(SOCKET s, char *to, int bytes)
{
	while (bytes) {
		int got = recv(s, to, bytes, 0);

		if (got <= 0)
			return false;
		to += got;
		bytes -= got;
	}
	return true;
}

static DWORD WINAPI reader(void *argument)
{
	struct lab_line *line = argument;
	struct lab_message m;

	while (receive_all(line->socket, (char *)&m, sizeof(m))) {
		m.text[LAB_TEXT - 1] = 0;
		line->received(line, &m);
	}
	line->received(line, NULL);
	return 0;
}

static SOCKET connect_to(uint32_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	WSADATA data;
	SOCKET s;
	BOOL yes = TRUE;

	if (!port || WSAStartup(MAKEWORD(2, 2), &data))
		return INVALID_SOCKET;
	to.sin_port = htons((uint16_t)port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
	if (s == INVALID_SOCKET)
		return s;
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof(yes));
	if (!connect(s, (struct sockaddr *)&to, sizeof(to)))
		return s;
	closesocket(s);
	return INVALID_SOCKET;
}

bool lab_line_open(struct lab_line *line, enum lab_role role, uint32_t vm)
{
	line->socket = connect_to(lab_number("UWLAB_BROKER", 0));
	if (line->socket == INVALID_SOCKET)
		return false;
	InitializeCriticalSection(&line->sending);
	lab_line_send(line, LAB_HELLO, vm, 1, role);
	line->thread = CreateThread(NULL, 0, reader, line, 0, &line->thread_id);
	SetThreadPriority(line->thread, THREAD_PRIORITY_TIME_CRITICAL);
	return true;
}

bool lab_line_send(struct lab_line *line, enum lab_type type, uint32_t vm, uint64_t a, uint64_t b)
{
	struct lab_message m = { .type = type, .vm = vm, .a = a, .b = b };
	bool sent;

	EnterCriticalSection(&line->sending);
	sent = send(line->socket, (const char *)&m, sizeof(m), 0) == sizeof(m);
	LeaveCriticalSection(&line->sending);
	return sent;
}

void lab_line_close(struct lab_line *line)
{
	if (line->socket == INVALID_SOCKET)
		return;
	shutdown(line->socket, SD_BOTH);
	if (GetCurrentThreadId() != line->thread_id)
		WaitForSingleObject(line->thread, INFINITE);
	CloseHandle(line->thread);
	closesocket(line->socket);
	line->socket = INVALID_SOCKET;
	DeleteCriticalSection(&line->sending);
}

/* ---- the kernel ---- */

static uint32_t kernel_port(void)
{
	FILE *file = fopen("C:\\windows\\uwlab.port", "r");
	unsigned int port = 0;

	if (file && fscanf(file, "%u", &port) != 1)
		port = 0;
	if (file)
		fclose(file);
	return port;
}

enum lab_answer lab_kernel(const char *verb, const WCHAR *id)
{
	SOCKET s = connect_to(kernel_port());
	char line[LINE], answer[LINE] = "";
	int length, got, size = 0;

	if (s == INVALID_SOCKET)
		return LAB_NO_KERNEL;
	length = snprintf(line, sizeof(line), "%s %ls\n", verb, id);
	if (send(s, line, length, 0) == length)
		while ((got = recv(s, answer + size, (int)sizeof(answer) - 1 - size, 0)) > 0)
			size += got;
	closesocket(s);
	answer[size] = 0;
	return !strncmp(answer, "ok", 2) ? LAB_DONE : LAB_REFUSED;
}

/* ---- GUIDs as text ---- */

/* With braces or without, in any case; nothing may follow. */
bool lab_guid_parse(const WCHAR *text, GUID *g)
{
	char plain[40];
	unsigned int v[11];
	int i, n = 0, end = 0;
	bool braces = text[0] == '{';

	for (i = 0; text[i] && i < 39; i++)
		plain[i] = text[i] < 128 ? (char)text[i] : '?';
	plain[i] = 0;
	if (i != (braces ? 38 : 36) || (braces && plain[37] != '}'))
		return false;
	n = sscanf(plain + braces, "%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
		   &v[6], &v[7], &v[8], &v[9], &v[10], &end);
	if (n != 11 || end != 36)
		return false;
	g->Data1 = v[0];
	g->Data2 = (uint16_t)v[1];
	g->Data3 = (uint16_t)v[2];
	for (i = 0; i < 8; i++)
		g->Data4[i] = (uint8_t)v[3 + i];
	return true;
}

void lab_guid_print(const GUID *g, char text[37])
{
	snprintf(text, 37, "%08lX-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", (unsigned long)g->Data1, g->Data2, g->Data3,
		 g->Data4[0], g->Data4[1], g->Data4[2], g->Data4[3], g->Data4[4], g->Data4[5], g->Data4[6], g->Data4[7]);
}
