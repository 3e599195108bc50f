/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bindings as they are remembered: which device goes to which VM, whether or not it is plugged in now.
 *
 * A device is named by its bus id, that is by the port it is plugged into, whatever turns up there; or by hardware id,
 * VENDOR:PRODUCT in hexadecimal digits with the wildcards * and ?, wherever it turns up.
 */
#ifndef UW_BINDING_H
#define UW_BINDING_H

#include "base.h"
#include "usbwarp/ctl.h"

#define UW_BINDINGS_MAX 1024u
#define UW_BINDING_FORCED 1u   /* though the host lives on the device */

struct uw_binding {
	char match[UW_CTL_NAME];
	char vm[UW_CTL_NAME];  /* empty: the only one */
	uint32_t port;         /* of the guest, had last; 0: any. Only of a bus id */
	uint32_t flags;        /* UW_BINDING_* */
};

/* All that is remembered; what comes first counts. */
struct uw_bindings {
	uint32_t count;
	struct uw_binding entry[UW_BINDINGS_MAX];
};

/* Is it a hardware id, or means to be one? */
UW_MUST_CHECK bool uw_binding_is_pattern(const char *match);
/* A bus id or a well-formed hardware id. */
UW_MUST_CHECK bool uw_binding_is_match(const char *match);
UW_MUST_CHECK bool uw_hardware_id_fits(const char *pattern, uint16_t vendor, uint16_t product);

/* The binding of these words; NULL: there is none. */
struct uw_binding *uw_bindings_find(struct uw_bindings *all, const char *match);
/* The binding that a device falls under: that of its bus id, else the first whose hardware id fits; NULL: none. */
struct uw_binding *uw_bindings_for(struct uw_bindings *all, const char *bus_id, uint16_t vendor, uint16_t product);
/* A new one, or the one of these words with another VM; NULL: there are too many. */
struct uw_binding *uw_bindings_put(struct uw_bindings *all, const char *match, const char *vm, uint32_t flags);
void uw_bindings_remove(struct uw_bindings *all, struct uw_binding *binding);
/* Drops what is no binding, of a table that somebody else has made. */
void uw_bindings_judge(struct uw_bindings *all);

/*
 * The file: a line for each, "MATCH VM PORT", with "forced" behind it where that was said. A file that is not there is
 * an empty one. Lines that are none are told in the log, and the file is kept beside the next one, as PATH.bad. False:
 * the file cannot be read or written, and the log says why.
 */
UW_MUST_CHECK bool uw_bindings_load(struct uw_bindings *all, const char *path);
UW_MUST_CHECK bool uw_bindings_save(const struct uw_bindings *all, const char *path);

#endif
