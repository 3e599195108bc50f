/* SPDX-License-Identifier: GPL-2.0-only */
/* Event tracing: a session that listens, and what it has heard. */
#ifndef UWLAB_ETW_H
#define UWLAB_ETW_H

#include <stdint.h>

void lab_etw_listen(uint8_t level, uint64_t keywords);  /* level 0: no more */
void lab_etw_state(void);                               /* asks providers to log their state */
const char *lab_etw_name(unsigned int i, uint32_t *count); /* NULL: no more */

#endif
