// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands from outside, over loopback TCP: one line in, lines out, the last of them "ok" or "error ...". The port is
 * written to C:\windows\uwlab.port. README.md lists the commands.
 */
#include "pnp.h"
#include "power.h"
#include "etw.h"
#include "fault.h"
#include "object.h"

struct address {
	uint16_t family, port;
	uint8_t ip[4], zero[8];
};

static int (WINAPI *startup)(uint16_t, void *);
static uintptr_t (WINAPI *make)(int, int, int);
static int (WINAPI *do_bind)(uintptr_t, const struct address *, int);
static int (WINAPI *do_listen)(uintptr_t, int);
static uintptr_t (WINAPI *do_accept)(uintptr_t, struct address *, int *);
static int (WINAPI *name_of)(uintptr_t, struct address *, int *);
static int (WINAPI *receive)(uintptr_t, char *, int, int);
static int (WINAPI *transmit)(uintptr_t, const char *, int, int);
static int (WINAPI *do_close)(uintptr_t);

static void say(uintptr_t s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(uintptr_t s, const char *format, ...)
{
	char text[512];
	va_list args;
	int n;

	va_start(args, format);
	n = _vsnprintf(text, sizeof(text) - 2, format, args);
	va_end(args);
	if (n < 0)
		n = sizeof(text) - 2;
	text[n] = '\n';
	transmit(s, text, n + 1, 0);
}

static bool is(const char *a, const char *b)
{
	while (*a && (*a | 32) == (*b | 32))
		a++, b++;
	return !*a && !*b;
}

static uint32_t number(const char *text)
{
	uint32_t n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (uint32_t)(*text++ - '0');
	return n;
}

static bool same_instance(const WCHAR *a, const char *b)
{
	while (*a && *b && (*a == (WCHAR)*b || (*a | 32) == (WCHAR)(*b | 32)))
		a++, b++;
	return !*a && !*b;
}

static DEVICE_OBJECT *by_instance(const char *text)
{
	DEVICE_OBJECT *lowest;

	for (unsigned int n = 0; (lowest = lab_pnp_known(n)); n++)
		if (*text && same_instance(lab_pnp_instance(lowest), text))
			return lowest;
	return NULL;
}

static NTSTATUS list_stacks(uintptr_t s)
{
	DEVICE_OBJECT *lowest;

	for (unsigned int n = 0; (lowest = lab_pnp_stack(n)); n++) {
		char drivers[256] = "";
		int at = 0;

		for (DEVICE_OBJECT *d = lowest; d && at >= 0 && at < 200; d = d->AttachedDevice)
			at += _snprintf(drivers + at, sizeof(drivers) - 1 - (size_t)at, " %.30ls",
					d->DriverObject->DriverName.Buffer ? d->DriverObject->DriverName.Buffer : L"?");
		say(s, "%ls open=%u%s", lab_pnp_instance(lowest), lab_open_count(lowest), drivers);
	}
	return STATUS_SUCCESS;
}

static NTSTATUS set_fault(char *const *word, int words)
{
	struct lab_fault_plan plan = { 0 };

	plan.kinds = lab_fault_kind(word[1]);
	plan.nth = words > 2 ? number(word[2]) : 0;
	plan.every = words > 3 ? number(word[3]) : 0;
	for (size_t i = 0; words > 4 && word[4][i] && i < sizeof(plan.module) - 1; i++)
		plan.module[i] = word[4][i];
	if (!plan.kinds && !is(word[1], "off"))
		return STATUS_INVALID_PARAMETER;
	lab_fault_set(&plan);
	return STATUS_SUCCESS;
}

static NTSTATUS list_counts(uintptr_t s)
{
	uint32_t failed, seen = lab_fault_count(&failed), locked, mapped;

	lab_mdl_counts(&locked, &mapped);
	say(s, "failable=%u failed=%u locked=%u mapped=%u reports=%u", seen, failed, locked, mapped, lab_report_count());
	return STATUS_SUCCESS;
}

static NTSTATUS list_calls(uintptr_t s)
{
	for (unsigned int i = 0; i < lab_call_count; i++)
		if (lab_calls[i].count)
			say(s, "%s %u", lab_calls[i].name, lab_calls[i].count);
	return STATUS_SUCCESS;
}

static NTSTATUS trace(uintptr_t s, char *const *word, int words)
{
	uint32_t count;
	const char *name;

	if (words > 1 && is(word[1], "state"))
		lab_etw_state();
	else if (words > 1)
		lab_etw_listen((uint8_t)number(word[1]), words > 2 ? number(word[2]) : 0);
	for (unsigned int i = 0; (name = lab_etw_name(i, &count)); i++)
		say(s, "%s %u", name, count);
	return STATUS_SUCCESS;
}

/* A function without parameters that a loaded driver exports. */
static NTSTATUS call_export(const char *driver, const char *name)
{
	WCHAR file[64];
	void *module;
	void (*function)(void);
	size_t i;

	for (i = 0; driver[i] && i < 63; i++)
		file[i] = (WCHAR)driver[i];
	file[i] = 0;
	module = GetModuleHandleW(file);
	function = module ? GetProcAddress(module, name) : NULL;
	if (!function)
		return STATUS_NOT_FOUND;
	function();
	return STATUS_SUCCESS;
}

static NTSTATUS on_device(const char *verb, DEVICE_OBJECT *lowest)
{
	if (!lowest)
		return STATUS_NO_SUCH_DEVICE;
	if (is(verb, "query-remove"))
		return lab_query_remove(lowest);
	if (is(verb, "cancel-remove"))
		return lab_cancel_remove(lowest);
	if (is(verb, "remove"))
		return lab_remove(lowest);
	if (is(verb, "setup"))
		return lab_setup(lowest);
	if (is(verb, "query-stop"))
		return lab_stop(lowest, IRP_MN_QUERY_STOP_DEVICE);
	if (is(verb, "cancel-stop"))
		return lab_stop(lowest, IRP_MN_CANCEL_STOP_DEVICE);
	if (is(verb, "stop"))
		return lab_stop(lowest, IRP_MN_STOP_DEVICE);
	if (is(verb, "start"))
		return lab_stop(lowest, IRP_MN_START_DEVICE);
	return STATUS_NOT_IMPLEMENTED;
}

static NTSTATUS command(uintptr_t s, char *const *word, int words)
{
	char who[256] = "";
	NTSTATUS status;

	if (is(word[0], "stacks"))
		return list_stacks(s);
	if (is(word[0], "fault") && words > 1)
		return set_fault(word, words);
	if (is(word[0], "counts"))
		return list_counts(s);
	if (is(word[0], "calls"))
		return list_calls(s);
	if (is(word[0], "etw"))
		return trace(s, word, words);
	if (is(word[0], "call") && words > 2)
		return call_export(word[1], word[2]);
	if (is(word[0], "sleep")) {
		status = lab_power_sleep(who, sizeof(who) - 1);
		if (who[0])
			say(s, "refused by %s", who);
		return status;
	}
	if (is(word[0], "resume"))
		return lab_power_resume();
	return on_device(word[0], words > 1 ? by_instance(word[1]) : NULL);
}

static void serve(uintptr_t s)
{
	char line[512], *word[8];
	int size = 0, n, words = 0;
	NTSTATUS status;

	while (size < (int)sizeof(line) - 1 && (n = receive(s, line + size, (int)sizeof(line) - 1 - size, 0)) > 0) {
		size += n;
		if (line[size - 1] == '\n')
			break;
	}
	line[size] = 0;
	for (char *p = line; *p && words < 8;) {
		while (*p == ' ' || *p == '\n' || *p == '\r')
			*p++ = 0;
		if (*p)
			word[words++] = p;
		while (*p && *p != ' ' && *p != '\n' && *p != '\r')
			p++;
	}
	status = words ? command(s, word, words) : STATUS_INVALID_PARAMETER;
	if (NT_SUCCESS(status))
		say(s, "ok");
	else
		say(s, "error %#lx", status);
	do_close(s);
}

static void publish(uint16_t port)
{
	HANDLE file = CreateFileW(L"C:\\windows\\uwlab.port", 0x40000000, 3, NULL, 2, 0x80, NULL);
	char text[16];
	DWORD done;

	WriteFile(file, text, (DWORD)_snprintf(text, sizeof(text), "%u\n", port), &done, NULL);
	CloseHandle(file);
}

static bool load(void)
{
	void *dll = LoadLibraryW(L"ws2_32.dll");
	static const struct {
		const char *name;
		void *to;
	} all[] = { { "WSAStartup", &startup }, { "socket", &make }, { "bind", &do_bind }, { "listen", &do_listen },
		    { "accept", &do_accept }, { "getsockname", &name_of }, { "recv", &receive }, { "send", &transmit },
		    { "closesocket", &do_close } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!(*(void **)all[i].to = GetProcAddress(dll, all[i].name)))
			return false;
	return true;
}

static DWORD WINAPI listener(void *unused)
{
	struct address a = { .family = 2, .ip = { 127, 0, 0, 1 } };
	int size = sizeof(a);
	uint8_t data[512];
	uintptr_t s, peer;

	(void)unused;
	if (!load() || startup(0x202, data) || (s = make(2, 1, 6)) == ~(uintptr_t)0 || do_bind(s, &a, size) || do_listen(s, 8)) {
		lab_report("the control socket cannot be made");
		return 0;
	}
	name_of(s, &a, &size);
	publish((uint16_t)(a.port << 8 | a.port >> 8));
	while ((peer = do_accept(s, NULL, NULL)) != ~(uintptr_t)0)
		serve(peer);
	return 0;
}

void lab_control_init(void)
{
	CloseHandle(CreateThread(NULL, 0, listener, NULL, 0, NULL));
}
