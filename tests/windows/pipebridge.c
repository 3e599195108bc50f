/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pipebridge.exe PIPE PORT [service]: serves a named pipe and relays each client's bytes to a TCP port of this machine
 * and back, so that a server outside of Wine can answer. With a third word it is a service of the service manager.
 */
#include <winsock2.h>
#include <windows.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 4096

static const char *pipe_name;
static unsigned short port;

struct relay {
	HANDLE pipe;
	SOCKET socket;
};

/* One overlapped transfer on the pipe, waited for: reads and writes must not wait for each other. */
static DWORD transfer(HANDLE pipe, bool write, char *bytes, DWORD count)
{
	OVERLAPPED o = { .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL) };
	DWORD moved = 0;
	BOOL ok = write ? WriteFile(pipe, bytes, count, NULL, &o) : ReadFile(pipe, bytes, count, NULL, &o);

	if (!ok && GetLastError() != ERROR_IO_PENDING)
		moved = 0;
	else if (!GetOverlappedResult(pipe, &o, &moved, TRUE))
		moved = 0;
	CloseHandle(o.hEvent);
	return moved;
}

static DWORD WINAPI answers(void *context)
{
	struct relay *r = context;
	char bytes[CHUNK];
	int got;

	while ((got = recv(r->socket, bytes, sizeof(bytes), 0)) > 0)
		if (!transfer(r->pipe, true, bytes, (DWORD)got))
			break;
	/* What was written stays readable for the client when only the server's end is closed. */
	FlushFileBuffers(r->pipe);
	CloseHandle(r->pipe);
	return 0;
}

static DWORD WINAPI serve(void *context)
{
	struct relay *r = context;
	struct sockaddr_in to = { .sin_family = AF_INET };
	char bytes[CHUNK];
	HANDLE thread;
	DWORD got;

	to.sin_port = htons(port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r->socket = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(r->socket, (const void *)&to, sizeof(to))) {
		CloseHandle(r->pipe);
		return 1;
	}
	thread = CreateThread(NULL, 0, answers, r, 0, NULL);
	while ((got = transfer(r->pipe, false, bytes, sizeof(bytes))) > 0)
		if (send(r->socket, bytes, (int)got, 0) < 0)
			break;
	shutdown(r->socket, SD_SEND);
	WaitForSingleObject(thread, INFINITE);
	closesocket(r->socket);
	CloseHandle(thread);
	free(r);
	return 0;
}

static int listen_for_ever(void)
{
	OVERLAPPED o = { .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL) };
	struct relay *r;
	WSADATA data;
	DWORD unused;

	WSAStartup(MAKEWORD(2, 2), &data);
	for (bool said = false;; said = true) {
		r = calloc(1, sizeof(*r));
		r->pipe = CreateNamedPipeA(pipe_name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, PIPE_TYPE_BYTE,
					   PIPE_UNLIMITED_INSTANCES, CHUNK, CHUNK, 0, NULL);
		if (r->pipe == INVALID_HANDLE_VALUE) {
			fprintf(stderr, "CreateNamedPipe: %lu\n", GetLastError());
			return 1;
		}
		if (!said)
			puts("ready");
		fflush(stdout);
		ResetEvent(o.hEvent);
		if (!ConnectNamedPipe(r->pipe, &o) && GetLastError() == ERROR_IO_PENDING)
			GetOverlappedResult(r->pipe, &o, &unused, TRUE);
		CloseHandle(CreateThread(NULL, 0, serve, r, 0, NULL));
	}
}

static DWORD WINAPI control(DWORD code, DWORD type, void *data, void *context)
{
	(void)type;
	(void)data;
	(void)context;
	if (code == SERVICE_CONTROL_STOP)
		ExitProcess(0);
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
	SetServiceStatus(RegisterServiceCtrlHandlerExW(argv[0], control, NULL), &status);
	listen_for_ever();
}

int main(int argc, char **argv)
{
	SERVICE_TABLE_ENTRYW table[] = { { (wchar_t *)L"", service_main }, { NULL, NULL } };

	if (argc != 3 && argc != 4)
		return 2;
	pipe_name = argv[1];
	port = (unsigned short)atoi(argv[2]);
	if (argc == 4)
		return !StartServiceCtrlDispatcherW(table);
	return listen_for_ever();
}
