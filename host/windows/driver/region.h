/* SPDX-License-Identifier: GPL-2.0-only */
/* The region as this driver has it: a section of the service's, mapped once and locked. */
#ifndef UW_REGION_H
#define UW_REGION_H

#include "base.h"

struct uw_region {
	void *section;
	void *view;            /* in system space; only the pages below it matter, never this address */
	MDL *mdl;              /* all pages, locked */
	uint8_t *base;         /* the one address that is used */
	uint32_t size;
};

/* In the context of the process that has the handle. */
UW_MUST_CHECK NTSTATUS uw_region_open(struct uw_region *r, HANDLE section, uint32_t size);
/* No byte may be moved by then. Also after a failed open, and twice. */
void uw_region_close(struct uw_region *r);

#endif
