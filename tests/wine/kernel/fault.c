// SPDX-License-Identifier: GPL-2.0-only
#include "fault.h"

static struct lab_fault_plan plan;
static struct lab_lock plan_lock;
static uint32_t seen, failed;

static const char *const kinds[LAB_FAIL_COUNT] = {
	[LAB_FAIL_POOL] = "pool", [LAB_FAIL_MDL] = "mdl", [LAB_FAIL_IRP] = "irp", [LAB_FAIL_WORK] = "work",
	[LAB_FAIL_OBJECT] = "object", [LAB_FAIL_REGISTRY] = "registry", [LAB_FAIL_THREAD] = "thread",
	[LAB_FAIL_DEVICE] = "device", [LAB_FAIL_SECTION] = "section", [LAB_FAIL_PNP] = "pnp", [LAB_FAIL_POWER] = "power",
};

static bool same(char a, char b)
{
	return (a | 32) == (b | 32);
}

static bool begins(const char *text, const char *start)
{
	while (*start && same(*text, *start))
		text++, start++;
	return !*start;
}

/* One word up to a comma or the end. */
static uint32_t kind(const char *word, size_t length)
{
	char text[16];

	if (length >= sizeof(text))
		return 0;
	memcpy(text, word, length);
	text[length] = 0;
	for (uint32_t i = 1; i < LAB_FAIL_COUNT; i++)
		if (!strcmp(text, kinds[i]))
			return 1u << i;
	return strcmp(text, "all") ? 0 : ~0u;
}

uint32_t lab_fault_kind(const char *word)
{
	uint32_t bits = 0, one;
	size_t length;

	for (;; word += length + 1) {
		for (length = 0; word[length] && word[length] != ','; length++)
			;
		one = kind(word, length);
		if (!one)
			return 0;
		bits |= one;
		if (!word[length])
			return bits;
	}
}

bool lab_fault(struct lab_call *call, const void *caller)
{
	char where[96];
	bool fail = false;

	if (!plan.kinds || !(plan.kinds >> call->kind & 1) ||
	    (plan.module[0] && !begins(lab_where(caller, where, sizeof(where)), plan.module)))
		return false;
	lab_lock(&plan_lock);
	seen++;
	if (plan.nth && (seen == plan.nth || (plan.every && seen > plan.nth && (seen - plan.nth) % plan.every == 0))) {
		failed++;
		fail = true;
	}
	lab_unlock(&plan_lock);
	if (fail)
		DbgPrint("uwlab: planned failure %u of %s at %s\n", seen, call->name, lab_where(caller, where, sizeof(where)));
	return fail;
}

void lab_fault_set(const struct lab_fault_plan *to)
{
	lab_lock(&plan_lock);
	plan = *to;
	seen = failed = 0;
	lab_unlock(&plan_lock);
}

uint32_t lab_fault_count(uint32_t *hits)
{
	*hits = failed;
	return seen;
}
