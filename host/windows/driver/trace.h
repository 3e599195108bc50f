/* SPDX-License-Identifier: GPL-2.0-only */
/* Events for Event Tracing for Windows; trace.c lists them. Each costs one test while nobody listens. */
#ifndef UW_TRACE_H
#define UW_TRACE_H

#include "dev.h"

void uw_trace_open(void);
void uw_trace_close(void);

void uw_trace_session(const struct uw_link *l, bool begins);
void uw_trace_fault(const struct uw_link *l, uint64_t bad_tags, uint64_t lies);
/* state: as it is now; UW_CTL_FREE: the device leaves. */
void uw_trace_attach(const struct uw_link *l, const struct uw_dev *dev, uint8_t state);
/* A device was found, and with what result it was connected to. */
void uw_trace_device(const struct uw_dev *dev, NTSTATUS status);
void uw_trace_transfer(const struct uw_link *l, const struct uw_transfer_io *io);

#endif
