/* SPDX-License-Identifier: GPL-2.0-only */
/* Device stacks, device interfaces and those who want to know about them. */
#ifndef UWLAB_PNP_H
#define UWLAB_PNP_H

#include "lab.h"

void lab_pnp_init(void);
void lab_pnp_left(DRIVER_OBJECT *driver);               /* reports registrations that it has forgotten */
DEVICE_OBJECT *lab_below(DEVICE_OBJECT *device);       /* what it is attached to */
DEVICE_OBJECT *lab_top(DEVICE_OBJECT *device);
void lab_pnp_before(DEVICE_OBJECT *device, UCHAR minor);
void lab_pnp_after(DEVICE_OBJECT *device, UCHAR minor, NTSTATUS status);

/* The n-th physical device that has a driver above it, parents first; NULL at the end. */
DEVICE_OBJECT *lab_pnp_stack(unsigned int n);
DEVICE_OBJECT *lab_pnp_known(unsigned int n);          /* also those without a driver, which had one */
const WCHAR *lab_pnp_instance(DEVICE_OBJECT *lowest);  /* its instance id, empty if it has none */
NTSTATUS lab_pnp_send(DEVICE_OBJECT *device, UCHAR major, UCHAR minor, const POWER_STATE *state, POWER_STATE_TYPE type);
enum lab_target { LAB_QUERY_REMOVE, LAB_REMOVE_CANCELLED, LAB_REMOVE_COMPLETE };
NTSTATUS lab_pnp_target(DEVICE_OBJECT *lowest, enum lab_target what);

/* irp.c */
IRP *NTAPI lab_allocate_irp(CCHAR stack, BOOLEAN quota);
NTSTATUS NTAPI lab_IoCallDriver(PDEVICE_OBJECT device, PIRP irp);
void lab_open_add(FILE_OBJECT *file, DEVICE_OBJECT *device);
void lab_open_remove(FILE_OBJECT *file);
uint32_t lab_open_count(const DEVICE_OBJECT *lowest);
NTSTATUS lab_send_file(DEVICE_OBJECT *device, FILE_OBJECT *file, UCHAR major, KPROCESSOR_MODE mode);

#endif
