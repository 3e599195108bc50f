/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A binding as it is remembered.
 *
 *   (none) --written--> BINDING --driver is ours--> BOUND --unbind--> RESTORING --driver is back--> (none)
 *                          |                                               ^
 *                          +------------- failed, veto, reboot ------------+
 *
 * Each state is in the registry, flushed, before the first step that it announces. So whoever finds BINDING or RESTORING
 * knows no more than that the driver may be the former one, none, or ours, and both are undone the same way.
 */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>

#include "text.h"

static const char *const steps[] = {
	[UW_STEP_BINDING] = "binding",
	[UW_STEP_BOUND] = "bound",
	[UW_STEP_RESTORING] = "restoring",
};

static const struct {
	const char *key;
	size_t at, size;
} fields[] = {
#define FIELD(key, member) { key, offsetof(struct uw_record, member), sizeof(((struct uw_record *)0)->member) }
	FIELD("vm", vm),
	FIELD("bus-id", bus_id),
	FIELD("instance", instance),
	FIELD("hub", hub),
	FIELD("id", id),
	FIELD("name", name),
	FIELD("former-inf", former.inf),
	FIELD("former-section", former.section),
	FIELD("former-provider", former.provider),
	FIELD("former-description", former.description),
	FIELD("former-version", former.version),
	FIELD("former-service", former.service),
	FIELD("former-class", former.class_guid),
#undef FIELD
};

static bool add(char *text, size_t *used, const char *key, const char *value)
{
	char line[400];
	int bytes = snprintf(line, sizeof(line), "%s=%s", key, value), i;

	if (bytes < 0 || (size_t)bytes >= sizeof(line) || *used + (size_t)bytes + 2 > UW_RECORD_TEXT)
		return false;
	for (i = 0; i < bytes; i++)
		text[(*used)++] = (unsigned char)line[i] < 0x20 ? '?' : line[i];
	text[(*used)++] = '\n';
	text[*used] = 0;
	return true;
}

bool uw_record_print(const struct uw_record *r, char text[UW_RECORD_TEXT])
{
	size_t used = 0;
	char port[12];
	uint32_t i;

	snprintf(port, sizeof(port), "%u", r->port);
	if (!add(text, &used, "step", steps[r->step]) || !add(text, &used, "port", port) ||
	    !add(text, &used, "remember", r->by_id ? "id" : "port"))
		return false;
	for (i = 0; i < UW_COUNT_OF(fields); i++)
		if (!add(text, &used, fields[i].key, (const char *)r + fields[i].at))
			return false;
	return true;
}

static void put_step(struct uw_record *r, const char *value, bool *known)
{
	uint32_t i;

	for (i = 0; i < UW_COUNT_OF(steps); i++) {
		if (strcmp(steps[i], value))
			continue;
		r->step = (uint8_t)i;
		*known = true;
	}
}

/* False: the value does not fit, so somebody else wrote it. */
static bool put(struct uw_record *r, const char *key, const char *value, bool *step_known)
{
	uint32_t i;

	if (!strcmp(key, "step"))
		put_step(r, value, step_known);
	else if (!strcmp(key, "port"))
		r->port = (uint32_t)strtoul(value, NULL, 10);
	else if (!strcmp(key, "remember"))
		r->by_id = !strcmp(value, "id");
	for (i = 0; i < UW_COUNT_OF(fields); i++) {
		if (strcmp(key, fields[i].key))
			continue;
		if (strlen(value) >= fields[i].size)
			return false;
		memcpy((char *)r + fields[i].at, value, strlen(value) + 1);
	}
	return true;
}

bool uw_record_parse(const char *text, struct uw_record *r)
{
	char line[400], *equals;
	bool step_known = false;
	size_t bytes;

	memset(r, 0, sizeof(*r));
	for (; *text; text += bytes + (text[bytes] == '\n')) {
		bytes = strcspn(text, "\n");
		if (bytes >= sizeof(line))
			return false;
		memcpy(line, text, bytes);
		line[bytes] = 0;
		equals = strchr(line, '=');
		if (!equals)
			return false;
		*equals++ = 0;
		if (!put(r, line, equals, &step_known))
			return false;
	}
	return step_known && (*r->vm || r->step == UW_STEP_RESTORING) && *r->bus_id && *r->instance;
}

bool uw_record_matches(const struct uw_record *r, const char *instance, const char *hub, uint32_t port, const char *id)
{
	if (uw_text_same(r->instance, instance))
		return true;
	if (r->by_id)
		return *r->id && uw_text_same(r->id, id);
	return *r->hub && r->port && r->port == port && uw_text_same(r->hub, hub);
}

enum uw_repair uw_record_repair(const struct uw_record *r, bool present, bool ours)
{
	switch (r->step) {
	case UW_STEP_BOUND:
		return UW_REPAIR_NONE;
	case UW_STEP_BINDING:
		return present && ours ? UW_REPAIR_FORWARD : UW_REPAIR_BACK;
	default:
		return UW_REPAIR_BACK;
	}
}
