/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plays service and guest of one VM in one process: opens a session of UsbWarp.sys on a section of its own, and runs the
 * guest's core in that section. The doorbell is an event set here, the interrupt one waited for.
 */
#include "nt.h"

#include "guest.h"

static const char usage[] =
	"usage: ntguest run NAME            a session, the host's counters asked for, bye\n"
	"       ntguest reboot NAME N       N guests in one session, one after the other\n"
	"       ntguest hold NAME [LINK]    a session, with a device if one is named, kept until standard input ends\n"
	"       ntguest drop NAME [LINK]    the same, and the handle closed in the middle of it\n"
	"       ntguest device NAME LINK N  attaches, reads the device descriptor N times, detaches; LINK may be \"first\"\n"
	"       ntguest hostile NAME SEED N [LINK]   N times scribbles over what a guest writes; then a good one has to come up\n"
	"       ntguest cycle NAME LINK N   attaches and detaches N times, with a control transfer under way\n";

#define DESCRIPTOR 18u

struct guest {
	struct vm vm;
	struct uw_guest g;
	struct uw_guest_memory mem;
	bool up;
	bool hostile;          /* not to be believed, and refused with reason */
	uint8_t speed[UW_PORTS_MAX + 1];
	uint32_t incarnation;
	struct uw_ep ep0;
	struct uw_urb urb;
	bool busy;             /* urb is under way */
	uint8_t got[4096];
};

static uint64_t now_ns(void)
{
	static LARGE_INTEGER rate;
	LARGE_INTEGER ticks;

	if (!rate.QuadPart)
		QueryPerformanceFrequency(&rate);
	QueryPerformanceCounter(&ticks);
	return (uint64_t)(ticks.QuadPart / rate.QuadPart) * 1000000000u +
	       (uint64_t)(ticks.QuadPart % rate.QuadPart) * 1000000000u / (uint64_t)rate.QuadPart;
}

/* ---- the guest ---- */

static uint8_t port; /* the device's, once there is one */

static void boot(struct guest *b)
{
	struct uw_guest_sizes sizes;
	struct uw_layout layout;
	enum uw_layout_fault fault = uw_guest_sizes(b->vm.region, b->vm.size, &layout, &sizes);

	if (fault)
		nt_die(uw_layout_fault_text(fault), fault);
	if (layout.doorbell != b->vm.doorbell_value)
		nt_die("the layout names another doorbell", layout.doorbell);
	if (layout.features & UW_FEATURE_STREAMS)
		nt_die("streams are offered", 0);
	free(b->mem.urbs);
	free(b->mem.uses);
	free(b->mem.free);
	free(b->mem.bitmap);
	b->mem.region = b->vm.region;
	b->mem.mapped = b->vm.size;
	b->mem.urbs = calloc(sizes.entries, sizeof(*b->mem.urbs));
	b->mem.uses = calloc(sizes.entries, sizeof(*b->mem.uses));
	b->mem.free = calloc(sizes.entries, sizeof(*b->mem.free));
	b->mem.bitmap = calloc(sizes.words, sizeof(*b->mem.bitmap));
	b->up = b->busy = false;
	memset(b->speed, 0, sizeof(b->speed));
	uw_ep_init(&b->ep0, port, 0, UW_CONTROL, 64);
	uw_guest_init(&b->g, &layout, &b->mem, "ntguest");
	uw_guest_begin(&b->g, now_ns());
}

static void heed(struct guest *b)
{
	struct uw_note note;

	while (uw_guest_note(&b->g, &note))
		switch (note.kind) {
		case UW_NOTE_UP:
			b->up = true;
			break;
		case UW_NOTE_DOWN:
			b->up = false;
			memset(b->speed, 0, sizeof(b->speed));
			break;
		case UW_NOTE_PORT:
			b->speed[note.port] = note.speed;
			break;
		case UW_NOTE_REFUSED:
		case UW_NOTE_LAYOUT:
			if (!b->hostile)
				nt_die("the host refuses", note.status ? note.status : note.value);
		}
}

static void move(struct guest *b)
{
	struct uw_urb *urb;
	uint64_t now = now_ns();

	while ((urb = uw_guest_fill(&b->g, now)) != NULL)
		uw_guest_filled(&b->g, urb, now);
	while ((urb = uw_guest_done(&b->g)) != NULL) {
		if (urb->answered && urb->moved <= sizeof(b->got))
			memcpy(b->got, b->vm.region + b->g.layout.data + urb->data, urb->moved);
		if (uw_guest_drained(&b->g, urb, now))
			b->busy = false;
	}
}

/* Works until done says so. False: PATIENCE is over. */
static bool pump(struct guest *b, bool (*done)(const struct guest *b))
{
	uint64_t until = now_ns() + PATIENCE * UW_MS, deadline;
	uint32_t count;

	for (;;) {
		count = uw_guest_poll(&b->g, now_ns(), 64);
		heed(b);
		move(b);
		if (uw_guest_kick(&b->g))
			SetEvent(b->vm.doorbell);
		if (done(b))
			return true;
		if (now_ns() > until)
			return false;
		if (count || !uw_guest_sleep(&b->g))
			continue;
		deadline = uw_guest_deadline(&b->g);
		WaitForSingleObject(b->vm.interrupt, deadline < now_ns() + 1000 * UW_MS ? 10 : 1000);
	}
}

static void must_pump(struct guest *b, const char *what, bool (*done)(const struct guest *b))
{
	if (!pump(b, done))
		nt_die(what, b->g.phase);
}

static bool is_up(const struct guest *b) { return b->up; }
static bool is_idle(const struct guest *b) { return !b->busy; }
static bool has_ended(const struct guest *b) { return uw_guest_ended(&b->g); }
static bool has_stats(const struct guest *b) { return !b->g.stats_wanted; }
static bool is_there(const struct guest *b) { return b->speed[port] != UW_SPEED_NONE; }
static bool is_away(const struct guest *b) { return b->speed[port] == UW_SPEED_NONE; }

/* ---- the service ---- */

static void start(struct guest *b, const char *name)
{
	struct uw_nt_present present = { .present = 1 };
	struct uw_nt_open o;
	NTSTATUS status;

	memset(b, 0, sizeof(*b));
	nt_make(&b->vm, UW_REGION_MIN);
	o = nt_open_of(&b->vm, name);
	status = nt_hello(b->vm.device);
	if (!status)
		status = nt_start(&b->vm, &o);
	if (!status)
		status = nt_call(b->vm.device, UW_NT_PRESENT, &present, sizeof(present), NULL, 0);
	if (status)
		nt_die("session", (unsigned long)status);
}

static void status_of(struct guest *b, struct uw_nt_status *s)
{
	if (nt_call(b->vm.device, UW_NT_STATUS, NULL, 0, s, sizeof(*s)))
		nt_die("status", 0);
}

static void say_up(struct guest *b)
{
	struct uw_nt_status s;

	status_of(b, &s);
	if (s.phase != UW_CTL_PHASE_RUN || strcmp((char *)s.guest, "ntguest") || s.epoch != b->g.epoch)
		nt_die("the host's status is another one", s.phase);
	printf("UP epoch %u, host %s\n", b->g.epoch, b->g.host_name);
	fflush(stdout);
}

static void begin(struct guest *b, const char *name)
{
	start(b, name);
	boot(b);
	must_pump(b, "the session does not come up", is_up);
	say_up(b);
}

static void leave(struct guest *b)
{
	uw_guest_end(&b->g, now_ns());
	must_pump(b, "no answer to bye", has_ended);
	nt_unmake(&b->vm);
	printf("DONE\n");
}

/* ---- devices ---- */

static void find_link(struct guest *b, const char *wanted, struct uw_nt_attach *a)
{
	static struct uw_nt_devices list;
	unsigned int i;

	memset(a, 0, sizeof(*a));
	if (strcmp(wanted, "first")) {
		for (i = 0; wanted[i] && i < UW_NT_LINK - 1; i++)
			a->link[i] = (uint8_t)wanted[i];
		return;
	}
	if (nt_call(b->vm.device, UW_NT_DEVICES, NULL, 0, &list, sizeof(list)))
		nt_die("devices", 0);
	for (i = 0; i < list.count; i++)
		if (!list.devices[i].port && list.devices[i].state == UW_CTL_FREE) {
			memcpy(a->link, list.devices[i].link, sizeof(a->link));
			return;
		}
	nt_die("no free device", list.count);
}

static void attach(struct guest *b, const char *link)
{
	struct uw_nt_attached attached = { 0 };
	struct uw_nt_attach a;
	NTSTATUS status;

	find_link(b, link, &a);
	status = nt_call(b->vm.device, UW_NT_ATTACH, &a, sizeof(a), &attached, sizeof(attached));
	if (status || attached.status)
		nt_die("attach", status ? (unsigned long)status : attached.status);
	port = attached.port;
	must_pump(b, "the device does not appear", is_there);
	uw_ep_init(&b->ep0, port, 0, UW_CONTROL, 64);
}

static void detach(struct guest *b)
{
	struct uw_nt_port p = { .port = port };
	NTSTATUS status = nt_call(b->vm.device, UW_NT_DETACH, &p, sizeof(p), NULL, 0);

	if (status)
		nt_die("detach", (unsigned long)status);
	must_pump(b, "the device does not go", is_away);
}

static void ask_descriptor(struct guest *b)
{
	static const uint8_t setup[8] = { 0x80, 6, 0, 1, 0, 0, DESCRIPTOR, 0 };

	memset(&b->urb, 0, sizeof(b->urb));
	b->urb.ep = &b->ep0;
	b->urb.length = DESCRIPTOR;
	b->urb.direct = UW_NOT_DIRECT;
	b->urb.endpoint = 0x80;
	memcpy(b->urb.setup, setup, sizeof(setup));
	b->busy = uw_guest_enqueue(&b->g, &b->urb, now_ns()) == UW_ST_OK;
	if (!b->busy && !b->hostile)
		nt_die("enqueue", 0);
}

static void read_descriptor(struct guest *b)
{
	ask_descriptor(b);
	must_pump(b, "the descriptor does not come", is_idle);
	if (b->urb.status != UW_ST_OK || b->urb.actual != DESCRIPTOR || b->got[0] != DESCRIPTOR || b->got[1] != 1)
		nt_die("the descriptor is another one", b->urb.status);
}

/* ---- the modes ---- */

static int run_run(struct guest *b, char **words)
{
	begin(b, words[0]);
	uw_guest_ask_stats(&b->g);
	must_pump(b, "the counters do not come", has_stats);
	if (!b->g.host_stats[UW_STAT_submissions] || !b->g.host_stats[UW_STAT_epochs])
		nt_die("the counters are empty", 0);
	leave(b);
	return 0;
}

static int run_reboot(struct guest *b, char **words)
{
	unsigned long times = strtoul(words[1], NULL, 0);

	begin(b, words[0]);
	while (times--) {
		boot(b);
		must_pump(b, "the next guest does not come up", is_up);
	}
	say_up(b);
	leave(b);
	return 0;
}

static int run_hold(struct guest *b, char **words)
{
	begin(b, words[0]);
	if (words[1])
		attach(b, words[1]);
	printf("HELD\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	leave(b);
	return 0;
}

static int run_drop(struct guest *b, char **words)
{
	const struct uw_host_page *page;
	unsigned int i;

	begin(b, words[0]);
	page = (const void *)b->vm.region;
	if (words[1]) {
		attach(b, words[1]);
		ask_descriptor(b);
		(void)uw_guest_poll(&b->g, now_ns(), 64);
		move(b);
		SetEvent(b->vm.doorbell);
	}
	CloseHandle(b->vm.device);
	for (i = 0; i < PATIENCE && page->head.state != UW_HOST_DOWN; i++)
		Sleep(1);
	printf(page->head.state == UW_HOST_DOWN ? "DOWN\n" : "FAIL: the page never says DOWN\n");
	return page->head.state != UW_HOST_DOWN;
}

static int run_device(struct guest *b, char **words)
{
	unsigned long i, times = strtoul(words[2], NULL, 0);
	uint64_t began;

	begin(b, words[0]);
	attach(b, words[1]);
	read_descriptor(b);
	began = now_ns();
	for (i = 0; i < times; i++)
		read_descriptor(b);
	printf("DEVICE %02x%02x:%02x%02x port %u, %llu ns each\n", b->got[9], b->got[8], b->got[11], b->got[10], port,
	       times ? (unsigned long long)((now_ns() - began) / times) : 0);
	detach(b);
	leave(b);
	return 0;
}

static int run_cycle(struct guest *b, char **words)
{
	unsigned long i, times = strtoul(words[2], NULL, 0);

	begin(b, words[0]);
	for (i = 0; i < times; i++) {
		attach(b, words[1]);
		ask_descriptor(b);
		(void)uw_guest_poll(&b->g, now_ns(), 64);
		move(b);
		if (uw_guest_kick(&b->g))
			SetEvent(b->vm.doorbell);
		detach(b);
		must_pump(b, "the transfer does not end", is_idle);
	}
	printf("CYCLED %lu\n", times);
	leave(b);
	return 0;
}

static uint64_t dice;

static uint32_t roll(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)(dice >> 32) % below;
}

/* One word of the guest's page, of a slot, or of data: near what is there, small, or anything. */
static void scribble(struct guest *b)
{
	const struct uw_layout *l = &b->g.layout;
	uint32_t part = roll(8), at, value;
	uw_le32 *word;

	if (part < 2)
		at = l->guest_page + roll(2) * 128 + 4 * roll(4);
	else if (part < 7)
		at = l->sub_ring + UW_SLOT * ((b->g.tx.head + roll(4)) % l->sub_slots) + 4 * roll(16);
	else
		at = l->data + 4 * roll(l->data_size / 4);
	word = (void *)(b->vm.region + at);
	value = uw_read32(word);
	uw_write32(word, roll(3) ? value + roll(9) - 4 : roll(2) ? roll(256) : (uint32_t)(dice >> 11));
}

/* A guest that works, and is now and then no guest at all. */
static int run_hostile(struct guest *b, char **words)
{
	unsigned long i, times = strtoul(words[2], NULL, 0);

	dice = 2 * strtoull(words[1], NULL, 0) + 1;
	begin(b, words[0]);
	if (words[3])
		attach(b, words[3]);
	b->hostile = true;
	for (i = 0; i < times; i++) {
		if (words[3] && !b->busy && b->up && b->speed[port])
			ask_descriptor(b);
		scribble(b);
		if (!roll(4))
			SetEvent(b->vm.doorbell);
		(void)uw_guest_poll(&b->g, now_ns(), 64);
		heed(b);
		move(b);
		if (uw_guest_kick(&b->g))
			SetEvent(b->vm.doorbell);
		if (!roll(200))
			boot(b);
	}
	b->hostile = false;
	/*
	 * The next guest chooses an incarnation that is not the one it finds, but it cannot know the one before: let the host
	 * see the last words first, as it has while a real guest boots.
	 */
	SetEvent(b->vm.doorbell);
	Sleep(100);
	boot(b);
	must_pump(b, "no session after a hostile guest", is_up);
	if (words[3]) {
		must_pump(b, "no device after a hostile guest", is_there);
		read_descriptor(b);
		detach(b);
	}
	say_up(b);
	leave(b);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct mode {
		const char *name;
		int least, most;
		int (*run)(struct guest *b, char **words);
	} modes[] = {
		{ "run", 3, 3, run_run },
		{ "reboot", 4, 4, run_reboot },
		{ "hold", 3, 4, run_hold },
		{ "drop", 3, 4, run_drop },
		{ "device", 5, 5, run_device },
		{ "hostile", 5, 6, run_hostile },
		{ "cycle", 5, 5, run_cycle },
	};
	static struct guest guest;
	unsigned int i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (argc >= modes[i].least && argc <= modes[i].most && !strcmp(argv[1], modes[i].name))
			return modes[i].run(&guest, argv + 2);
	fputs(usage, stderr);
	return 2;
}
