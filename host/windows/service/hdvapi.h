/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hyper-V Device Virtualization as documented, for there is no header of it outside Microsoft's own kit: functions of
 * vmdevicehost.dll and the callbacks that a device gives, version 1. GetDetails has a count that the documentation omits.
 */
#ifndef UW_HDVAPI_H
#define UW_HDVAPI_H

#include <windows.h>

#include "base.h"

#define UW_HDV_COM_SECURITY 1u     /* HdvDeviceHostFlagInitializeComSecurity */
#define UW_HDV_TYPE_PCI 1
#define UW_HDV_INTERFACE_1 1
#define UW_HDV_DOORBELL_DWORD 3u   /* the write has 32 bits, and the value must match */
#define UW_HDV_WRITEABLE 1u

struct uw_hdv_id {
	uint16_t vendor, device;
	uint8_t revision, interface, subclass, class_code;
	uint16_t subsystem_vendor, subsystem;
};

struct uw_hdv_face {
	int version;
	HRESULT(CALLBACK *initialize)(void *context);
	void(CALLBACK *teardown)(void *context);
	HRESULT(CALLBACK *set_configuration)(void *context, UINT32 count, const PCWSTR *values);
	HRESULT(CALLBACK *get_details)(void *context, struct uw_hdv_id *id, UINT32 bars, UINT32 *masks);
	HRESULT(CALLBACK *start)(void *context);
	void(CALLBACK *stop)(void *context);
	HRESULT(CALLBACK *read_config)(void *context, UINT32 offset, UINT32 *value);
	HRESULT(CALLBACK *write_config)(void *context, UINT32 offset, UINT32 value);
	HRESULT(CALLBACK *read_memory)(void *context, int bar, UINT64 offset, UINT64 length, BYTE *value);
	HRESULT(CALLBACK *write_memory)(void *context, int bar, UINT64 offset, UINT64 length, const BYTE *value);
};

struct uw_hdv_api {
	HMODULE module;
	HRESULT(WINAPI *init)(HANDLE system, HANDLE *host);
	HRESULT(WINAPI *init_ex)(HANDLE system, UINT32 flags, HANDLE *host); /* NULL before Windows 10 2004 */
	HRESULT(WINAPI *fini)(HANDLE host);
	HRESULT(WINAPI *create)(HANDLE host, int type, const GUID *class_id, const GUID *instance, const void *face,
				void *context, HANDLE *device);
	HRESULT(WINAPI *deliver)(HANDLE device, UINT64 address, UINT32 data);
	HRESULT(WINAPI *ring)(HANDLE device, int bar, UINT64 offset, UINT64 value, UINT64 flags, HANDLE event);
	HRESULT(WINAPI *unring)(HANDLE device, int bar, UINT64 offset, UINT64 value, UINT64 flags);
	HRESULT(WINAPI *map)(HANDLE device, int bar, UINT64 page, UINT64 pages, int flags, HANDLE section,
			     UINT64 section_page);
	HRESULT(WINAPI *unmap)(HANDLE device, int bar, UINT64 page);
};

#endif
