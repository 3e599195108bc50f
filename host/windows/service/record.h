/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A binding as it is remembered, which is also the journal of making and undoing it. Pure logic: text in, text out, and
 * what is to be done with a record that was found.
 */
#ifndef UW_RECORD_H
#define UW_RECORD_H

#include "usbid.h"

#define UW_RECORD_TEXT 2048u   /* bytes of the longest record's text */
#define UW_FORMER 128u

enum uw_step {
	UW_STEP_BINDING,       /* the device's driver is being replaced: unknown how far that went */
	UW_STEP_BOUND,
	UW_STEP_RESTORING,     /* the former driver is being put back */
};

/* The driver that the device had, to be found again in the driver store. All empty: it had none. */
struct uw_former {
	char inf[UW_FORMER];
	char section[UW_FORMER];
	char provider[UW_FORMER];
	char description[UW_FORMER];
	char version[UW_FORMER];
	char service[UW_FORMER];
	char class_guid[UW_FORMER];
};

struct uw_record {
	char vm[UW_CTL_NAME];
	char bus_id[UW_CTL_NAME];      /* as it was when it was bound, for people */
	char instance[UW_INSTANCE];
	char hub[UW_INSTANCE];         /* instance id of the parent */
	char id[UW_HARDWARE_ID];       /* USB\VID_x&PID_x */
	char name[UW_CTL_DESCRIPTION];
	uint32_t port;                 /* of the hub */
	bool by_id;                    /* comes back by id at any port, else at this port with any id */
	uint8_t step;                  /* enum uw_step */
	struct uw_former former;
};

/* Lines "key=value\n", one zero at the end; values are cut at what could break a line. False: it does not fit. */
bool uw_record_print(const struct uw_record *r, char text[UW_RECORD_TEXT]);
/* False: not a record, or one that lacks what a record must have. Unknown keys are skipped. */
bool uw_record_parse(const char *text, struct uw_record *r);

/* Is the device of this instance, at this place, the one that the record is about? */
bool uw_record_matches(const struct uw_record *r, const char *instance, const char *hub, uint32_t port, const char *id);

enum uw_repair {
	UW_REPAIR_NONE,        /* as it should be */
	UW_REPAIR_FORWARD,     /* the device has our driver: write down that it is bound */
	UW_REPAIR_BACK,        /* put the former driver back, then forget the record */
};

/* What a service that starts does about a record. ours: the devnode's driver is UsbWarpFilter.sys. */
enum uw_repair uw_record_repair(const struct uw_record *r, bool present, bool ours);

#endif
