/* SPDX-License-Identifier: GPL-2.0-only */
/* Controls the virtual USB bus: installs it, plugs devices in and out, and makes them misbehave. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "uwbus.h"

#define ENUM "SYSTEM\\CurrentControlSet\\Enum\\"
#define CLASSES "SYSTEM\\CurrentControlSet\\Control\\Class\\"
#define USB_DEVICE "{88BAE032-5A81-49F0-BC3D-A4FF138216D6}" /* the class USBDevice */
#define USB "{36FC9E60-C465-11CF-8056-444553540000}"        /* the class USB: hubs and controllers */
#define BUS "ROOT\\UWBUS\\0000"
#define REENUMERATE_ROOT 128 /* a service control of Wine's own */
#define PATIENCE 10000 /* milliseconds */

static const char usage[] =
	"usage: busctl install SYS | remove-bus\n"
	"       busctl plug MODEL[:KEY=VALUE,...] [PORT]       and wait until it is enumerated\n"
	"       busctl replug PORT MODEL[:KEY=VALUE,...]       away, and this one at the same port\n"
	"       busctl unplug | remove | cycle PORT            by surprise | when its drivers agree | away and back\n"
	"       busctl list\n"
	"       busctl mode inline | dpc | delay MS\n"
	"       busctl slow N                                  the clock goes N times slower; while nothing is plugged in\n"
	"       busctl ignore-cancel PORT MS | fail PORT N STATUS | nak PORT 0|1|2 | full PORT 0|1\n"
	"       busctl offer STREAMS CHAINS\n"
	"       busctl bind-service ID SERVICE                 SERVICE drives the device with that instance id from now on\n"
	"       busctl unbind-service ID\n"
	"       busctl wait PORT absent|plugged|started\n"
	"       busctl selftest\n"
	"A PORT of 0 means all. Keys: speed=full|high|super, paced, babble, pattern=0..2, streams=N, autoresume=MS,\n"
	"serial=TEXT, noserial, file=PATH, size=BYTES, block=BYTES, readonly\n";

static void die(const char *what, DWORD error)
{
	fprintf(stderr, "busctl: %s: error %lu\n", what, error);
	exit(1);
}

static void check(const char *what, LSTATUS error)
{
	if (error)
		die(what, (DWORD)error);
}

static void wrong_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

/* ---- the bus ---- */

static HANDLE open_bus(void)
{
	HANDLE bus = CreateFileA("\\\\.\\UwBus", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
				 OPEN_EXISTING, 0, NULL);

	if (bus == INVALID_HANDLE_VALUE)
		die("\\\\.\\UwBus", GetLastError());
	return bus;
}

static void ask(const char *what, DWORD code, void *in, DWORD in_bytes, void *out, DWORD out_bytes)
{
	HANDLE bus = open_bus();
	DWORD got;

	if (!DeviceIoControl(bus, code, in, in_bytes, out, out_bytes, &got, NULL))
		die(what, GetLastError());
	CloseHandle(bus);
}

static struct uwb_list get_list(void)
{
	struct uwb_list list;

	ask("list", UWB_LIST, NULL, 0, &list, sizeof(list));
	return list;
}

static uint32_t number(const char *text)
{
	char *end;
	uint32_t value = (uint32_t)strtoul(text, &end, 0);

	if (!*text || *end)
		wrong_usage();
	return value;
}

static struct uwb_entry entry_of(uint32_t port)
{
	struct uwb_list list = get_list();
	struct uwb_entry none = { .port = port, .state = UWB_ABSENT };
	uint32_t i;

	for (i = 0; i < list.count; i++)
		if (list.entry[i].port == port)
			return list.entry[i];
	return none;
}

/* ---- options of a model ---- */

static void set_speed(struct uwb_plug *plug, const char *value)
{
	static const char *const names[] = { "", "", "full", "high", "super" };
	uint32_t i;

	for (i = 2; i < 5; i++)
		if (!strcmp(names[i], value))
			plug->speed = i;
	if (!plug->speed)
		wrong_usage();
}

/* Both sorts of paths become the kernel's: Z:\... and, by way of Wine's drive Z:, those of the host. */
static void set_file(struct uwb_plug *plug, const char *value)
{
	char *p;

	snprintf(plug->file, sizeof(plug->file), "\\??\\%s%s", *value == '/' ? "Z:" : "", value);
	for (p = plug->file; *p; p++)
		if (*p == '/')
			*p = '\\';
}

static bool set_flag(struct uwb_plug *plug, const char *key)
{
	static const struct {
		const char *key;
		uint32_t flag;
	} flags[] = { { "paced", UWB_PACED }, { "babble", UWB_BABBLE }, { "readonly", UWB_READ_ONLY },
		      { "noserial", UWB_NO_SERIAL } };
	uint32_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(flags[i].key, key)) {
			plug->flags |= flags[i].flag;
			return true;
		}
	return false;
}

static void set_key(struct uwb_plug *plug, char *key)
{
	char *value = strchr(key, '=');

	if (!value) {
		if (!set_flag(plug, key))
			wrong_usage();
		return;
	}
	*value++ = 0;
	if (!strcmp(key, "speed"))
		set_speed(plug, value);
	else if (!strcmp(key, "file"))
		set_file(plug, value);
	else if (!strcmp(key, "serial"))
		snprintf(plug->serial, sizeof(plug->serial), "%s", value);
	else if (!strcmp(key, "size"))
		plug->size = strtoull(value, NULL, 0);
	else if (!strcmp(key, "block"))
		plug->block = number(value);
	else if (!strcmp(key, "pattern"))
		plug->pattern = number(value);
	else if (!strcmp(key, "streams"))
		plug->streams = number(value);
	else if (!strcmp(key, "autoresume"))
		plug->autoresume = number(value);
	else
		wrong_usage();
}

static struct uwb_plug parse(char *text, uint32_t port)
{
	struct uwb_plug plug = { .port = port };
	char *keys = strchr(text, ':'), *key;

	if (keys)
		*keys++ = 0;
	snprintf(plug.model, sizeof(plug.model), "%s", text);
	for (key = keys ? strtok(keys, ",") : NULL; key; key = strtok(NULL, ","))
		set_key(&plug, key);
	return plug;
}

/* ---- devnodes ---- */

static HKEY key_of(const char *before, const char *name, bool create)
{
	char path[512];
	HKEY key;

	snprintf(path, sizeof(path), "%s%s", before, name);
	if (create)
		check(path, RegCreateKeyExA(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_ALL_ACCESS, NULL, &key, NULL));
	else if (RegOpenKeyExA(HKEY_LOCAL_MACHINE, path, 0, KEY_ALL_ACCESS, &key))
		return NULL;
	return key;
}

static void put(HKEY key, const char *name, const char *text)
{
	check(name, RegSetValueExA(key, name, 0, REG_SZ, (const BYTE *)text, (DWORD)strlen(text) + 1));
}

/* The devnode's driver key: its InfPath says to Wine that a driver has been chosen. */
static void put_driver(HKEY node, const char *class)
{
	char path[128], name[80];
	HKEY key;
	int i;

	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "%s\\%04d", class, i);
		key = key_of(CLASSES, name, false);
		if (!key)
			break;
		RegCloseKey(key);
	}
	key = key_of(CLASSES, name, true);
	put(key, "InfPath", "uwbus.inf");
	RegCloseKey(key);
	snprintf(path, sizeof(path), "%s", name);
	put(node, "Driver", path);
}

static bool has_value(HKEY key, const char *name) { return !RegQueryValueExA(key, name, NULL, NULL, NULL, NULL); }

static uint32_t port_of(const char *id)
{
	struct uwb_list list = get_list();
	uint32_t i;

	for (i = 0; i < list.count; i++)
		if (!_stricmp(list.entry[i].id, id))
			return list.entry[i].port;
	return 0;
}

/* ---- waiting ---- */

static bool reached(const struct uwb_entry *e, const char *state)
{
	if (!strcmp(state, "absent"))
		return e->state == UWB_ABSENT;
	if (!strcmp(state, "started"))
		return e->state == UWB_STARTED;
	if (strcmp(state, "plugged"))
		wrong_usage();
	return e->state == UWB_PLUGGED || e->state == UWB_STARTED;
}

static int await(uint32_t port, const char *state)
{
	uint32_t waited;

	for (waited = 0; waited < PATIENCE; waited += 10) {
		struct uwb_entry e = entry_of(port);

		if (reached(&e, state))
			return 0;
		Sleep(10);
	}
	fprintf(stderr, "busctl: port %u is not %s after %u ms\n", port, state, PATIENCE);
	return 1;
}

/* PnP enumerates in a thread of its own: the devnode is complete when its hardware ids are in the registry. */
static int await_node(const char *id)
{
	uint32_t waited;
	HKEY key;

	for (waited = 0; waited < PATIENCE; waited += 10) {
		key = key_of(ENUM, id, false);
		if (key && (has_value(key, "ConfigFlags") || has_value(key, "Driver")))
			return 0;
		if (key)
			RegCloseKey(key);
		Sleep(10);
	}
	fprintf(stderr, "busctl: %s is not enumerated after %u ms\n", id, PATIENCE);
	return 1;
}

/* A PDO of the device has been reported since it had been so often. */
static int await_report(uint32_t port, uint32_t before)
{
	uint32_t waited;

	for (waited = 0; waited < PATIENCE; waited += 10) {
		struct uwb_entry e = entry_of(port);

		if (e.enumerated > before && e.state != UWB_LEAVING)
			return 0;
		Sleep(10);
	}
	fprintf(stderr, "busctl: the device at port %u is not back after %u ms\n", port, PATIENCE);
	return 1;
}

/* ---- commands ---- */

static int print_port(uint32_t port)
{
	struct uwb_entry e = entry_of(port);
	int result = await_node(e.id);

	printf("%u %s\n", port, e.id);
	return result;
}

static int plug(int argc, char **argv)
{
	struct uwb_plug p = parse(argv[0], argc > 1 ? number(argv[1]) : 0);
	struct uwb_port port;

	ask("plug", UWB_PLUG, &p, sizeof(p), &port, sizeof(port));
	return print_port(port.port);
}

static int replug(int argc, char **argv)
{
	struct uwb_plug p = parse(argv[1], number(argv[0]));

	(void)argc;
	ask("replug", UWB_REPLUG, &p, sizeof(p), NULL, 0); /* the former one is leaving from here on */
	return await(p.port, "plugged") ? 1 : print_port(p.port);
}

static int port_command(DWORD code, const char *what, const char *port)
{
	struct uwb_port p = { .port = number(port) };

	ask(what, code, &p, sizeof(p), NULL, 0);
	return 0;
}

static int cycle(const char *port)
{
	struct uwb_entry before = entry_of(number(port));

	port_command(UWB_CYCLE, "cycle", port);
	return await_report(before.port, before.enumerated);
}

static int leave(DWORD code, const char *what, const char *port)
{
	port_command(code, what, port);
	return await(number(port), "absent");
}

static int list(void)
{
	static const char *const states[] = { "absent", "plugged", "started", "leaving" };
	static const char *const speeds[] = { "-", "low", "full", "high", "super" };
	static const char *const modes[] = { "inline", "dpc", "delay" };
	struct uwb_list all = get_list();
	uint32_t i;

	printf("mode %s %u slow %u frame %u refused %u\n", modes[all.mode % 3], all.delay, all.slow, all.frame, all.refused);
	for (i = 0; i < all.count; i++) {
		const struct uwb_entry *e = &all.entry[i];

		printf("%u %s %s %s %s config %u outstanding %u urbs %llu enumerated %u\n", e->port, e->model, e->id,
		       states[e->state % 4], speeds[e->speed % 5], e->configuration, e->outstanding,
		       (unsigned long long)e->urbs, e->enumerated);
	}
	return 0;
}

static int turn(uint32_t port, uint32_t what, uint32_t value, uint32_t value2)
{
	struct uwb_switch s = { .port = port, .what = what, .value = value, .value2 = value2 };

	ask("switch", UWB_SWITCH, &s, sizeof(s), NULL, 0);
	return 0;
}

static int mode(int argc, char **argv)
{
	if (!strcmp(argv[0], "inline"))
		return turn(0, UWB_SET_MODE, UWB_INLINE, 0);
	if (!strcmp(argv[0], "dpc"))
		return turn(0, UWB_SET_MODE, UWB_DPC, 0);
	if (!strcmp(argv[0], "delay") && argc == 2)
		return turn(0, UWB_SET_MODE, UWB_DELAY, number(argv[1]));
	wrong_usage();
	return 2;
}

/* Wine looks for a service when a bus reports a new PDO, so the device goes and comes back. */
static int rebind(const char *id, const char *service)
{
	HKEY key = key_of(ENUM, id, false);
	uint32_t port = port_of(id);
	struct uwb_entry before = entry_of(port);
	char text[16];

	if (!key || !port)
		die(id, ERROR_FILE_NOT_FOUND);
	if (service) {
		put(key, "Service", service);
		put(key, "ClassGUID", USB_DEVICE);
		put(key, "Class", "USBDevice");
		if (!has_value(key, "Driver"))
			put_driver(key, USB_DEVICE);
	} else {
		RegDeleteValueA(key, "Service");
		RegDeleteValueA(key, "ClassGUID");
		RegDeleteValueA(key, "Class");
		RegDeleteValueA(key, "Driver");
	}
	RegCloseKey(key);
	snprintf(text, sizeof(text), "%u", port);
	port_command(UWB_CYCLE, "bind-service", text);
	if (await_report(port, before.enumerated))
		return 1;
	return service ? await(port, "started") : 0;
}

static int selftest(void)
{
	struct uwb_selftest result;

	ask("selftest", UWB_SELFTEST, NULL, 0, &result, sizeof(result));
	printf("%u passed, %u failed, %u skipped\n", result.passed, result.failed, result.skipped);
	if (result.failed)
		printf("first: %s, status %08x\n", result.first, result.status);
	return result.failed || !result.passed;
}

/* ---- installing ---- */

static void start_service(const char *path)
{
	SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_ALL_ACCESS), service;

	if (!manager)
		die("service manager", GetLastError());
	service = CreateServiceA(manager, "uwbus", "UsbWarp laboratory: virtual USB bus", SERVICE_ALL_ACCESS,
				 SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, "UsbWarp",
				 NULL, NULL, NULL, NULL);
	if (!service && GetLastError() == ERROR_SERVICE_EXISTS)
		service = OpenServiceA(manager, "uwbus", SERVICE_ALL_ACCESS);
	if (!service)
		die("service uwbus", GetLastError());
	if (!StartServiceA(service, 0, NULL) && GetLastError() != ERROR_SERVICE_ALREADY_RUNNING)
		die("start of uwbus", GetLastError());
	CloseServiceHandle(service);
	CloseServiceHandle(manager);
}

/* The devnode of the bus, made as the root enumerator would find it. */
static int install(const char *path)
{
	static const char ids[] = "ROOT\\UWBUS\0";
	HKEY node = key_of(ENUM, BUS, true);
	uint32_t waited;

	check("HardwareID", RegSetValueExA(node, "HardwareID", 0, REG_MULTI_SZ, (const BYTE *)ids, sizeof(ids)));
	put(node, "Service", "uwbus");
	put(node, "ClassGUID", USB);
	put(node, "Class", "USB");
	if (!has_value(node, "Driver"))
		put_driver(node, USB);
	RegCloseKey(node);
	start_service(path);
	for (waited = 0; waited < PATIENCE; waited += 10) {
		HANDLE bus = CreateFileA("\\\\.\\UwBus", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
					 OPEN_EXISTING, 0, NULL);

		if (bus != INVALID_HANDLE_VALUE) {
			CloseHandle(bus);
			return 0;
		}
		Sleep(10);
	}
	die("\\\\.\\UwBus", GetLastError());
	return 1;
}

/* Its devnode first: Wine looks for root devnodes at this control code, and stops no driver that has one. */
static int remove_bus(void)
{
	SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_ALL_ACCESS);
	SC_HANDLE service = manager ? OpenServiceA(manager, "uwbus", SERVICE_ALL_ACCESS) : NULL;
	SERVICE_STATUS status;

	if (!service)
		die("service uwbus", GetLastError());
	check(BUS, RegDeleteTreeA(HKEY_LOCAL_MACHINE, ENUM "ROOT\\UWBUS"));
	if (!ControlService(service, REENUMERATE_ROOT, &status))
		die("removal of the devnode", GetLastError());
	if (!ControlService(service, SERVICE_CONTROL_STOP, &status) && GetLastError() != ERROR_SERVICE_NOT_ACTIVE)
		die("stop of uwbus", GetLastError());
	if (!DeleteService(service))
		die("removal of uwbus", GetLastError());
	CloseServiceHandle(service);
	CloseServiceHandle(manager);
	return 0;
}

/* ---- command line ---- */

static bool is(int argc, char **argv, const char *name, int from, int to)
{
	if (strcmp(argv[1], name))
		return false;
	if (argc - 2 < from || argc - 2 > to)
		wrong_usage();
	return true;
}

static int switches(int argc, char **argv)
{
	if (is(argc, argv, "mode", 1, 2))
		return mode(argc - 2, argv + 2);
	if (is(argc, argv, "ignore-cancel", 2, 2))
		return turn(number(argv[2]), UWB_IGNORE_CANCEL, number(argv[3]), 0);
	if (is(argc, argv, "fail", 3, 3))
		return turn(number(argv[2]), UWB_FAIL, number(argv[3]), number(argv[4]));
	if (is(argc, argv, "nak", 2, 2))
		return turn(number(argv[2]), UWB_NAK, number(argv[3]), 0);
	if (is(argc, argv, "slow", 1, 1))
		return turn(0, UWB_SLOW, number(argv[2]), 0);
	if (is(argc, argv, "offer", 2, 2))
		return turn(0, UWB_OFFER, number(argv[2]), number(argv[3]));
	if (is(argc, argv, "full", 2, 2))
		return turn(number(argv[2]), UWB_FULL, number(argv[3]), 0);
	wrong_usage();
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		wrong_usage();
	if (is(argc, argv, "install", 1, 1))
		return install(argv[2]);
	if (is(argc, argv, "remove-bus", 0, 0))
		return remove_bus();
	if (is(argc, argv, "plug", 1, 2))
		return plug(argc - 2, argv + 2);
	if (is(argc, argv, "replug", 2, 2))
		return replug(argc - 2, argv + 2);
	if (is(argc, argv, "unplug", 1, 1))
		return leave(UWB_UNPLUG, "unplug", argv[2]);
	if (is(argc, argv, "remove", 1, 1))
		return leave(UWB_REMOVE, "remove", argv[2]);
	if (is(argc, argv, "cycle", 1, 1))
		return cycle(argv[2]);
	if (is(argc, argv, "list", 0, 0))
		return list();
	if (is(argc, argv, "bind-service", 2, 2))
		return rebind(argv[2], argv[3]);
	if (is(argc, argv, "unbind-service", 1, 1))
		return rebind(argv[2], NULL);
	if (is(argc, argv, "wait", 2, 2))
		return await(number(argv[2]), argv[3]);
	if (is(argc, argv, "selftest", 0, 0))
		return selftest();
	return switches(argc, argv);
}
