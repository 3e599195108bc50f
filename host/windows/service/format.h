/* SPDX-License-Identifier: GPL-2.0-only */
/* UW_FORMAT(n): the n-th argument is a format of C99's printf, which compilers for Windows call by different names. */
#ifndef UW_FORMAT_H
#define UW_FORMAT_H

#include <stdio.h>

#ifdef __MINGW_PRINTF_FORMAT
#define UW_FORMAT(n) __attribute__((format(__MINGW_PRINTF_FORMAT, n, (n) + 1)))
#else
#define UW_FORMAT(n) __attribute__((format(printf, n, (n) + 1)))
#endif

#endif
