/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hyper-V Device Virtualization's documented types, transcribed for the stand-in. The service has a transcription of its
 * own: that both agree is part of what the laboratory shows.
 */
#ifndef UWLAB_HDVAPI_H
#define UWLAB_HDVAPI_H

#include <windows.h>

typedef void *HDV_HOST;
typedef void *HDV_DEVICE;

typedef enum {
	HdvDeviceHostFlagNone = 0,
	HdvDeviceHostFlagInitializeComSecurity = 1,
} HDV_DEVICE_HOST_FLAGS;

typedef enum {
	HdvDeviceTypeUndefined = 0,
	HdvDeviceTypePCI = 1,
} HDV_DEVICE_TYPE;

typedef struct {
	UINT16 VendorID;
	UINT16 DeviceID;
	UINT8 RevisionID;
	UINT8 ProgIf;
	UINT8 SubClass;
	UINT8 BaseClass;
	UINT16 SubVendorID;
	UINT16 SubSystemID;
} HDV_PCI_PNP_ID;

#define HDV_PCI_BAR_COUNT 6

typedef enum {
	HDV_PCI_BAR0 = 0,
	HDV_PCI_BAR5 = 5,
} HDV_PCI_BAR_SELECTOR;

/* The size is an enumeration, not a mask. */
#define HDV_DOORBELL_SIZE_DWORD 3u
#define HDV_DOORBELL_SIZE_MAX 4u
#define HDV_DOORBELL_ANY_VALUE 0x80000000u

#define HDV_MMIO_WRITEABLE 1u
#define HDV_MMIO_EXECUTABLE 2u

typedef enum {
	HdvPciDeviceInterfaceVersionInvalid = 0,
	HdvPciDeviceInterfaceVersion1 = 1,
} HDV_PCI_INTERFACE_VERSION;

typedef struct {
	HDV_PCI_INTERFACE_VERSION Version;
	HRESULT(CALLBACK *Initialize)(void *context);
	void(CALLBACK *Teardown)(void *context);
	HRESULT(CALLBACK *SetConfiguration)(void *context, UINT32 count, const PCWSTR *values);
	HRESULT(CALLBACK *GetDetails)(void *context, HDV_PCI_PNP_ID *id, UINT32 count, UINT32 *probed);
	HRESULT(CALLBACK *Start)(void *context);
	void(CALLBACK *Stop)(void *context);
	HRESULT(CALLBACK *ReadConfigSpace)(void *context, UINT32 offset, UINT32 *value);
	HRESULT(CALLBACK *WriteConfigSpace)(void *context, UINT32 offset, UINT32 value);
	HRESULT(CALLBACK *ReadInterceptedMemory)(void *context, HDV_PCI_BAR_SELECTOR bar, UINT64 offset, UINT64 length,
						 BYTE *value);
	HRESULT(CALLBACK *WriteInterceptedMemory)(void *context, HDV_PCI_BAR_SELECTOR bar, UINT64 offset, UINT64 length,
						  const BYTE *value);
} HDV_PCI_DEVICE_INTERFACE;

#endif
