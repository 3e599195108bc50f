/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands of usbwarp. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "client.h"
#include "json.h"
#include "options.h"
#include "qemu.h"
#include "show.h"
#include "suggest.h"
#include "transport.h"

enum {
	OPTION_HELP = 1, OPTION_VERSION, OPTION_JSON, OPTION_SOCKET, OPTION_VM, OPTION_ALL, OPTION_WATCH, OPTION_BUS_IDS,
	OPTION_FORCE, OPTION_BELOW, OPTION_FREE, OPTION_BOUND, OPTION_VMS, OPTION_LIBVIRT,
	OPTION_WRITE, OPTION_SNAPLEN, OPTION_COUNT, OPTION_SECONDS,
};

struct arguments {
	const char *socket, *vm;
	const char *word;      /* the one that is no option: a bus id, a VM or a command; NULL: none */
	const char *write, *snaplen, *count, *seconds;
	bool json, all, watch, bus_ids, force, below, free, bound, vms, libvirt;
};

struct command {
	const char *name, *usage, *about, *help;
	const struct uw_option *options;
	bool word, word_needed;
	int (*run)(const struct arguments *a);
};

#define COMMON { "help", 'h', false, OPTION_HELP }, { "json", 0, false, OPTION_JSON }, { "socket", 0, true, OPTION_SOCKET }

static const struct uw_option options_plain[] = { COMMON, { 0 } };
static const struct uw_option options_list[] = {
	COMMON, { "bus-ids", 0, false, OPTION_BUS_IDS }, { "free", 0, false, OPTION_FREE },
	{ "bound", 0, false, OPTION_BOUND }, { 0 },
};
static const struct uw_option options_status[] = { COMMON, { "vms", 0, false, OPTION_VMS }, { 0 } };
static const struct uw_option options_qemu[] = { COMMON, { "libvirt", 0, false, OPTION_LIBVIRT }, { 0 } };
static const struct uw_option options_bind[] = {
	COMMON, { "vm", 0, true, OPTION_VM }, { "force", 0, false, OPTION_FORCE }, { "below", 0, false, OPTION_BELOW }, { 0 },
};
static const struct uw_option options_move[] = {
	COMMON, { "vm", 0, true, OPTION_VM }, { "force", 0, false, OPTION_FORCE }, { 0 },
};
static const struct uw_option options_stats[] = {
	COMMON, { "vm", 0, true, OPTION_VM }, { "all", 0, false, OPTION_ALL }, { "watch", 0, false, OPTION_WATCH }, { 0 },
};
static const struct uw_option options_capture[] = {
	COMMON, { "vm", 0, true, OPTION_VM }, { "write", 0, true, OPTION_WRITE }, { "snaplen", 0, true, OPTION_SNAPLEN },
	{ "count", 0, true, OPTION_COUNT }, { "seconds", 0, true, OPTION_SECONDS }, { 0 },
};

/* ---- what they do ---- */

/* A name into its field; false when it does not fit, and then nothing can have it. */
static bool put_name(uw_u8 *field, const char *name)
{
	size_t bytes = name ? strlen(name) : 0;

	if (bytes >= UW_CTL_NAME) {
		fprintf(stderr, "usbwarp: %s: names have at most %u bytes\n", name, UW_CTL_NAME - 1);
		return false;
	}
	memset(field, 0, UW_CTL_NAME);
	if (bytes)
		memcpy(field, name, bytes);
	return true;
}

/* Shows what went wrong, if something did; then the reply is done with. */
static bool failed(struct uw_reply *r, const struct arguments *a)
{
	if (!r->code)
		return false;
	uw_show_outcome(r, a->json);
	uw_client_free(r);
	return true;
}

static int take_one(const char *both)
{
	fprintf(stderr, "usbwarp %s\n", both);
	return UW_EXIT_USAGE;
}

/* Leaves in the list what may be bound, or what is. */
static void choose(struct uw_reply *r, const struct arguments *a)
{
	const struct uw_ctl_device *d;
	uint32_t i, count = 0;

	for (i = 0; i < r->count; i++) {
		d = &r->records[i].u.device;
		if ((!a->free || d->state == UW_CTL_FREE) && (!a->bound || d->vm[0]))
			r->records[count++] = r->records[i];
	}
	r->count = count;
}

static int run_list(const struct arguments *a)
{
	struct uw_reply r;
	uint32_t i;

	if (a->free && a->bound)
		return take_one("list: a device is either free or bound; take --free or --bound");
	uw_client_ask(a->socket, UW_CTL_LIST, NULL, 0, &r);
	if (failed(&r, a))
		return r.code;
	choose(&r, a);
	if (a->bus_ids)
		for (i = 0; i < r.count; i++)
			puts((const char *)r.records[i].u.device.bus_id);
	else if (!r.count && !a->json && (a->free || a->bound))
		printf("No device is %s.\n", a->free ? "free" : "bound");
	else
		uw_show_list(&r, a->json);
	uw_client_free(&r);
	return r.code;
}

/* After "no such device": is there one that was meant? */
static void suggest_device(const struct arguments *a)
{
	const char *best = NULL;
	uint32_t i, distance = 0;
	struct uw_reply r;

	uw_client_ask(a->socket, UW_CTL_LIST, NULL, 0, &r);
	for (i = 0; i < r.count && !r.code; i++)
		if (r.records[i].type == UW_CTL_DEVICE)
			uw_suggest_offer(a->word, (const char *)r.records[i].u.device.bus_id, &best, &distance);
	if (best && distance)
		fprintf(stderr, "Did you mean %s?\n", best);
	uw_client_free(&r);
}

static int change(const struct arguments *a, uint16_t type, const void *body, uint32_t length)
{
	struct uw_reply r;

	uw_client_ask(a->socket, type, body, length, &r);
	uw_show_outcome(&r, a->json);
	if (!a->json && !r.count && (r.status == UW_CTL_NO_DEVICE || r.status == UW_CTL_NOT_BOUND))
		suggest_device(a);
	uw_client_free(&r);
	return r.code;
}

static int bind_one(const struct arguments *a, const char *bus_id, uint8_t flags)
{
	struct uw_ctl_bind bind = { .flags = (uint8_t)(flags | (a->force ? UW_CTL_BIND_FORCE : 0)) };

	if (!put_name(bind.bus_id, bus_id) || !put_name(bind.vm, a->vm))
		return UW_EXIT_USAGE;
	return change(a, UW_CTL_BIND, &bind, sizeof(bind));
}

static bool is_below(const char *bus_id, const char *hub)
{
	size_t bytes = strlen(hub);

	return !strncmp(bus_id, hub, bytes) && bus_id[bytes] == '.';
}

/* Every device that is free below a hub, one after the other; what fails stops none of the others. */
static int bind_below(const struct arguments *a)
{
	const struct uw_ctl_device *d;
	uint32_t i, count = 0;
	struct uw_reply r;
	int code = UW_EXIT_OK, result;

	uw_client_ask(a->socket, UW_CTL_LIST, NULL, 0, &r);
	if (failed(&r, a))
		return r.code;
	for (i = 0; i < r.count; i++) {
		d = &r.records[i].u.device;
		if (r.records[i].type != UW_CTL_DEVICE || d->state != UW_CTL_FREE || !is_below((const char *)d->bus_id, a->word))
			continue;
		count++;
		result = bind_one(a, (const char *)d->bus_id, 0);
		code = result ? result : code;
	}
	uw_client_free(&r);
	if (count)
		return code;
	fprintf(stderr, "usbwarp bind: there is no free device below %s; usbwarp list shows them all\n", a->word);
	return UW_EXIT_REFUSED;
}

static int run_bind(const struct arguments *a)
{
	return a->below ? bind_below(a) : bind_one(a, a->word, 0);
}

static int run_move(const struct arguments *a)
{
	return bind_one(a, a->word, UW_CTL_BIND_MOVE);
}

static int run_unbind(const struct arguments *a)
{
	struct uw_ctl_unbind unbind = { 0 };

	if (!put_name(unbind.bus_id, a->word))
		return UW_EXIT_USAGE;
	return change(a, UW_CTL_UNBIND, &unbind, sizeof(unbind));
}

static void print_vms(const struct uw_reply *r)
{
	uint32_t i;

	for (i = 0; i < r->count; i++)
		if (r->records[i].type == UW_CTL_VM)
			puts((const char *)r->records[i].u.vm.name);
}

static int run_status(const struct arguments *a)
{
	struct uw_reply r;

	uw_client_ask(a->socket, UW_CTL_STATUS, NULL, 0, &r);
	if (failed(&r, a))
		return r.code;
	if (a->vms)
		print_vms(&r);
	else
		uw_show_status(&r, a->json);
	uw_client_free(&r);
	return r.code;
}

static int run_qemu_args(const struct arguments *a)
{
	struct uw_reply r;
	int code;

	if (a->libvirt && a->json)
		return take_one("qemu-args: --libvirt and --json are two forms of the same; take one");
	uw_client_ask(a->socket, UW_CTL_STATUS, NULL, 0, &r);
	if (failed(&r, a))
		return r.code;
	code = uw_qemu_show(&r, a->word, a->libvirt ? UW_QEMU_LIBVIRT : a->json ? UW_QEMU_JSON : UW_QEMU_LINE);
	uw_client_free(&r);
	return code;
}

/* Until the daemon is gone or the user has seen enough. */
static int watch(const struct arguments *a, const struct uw_ctl_stats *ask, struct uw_reply *former)
{
	struct uw_show_stats how = { .all = a->all, .former = former };
	uint64_t then = uw_transport_clock(), now;
	struct uw_reply r;

	for (;;) {
		uw_transport_pause(1000);
		uw_client_ask(a->socket, UW_CTL_STATS, ask, sizeof(*ask), &r);
		if (failed(&r, a))
			break;
		now = uw_transport_clock();
		how.seconds = (double)(now - then) / 1e9;
		then = now;
		fputs("\033[H\033[2J", stdout); /* ECMA-48: cursor home, erase page */
		uw_show_stats(&r, &how);
		fflush(stdout);
		uw_client_free(former);
		*former = r;
	}
	uw_client_free(former);
	return r.code;
}

static int run_stats(const struct arguments *a)
{
	struct uw_show_stats how = { .json = a->json, .all = a->all };
	struct uw_ctl_stats ask = { 0 };
	struct uw_reply r;

	if (!put_name(ask.vm, a->vm) || !put_name(ask.bus_id, a->word))
		return UW_EXIT_USAGE;
	if (a->watch && a->json)
		return take_one("stats: --watch is for people and --json for programs; take one");
	uw_client_ask(a->socket, UW_CTL_STATS, &ask, sizeof(ask), &r);
	if (failed(&r, a))
		return r.code;
	if (a->watch)
		return watch(a, &ask, &r);
	uw_show_stats(&r, &how);
	uw_client_free(&r);
	return r.code;
}

/* A number in its bounds; text NULL leaves *number as it is. False: it is none, and that was said. */
static bool take_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;
	const char *at = text;

	if (!text)
		return true;
	while (*at >= '0' && *at <= '9' && value <= max)
		value = 10 * value + (uint64_t)(*at++ - '0');
	if (at == text || *at || value < min || value > max) {
		fprintf(stderr, "usbwarp capture: --%s %s: a number from %llu to %llu is wanted\n", option, text,
			(unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*number = value;
	return true;
}

/* A file for programs and for nobody's eyes: where may it go? */
static bool may_write(const struct arguments *a, bool to_file)
{
	if (!to_file && a->json)
		fputs("usbwarp capture: --json wants standard output for itself; give --write FILE\n", stderr);
	else if (!to_file && uw_transport_is_terminal())
		fputs("usbwarp capture: standard output is a terminal; give --write FILE, or a reader: "
		      "usbwarp capture | wireshark -k -i -\n", stderr);
	else
		return true;
	return false;
}

static void show_capture(const struct uw_capture *c, bool json)
{
	struct uw_json j = { .out = stdout };

	if (json) {
		uw_json_open(&j, NULL, '{');
		uw_json_text(&j, "status", uw_client_status(UW_CTL_OK));
		uw_json_number(&j, "packets", c->packets);
		uw_json_number(&j, "dropped", c->dropped);
		uw_json_close(&j, '}');
		return;
	}
	fprintf(stderr, "usbwarp: %llu packets written, %llu dropped\n", (unsigned long long)c->packets,
		(unsigned long long)c->dropped);
}

static int run_capture(const struct arguments *a)
{
	struct uw_capture c = { .where = a->socket };
	uw_u8 bus_id[UW_CTL_NAME], vm[UW_CTL_NAME];
	uint64_t snaplen = UW_CAPTURE_PACKET_MAX;
	struct uw_reply r;

	c.file = a->write && strcmp(a->write, "-") ? a->write : NULL;
	if (!put_name(bus_id, a->word) || !put_name(vm, a->vm) ||
	    !take_number("snaplen", a->snaplen, UW_CAPTURE_PACKET_MIN, UW_CAPTURE_PACKET_MAX, &snaplen) ||
	    !take_number("count", a->count, 1, UINT32_MAX, &c.count) ||
	    !take_number("seconds", a->seconds, 1, 1000000000, &c.seconds) || !may_write(a, c.file))
		return UW_EXIT_USAGE;
	c.bus_id = bus_id;
	c.vm = vm;
	c.snaplen = (uint32_t)snaplen;
	uw_capture_run(&c, &r);
	if (!r.code || c.packets || c.dropped)
		show_capture(&c, a->json && !r.code);
	if (r.code)
		uw_show_outcome(&r, a->json);
	if (r.status == UW_CTL_NO_DEVICE && !a->json)
		suggest_device(a);
	return r.code;
}

/* Without a daemon the program's own version is still an answer. */
static int run_version(const struct arguments *a)
{
	struct uw_reply r;

	uw_client_ask(a->socket, UW_CTL_STATUS, NULL, 0, &r);
	uw_show_version(&r, a->json);
	uw_client_free(&r);
	return UW_EXIT_OK;
}

static int run_help(const struct arguments *a);

/* ---- the table ---- */

static const struct command commands[] = {
	{ "list", "usbwarp list", "show devices and where they are bound",
	  "  --bus-ids      print bus ids alone, one a line\n"
	  "  --free         devices that may be bound\n"
	  "  --bound        devices that are bound\n", options_list, false, false, run_list },
	{ "bind", "usbwarp bind BUSID|VENDOR:PRODUCT", "give a device to a VM, and whatever comes in its place",
	  "A bus id stands for a port: what is plugged in there later is bound as well.\n"
	  "VENDOR:PRODUCT, in hexadecimal digits, * and ?, stands for every device of that\n"
	  "id, now and later. Both last until unbind.\n\n"
	  "  --vm NAME      to this VM; may be left out when there is only one\n"
	  "  --below        BUSID is a hub: bind every free device below it\n"
	  "  --force        even if the host itself uses the device\n", options_bind, true, true, run_bind },
	{ "move", "usbwarp move BUSID|VENDOR:PRODUCT", "give a device that one VM has to another",
	  "  --vm NAME      to this VM; may be left out when there is only one\n"
	  "  --force        even if the host itself uses the device\n", options_move, true, true, run_move },
	{ "unbind", "usbwarp unbind BUSID|VENDOR:PRODUCT", "take a device back from its VM, and forget it", "", options_plain,
	  true, true, run_unbind },
	{ "status", "usbwarp status", "show the daemon, its VMs and their ports",
	  "  --vms          print the VMs' names alone, one a line\n", options_status, false, false, run_status },
	{ "stats", "usbwarp stats [BUSID]", "show counters and latencies",
	  "  --vm NAME      of this VM alone\n"
	  "  --all          counters that are 0, too\n"
	  "  --watch        every second, with what each second brings\n", options_stats, true, false, run_stats },
	{ "capture", "usbwarp capture [BUSID]", "record what passes between VMs and devices, for Wireshark",
	  "  --vm NAME      of this VM alone\n"
	  "  --write FILE   into this file; -, and what is taken without it, is standard output\n"
	  "  --snaplen BYTES  keep no more of each packet, 64 of which are its header\n"
	  "  --count N      end after so many packets\n"
	  "  --seconds N    end after so many seconds\n", options_capture, true, false, run_capture },
	{ "qemu-args", "usbwarp qemu-args [VM]", "print what QEMU is to be started with for a VM",
	  "  --libvirt      as the element of libvirt's XML\n", options_qemu, true, false, run_qemu_args },
	{ "version", "usbwarp version", "show the versions of program and daemon", "", options_plain, false, false,
	  run_version },
	{ "help", "usbwarp help [COMMAND]", "explain a command", "", options_plain, true, false, run_help },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	const char *best = NULL;
	uint32_t distance = 0;
	size_t i;

	for (i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
		uw_suggest_offer(name, commands[i].name, &best, &distance);
	}
	fprintf(stderr, "usbwarp: there is no command %s.\n", name);
	if (best)
		fprintf(stderr, "Did you mean usbwarp %s?\n", best);
	else
		fputs("Try usbwarp help.\n", stderr);
	return NULL;
}

static void print_help(void)
{
	size_t i;

	printf("Usage: usbwarp [--socket PATH] COMMAND [OPTION]...\n"
	       "Controls %s, which gives USB devices to virtual machines.\n\n", uw_transport_peer);
	for (i = 0; i < COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].about);
	printf("\nEach command has --help. Exit code: 0 done, 1 refused, 2 wrong usage, 3 %s not\n"
	       "reachable, 4 it speaks another version.\n", uw_transport_peer);
}

static void print_command(const struct command *c)
{
	printf("Usage: %s [OPTION]...\n%c%s.\n\n%s", c->usage, c->about[0] - 'a' + 'A', c->about + 1, c->help);
	printf("  --json         for programs\n"
	       "  --socket PATH  of %s\n"
	       "  --help         this text\n", uw_transport_peer);
}

static int run_help(const struct arguments *a)
{
	const struct command *c = a->word ? find_command(a->word) : NULL;

	if (c)
		print_command(c);
	else if (!a->word)
		print_help();
	return c || !a->word ? UW_EXIT_OK : UW_EXIT_USAGE;
}

static int usage_error(const struct command *c, const char *what, const char *word)
{
	fprintf(stderr, "usbwarp %s: %s%s. Try usbwarp %s --help.\n", c->name, what, word, c->name);
	return UW_EXIT_USAGE;
}

static int take_word(const struct command *c, const char *word, struct arguments *a)
{
	if (!c->word || a->word)
		return usage_error(c, "what is ", word);
	a->word = word;
	return -1;
}

/* -1: go on; else the exit code. */
static int take_option(const struct command *c, int option, const char *value, struct arguments *a)
{
	switch (option) {
	case UW_OPTIONS_WORD:
		return take_word(c, value, a);
	case OPTION_HELP:
		print_command(c);
		return UW_EXIT_OK;
	case OPTION_JSON:
		a->json = true;
		break;
	case OPTION_SOCKET:
		a->socket = value;
		break;
	case OPTION_VM:
		a->vm = value;
		break;
	case OPTION_ALL:
		a->all = true;
		break;
	case OPTION_WATCH:
		a->watch = true;
		break;
	case OPTION_FORCE:
		a->force = true;
		break;
	case OPTION_BELOW:
		a->below = true;
		break;
	case OPTION_BUS_IDS:
		a->bus_ids = true;
		break;
	case OPTION_FREE:
		a->free = true;
		break;
	case OPTION_BOUND:
		a->bound = true;
		break;
	case OPTION_VMS:
		a->vms = true;
		break;
	case OPTION_LIBVIRT:
		a->libvirt = true;
		break;
	case OPTION_WRITE:
		a->write = value;
		break;
	case OPTION_SNAPLEN:
		a->snaplen = value;
		break;
	case OPTION_COUNT:
		a->count = value;
		break;
	case OPTION_SECONDS:
		a->seconds = value;
		break;
	default:
		return usage_error(c, "see above", "");
	}
	return -1;
}

static int run(const struct command *c, struct uw_options *o, struct arguments *a)
{
	int option, code;

	while ((option = uw_options_next(o, c->options)) != UW_OPTIONS_END) {
		code = take_option(c, option, o->value, a);
		if (code >= 0)
			return code;
	}
	if (!a->word && c->word_needed)
		return usage_error(c, "which device? usbwarp list shows them", "");
	return c->run(a);
}

static int run_word(struct uw_options *o, struct arguments *a)
{
	const struct command *c = find_command(o->value);

	return c ? run(c, o, a) : UW_EXIT_USAGE;
}

int uw_commands_run(int argc, char **argv)
{
	static const struct uw_option options[] = {
		{ "help", 'h', false, OPTION_HELP }, { "version", 'V', false, OPTION_VERSION },
		{ "socket", 0, true, OPTION_SOCKET }, { 0 },
	};
	struct uw_options o = { .left = argc - 1, .at = argv + 1, .program = "usbwarp" };
	struct arguments a = { 0 };

	for (;;) {
		switch (uw_options_next(&o, options)) {
		case UW_OPTIONS_WORD:
			return run_word(&o, &a);
		case UW_OPTIONS_END:
			print_help();
			return UW_EXIT_USAGE;
		case OPTION_HELP:
			print_help();
			return UW_EXIT_OK;
		case OPTION_VERSION:
			puts("usbwarp " USBWARP_RELEASE);
			return UW_EXIT_OK;
		case OPTION_SOCKET:
			a.socket = o.value;
			break;
		default:
			fputs("Try usbwarp help.\n", stderr);
			return UW_EXIT_USAGE;
		}
	}
}
