/* SPDX-License-Identifier: GPL-2.0-only */
/* Python's arithmetic on one line, for the model whose prompt answers with it. */
#ifndef UW_SUM_H
#define UW_SUM_H

#include "base.h"

#define UW_SUM_TEXT 192 /* bytes of the longest answer */

/* Evaluates a line and writes what the prompt prints, lines ended by CR LF; bytes written, 0 for an empty line. */
uint32_t uw_sum(const char *line, uint32_t bytes, char text[UW_SUM_TEXT]);

#endif
