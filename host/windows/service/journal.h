/* SPDX-License-Identifier: GPL-2.0-only */
/* Records in the registry: one value of HKLM\SOFTWARE\UsbWarp\Bindings each, written and flushed as a whole. */
#ifndef UW_JOURNAL_H
#define UW_JOURNAL_H

#include <windows.h>

#include "record.h"

#define UW_RECORDS_MAX 64u

/* All there are, at most max; what is no record is left alone and logged. */
uint32_t uw_journal_load(struct uw_record *records, uint32_t max);
/* On disk when it returns. 0, or a system error: then nothing may be changed. */
UW_MUST_CHECK uint32_t uw_journal_put(const struct uw_record *record);
uint32_t uw_journal_remove(const struct uw_record *record);

#endif
