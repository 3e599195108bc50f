// SPDX-License-Identifier: GPL-2.0-only
/* Asks UsbWarp.sys for what programs seldom do: more sessions than there may be, names below a device. */
#include "nt.h"

#define SESSIONS 64u   /* LINKS_MAX of UsbWarp.sys */

static const char usage[] =
	"usage: ntmore sessions     as many sessions as there may be, and one more\n"
	"       ntmore names        opens what cannot be opened\n";

static int failures;

static void expect(const char *what, unsigned long is, unsigned long wanted)
{
	if (is == wanted)
		return;
	failures++;
	printf("FAIL %s: %#lx instead of %#lx\n", what, is, wanted);
}

static int sessions(void)
{
	static struct vm vm[SESSIONS + 1];
	struct uw_nt_open o;
	unsigned int i;

	for (i = 0; i <= SESSIONS; i++) {
		nt_make(&vm[i], UW_REGION_MIN);
		o = nt_open_of(&vm[i], "one of many");
		expect("hello", (unsigned long)nt_hello(vm[i].device), 0);
		expect("open", (unsigned long)nt_start(&vm[i], &o), i < SESSIONS ? 0 : (unsigned long)STATUS_TOO_MANY_SESSIONS);
	}
	nt_unmake(&vm[0]);
	for (i = 0; i < 100 && nt_start(&vm[SESSIONS], &o); i++)
		Sleep(50);
	expect("open in the place of another", i == 100, 0);
	for (i = 1; i <= SESSIONS; i++)
		nt_unmake(&vm[i]);
	return failures;
}

static unsigned long open_error(const char *name)
{
	HANDLE h = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0,
			       NULL);
	unsigned long error = h == INVALID_HANDLE_VALUE ? GetLastError() : 0;

	if (!error)
		CloseHandle(h);
	return error;
}

static int names(void)
{
	expect("the device", open_error("\\\\.\\" UW_NT_DEVICE), 0);
	expect("a name below the device", open_error("\\\\.\\" UW_NT_DEVICE "\\below"), ERROR_FILE_NOT_FOUND);
	return failures;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "sessions"))
		return sessions();
	if (argc == 2 && !strcmp(argv[1], "names"))
		return names();
	fputs(usage, stderr);
	return 2;
}
