/* SPDX-License-Identifier: GPL-2.0-only */
/* What the service is told to do: values of its registry key and options of its command line, one table. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "host.h"
#include "log.h"
#include "text.h"

#define REGION_LARGEST (64u << 20)  /* of a 32-bit BAR: the gap below 4 GiB that Hyper-V places it in has 128 MiB */

enum kind { KIND_VM, KIND_NUMBER, KIND_SIZE, KIND_BOOL, KIND_LEVEL, KIND_BY };

struct key {
	const char *name, *argument, *help;
	enum kind kind;
	size_t at;
	uint64_t min, max;
};

#define AT(member) offsetof(struct uw_config, member)

static const struct key keys[] = {
	{ "vm", "[NAME=]ID", "serve this VM: GUID or name; several; default: WSL's", KIND_VM, 0, 0, 0 },
	{ "size", "BYTES", "size of a region: 4M to 64M, a power of two", KIND_SIZE, AT(size), UW_REGION_MIN,
	  REGION_LARGEST },
	{ "poll", "USEC", "poll so long after activity before sleeping", KIND_NUMBER, AT(poll), 0, 1000000 },
	{ "breaker-threshold", "N", "hard errors in a row that stop a device, 0 never", KIND_NUMBER,
	  AT(breaker_threshold), 0, UINT32_MAX },
	{ "breaker-cooldown", "MSEC", "until it is tried again", KIND_NUMBER, AT(breaker_cooldown), 1, 3600000 },
	{ "rate", "N", "transfers per second and device, 0 no limit", KIND_NUMBER, AT(rate), 0, UINT32_MAX },
	{ "burst", "N", "transfers that may come at once", KIND_NUMBER, AT(burst), 1, UINT32_MAX },
	{ "orphan", "MSEC", "until a guest that is gone or silent loses its devices", KIND_NUMBER, AT(orphan), 100,
	  3600000 },
	{ "discover", "MSEC", "time between looks for VMs that have come", KIND_NUMBER, AT(discover), 100, 60000 },
	{ "bar64", "yes|no", "place the region above 4 GiB", KIND_BOOL, AT(wide), 0, 0 },
	{ "remember", "port|id", "what a bound device is known by when it returns", KIND_BY, AT(by_id), 0, 0 },
	{ "log", "LEVEL", "error, warning, notice, info or debug", KIND_LEVEL, AT(level), 0, 0 },
};

struct word {
	const char *word;
	uint64_t value;
};

static const struct word words_bool[] = {
	{ "yes", 1 }, { "no", 0 }, { "on", 1 }, { "off", 0 }, { "true", 1 }, { "false", 0 }, { "1", 1 }, { "0", 0 },
	{ 0 },
};
static const struct word words_level[] = {
	{ "error", UW_LOG_ERROR }, { "warning", UW_LOG_WARNING }, { "notice", UW_LOG_NOTICE },
	{ "info", UW_LOG_INFO },   { "debug", UW_LOG_DEBUG },	  { 0 },
};
static const struct word words_by[] = { { "port", 0 }, { "id", 1 }, { 0 } };

static bool put_word(const struct word *words, const char *text, uint64_t *value, char *why)
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

/* Decimal, with K or M for a size. */
static bool put_number(const struct key *k, const char *text, uint64_t *value, char *why)
{
	uint64_t v = 0, unit = 1;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && v <= UINT32_MAX; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	if (k->kind == KIND_SIZE && p > text && (*p == 'K' || *p == 'M'))
		unit = *p++ == 'K' ? 1024 : 1048576;
	if (p == text || *p || v * unit < k->min || v * unit > k->max ||
	    (k->kind == KIND_SIZE && !uw_power_of_two((uint32_t)(v * unit)))) {
		snprintf(why, UW_WHY, "is a number from %llu to %llu%s, not \"%.60s\"", (unsigned long long)k->min,
			 (unsigned long long)k->max, k->kind == KIND_SIZE ? ", a power of two (K and M multiply)" : "",
			 text);
		return false;
	}
	*value = v * unit;
	return true;
}

static bool is_name(const char *text, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return bytes && bytes < UW_CTL_NAME;
}

/* [NAME=]GUID, [NAME=]name, or wsl. A GUID without a name is called by its first eight digits. */
static bool add_vm(struct uw_config *c, const char *text, char *why)
{
	const char *equals = strchr(text, '='), *id = equals ? equals + 1 : text;
	size_t name = equals ? (size_t)(equals - text) : strlen(id);
	struct uw_vm_config *vm = &c->vm[c->vms];
	uint32_t i;

	if (!equals && name == 36 && id[8] == '-')
		name = 8;
	if (c->vms == UW_VMS_MAX || !is_name(text, name) || !*id || strlen(id) >= UW_VM_ID) {
		snprintf(why, UW_WHY, "is wsl, or a VM's GUID or name, or SHORT=GUID, at most %u times; not \"%.60s\"",
			 UW_VMS_MAX, text);
		return false;
	}
	memset(vm, 0, sizeof(*vm));
	memcpy(vm->name, text, name);
	if (uw_text_same(id, "wsl"))
		memcpy(vm->owner, "WSL", 4);
	else
		memcpy(vm->id, id, strlen(id));
	for (i = 0; i < c->vms; i++) {
		if (uw_text_same(c->vm[i].name, vm->name) || (uw_text_same(c->vm[i].id, vm->id) &&
							      uw_text_same(c->vm[i].owner, vm->owner))) {
			snprintf(why, UW_WHY, "names \"%.60s\" twice", text);
			return false;
		}
	}
	c->vms++;
	return true;
}

bool uw_config_set(struct uw_config *config, const char *name, const char *text, char *why)
{
	const struct key *k = keys, *end = keys + UW_COUNT_OF(keys);
	char said[UW_WHY] = "";
	uint64_t *at;
	bool done;

	while (k < end && strcmp(k->name, name))
		k++;
	if (k == end) {
		snprintf(why, UW_WHY, "there is no option \"%.60s\"; --help shows those there are", name);
		return false;
	}
	at = (uint64_t *)(void *)((char *)config + k->at);
	if (k->kind == KIND_VM)
		done = add_vm(config, text, said);
	else if (k->kind == KIND_BOOL || k->kind == KIND_LEVEL || k->kind == KIND_BY)
		done = put_word(k->kind == KIND_BOOL ? words_bool : k->kind == KIND_BY ? words_by : words_level, text,
				at, said);
	else
		done = put_number(k, text, at, said);
	if (!done)
		snprintf(why, UW_WHY, "%s %.220s", name, said);
	return done;
}

void uw_config_init(struct uw_config *config)
{
	struct uw_host_limits limits;

	uw_host_limits_default(&limits);
	memset(config, 0, sizeof(*config));
	config->size = UW_REGION_DEFAULT;
	config->poll = 100;
	config->breaker_threshold = limits.breaker.threshold;
	config->breaker_cooldown = limits.breaker.cooldown / UW_MS;
	config->rate = limits.bucket.rate;
	config->burst = limits.bucket.burst;
	config->orphan = limits.orphan / UW_MS;
	config->discover = 2000;
	config->level = UW_LOG_INFO;
}

bool uw_config_complete(struct uw_config *config, char *why)
{
	return config->vms || add_vm(config, "wsl", why);
}

const char *uw_config_key(uint32_t n, const char **argument, const char **help)
{
	if (n >= UW_COUNT_OF(keys))
		return NULL;
	*argument = keys[n].argument;
	*help = keys[n].help;
	return keys[n].name;
}
