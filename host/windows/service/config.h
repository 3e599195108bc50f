/* SPDX-License-Identifier: GPL-2.0-only */
/* What the service is told to do: values of its registry key and options of its command line, one table. Pure logic. */
#ifndef UW_CONFIG_H
#define UW_CONFIG_H

#include "usbwarp/ctl.h"
#include "base.h"

#define UW_VMS_MAX 8u
#define UW_WHY 256u
#define UW_VM_ID 64u

/* A VM to serve: all of an owner's, of which there is one at a time, or the one of an id or name. */
struct uw_vm_config {
	char name[UW_CTL_NAME];    /* as commands call it */
	char id[UW_VM_ID];         /* GUID or name; empty: by owner */
	char owner[UW_VM_ID];
};

struct uw_config {
	struct uw_vm_config vm[UW_VMS_MAX];
	uint32_t vms;
	uint64_t size;             /* bytes of a region */
	uint64_t poll;             /* microseconds after activity */
	uint64_t breaker_threshold, breaker_cooldown, rate, burst, orphan; /* as in ioctl.h */
	uint64_t discover;         /* milliseconds between looks for VMs */
	uint64_t wide;             /* 64-bit BAR */
	uint64_t by_id;            /* bindings are remembered by hardware id instead of by port */
	uint64_t level;
};

void uw_config_init(struct uw_config *config);
/* One key's text. False: why, of UW_WHY bytes, says what to write. */
UW_MUST_CHECK bool uw_config_set(struct uw_config *config, const char *key, const char *text, char *why);
/* When all is set: defaults that depend on the rest. */
UW_MUST_CHECK bool uw_config_complete(struct uw_config *config, char *why);
/* The n-th key, for help and for reading a registry; NULL: there are no more. */
const char *uw_config_key(uint32_t n, const char **argument, const char **help);

#endif
