/* SPDX-License-Identifier: GPL-2.0-only */
/* Which real devices may be bound at all, by rules of the configuration: the first one that fits decides. */
#ifndef UW_POLICY_H
#define UW_POLICY_H

#include "config.h"
#include "sysfs.h"

/* "key=value,..." of a rule, or "all". why: UW_WHY bytes. */
UW_MUST_CHECK bool uw_policy_parse(struct uw_policy_rule *rule, char *text, char *why);
/* False: which rule it was, in words; why: UW_WHY bytes. A device that no rule fits is allowed. */
UW_MUST_CHECK bool uw_policy_allows(const struct uw_config *config, const struct uw_sysfs_device *device, char *why);

#endif
