/* SPDX-License-Identifier: GPL-2.0-only */
/* Answers on the screen: tables for people, or JSON. */
#include "show.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "table.h"
#include "text.h"

#define TEXT(field) ((const char *)(field))
#define WORD(words, value) word(words, sizeof(words) / sizeof((words)[0]), value)

static const char *word(const char *const *words, size_t count, uint32_t value)
{
	return value < count ? words[value] : "unknown";
}

static const char *const speeds[] = { "none", "low", "full", "high", "super" };
static const char *const device_states[] = { "free", "opening", "attached", "waiting", "hub", "awaited", "closing" };
static const char *const links[] = { "ivshmem", "file", "hdv" };
static const char *const phases[] = { "draining", "offered", "greeting", "running", "closed", "down" };
static const char *const breakers[] = { "closed", "open", "half-open" };

/* USB-IF's defined class codes. */
static const char *class_name(uint8_t code)
{
	static const struct {
		uint8_t code;
		const char *name;
	} names[] = {
		{ 0x00, "per interface" }, { 0x01, "audio" }, { 0x02, "communications" }, { 0x03, "input" },
		{ 0x05, "physical" }, { 0x06, "image" }, { 0x07, "printer" }, { 0x08, "storage" }, { 0x09, "hub" },
		{ 0x0a, "CDC data" }, { 0x0b, "smart card" }, { 0x0d, "content security" }, { 0x0e, "video" },
		{ 0x0f, "health care" }, { 0x10, "audio/video" }, { 0x11, "billboard" }, { 0x12, "Type-C bridge" },
		{ 0xdc, "diagnostic" }, { 0xe0, "wireless" }, { 0xef, "miscellaneous" }, { 0xfe, "application" },
		{ 0xff, "vendor" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "unknown";
}

static void json_hex(struct uw_json *j, const char *key, uint32_t value, int digits)
{
	char text[16];

	snprintf(text, sizeof(text), "%0*x", digits, value);
	uw_json_text(j, key, text);
}

/* ---- list ---- */

static void list_json(const struct uw_reply *r)
{
	struct uw_json j = { .out = stdout };
	const struct uw_ctl_device *d;
	uint32_t i;

	uw_json_open(&j, NULL, '{');
	uw_json_open(&j, "devices", '[');
	for (i = 0; i < r->count; i++) {
		if (r->records[i].type != UW_CTL_DEVICE)
			continue;
		d = &r->records[i].u.device;
		uw_json_open(&j, NULL, '{');
		uw_json_text(&j, "bus_id", TEXT(d->bus_id));
		uw_json_text(&j, "backend", TEXT(d->backend));
		json_hex(&j, "vendor", d->vendor, 4);
		json_hex(&j, "product", d->product, 4);
		json_hex(&j, "release", d->release, 4);
		json_hex(&j, "class", d->class_code, 2);
		json_hex(&j, "subclass", d->subclass, 2);
		json_hex(&j, "protocol", d->protocol, 2);
		uw_json_text(&j, "speed", WORD(speeds, d->speed));
		uw_json_text(&j, "state", WORD(device_states, d->state));
		uw_json_text(&j, "vm", TEXT(d->vm));
		uw_json_number(&j, "port", d->port);
		uw_json_text(&j, "description", TEXT(d->description));
		uw_json_close(&j, '}');
	}
	uw_json_close(&j, ']');
	uw_json_close(&j, '}');
}

static void bound_cell(struct uw_table *t, const struct uw_ctl_device *d)
{
	if (d->state == UW_CTL_ATTACHED)
		uw_table_cell(t, "%s, port %u", TEXT(d->vm), d->port);
	else if (d->vm[0])
		uw_table_cell(t, "%s, %s", TEXT(d->vm), WORD(device_states, d->state));
	else
		uw_table_cell(t, "-");
}

/* A binding whose device is not there has no backend, and nothing is known of what will come. */
static void identity_cells(struct uw_table *t, const struct uw_ctl_device *d)
{
	if (!d->backend[0]) {
		uw_table_cell(t, "-");
		uw_table_cell(t, "-");
		uw_table_cell(t, "-");
		return;
	}
	uw_table_cell(t, "%04x:%04x", d->vendor, d->product);
	uw_table_cell(t, "%s", WORD(speeds, d->speed));
	uw_table_cell(t, "%s", class_name(d->class_code));
}

static void list_table(const struct uw_reply *r)
{
	static const char *const headers[] = { "BUS ID", "ID", "SPEED", "CLASS", "BOUND TO", "DESCRIPTION", NULL };
	const struct uw_ctl_device *d;
	struct uw_table t;
	uint32_t i;

	if (!r->count)
		puts("No USB devices are plugged in.");
	uw_table_begin(&t, "", headers);
	for (i = 0; i < r->count; i++) {
		if (r->records[i].type != UW_CTL_DEVICE)
			continue;
		d = &r->records[i].u.device;
		uw_table_cell(&t, "%s", TEXT(d->bus_id));
		identity_cells(&t, d);
		bound_cell(&t, d);
		uw_table_cell(&t, "%s", TEXT(d->description));
	}
	uw_table_end(&t, stdout);
}

void uw_show_list(const struct uw_reply *reply, bool json)
{
	if (json)
		list_json(reply);
	else
		list_table(reply);
}

/* ---- status ---- */

static void daemon_json(struct uw_json *j, const struct uw_ctl_daemon *d)
{
	uw_json_open(j, "daemon", '{');
	uw_json_text(j, "name", TEXT(d->name));
	uw_json_text(j, "release", TEXT(d->release));
	uw_json_number(j, "pid", d->pid);
	uw_json_number(j, "worker", d->worker);
	uw_json_number(j, "restarts", d->restarts);
	uw_json_number(j, "uptime_ns", d->uptime);
	uw_json_bool(j, "usb", d->usb);
	uw_json_number(j, "usb_memory", d->usb_memory);
	uw_json_number(j, "usb_memory_max", d->usb_memory_max);
	uw_json_number(j, "version_min", d->version_min);
	uw_json_number(j, "version_max", d->version_max);
	uw_json_close(j, '}');
}

static void features_json(struct uw_json *j, uint64_t features)
{
	static const char *const names[] = { "isochronous", "streams", "stats", "suspend" };
	uint32_t i;

	uw_json_open(j, "features", '[');
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (features & 1ull << i)
			uw_json_text(j, NULL, names[i]);
	uw_json_close(j, ']');
}

static void vm_json(struct uw_json *j, const struct uw_ctl_vm *v)
{
	uw_json_text(j, "name", TEXT(v->name));
	uw_json_text(j, "phase", WORD(phases, v->phase));
	uw_json_text(j, "guest", TEXT(v->guest));
	uw_json_bool(j, "present", v->present);
	uw_json_text(j, "link", WORD(links, v->kind));
	uw_json_text(j, "path", TEXT(v->path));
	uw_json_bool(j, "doorbell", v->link & UW_LINK_DOORBELL);
	uw_json_bool(j, "interrupt", v->link & UW_LINK_INTERRUPT);
	uw_json_number(j, "size", v->size);
	uw_json_number(j, "epoch", v->epoch);
	uw_json_number(j, "incarnation", v->incarnation);
	features_json(j, v->features);
	uw_json_number(j, "transfers", v->transfers);
	uw_json_number(j, "transfers_max", v->transfers_max);
	uw_json_number(j, "poll_ns", v->poll);
	uw_json_number(j, "breaker_threshold", v->breaker_threshold);
	uw_json_number(j, "breaker_cooldown_ms", v->breaker_cooldown);
	uw_json_number(j, "rate", v->rate);
	uw_json_number(j, "burst", v->burst);
	uw_json_number(j, "usb2_ports", v->usb2_ports);
	uw_json_number(j, "usb3_ports", v->usb3_ports);
}

static void port_json(struct uw_json *j, const struct uw_ctl_port *p)
{
	uw_json_open(j, NULL, '{');
	uw_json_number(j, "port", p->port);
	uw_json_text(j, "bus_id", TEXT(p->bus_id));
	json_hex(j, "vendor", p->vendor, 4);
	json_hex(j, "product", p->product, 4);
	uw_json_text(j, "speed", WORD(speeds, p->speed));
	uw_json_text(j, "state", WORD(device_states, p->state));
	uw_json_text(j, "breaker", WORD(breakers, p->breaker));
	uw_json_number(j, "failures", p->failures);
	uw_json_number(j, "transfers", p->transfers);
	uw_json_text(j, "description", TEXT(p->description));
	uw_json_close(j, '}');
}

static bool is_port(const struct uw_reply *r, uint32_t i)
{
	return i < r->count && r->records[i].type == UW_CTL_PORT;
}

static void status_json(const struct uw_reply *r)
{
	struct uw_json j = { .out = stdout };
	uint32_t i = 0;

	uw_json_open(&j, NULL, '{');
	if (r->count && r->records[0].type == UW_CTL_DAEMON)
		daemon_json(&j, &r->records[i++].u.daemon);
	uw_json_open(&j, "vms", '[');
	while (i < r->count && r->records[i].type == UW_CTL_VM) {
		uw_json_open(&j, NULL, '{');
		vm_json(&j, &r->records[i++].u.vm);
		uw_json_open(&j, "ports", '[');
		for (; is_port(r, i); i++)
			port_json(&j, &r->records[i].u.port);
		uw_json_close(&j, ']');
		uw_json_close(&j, '}');
	}
	uw_json_close(&j, ']');
	uw_json_close(&j, '}');
}

static const char *duration(uint64_t ns)
{
	static char text[48];
	uint64_t s = ns / 1000000000;

	if (s < 120)
		snprintf(text, sizeof(text), "%llu s", (unsigned long long)s);
	else if (s < 7200)
		snprintf(text, sizeof(text), "%llu min", (unsigned long long)(s / 60));
	else
		snprintf(text, sizeof(text), "%llu h %llu min", (unsigned long long)(s / 3600),
			 (unsigned long long)(s / 60 % 60));
	return text;
}

static void print_clean(const char *format, const uw_u8 *text)
{
	char clean[512];

	uw_text_clean(clean, sizeof(clean), TEXT(text));
	printf(format, clean);
}

static void daemon_text(const struct uw_ctl_daemon *d)
{
	print_clean("%s ", d->name);
	print_clean("%s: ", d->release);
	printf("process %u, worker %u up %s", d->pid, d->worker, duration(d->uptime));
	if (d->restarts)
		printf(" (restarted %u times; the log says why)", d->restarts);
	if (!d->usb)
		printf("\n  model devices only");
	else if (d->usb_memory_max)
		printf("\n  USB transfers hold %.1f of %.0f MiB kernel memory", (double)d->usb_memory / (1 << 20),
		       (double)d->usb_memory_max / (1 << 20));
	puts("");
}

/* What the state means to whoever looks at it. */
static const char *phase_text(const struct uw_ctl_vm *v)
{
	if (v->phase == UW_CTL_PHASE_RUN)
		return "running";
	if (!v->present)
		return "no QEMU is connected";
	switch (v->phase) {
	case UW_CTL_PHASE_DRAIN:
		return "transfers of the former session are ending";
	case UW_CTL_PHASE_OFFER:
	case UW_CTL_PHASE_GREET:
		return "waits for the guest's driver";
	case UW_CTL_PHASE_CLOSED:
		return "the guest's driver has left, or was refused";
	default:
		return "down";
	}
}

static void vm_text(const struct uw_ctl_vm *v)
{
	print_clean("\nVM %s: ", v->name);
	fputs(phase_text(v), stdout);
	if (v->guest[0])
		print_clean(", guest \"%s\"", v->guest);
	printf(", epoch %u\n  %s ", v->epoch, WORD(links, v->kind));
	print_clean("%s", v->path);
	printf(", %u MiB%s\n", v->size >> 20,
	       v->link & UW_LINK_DOORBELL ? "" : ", both sides poll: no doorbell, no interrupt");
	printf("  %u of %u transfers, %u of %u ports; polls %u us after activity\n", v->transfers, v->transfers_max,
	       v->devices, (uint32_t)v->usb2_ports + v->usb3_ports, v->poll / 1000);
}

static uint32_t ports_text(const struct uw_reply *r, uint32_t i)
{
	static const char *const headers[] = { ">PORT", "BUS ID", "ID", "SPEED", "STATE", "BREAKER", ">IN FLIGHT",
					       "DESCRIPTION", NULL };
	const struct uw_ctl_port *p;
	struct uw_table t;

	uw_table_begin(&t, "  ", headers);
	for (; is_port(r, i); i++) {
		p = &r->records[i].u.port;
		uw_table_cell(&t, "%u", p->port);
		uw_table_cell(&t, "%s", TEXT(p->bus_id));
		uw_table_cell(&t, "%04x:%04x", p->vendor, p->product);
		uw_table_cell(&t, "%s", WORD(speeds, p->speed));
		uw_table_cell(&t, "%s", WORD(device_states, p->state));
		uw_table_cell(&t, "%s", WORD(breakers, p->breaker));
		uw_table_cell(&t, "%u", p->transfers);
		uw_table_cell(&t, "%s", TEXT(p->description));
	}
	uw_table_end(&t, stdout);
	return i;
}

static void status_text(const struct uw_reply *r)
{
	uint32_t i = 0;

	if (r->count && r->records[0].type == UW_CTL_DAEMON)
		daemon_text(&r->records[i++].u.daemon);
	while (i < r->count && r->records[i].type == UW_CTL_VM) {
		vm_text(&r->records[i].u.vm);
		i = ports_text(r, i + 1);
	}
}

void uw_show_status(const struct uw_reply *reply, bool json)
{
	if (json)
		status_json(reply);
	else
		status_text(reply);
}

/* ---- the rest ---- */

void uw_show_outcome(const struct uw_reply *reply, bool json)
{
	struct uw_json j = { .out = stdout };
	char clean[2 * UW_CTL_TEXT];

	if (json) {
		uw_json_open(&j, NULL, '{');
		uw_json_text(&j, "status", reply->code == UW_EXIT_UNREACHABLE ? "unreachable" :
			     uw_client_status(reply->status));
		uw_json_text(&j, "text", reply->text);
		uw_json_close(&j, '}');
		return;
	}
	uw_text_clean(clean, sizeof(clean), reply->text);
	if (reply->code)
		fprintf(stderr, "usbwarp: %s\n", clean);
	else
		puts(clean);
}

void uw_show_version(const struct uw_reply *reply, bool json)
{
	const struct uw_ctl_daemon *d = NULL;
	struct uw_json j = { .out = stdout };

	if (!reply->code && reply->count && reply->records[0].type == UW_CTL_DAEMON)
		d = &reply->records[0].u.daemon;
	if (!json) {
		puts("usbwarp " USBWARP_RELEASE);
		if (d) {
			print_clean("%s ", d->name);
			print_clean("%s", d->release);
			printf(", shared memory version %u to %u\n", d->version_min, d->version_max);
		}
		return;
	}
	uw_json_open(&j, NULL, '{');
	uw_json_text(&j, "usbwarp", USBWARP_RELEASE);
	if (d)
		daemon_json(&j, d);
	uw_json_close(&j, '}');
}
