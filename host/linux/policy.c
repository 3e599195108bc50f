/* SPDX-License-Identifier: GPL-2.0-only */
/* Which real devices may be bound at all, by rules of the configuration: the first one that fits decides. */
#include "policy.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "binding.h"
#include "field.h"

static bool take_class(struct uw_policy_rule *rule, const char *value)
{
	char *end;
	unsigned long class_code = strtoul(value, &end, 16);

	rule->class_code = (int)class_code;
	return isxdigit((unsigned char)*value) && !*end && class_code <= 0xff;
}

static bool take_port(struct uw_policy_rule *rule, const char *value)
{
	UW_TEXT_PUT(rule->port, value);
	return *value && strlen(value) < sizeof(rule->port) && strspn(value, "0123456789-.*?[]") == strlen(value);
}

static bool take_id(struct uw_policy_rule *rule, const char *value)
{
	UW_TEXT_PUT(rule->id, value);
	return uw_binding_is_pattern(value) && uw_binding_is_match(value);
}

static bool take(struct uw_policy_rule *rule, const char *key, const char *value, char *why)
{
	bool good;

	if (!strcmp(key, "id"))
		good = take_id(rule, value);
	else if (!strcmp(key, "class"))
		good = take_class(rule, value);
	else if (!strcmp(key, "port"))
		good = take_port(rule, value);
	else {
		snprintf(why, UW_WHY, "has no \"%.40s\"; it has: id class port, or is \"all\"", key);
		return false;
	}
	if (!good)
		snprintf(why, UW_WHY, "%s is %s, not \"%.60s\"", key,
			 *key == 'i' ? "VENDOR:PRODUCT in hexadecimal digits, * and ?" :
			 *key == 'c' ? "a class code from 00 to ff" : "a bus id with * and ?", value);
	return good;
}

bool uw_policy_parse(struct uw_policy_rule *rule, char *text, char *why)
{
	char *rest = NULL, *piece, *value;

	uw_zero(rule, sizeof(*rule));
	rule->class_code = -1;
	UW_TEXT_PUT(rule->text, text);
	if (!strcmp(text, "all"))
		return true;
	for (piece = strtok_r(text, ",", &rest); piece; piece = strtok_r(NULL, ",", &rest)) {
		value = strchr(piece, '=');
		if (value)
			*value++ = 0;
		if (!take(rule, piece, value ? value : "", why))
			return false;
	}
	if (*rule->id || *rule->port || rule->class_code >= 0)
		return true;
	snprintf(why, UW_WHY, "needs id=, class= or port=, or is \"all\"");
	return false;
}

/* All that a rule says has to fit. */
static bool fits(const struct uw_policy_rule *rule, const struct uw_sysfs_device *d)
{
	return (!*rule->id || uw_hardware_id_fits(rule->id, d->vendor, d->product)) &&
	       (rule->class_code < 0 || uw_sysfs_has_class(d, (uint8_t)rule->class_code)) &&
	       (!*rule->port || !fnmatch(rule->port, d->bus_id, 0));
}

bool uw_policy_allows(const struct uw_config *config, const struct uw_sysfs_device *d, char *why)
{
	uint32_t i;

	for (i = 0; i < config->rules; i++) {
		if (!fits(&config->rule[i], d))
			continue;
		snprintf(why, UW_WHY, "the configuration says: deny = %s", config->rule[i].text);
		return config->rule[i].allow;
	}
	return true;
}
