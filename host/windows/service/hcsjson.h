/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host compute service tells of its systems: a JSON array of flat objects. Pure logic. */
#ifndef UW_HCSJSON_H
#define UW_HCSJSON_H

#include "base.h"

#define UW_HCS_ID 64u              /* bytes of an id or name, at least one of them zero */

struct uw_system {
	char id[UW_HCS_ID];
	char runtime[UW_HCS_ID];   /* GUID of the VM itself; empty: not told */
	char owner[UW_HCS_ID];
	char name[UW_HCS_ID];
	char type[UW_HCS_ID];
	char state[UW_HCS_ID];
};

/* How many systems text (UTF-8) tells of, at most max; -1: it is not such a document. A value too long is cut. */
int uw_hcs_parse(const char *text, struct uw_system *systems, int max);
/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", with or without braces, to 16 bytes as struct GUID lies in memory. */
bool uw_guid_parse(const char *text, uint8_t guid[16]);
/* The SID of that VM's worker process: "S-1-5-83-1-a-b-c-d". to: at least 64 bytes. */
void uw_guid_sid(const uint8_t guid[16], char *to, size_t size);

#endif
