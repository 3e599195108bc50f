/* SPDX-License-Identifier: GPL-2.0-only */
/* Asks UsbWarp.sys for everything that a program may, rightly and wrongly, and judges each answer. */
#include "nt.h"

static const char usage[] =
	"usage: ntctl requests        every rule of usbwarp/ioctl.h, without a device\n"
	"       ntctl random SEED N   N requests of random bytes, on handles of every kind\n"
	"       ntctl devices         the devices that the driver knows\n";

static unsigned int failures, checks;

static void expect(const char *what, NTSTATUS is, NTSTATUS wanted)
{
	checks++;
	if (is == wanted)
		return;
	failures++;
	printf("FAIL %s: %#lx instead of %#lx\n", what, (unsigned long)is, (unsigned long)wanted);
}

static void must(const char *what, bool is)
{
	checks++;
	if (is)
		return;
	failures++;
	printf("FAIL %s\n", what);
}

#define SIZE(type) sizeof(struct uw_nt_##type)

/* Every code, and what goes with it. */
static const struct code {
	const char *name;
	ULONG code, in, out;
	bool session;
} codes[] = {
	{ "hello", UW_NT_HELLO, SIZE(hello), SIZE(hello), false },
	{ "open", UW_NT_OPEN, SIZE(open), SIZE(opened), false },
	{ "present", UW_NT_PRESENT, SIZE(present), 0, true },
	{ "attach", UW_NT_ATTACH, SIZE(attach), SIZE(attached), true },
	{ "detach", UW_NT_DETACH, SIZE(port), 0, true },
	{ "watch", UW_NT_WATCH, SIZE(watch), SIZE(watch), false },
	{ "status", UW_NT_STATUS, 0, SIZE(status), true },
	{ "stats", UW_NT_STATS, SIZE(port), SIZE(stats), true },
	{ "stop", UW_NT_STOP, 0, 0, true },
	{ "devices", UW_NT_DEVICES, 0, SIZE(devices), false },
};
#define CODES (sizeof(codes) / sizeof(codes[0]))

static union {
	uint8_t bytes[SIZE(devices) + 64];
	struct uw_nt_devices devices;
	struct uw_nt_status status;
	struct uw_nt_stats stats;
	struct uw_nt_watch watch;
	struct uw_nt_attached attached;
} in, out;

static struct uw_nt_devices *devices(HANDLE device)
{
	expect("devices", nt_call(device, UW_NT_DEVICES, NULL, 0, &out, SIZE(devices)), STATUS_SUCCESS);
	return &out.devices;
}

/* ---- sizes and order ---- */

static void wrong_sizes(HANDLE device)
{
	static const int by[] = { -1, 1, -4, 4, 64 };
	const struct code *c;
	unsigned int i;

	memset(&in, 0, sizeof(in));
	for (c = codes; c < codes + CODES; c++)
		for (i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
			if ((int)c->in + by[i] >= 0)
				expect(c->name, nt_call(device, c->code, &in, c->in + by[i], &out, c->out),
				       STATUS_INVALID_BUFFER_SIZE);
			if ((int)c->out + by[i] >= 0)
				expect(c->name, nt_call(device, c->code, &in, c->in, &out, c->out + by[i]),
				       STATUS_INVALID_BUFFER_SIZE);
		}
}

static void unknown_codes(HANDLE device)
{
	unsigned int method, n;

	for (n = CODES; n < CODES + 8; n++)
		expect("unknown code", nt_call(device, UW_NT_CODE(n), NULL, 0, NULL, 0), STATUS_INVALID_DEVICE_REQUEST);
	/* The same function with another way of handing buffers over, or with less access, is another code. */
	for (method = 1; method < 4; method++)
		expect("other method", nt_call(device, UW_NT_DEVICES | method, NULL, 0, NULL, 0), STATUS_INVALID_DEVICE_REQUEST);
	expect("other access", nt_call(device, UW_NT_DEVICES & ~(3u << 14), NULL, 0, NULL, 0), STATUS_INVALID_DEVICE_REQUEST);
}

static void out_of_place(HANDLE device, bool greeted)
{
	const struct code *c;

	memset(&in, 0, sizeof(in));
	for (c = codes; c < codes + CODES; c++)
		if (c->code != UW_NT_HELLO && (c->session || !greeted))
			expect(c->name, nt_call(device, c->code, &in, c->in, &out, c->out), STATUS_INVALID_DEVICE_STATE);
}

/* ---- hello ---- */

static void bad_hello(HANDLE device, const char *what, struct uw_nt_hello hello)
{
	expect(what, nt_call(device, UW_NT_HELLO, &hello, sizeof(hello), &hello, sizeof(hello)), STATUS_INVALID_PARAMETER);
}

static void test_hello(HANDLE device)
{
	struct uw_nt_hello good = { .version_min = 1, .version_max = 7, .release = "test" }, hello;

	hello = good, hello.version_min = 2;
	bad_hello(device, "hello: versions above", hello);
	hello = good, hello.version_min = hello.version_max = 0;
	bad_hello(device, "hello: versions below", hello);
	hello = good, hello.reserved[3] = 1;
	bad_hello(device, "hello: reserved", hello);
	hello = good, memset(hello.release, 'x', sizeof(hello.release));
	bad_hello(device, "hello: release without end", hello);
	hello = good, hello.release[9] = 'x';
	bad_hello(device, "hello: release goes on after its end", hello);
	hello = good;
	expect("hello", nt_call(device, UW_NT_HELLO, &hello, sizeof(hello), &hello, sizeof(hello)), STATUS_SUCCESS);
	must("hello: the driver's version", hello.version_min == 1 && hello.version_max == 1 && hello.release[0]);
	hello = good;
	expect("second hello", nt_call(device, UW_NT_HELLO, &hello, sizeof(hello), &hello, sizeof(hello)),
	       STATUS_INVALID_DEVICE_STATE);
}

/* ---- watch and devices, on a handle without session ---- */

static void test_watch(HANDLE device)
{
	struct uw_nt_watch watch = { .generation = devices(device)->generation };
	struct call a, b;

	watch.generation--;
	expect("watch of the past", nt_call(device, UW_NT_WATCH, &watch, sizeof(watch), &out, sizeof(watch)), STATUS_SUCCESS);
	must("watch: generation", out.watch.generation == watch.generation + 1);
	watch.generation++;
	watch.reserved[2] = 1;
	expect("watch: reserved", nt_call(device, UW_NT_WATCH, &watch, sizeof(watch), &out, sizeof(watch)),
	       STATUS_INVALID_PARAMETER);
	watch.reserved[2] = 0;
	nt_begin(&a, device, UW_NT_WATCH, &watch, sizeof(watch), &out, sizeof(watch));
	nt_begin(&b, device, UW_NT_WATCH, &watch, sizeof(watch), &in, sizeof(watch));
	must("watch pends", nt_pending(&a) && nt_pending(&b));
	nt_cancel(device, &a);
	expect("cancelled watch", nt_end(&a), STATUS_CANCELLED);
	must("the other watch pends", nt_pending(&b));
	nt_cancel(device, &b);
	expect("other cancelled watch", nt_end(&b), STATUS_CANCELLED);
}

/* The second call is a change for the first one's handle. */
static void test_watch_change(void)
{
	HANDLE device = nt_open();
	struct uw_nt_watch watch = { 0 };
	struct uw_nt_open o;
	struct call c;
	struct vm vm;

	expect("hello", nt_hello(device), STATUS_SUCCESS);
	watch.generation = devices(device)->generation;
	nt_begin(&c, device, UW_NT_WATCH, &watch, sizeof(watch), &in, sizeof(watch));
	nt_make(&vm, UW_REGION_MIN);
	o = nt_open_of(&vm, "watched");
	must("nothing changes before", nt_pending(&c));
	expect("hello", nt_hello(vm.device), STATUS_SUCCESS);
	expect("open", nt_start(&vm, &o), STATUS_SUCCESS);
	expect("watch ends", nt_end(&c), STATUS_SUCCESS);
	must("watch: another generation", in.watch.generation != watch.generation);
	nt_unmake(&vm);
	CloseHandle(device);
}

/* ---- open ---- */

static void bad_open(struct vm *vm, const char *what, struct uw_nt_open o, NTSTATUS wanted)
{
	expect(what, nt_start(vm, &o), wanted);
}

static void bad_values(struct vm *vm, const struct uw_nt_open *good)
{
	static const uint32_t sizes[] = { 0, 1, 4096, UW_REGION_MIN - 1, UW_REGION_MIN + 4096, UW_REGION_MIN / 2,
					  128u << 20, 1u << 31, 0xffffffff };
	struct uw_nt_open o;
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		o = *good, o.size = sizes[i];
		bad_open(vm, "open: size", o, STATUS_INVALID_PARAMETER);
	}
	o = *good, memset(o.name, 0, sizeof(o.name));
	bad_open(vm, "open: no name", o, STATUS_INVALID_PARAMETER);
	o = *good, memset(o.name, 'n', sizeof(o.name));
	bad_open(vm, "open: endless name", o, STATUS_INVALID_PARAMETER);
	o = *good, o.name[31] = 1;
	bad_open(vm, "open: name goes on", o, STATUS_INVALID_PARAMETER);
	o = *good, o.poll = 1000000001;
	bad_open(vm, "open: poll", o, STATUS_INVALID_PARAMETER);
	o = *good, o.breaker_cooldown = 0;
	bad_open(vm, "open: no cooldown", o, STATUS_INVALID_PARAMETER);
	o = *good, o.breaker_cooldown = 3600001;
	bad_open(vm, "open: cooldown", o, STATUS_INVALID_PARAMETER);
	o = *good, o.burst = 0;
	bad_open(vm, "open: burst", o, STATUS_INVALID_PARAMETER);
	o = *good, o.orphan = 99;
	bad_open(vm, "open: short orphan", o, STATUS_INVALID_PARAMETER);
	o = *good, o.orphan = 3600001;
	bad_open(vm, "open: long orphan", o, STATUS_INVALID_PARAMETER);
	o = *good, o.reserved[7] = 1;
	bad_open(vm, "open: reserved", o, STATUS_INVALID_PARAMETER);
}

static void bad_handles(struct vm *vm, const struct uw_nt_open *good)
{
	static const uint64_t junk[] = { 0, 1, 0x123456, 0xfffffffffffffffe, 0x8000000000000004, 0xffffffff80000004,
					 0x7fffffffffffffff };
	HANDLE mutex = CreateMutexA(NULL, FALSE, NULL), weak, small;
	struct uw_nt_open o;
	unsigned int i;
	NTSTATUS status;

	for (i = 0; i < 3 * sizeof(junk) / sizeof(junk[0]); i++) {
		o = *good;
		*(i % 3 == 0 ? &o.section : i % 3 == 1 ? &o.doorbell : &o.interrupt) = junk[i / 3];
		status = nt_start(vm, &o);
		must("open: junk handle", status == STATUS_INVALID_HANDLE || status == STATUS_OBJECT_TYPE_MISMATCH);
	}
	o = *good, o.section = good->doorbell;
	bad_open(vm, "open: event for a section", o, STATUS_OBJECT_TYPE_MISMATCH);
	o = *good, o.doorbell = (uintptr_t)mutex;
	bad_open(vm, "open: mutex for an event", o, STATUS_OBJECT_TYPE_MISMATCH);
	o = *good, o.interrupt = good->section;
	bad_open(vm, "open: section for an event", o, STATUS_OBJECT_TYPE_MISMATCH);
	DuplicateHandle(GetCurrentProcess(), vm->section, GetCurrentProcess(), &weak, SECTION_MAP_READ, FALSE, 0);
	o = *good, o.section = (uintptr_t)weak;
	bad_open(vm, "open: read-only section", o, STATUS_ACCESS_DENIED);
	CloseHandle(weak);
	DuplicateHandle(GetCurrentProcess(), vm->doorbell, GetCurrentProcess(), &weak, SYNCHRONIZE, FALSE, 0);
	o = *good, o.interrupt = (uintptr_t)weak;
	bad_open(vm, "open: event that may not be set", o, STATUS_ACCESS_DENIED);
	CloseHandle(weak);
	small = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, UW_REGION_MIN / 2, NULL);
	o = *good, o.section = (uintptr_t)small;
	bad_open(vm, "open: small section", o, STATUS_INVALID_PARAMETER);
	CloseHandle(small);
	/* Pages that are not there: locking them raises, and here is where that would be noticed. */
	small = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_RESERVE, 0, UW_REGION_MIN, NULL);
	o = *good, o.section = (uintptr_t)small;
	bad_open(vm, "open: reserved section", o, STATUS_ACCESS_VIOLATION);
	CloseHandle(small);
	CloseHandle(mutex);
}

static void test_open(void)
{
	struct uw_nt_open good;
	struct vm vm;

	nt_make(&vm, UW_REGION_MIN);
	good = nt_open_of(&vm, "one");
	expect("hello", nt_hello(vm.device), STATUS_SUCCESS);
	bad_values(&vm, &good);
	bad_handles(&vm, &good);
	must("nothing was written", !*(uint64_t *)vm.region);
	expect("open", nt_start(&vm, &good), STATUS_SUCCESS);
	must("published", *(uint64_t *)vm.region == UW_MAGIC && vm.doorbell_value);
	bad_open(&vm, "second open", good, STATUS_INVALID_DEVICE_STATE);
	CloseHandle(vm.device);
	vm.device = nt_open();
	expect("hello", nt_hello(vm.device), STATUS_SUCCESS);
	good.epoch = 77;
	expect("open after the former has gone", nt_start(&vm, &good), STATUS_SUCCESS);
	expect("status", nt_call(vm.device, UW_NT_STATUS, NULL, 0, &out, SIZE(status)), STATUS_SUCCESS);
	must("the epoch goes on", out.status.epoch == 78);
	nt_unmake(&vm);
}

/* ---- a session without devices ---- */

static NTSTATUS port_call(struct vm *vm, ULONG code, uint8_t port, uint8_t reserved, ULONG bytes)
{
	struct uw_nt_port p = { .port = port, .reserved = { [6] = reserved } };

	return nt_call(vm->device, code, &p, sizeof(p), &out, bytes);
}

static NTSTATUS attach(struct vm *vm, const char *name, uint8_t port, uint8_t reserved)
{
	struct uw_nt_attach a = { .port = port, .reserved = { reserved } };
	unsigned int i;

	for (i = 0; name[i]; i++)
		a.link[i] = (uint8_t)name[i];
	memset(&out, 0xa5, sizeof(out));
	return nt_call(vm->device, UW_NT_ATTACH, &a, sizeof(a), &out, SIZE(attached));
}

static void test_attach(struct vm *vm)
{
	struct uw_nt_attach a;

	expect("attach: nobody", attach(vm, "USB#VID_0000&PID_0000#1#{0}", 0, 0), STATUS_SUCCESS);
	must("attach: says so", out.attached.status == UW_CTL_NO_DEVICE && !out.attached.port && !out.attached.reserved[4]);
	expect("attach: no name", attach(vm, "", 0, 0), STATUS_INVALID_PARAMETER);
	expect("attach: port", attach(vm, "x", 31, 0), STATUS_INVALID_PARAMETER);
	expect("attach: reserved", attach(vm, "x", 1, 1), STATUS_INVALID_PARAMETER);
	memset(&a, 0, sizeof(a));
	memset(a.link, 0x41, sizeof(a.link));
	expect("attach: endless name", nt_call(vm->device, UW_NT_ATTACH, &a, sizeof(a), &out, SIZE(attached)),
	       STATUS_INVALID_PARAMETER);
	memset(a.link + 9, 0, sizeof(a.link) - 18);
	a.link[UW_NT_LINK - 1] = 1;
	expect("attach: name goes on", nt_call(vm->device, UW_NT_ATTACH, &a, sizeof(a), &out, SIZE(attached)),
	       STATUS_INVALID_PARAMETER);
}

static void test_ports(struct vm *vm)
{
	struct uw_nt_present present = { .present = 2 };

	expect("detach: port 0", port_call(vm, UW_NT_DETACH, 0, 0, 0), STATUS_INVALID_PARAMETER);
	expect("detach: port 31", port_call(vm, UW_NT_DETACH, 31, 0, 0), STATUS_INVALID_PARAMETER);
	expect("detach: reserved", port_call(vm, UW_NT_DETACH, 1, 1, 0), STATUS_INVALID_PARAMETER);
	expect("detach: nothing there", port_call(vm, UW_NT_DETACH, 1, 0, 0), STATUS_INVALID_DEVICE_STATE);
	expect("stats: port 255", port_call(vm, UW_NT_STATS, 255, 0, SIZE(stats)), STATUS_INVALID_PARAMETER);
	expect("stats: reserved", port_call(vm, UW_NT_STATS, 0, 9, SIZE(stats)), STATUS_INVALID_PARAMETER);
	expect("stats", port_call(vm, UW_NT_STATS, 0, 0, SIZE(stats)), STATUS_SUCCESS);
	must("stats: as many as there are", out.stats.count && out.stats.count <= UW_CTL_VALUES_MAX);
	expect("stats of a port", port_call(vm, UW_NT_STATS, 30, 0, SIZE(stats)), STATUS_SUCCESS);
	expect("present: 2", nt_call(vm->device, UW_NT_PRESENT, &present, sizeof(present), NULL, 0), STATUS_INVALID_PARAMETER);
	present.present = 1, present.reserved[0] = 1;
	expect("present: reserved", nt_call(vm->device, UW_NT_PRESENT, &present, sizeof(present), NULL, 0),
	       STATUS_INVALID_PARAMETER);
	present.reserved[0] = 0;
	expect("present", nt_call(vm->device, UW_NT_PRESENT, &present, sizeof(present), NULL, 0), STATUS_SUCCESS);
}

static void test_session(void)
{
	const struct uw_host_page *page;
	struct uw_nt_open o;
	struct vm vm;

	nt_make(&vm, UW_REGION_MIN);
	page = (const void *)vm.region;
	o = nt_open_of(&vm, "session");
	expect("hello", nt_hello(vm.device), STATUS_SUCCESS);
	out_of_place(vm.device, true);
	expect("open", nt_start(&vm, &o), STATUS_SUCCESS);
	wrong_sizes(vm.device);
	test_attach(&vm);
	test_ports(&vm);
	expect("status", nt_call(vm.device, UW_NT_STATUS, NULL, 0, &out, SIZE(status)), STATUS_SUCCESS);
	must("status: waits for a guest", out.status.phase == UW_CTL_PHASE_OFFER && out.status.present == 1 &&
	     out.status.size == vm.size && out.status.epoch == 1 && !out.status.guest[0]);
	must("a port is free", !out.status.ports[0].state && !out.status.ports[0].speed);
	expect("stop", nt_call(vm.device, UW_NT_STOP, NULL, 0, NULL, 0), STATUS_SUCCESS);
	must("stop: the page says DOWN", page->head.state == UW_HOST_DOWN);
	expect("stop again", nt_call(vm.device, UW_NT_STOP, NULL, 0, NULL, 0), STATUS_SUCCESS);
	expect("status", nt_call(vm.device, UW_NT_STATUS, NULL, 0, &out, SIZE(status)), STATUS_SUCCESS);
	must("status: down", out.status.phase == UW_CTL_PHASE_DOWN);
	nt_unmake(&vm);
}

/* Sixteen at once, each told that it is there, and gone in another order. */
static void test_many(void)
{
	struct vm vms[16];
	struct uw_nt_open o;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		nt_make(&vms[i], UW_REGION_MIN);
		o = nt_open_of(&vms[i], "many");
		expect("hello", nt_hello(vms[i].device), STATUS_SUCCESS);
		expect("open", nt_start(&vms[i], &o), STATUS_SUCCESS);
	}
	for (i = 0; i < 16; i++)
		nt_unmake(&vms[i * 5 % 16]);
}

static int requests(void)
{
	HANDLE device = nt_open();

	wrong_sizes(device);
	unknown_codes(device);
	out_of_place(device, false);
	test_hello(device);
	out_of_place(device, true);
	test_watch(device);
	CloseHandle(device);
	test_watch_change();
	test_open();
	test_session();
	test_many();
	printf("%u checks, %u failed\n", checks, failures);
	return failures ? 1 : 0;
}

/* ---- random bytes ---- */

static uint64_t dice;

static uint32_t roll(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)(dice >> 32) % below;
}

/* Sizes mostly as they should be, for the rest to be looked at. */
static ULONG size_near(ULONG size)
{
	return roll(8) ? size : roll(sizeof(in));
}

static void fill(uint8_t *bytes, ULONG count)
{
	ULONG i, zeros = roll(4) * count / 4;

	for (i = 0; i < count; i++)
		bytes[i] = i < count - zeros ? (uint8_t)roll(roll(2) ? 4 : 256) : 0;
}

/* What begins may pend; it is cancelled then, or left to the handle's end. */
static void one_random(HANDLE device, struct call *left, unsigned int *count)
{
	const struct code *c = &codes[roll(CODES)];
	ULONG in_bytes = size_near(c->in), out_bytes = size_near(c->out);
	static uint8_t outs[16][64];
	struct call call;
	bool pends;

	fill(in.bytes, in_bytes);
	pends = out_bytes <= sizeof(outs[0]) && *count < 16;
	nt_begin(&call, device, c->code, &in, in_bytes, pends ? (void *)outs[*count] : (void *)&out, out_bytes);
	if (pends && call.status == STATUS_PENDING && roll(2)) {
		left[(*count)++] = call;
		return;
	}
	if (nt_pending(&call))
		nt_cancel(device, &call);
	nt_end(&call);
}

static int random_requests(uint64_t seed, unsigned int times)
{
	struct uw_nt_open o;
	unsigned int i, n, count;
	struct vm vm;

	dice = seed * 2 + 1;
	while (times) {
		struct call left[16];

		nt_make(&vm, UW_REGION_MIN);
		o = nt_open_of(&vm, "random");
		count = 0;
		if (roll(4))
			nt_hello(vm.device);
		if (roll(2))
			(void)nt_start(&vm, &o);
		n = 1 + roll(64);
		for (i = 0; i < n && times; i++, times--)
			one_random(vm.device, left, &count);
		nt_unmake(&vm);
		for (i = 0; i < count; i++)
			nt_end(&left[i]);
	}
	printf("the driver is there\n");
	return 0;
}

/* ---- what there is ---- */

static int list_devices(void)
{
	const struct uw_nt_devices *list;
	HANDLE device = nt_open();
	unsigned int i;

	if (nt_hello(device))
		nt_die("hello", 0);
	list = devices(device);
	for (i = 0; i < list->count; i++)
		printf("%ls %04x:%04x speed %u port %u state %u vm %s\n", (const wchar_t *)list->devices[i].link,
		       list->devices[i].vendor, list->devices[i].product, list->devices[i].speed, list->devices[i].port,
		       list->devices[i].state, (const char *)list->devices[i].vm);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "requests"))
		return requests();
	if (argc == 4 && !strcmp(argv[1], "random"))
		return random_requests(strtoull(argv[2], NULL, 0), (unsigned int)strtoul(argv[3], NULL, 0));
	if (argc == 2 && !strcmp(argv[1], "devices"))
		return list_devices();
	fputs(usage, stderr);
	return 2;
}
