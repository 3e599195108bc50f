// SPDX-License-Identifier: GPL-2.0-only
/*
 * pipefuzz [CONNECTS]: what no honest client sends over the control pipe, and what each is answered. After each lie an
 * honest client must be served. In the end many connect at once, and many one after the other. Prints what was wrong; exit
 * code 0: nothing.
 */
#include <windows.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usbwarp/ctl.h"

#define PIPE L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\UsbWarp"
#define CROWD 80u              /* more than the service serves at once */
#define SERVED 64u

static unsigned int failures;

#define EXPECT(condition, ...) \
	do { \
		if (!(condition)) { \
			failures++; \
			printf("FAIL " __VA_ARGS__); \
			printf("\n"); \
		} \
	} while (0)

static HANDLE connect_pipe(void)
{
	HANDLE pipe;
	int i;

	for (i = 0; i < 100; i++) {
		pipe = CreateFileW(PIPE, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
				   SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
		if (pipe != INVALID_HANDLE_VALUE)
			return pipe;
		/* The next instance is made when the last was taken. */
		if (GetLastError() != ERROR_PIPE_BUSY && GetLastError() != ERROR_FILE_NOT_FOUND)
			break;
		Sleep(20);
	}
	return INVALID_HANDLE_VALUE;
}

static bool send_all(HANDLE pipe, const void *bytes, DWORD count)
{
	DWORD sent;

	return !count || (WriteFile(pipe, bytes, count, &sent, NULL) && sent == count);
}

static bool receive_all(HANDLE pipe, void *bytes, DWORD count)
{
	DWORD got;

	for (; count; bytes = (char *)bytes + got, count -= got)
		if (!ReadFile(pipe, bytes, count, &got, NULL) || !got)
			return false;
	return true;
}

/* Skips records; -1: the connection ended before an END, or what came is no message of id. */
static int receive_end(HANDLE pipe, uint32_t id)
{
	struct uw_ctl_header h;
	uint8_t body[UW_CTL_BODY_MAX];

	for (;;) {
		if (!receive_all(pipe, &h, sizeof(h)) || h.magic != UW_CTL_MAGIC || h.version != UW_CTL_VERSION || h.id != id ||
		    h.length > sizeof(body) || !receive_all(pipe, body, h.length))
			return -1;
		if (h.type == UW_CTL_END)
			return h.length == sizeof(struct uw_ctl_end) ? ((struct uw_ctl_end *)(void *)body)->status : -1;
	}
}

static bool is_closed(HANDLE pipe)
{
	char byte;
	DWORD got;

	return !ReadFile(pipe, &byte, 1, &got, NULL);
}

static struct uw_ctl_header header(uint16_t type, uint32_t id, uint32_t length)
{
	return (struct uw_ctl_header){ .magic = UW_CTL_MAGIC, .version = UW_CTL_VERSION, .type = type, .id = id, .length = length };
}

static bool served(void)
{
	struct uw_ctl_header h = header(UW_CTL_STATUS, 77, 0);
	HANDLE pipe = connect_pipe();
	bool good = pipe != INVALID_HANDLE_VALUE && send_all(pipe, &h, sizeof(h)) && receive_end(pipe, 77) == UW_CTL_OK;

	if (pipe != INVALID_HANDLE_VALUE)
		CloseHandle(pipe);
	return good;
}

/* ---- lies ---- */

struct lie {
	const char *what;
	struct uw_ctl_header h;
	uint32_t body;         /* bytes that are sent, all of them fill */
	uint8_t fill;
	int status;            /* that is answered */
	bool closes;
};

static const struct lie lies[] = {
	{ "another magic", { 0x12345678, 1, UW_CTL_LIST, 1, 0 }, 0, 0, UW_CTL_MALFORMED, true },
	{ "another version", { UW_CTL_MAGIC, 2, UW_CTL_LIST, 2, 0 }, 0, 0, UW_CTL_BAD_VERSION, true },
	{ "version 0", { UW_CTL_MAGIC, 0, UW_CTL_LIST, 3, 0 }, 0, 0, UW_CTL_BAD_VERSION, true },
	{ "a length of 2^32 - 1", { UW_CTL_MAGIC, 1, UW_CTL_LIST, 4, 0xffffffff }, 0, 0, UW_CTL_MALFORMED, true },
	{ "a length that wraps with the header", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 5, 0xfffffff0 }, 0, 0, UW_CTL_MALFORMED, true },
	{ "a length one too large", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 6, UW_CTL_BODY_MAX + 1 }, 0, 0, UW_CTL_MALFORMED, true },
	{ "an unknown command", { UW_CTL_MAGIC, 1, 99, 7, 8 }, 8, 0, UW_CTL_UNKNOWN, false },
	{ "command 0", { UW_CTL_MAGIC, 1, 0, 8, 0 }, 0, 0, UW_CTL_UNKNOWN, false },
	{ "a record as a command", { UW_CTL_MAGIC, 1, UW_CTL_END, 9, 0 }, 0, 0, UW_CTL_UNKNOWN, false },
	{ "command 65535 with the longest body", { UW_CTL_MAGIC, 1, 65535, 10, UW_CTL_BODY_MAX }, UW_CTL_BODY_MAX, 0xff,
	  UW_CTL_UNKNOWN, false },
	{ "a list with a body", { UW_CTL_MAGIC, 1, UW_CTL_LIST, 11, 4 }, 4, 0, UW_CTL_MALFORMED, false },
	{ "a bind without its body", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 12, 0 }, 0, 0, UW_CTL_MALFORMED, false },
	{ "a bind one byte short", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 13, 79 }, 79, 0, UW_CTL_MALFORMED, false },
	{ "a bind of nothing", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 14, 80 }, 80, 0, UW_CTL_MALFORMED, false },
	{ "names that do not end", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 15, 80 }, 80, 'a', UW_CTL_MALFORMED, false },
	{ "names of bytes that are no text", { UW_CTL_MAGIC, 1, UW_CTL_BIND, 16, 80 }, 80, 0xff, UW_CTL_MALFORMED, false },
	{ "an unbind that does not end", { UW_CTL_MAGIC, 1, UW_CTL_UNBIND, 17, 48 }, 48, '1', UW_CTL_MALFORMED, false },
	{ "statistics of what does not end", { UW_CTL_MAGIC, 1, UW_CTL_STATS, 18, 80 }, 80, 'x', UW_CTL_MALFORMED, false },
};

static void tell(const struct lie *lie)
{
	struct uw_ctl_header next = header(UW_CTL_STATUS, 1000, 0);
	uint8_t body[UW_CTL_BODY_MAX];
	HANDLE pipe = connect_pipe();
	int status;

	EXPECT(pipe != INVALID_HANDLE_VALUE, "%s: no connection", lie->what);
	memset(body, lie->fill, sizeof(body));
	send_all(pipe, &lie->h, sizeof(lie->h));
	send_all(pipe, body, lie->body);
	status = receive_end(pipe, lie->h.id);
	EXPECT(status == lie->status, "%s: answered %d, not %d", lie->what, status, lie->status);
	if (lie->closes)
		EXPECT(is_closed(pipe), "%s: the connection goes on", lie->what);
	else
		EXPECT(send_all(pipe, &next, sizeof(next)) && receive_end(pipe, 1000) == UW_CTL_OK, "%s: nothing works afterwards",
		       lie->what);
	CloseHandle(pipe);
	EXPECT(served(), "%s: an honest client is not served afterwards", lie->what);
}

static void tell_named(const char *what, const char *bus_id, const char *vm, uint8_t reserved, int wanted)
{
	struct {
		struct uw_ctl_header h;
		struct uw_ctl_bind bind;
	} m = { header(UW_CTL_BIND, 5, sizeof(m.bind)), { .reserved = { [14] = reserved } } };
	HANDLE pipe = connect_pipe();
	int status;

	memcpy(m.bind.bus_id, bus_id, strlen(bus_id));
	memcpy(m.bind.vm, vm, strlen(vm));
	status = send_all(pipe, &m, sizeof(m)) ? receive_end(pipe, 5) : -1;
	EXPECT(status == wanted, "%s: answered %d, not %d", what, status, wanted);
	CloseHandle(pipe);
}

/* Every prefix of a bind, then gone: the service forgets it. */
static void cut_short(void)
{
	uint8_t m[sizeof(struct uw_ctl_header) + sizeof(struct uw_ctl_bind)] = { 0 };
	struct uw_ctl_header h = header(UW_CTL_BIND, 1, sizeof(struct uw_ctl_bind));
	DWORD bytes;
	HANDLE pipe;

	memcpy(m, &h, sizeof(h));
	for (bytes = 0; bytes < sizeof(m); bytes++) {
		pipe = connect_pipe();
		EXPECT(send_all(pipe, m, bytes), "cut at %lu: not taken", bytes);
		CloseHandle(pipe);
	}
	EXPECT(served(), "no honest client is served after %u that went away", (unsigned int)sizeof(m));
}

/* One byte at a time, and two commands at once. */
static void slice(void)
{
	struct uw_ctl_header h[2] = { header(UW_CTL_STATUS, 1, 0), header(UW_CTL_LIST, 2, 0) };
	HANDLE pipe = connect_pipe();
	DWORD i;

	for (i = 0; i < sizeof(h[0]); i++)
		EXPECT(send_all(pipe, (char *)&h[0] + i, 1), "byte %lu is not taken", i);
	EXPECT(receive_end(pipe, 1) == UW_CTL_OK, "a command in single bytes is not understood");
	EXPECT(send_all(pipe, h, sizeof(h)) && receive_end(pipe, 1) == UW_CTL_OK && receive_end(pipe, 2) == UW_CTL_OK,
	       "two commands at once are not answered in order");
	CloseHandle(pipe);
}

/* One that asks and never reads must not keep others waiting; what he asked is ended by his going. */
static void never_read(void)
{
	struct uw_ctl_header h = header(UW_CTL_STATS, 3, sizeof(struct uw_ctl_stats));
	struct uw_ctl_stats stats = { 0 };
	HANDLE pipe = connect_pipe();
	int i;

	for (i = 0; i < 20; i++) /* less than the pipe's buffer, so that this side does not block */
		if (!send_all(pipe, &h, sizeof(h)) || !send_all(pipe, &stats, sizeof(stats)))
			break;
	for (i = 0; i < 10; i++)
		EXPECT(served(), "one who does not read keeps others waiting");
	CloseHandle(pipe);
	EXPECT(served(), "one who did not read leaves the service unable to serve");
}

static void crowd(void)
{
	HANDLE pipes[CROWD];
	unsigned int i, busy = 0;

	for (i = 0; i < CROWD; i++) {
		pipes[i] = connect_pipe();
		EXPECT(pipes[i] != INVALID_HANDLE_VALUE, "connection %u of many: error %lu", i, GetLastError());
	}
	for (i = SERVED; i < CROWD; i++)
		busy += receive_end(pipes[i], 0) == UW_CTL_BUSY && is_closed(pipes[i]);
	EXPECT(busy == CROWD - SERVED, "%u of %u too many were told so", busy, CROWD - SERVED);
	for (i = 0; i < CROWD; i++)
		CloseHandle(pipes[i]);
	EXPECT(served(), "nobody is served after a crowd");
}

int main(int count, char **arguments)
{
	unsigned int connects = count > 1 ? (unsigned int)strtoul(arguments[1], NULL, 10) : 1000, i, done = 0;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		tell(&lies[i]);
	tell_named("a device that is not there", "99-99", "", 0, UW_CTL_NO_DEVICE);
	tell_named("a VM that is not there", "99-99", "nobody", 0, UW_CTL_NO_VM);
	tell_named("a reserved byte", "99-99", "", 1, UW_CTL_MALFORMED);
	tell_named("a space in a name", "99 99", "", 0, UW_CTL_MALFORMED);
	cut_short();
	slice();
	never_read();
	crowd();
	for (i = 0; i < connects; i++)
		done += served();
	EXPECT(done == connects, "%u of %u clients were served", done, connects);
	printf("pipefuzz: %u lies, %u clients, %u failures\n", (unsigned int)(sizeof(lies) / sizeof(lies[0])) + 4, connects, failures);
	return failures != 0;
}
