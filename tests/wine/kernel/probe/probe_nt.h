/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UWLAB_PROBE_NT_H
#define UWLAB_PROBE_NT_H

#include <ntifs.h>
#include <stdbool.h>
#include "probe.h"

#define TAG 'bprP'
#define NO_EXECUTE 0x40000000u     /* MdlMappingNoExecute */
#define CHECK(name, condition) do { \
	if (condition) \
		DbgPrint("probe: ok %s\n", name); \
	else \
		DbgPrint("probe: FAIL %s line %d\n", name, __LINE__); \
} while (0)

extern const GUID probe_class;
void probe_basics(void);                                       /* basics.c */
NTSTATUS probe_section(const struct probe_section *p);
NTSTATUS probe_notify(DRIVER_OBJECT *driver);
NTSTATUS probe_sin(uint32_t n, DEVICE_OBJECT *device);         /* sins.c */
NTSTATUS NTAPI probe_add(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo);    /* pnp.c */
NTSTATUS NTAPI probe_pnp(PDEVICE_OBJECT device, PIRP irp);
NTSTATUS NTAPI probe_power(PDEVICE_OBJECT device, PIRP irp);

#endif
