/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon is told to do: command line and configuration file, which share one table of keys. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "binding.h"
#include "dev.h"
#include "host.h"
#include "log.h"
#include "policy.h"
#include "field.h"

/* ---- values ---- */

enum field_type { FIELD_TEXT, FIELD_NUMBER, FIELD_SIZE, FIELD_BOOL, FIELD_SPEED, FIELD_LEVEL };

/* A key, and where its value goes. */
struct field {
	const char *key;
	enum field_type type;
	size_t at;
	uint64_t min, max;     /* of numbers and sizes */
};

struct word {
	const char *word;
	uint64_t value;
};

static const struct word words_bool[] = {
	{ "yes", 1 }, { "no", 0 }, { "on", 1 }, { "off", 0 }, { "true", 1 }, { "false", 0 }, { "1", 1 }, { "0", 0 },
	{ 0 },
};
static const struct word words_speed[] = {
	{ "full", UW_SPEED_FULL }, { "high", UW_SPEED_HIGH }, { "super", UW_SPEED_SUPER }, { 0 },
};
static const struct word words_level[] = {
	{ "error", UW_LOG_ERROR }, { "warning", UW_LOG_WARNING }, { "notice", UW_LOG_NOTICE },
	{ "info", UW_LOG_INFO }, { "debug", UW_LOG_DEBUG }, { 0 },
};

static bool parse_word(const struct word *words, const char *text, uint64_t *value, char *why)
{
	const struct word *w;
	int used;

	for (w = words; w->word; w++) {
		if (!strcmp(w->word, text)) {
			*value = w->value;
			return true;
		}
	}
	used = snprintf(why, UW_WHY, "is one of:");
	for (w = words; w->word; w++)
		used += snprintf(why + used, UW_WHY - (size_t)used, " %s", w->word);
	return false;
}

/* Decimal, with K, M or G for a size. */
static bool parse_number(const struct field *f, const char *text, uint64_t *value, char *why)
{
	static const char suffix[] = "KMG";
	unsigned long long v;
	const char *unit;
	uint32_t shift = 0;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	unit = f->type == FIELD_SIZE && *end ? strchr(suffix, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (uint32_t)(unit - suffix + 1);
		end++;
	}
	if (errno || !isdigit((unsigned char)*text) || *end || v > UINT64_MAX >> shift || v << shift < f->min ||
	    v << shift > f->max) {
		snprintf(why, UW_WHY, "is a number from %llu to %llu%s, not \"%.60s\"", (unsigned long long)f->min,
			 (unsigned long long)f->max, f->type == FIELD_SIZE ? " bytes (K, M and G multiply)" : "", text);
		return false;
	}
	*value = v << shift;
	return true;
}

static bool put_text(char **at, const char *text, char *why)
{
	if (!*text) {
		snprintf(why, UW_WHY, "needs a value");
		return false;
	}
	free(*at);
	*at = strdup(text);
	return *at != NULL;
}

static bool put(const struct field *f, void *target, const char *text, char *why)
{
	void *at = (char *)target + f->at;
	uint64_t value;

	switch (f->type) {
	case FIELD_TEXT:
		return put_text(at, text, why);
	case FIELD_BOOL:
		if (!parse_word(words_bool, text, &value, why))
			return false;
		*(bool *)at = value;
		return true;
	case FIELD_SPEED:
		return parse_word(words_speed, text, at, why);
	case FIELD_LEVEL:
		return parse_word(words_level, text, at, why);
	default:
		return parse_number(f, text, at, why);
	}
}

static bool put_key(const struct field *fields, void *target, const char *key, const char *text, char *why)
{
	const struct field *f;
	char said[UW_WHY];
	int used;

	for (f = fields; f->key; f++) {
		if (strcmp(f->key, key))
			continue;
		if (put(f, target, text, said))
			return true;
		snprintf(why, UW_WHY, "%s %.200s", key, said);
		return false;
	}
	used = snprintf(why, UW_WHY, "has no \"%.40s\"; it has:", key);
	for (f = fields; f->key; f++)
		used += snprintf(why + used, UW_WHY - (size_t)used, " %s", f->key);
	return false;
}

/* Cuts the next piece out of "a=1,b=x,,y": a comma that belongs to a value is written twice. */
static char *next_piece(char **rest)
{
	char *piece = *rest, *from = piece, *to = piece;

	if (!piece)
		return NULL;
	for (; *from && (from[0] != ',' || from[1] == ','); from++) {
		from += from[0] == ',';
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = 0;
	return piece;
}

/* "key=value,key=value"; a key alone means yes. */
static bool put_pairs(const struct field *fields, void *target, char *pairs, char *why)
{
	char *piece, *value;

	while ((piece = next_piece(&pairs)) != NULL) {
		value = strchr(piece, '=');
		if (value)
			*value++ = 0;
		if (!put_key(fields, target, piece, value ? value : "yes", why))
			return false;
	}
	return true;
}

static bool put_name(char *name, const char *text, char *why)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t bytes = strlen(text);

	if (!bytes || bytes >= UW_CTL_NAME || strspn(text, allowed) != bytes || *text == '.') {
		snprintf(why, UW_WHY, "\"%.60s\" is no name: 1 to %u letters, digits, '.', '_' or '-'", text,
			 UW_CTL_NAME - 1);
		return false;
	}
	memcpy(name, text, bytes + 1);
	return true;
}

/* ---- keys with a structure ---- */

static const struct field vm_fields[] = {
	{ "socket", FIELD_TEXT, offsetof(struct uw_vm_config, socket), 0, 0 },
	{ "group", FIELD_TEXT, offsetof(struct uw_vm_config, group), 0, 0 },
	{ "file", FIELD_TEXT, offsetof(struct uw_vm_config, file), 0, 0 },
	{ "size", FIELD_SIZE, offsetof(struct uw_vm_config, size), UW_REGION_MIN, UW_REGION_MAX },
	{ 0 },
};

/* The VM of this name, made when it is new. */
static struct uw_vm_config *vm_named(struct uw_config *c, const char *name, char *why)
{
	char checked[UW_CTL_NAME];
	uint32_t i;

	if (!put_name(checked, name, why))
		return NULL;
	for (i = 0; i < c->vms; i++)
		if (!strcmp(c->vm[i].name, checked))
			return &c->vm[i];
	if (c->vms == UW_VMS_MAX) {
		snprintf(why, UW_WHY, "more than %u VMs", UW_VMS_MAX);
		return NULL;
	}
	memcpy(c->vm[c->vms].name, checked, sizeof(checked));
	return &c->vm[c->vms++];
}

/* NAME[:socket=PATH,size=SIZE,...] */
static bool set_vm(struct uw_config *c, char *value, char *why)
{
	char *pairs = strchr(value, ':');
	struct uw_vm_config *vm;

	if (pairs)
		*pairs++ = 0;
	vm = vm_named(c, value, why);
	return vm && put_pairs(vm_fields, vm, pairs, why);
}

static const struct field model_fields[] = {
	{ "speed", FIELD_SPEED, offsetof(struct uw_model_config, speed), 0, 0 },
	{ "serial", FIELD_TEXT, offsetof(struct uw_model_config, serial), 0, 0 },
	{ "paced", FIELD_BOOL, offsetof(struct uw_model_config, paced), 0, 0 },
	{ "babble", FIELD_BOOL, offsetof(struct uw_model_config, babble), 0, 0 },
	{ "pattern", FIELD_NUMBER, offsetof(struct uw_model_config, pattern), 0, 2 },
	{ "streams", FIELD_NUMBER, offsetof(struct uw_model_config, streams), 0, 32768 },
	{ "autoresume", FIELD_NUMBER, offsetof(struct uw_model_config, autoresume), 0, 3600000 },
	{ "file", FIELD_TEXT, offsetof(struct uw_model_config, file), 0, 0 },
	{ "size", FIELD_SIZE, offsetof(struct uw_model_config, size), 4096, 1ull << 42 },
	{ "block", FIELD_SIZE, offsetof(struct uw_model_config, block), 512, 4096 },
	{ "readonly", FIELD_BOOL, offsetof(struct uw_model_config, readonly), 0, 0 },
	{ 0 },
};

/* KIND[:key=value,...]; the n-th of its kind gets the bus id KIND-n. */
static bool set_model(struct uw_config *c, char *value, char *why)
{
	struct uw_model_config *m = &c->model[c->models];
	char *pairs = strchr(value, ':'), bus_id[UW_CTL_NAME] = "";
	uint32_t i, n = 1;

	if (c->models == UW_MODELS_MAX) {
		snprintf(why, UW_WHY, "more than %u models", UW_MODELS_MAX);
		return false;
	}
	memset(m, 0, sizeof(*m));
	m->fd = -1;
	c->models++;
	if (pairs)
		*pairs++ = 0;
	if (!put_name(m->kind, value, why) || !put_pairs(model_fields, m, pairs, why))
		return false;
	for (i = 0; i + 1 < c->models; i++)
		n += !strcmp(c->model[i].kind, m->kind);
	snprintf(bus_id, sizeof(bus_id), "%.25s-%u", m->kind, n);
	memcpy(m->bus_id, bus_id, sizeof(bus_id));
	return uw_dev_check_model(m, why);
}

/* BUSID[@VM] or VENDOR:PRODUCT[@VM] */
static bool set_bind(struct uw_config *c, char *value, char *why)
{
	struct uw_bind_config *b = &c->bind[c->binds];
	char *vm = strchr(value, '@');

	if (c->binds == UW_BINDS_MAX) {
		snprintf(why, UW_WHY, "more than %u devices", UW_BINDS_MAX);
		return false;
	}
	memset(b, 0, sizeof(*b));
	if (vm)
		*vm++ = 0;
	if (!uw_binding_is_match(value)) {
		snprintf(why, UW_WHY, "\"%.60s\" is neither a bus id nor VENDOR:PRODUCT in hexadecimal digits, * and ?", value);
		return false;
	}
	UW_TEXT_PUT(b->match, value);
	if (vm && !put_name(b->vm, vm, why))
		return false;
	c->binds++;
	return true;
}

static bool set_rule(struct uw_config *c, char *value, bool allow, char *why)
{
	struct uw_policy_rule *rule = &c->rule[c->rules];

	if (c->rules == UW_RULES_MAX) {
		snprintf(why, UW_WHY, "more than %u rules", UW_RULES_MAX);
		return false;
	}
	if (!uw_policy_parse(rule, value, why))
		return false;
	rule->allow = allow;
	c->rules++;
	return true;
}

static bool set_allow(struct uw_config *c, char *value, char *why)
{
	return set_rule(c, value, true, why);
}

static bool set_deny(struct uw_config *c, char *value, char *why)
{
	return set_rule(c, value, false, why);
}

/* ---- the table of keys ---- */

/* Either a plain value, or a key that may come more than once and has a structure. */
struct key {
	const char *argument, *help;
	bool (*set)(struct uw_config *c, char *value, char *why);
	struct field field;
};

#define PLAIN(name, type, argument, help, member, min, max) \
	{ argument, help, NULL, { name, type, offsetof(struct uw_config, member), min, max } }
#define MANY(name, argument, help, set) { argument, help, set, { .key = name } }

static const struct key keys[] = {
	MANY("vm", "NAME[:KEY=VALUE,...]", "serve a VM; keys: socket, group, size, file", set_vm),
	MANY("model", "KIND[:KEY=VALUE,...]", "add a model device", set_model),
	MANY("bind", "BUSID|VID:PID[@VM]", "bind a device whenever it is there; VID and PID may have * and ?", set_bind),
	MANY("allow", "id=VID:PID,class=CC,port=BUSID|all", "devices that may be bound: the first of all", set_allow),
	MANY("deny", "id=VID:PID,class=CC,port=BUSID|all", "these rules that fits a device decides", set_deny),
	PLAIN("bindings", FIELD_TEXT, "PATH", "remember bindings in this file", bindings, 0, 0),
	PLAIN("control", FIELD_TEXT, "PATH", "socket for usbwarp(1)", control, 0, 0),
	PLAIN("usb", FIELD_BOOL, "yes|no", "serve real devices", usb, 0, 0),
	PLAIN("user", FIELD_TEXT, "NAME", "user of the worker, when started by root", user, 0, 0),
	PLAIN("group", FIELD_TEXT, "NAME", "group that may use the control socket", group, 0, 0),
	PLAIN("poll", FIELD_NUMBER, "USEC", "poll so long after activity before sleeping", poll, 0, 1000000),
	PLAIN("breaker-threshold", FIELD_NUMBER, "N", "hard errors in a row that stop a device, 0 never",
	      breaker_threshold, 0, UINT32_MAX),
	PLAIN("breaker-cooldown", FIELD_NUMBER, "MSEC", "until it is tried again", breaker_cooldown, 1, 3600000),
	PLAIN("rate", FIELD_NUMBER, "N", "transfers per second and device, 0 no limit", rate, 0, UINT32_MAX),
	PLAIN("burst", FIELD_NUMBER, "N", "transfers that may come at once", burst, 1, UINT32_MAX),
	PLAIN("orphan", FIELD_NUMBER, "MSEC", "until a guest that is gone or silent loses its devices", orphan,
	      100, 3600000),
	PLAIN("log", FIELD_LEVEL, "LEVEL", "error, warning, notice, info or debug", level, 0, 0),
};

const char *uw_config_key(uint32_t n, const char **argument, const char **help)
{
	if (n >= UW_COUNT_OF(keys))
		return NULL;
	*argument = keys[n].argument;
	*help = keys[n].help;
	return keys[n].field.key;
}

static bool set(struct uw_config *c, const char *name, const char *value, char *why)
{
	const struct key *key = keys, *end = keys + UW_COUNT_OF(keys);
	bool done;
	char *copy, said[UW_WHY];

	while (key < end && strcmp(key->field.key, name))
		key++;
	if (key == end) {
		snprintf(why, UW_WHY, "there is no key \"%.60s\"; see usbwarpd.conf(5)", name);
		return false;
	}
	copy = strdup(value);
	done = copy && (key->set ? key->set(c, copy, said) : put(&key->field, c, copy, said));
	free(copy);
	if (!done)
		snprintf(why, UW_WHY, "%s %.200s", name, said);
	return done;
}

bool uw_config_set(struct uw_config *config, const char *key, const char *value)
{
	char why[UW_WHY];

	if (set(config, key, value, why))
		return true;
	uw_log(UW_LOG_ERROR, "--%s", why);
	return false;
}

/* ---- the file ---- */

struct file {
	struct uw_config *config;
	const char *path;
	FILE *stream;
	uint32_t line;
	bool good;
};

static void file_error(struct file *f, uint32_t line, const char *why)
{
	f->good = false;
	uw_log(UW_LOG_ERROR, "%s:%u: %s", f->path, line, why);
}

/* Keys stand in [usbwarpd], before any section, or in [vm NAME]. */
static bool set_in_section(struct uw_config *c, const char *section, const char *name, const char *value, char *why)
{
	struct uw_vm_config *vm;

	if (!*section || !strcmp(section, "usbwarpd"))
		return set(c, name, value, why);
	if (strncmp(section, "vm ", 3)) {
		snprintf(why, UW_WHY, "there is no section [%.40s]; there are [usbwarpd] and [vm NAME]", section);
		return false;
	}
	vm = vm_named(c, section + 3, why);
	return vm && put_key(vm_fields, vm, name, value, why);
}

static int on_key(void *ctx, const char *section, const char *name, const char *value)
{
	struct file *f = ctx;
	char why[UW_WHY];

	if (!set_in_section(f->config, section, name, value ? value : "", why))
		file_error(f, f->line, why);
	return 1;
}

/* inih tells handlers no line numbers, and takes the rest of a long line for a new one: so lines are read here. */
static char *read_line(char *text, int size, void *ctx)
{
	struct file *f = ctx;
	int c;

	if (!fgets(text, size, f->stream))
		return NULL;
	f->line++;
	if (strchr(text, '\n') || feof(f->stream))
		return text;
	file_error(f, f->line, "the line is too long");
	while ((c = getc(f->stream)) != EOF && c != '\n')
		;
	memcpy(text, "\n", 2);
	return text;
}

bool uw_config_load(struct uw_config *config, const char *path)
{
	struct file f = { .config = config, .path = path, .good = true };
	int line;

	f.stream = fopen(path, "re");
	if (!f.stream) {
		uw_log(UW_LOG_ERROR, "%s: %s", path, strerror(errno));
		return false;
	}
	line = ini_parse_stream(read_line, &f, on_key, &f);
	if (line > 0)
		file_error(&f, (uint32_t)line, "neither a [section] nor key = value");
	if (ferror(f.stream))
		file_error(&f, f.line, strerror(errno));
	fclose(f.stream);
	return f.good;
}

/* ---- the whole ---- */

void uw_config_init(struct uw_config *config)
{
	struct uw_host_limits limits;

	uw_host_limits_default(&limits);
	memset(config, 0, sizeof(*config));
	config->usb = true;
	config->level = UW_LOG_INFO;
	config->poll = 100;
	config->breaker_threshold = limits.breaker.threshold;
	config->breaker_cooldown = limits.breaker.cooldown / UW_MS;
	config->rate = limits.bucket.rate;
	config->burst = limits.bucket.burst;
	config->orphan = limits.orphan / UW_MS;
}

void uw_config_fini(struct uw_config *config)
{
	uint32_t i;

	free(config->control);
	free(config->bindings);
	free(config->user);
	free(config->group);
	for (i = 0; i < config->vms; i++) {
		free(config->vm[i].socket);
		free(config->vm[i].group);
		free(config->vm[i].file);
	}
	for (i = 0; i < config->models; i++) {
		if (config->model[i].fd >= 0)
			close(config->model[i].fd);
		free(config->model[i].file);
		free(config->model[i].serial);
	}
}

const char *uw_config_directory(void)
{
	static char path[256];
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (!geteuid())
		return "/run/usbwarp";
	if (runtime && *runtime == '/')
		snprintf(path, sizeof(path), "%.200s/usbwarp", runtime);
	else
		snprintf(path, sizeof(path), "/tmp/usbwarp-%u", geteuid());
	return path;
}

static char *in_directory(struct uw_config *c, const char *name)
{
	char *path;

	c->in_directory = true;
	return asprintf(&path, "%s/%s.sock", uw_config_directory(), name) < 0 ? NULL : path;
}

static bool complete_vm(struct uw_config *c, struct uw_vm_config *vm)
{
	if (vm->file && (vm->socket || vm->group)) {
		uw_log(UW_LOG_ERROR, "vm %s: file excludes socket and group", vm->name);
		return false;
	}
	if (!uw_power_of_two((uint32_t)vm->size) && vm->size) {
		uw_log(UW_LOG_ERROR, "vm %s: size is a power of two", vm->name);
		return false;
	}
	if (!vm->file && !vm->size)
		vm->size = UW_REGION_DEFAULT;
	if (!vm->file && !vm->socket)
		vm->socket = in_directory(c, vm->name);
	return vm->file || vm->socket;
}

/* Two VMs with one socket or one region would each believe to be alone. */
static bool apart(const struct uw_vm_config *a, const struct uw_vm_config *b)
{
	bool socket = a->socket && b->socket && !strcmp(a->socket, b->socket);
	bool file = a->file && b->file && !strcmp(a->file, b->file);

	if (socket || file)
		uw_log(UW_LOG_ERROR, "vm %s and vm %s: the same %s", a->name, b->name, file ? "file" : "socket");
	return !socket && !file;
}

bool uw_config_complete(struct uw_config *config)
{
	const char *state = getenv("STATE_DIRECTORY"); /* systemd.exec(5) */
	bool good = true;
	char why[UW_WHY];
	uint32_t i, j;

	if (!config->vms && !vm_named(config, "default", why))
		return false;
	if (!config->control)
		config->control = in_directory(config, "control");
	if (!config->bindings && state && asprintf(&config->bindings, "%s/bindings", state) < 0)
		return false;
	for (i = 0; i < config->vms; i++)
		good &= complete_vm(config, &config->vm[i]);
	for (i = 0; i < config->vms; i++)
		for (j = 0; j < i; j++)
			good &= apart(&config->vm[j], &config->vm[i]);
	return good && config->control;
}
