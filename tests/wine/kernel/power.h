/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UWLAB_POWER_H
#define UWLAB_POWER_H

#include "lab.h"

NTSTATUS lab_power_sleep(char *who, size_t size);       /* who refused, if somebody did */
NTSTATUS lab_power_resume(void);
NTSTATUS lab_query_remove(DEVICE_OBJECT *lowest);
NTSTATUS lab_cancel_remove(DEVICE_OBJECT *lowest);
NTSTATUS lab_remove(DEVICE_OBJECT *lowest);
NTSTATUS lab_setup(DEVICE_OBJECT *lowest);
NTSTATUS lab_stop(DEVICE_OBJECT *lowest, UCHAR minor);  /* QUERY_STOP, CANCEL_STOP, STOP, START */
void lab_callback_notify(uintptr_t a, uintptr_t b);     /* misc.c: \Callback\PowerState */

#endif
