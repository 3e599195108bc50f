/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon is told to do: command line and configuration file, which share one table of keys. */
#ifndef UW_CONFIG_H
#define UW_CONFIG_H

#include "base.h"
#include "usbwarp/ctl.h"

#define UW_VMS_MAX 16u
#define UW_MODELS_MAX 64u
#define UW_BINDS_MAX 256u
#define UW_RULES_MAX 64u
#define UW_WHY 256             /* bytes of an error text */

struct uw_vm_config {
	char name[UW_CTL_NAME];
	char *socket;          /* of the ivshmem server; NULL with file */
	char *group;           /* that may connect to socket; NULL: the daemon's user alone */
	char *file;            /* a file or PCI resource that is the region; NULL: memory of our own */
	uint64_t size;         /* bytes of the region; 0: the file's size, or the default */
};

/* A model device. Which options a kind heeds is the model's to say. */
struct uw_model_config {
	char bus_id[UW_CTL_NAME];
	char kind[UW_CTL_NAME];
	uint64_t speed;        /* enum uw_speed */
	uint64_t pattern, streams, autoresume;
	uint64_t size, block;  /* of a disk, bytes */
	char *file;            /* of a disk */
	char *serial;
	bool paced, babble, readonly;
	int fd;                /* of file, once open; else -1 */
};

struct uw_bind_config {
	char match[UW_CTL_NAME]; /* a bus id or a hardware id: binding.h */
	char vm[UW_CTL_NAME];  /* empty: the only one */
};

/* What must fit is set; all of it must. */
struct uw_policy_rule {
	char text[UW_CTL_DESCRIPTION]; /* as it was written */
	char id[UW_CTL_NAME], port[UW_CTL_NAME]; /* patterns; empty: any */
	int class_code;        /* of the device or an interface; -1: any */
	bool allow;
};

struct uw_config {
	char *control;
	char *bindings;        /* the file in which they are remembered; NULL: none */
	char *user;            /* of the worker, when the daemon is started by root */
	char *group;           /* that may use the control socket */
	bool usb;              /* serve real devices */
	bool in_directory;     /* a socket lies in uw_config_directory() */
	uint64_t level;        /* enum uw_log_level */
	uint64_t poll;         /* microseconds of polling after activity */
	uint64_t breaker_threshold;
	uint64_t breaker_cooldown; /* milliseconds */
	uint64_t rate, burst;
	uint64_t orphan;       /* milliseconds */
	uint32_t vms, models, binds, rules;
	struct uw_vm_config vm[UW_VMS_MAX];
	struct uw_model_config model[UW_MODELS_MAX];
	struct uw_bind_config bind[UW_BINDS_MAX];
	struct uw_policy_rule rule[UW_RULES_MAX];
};

void uw_config_init(struct uw_config *config);
void uw_config_fini(struct uw_config *config);

/* Both say on stderr what is wrong, all of it, and return false. */
UW_MUST_CHECK bool uw_config_load(struct uw_config *config, const char *path);
UW_MUST_CHECK bool uw_config_set(struct uw_config *config, const char *key, const char *value);
/* Fills in what was left open, once everything has been set. */
UW_MUST_CHECK bool uw_config_complete(struct uw_config *config);

/* The n-th key for --help and getopt; NULL past the last. */
const char *uw_config_key(uint32_t n, const char **argument, const char **help);

/* Where sockets lie unless told otherwise: /run/usbwarp for root, else the user's runtime directory. */
const char *uw_config_directory(void);

#endif
