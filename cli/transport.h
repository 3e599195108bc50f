/* SPDX-License-Identifier: GPL-2.0-only */
/* The whole of what the command line wants from its system: a connection to the daemon, a pause, a clock. */
#ifndef UW_TRANSPORT_H
#define UW_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UW_TRANSPORT_WHY 512

/* where: NULL for the usual places. False: why, of UW_TRANSPORT_WHY bytes, says what to do. One for the process. */
bool uw_transport_open(const char *where, char *why);
/* All of count bytes, or false. */
bool uw_transport_send(const void *bytes, uint32_t count);
/* All of count bytes, within patience milliseconds between any two; else false. */
bool uw_transport_receive(void *bytes, uint32_t count, uint32_t patience);
void uw_transport_pause(uint32_t milliseconds);
/* Nanoseconds, never going back. */
uint64_t uw_transport_clock(void);

#endif
