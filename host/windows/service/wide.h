/* SPDX-License-Identifier: GPL-2.0-only */
/* Windows speaks UTF-16, everything of ours UTF-8. */
#ifndef UW_WIDE_H
#define UW_WIDE_H

#include <windows.h>

#include "base.h"

/* Cut where it does not fit; always ended. Returns to. */
char *uw_narrow(char *to, size_t size, const wchar_t *from);
wchar_t *uw_widen(wchar_t *to, size_t count, const char *from);
/* Of any length, on the heap; NULL without memory. */
char *uw_narrow_new(const wchar_t *from);
/* A system error, or an HRESULT, as a sentence with its number. A buffer of the thread's own. */
const char *uw_error_text(uint32_t error);

#endif
