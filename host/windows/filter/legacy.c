/* SPDX-License-Identifier: GPL-2.0-only */
/* URBs without a USBD handle, which Windows 10 and 11 still take; streams and chained MDLs are not to be had of them. */
#include "filter.h"

NTSTATUS uw_usbd_open(struct uw_filter *f)
{
	UNREFERENCED_PARAMETER(f);
	return STATUS_SUCCESS;
}

void uw_usbd_close(struct uw_filter *f)
{
	UNREFERENCED_PARAMETER(f);
}

void uw_usbd_ask(struct uw_filter *f)
{
	f->usbd.streams = 0;
	f->usbd.chains = false;
}

/* ---- memory ---- */

static URB *allocate(uint32_t bytes)
{
	URB *urb = ExAllocatePoolWithTag(NonPagedPoolNx, bytes, UW_FILTER_TAG);

	if (urb)
		uw_zero(urb, bytes);
	return urb;
}

URB *uw_usbd_urb(struct uw_filter *f)
{
	UNREFERENCED_PARAMETER(f);
	return allocate(sizeof(URB));
}

URB *uw_usbd_urb_iso(struct uw_filter *f, uint32_t packets)
{
	UNREFERENCED_PARAMETER(f);
	return allocate(uw_urb_iso_bytes(packets));
}

void uw_usbd_urb_free(struct uw_filter *f, URB *urb)
{
	UNREFERENCED_PARAMETER(f);
	ExFreePoolWithTag(urb, UW_FILTER_TAG);
}

void uw_usbd_assign(struct uw_filter *f, IO_STACK_LOCATION *stack, URB *urb)
{
	UNREFERENCED_PARAMETER(f);
	stack->Parameters.Others.Argument1 = urb;
}

/* ---- settings ---- */

static uint32_t info_bytes(const struct uw_setting *s)
{
	return offsetof(USBD_INTERFACE_INFORMATION, Pipes) + s->endpoints * sizeof(USBD_PIPE_INFORMATION);
}

static void fill_info(USBD_INTERFACE_INFORMATION *info, struct uw_setting *s)
{
	uint32_t i;

	info->Length = (USHORT)info_bytes(s);
	info->InterfaceNumber = s->itf;
	info->AlternateSetting = s->alternate;
	info->NumberOfPipes = s->endpoints;
	for (i = 0; i < s->endpoints; i++)
		info->Pipes[i].MaximumTransferSize = UW_TRANSFER_MAX;
	s->info = info;
}

static uint32_t config_bytes(const struct uw_setting *setting, uint32_t settings)
{
	uint32_t i, bytes = offsetof(struct _URB_SELECT_CONFIGURATION, Interface);

	for (i = 0; i < settings; i++)
		bytes += info_bytes(&setting[i]);
	return bytes < sizeof(struct _URB_SELECT_CONFIGURATION) ? sizeof(struct _URB_SELECT_CONFIGURATION) : bytes;
}

URB *uw_usbd_urb_config(struct uw_filter *f, uint8_t *config, struct uw_setting *setting, uint32_t settings)
{
	uint32_t i, bytes = config_bytes(setting, settings);
	URB *urb = allocate(bytes);
	uint8_t *at;

	UNREFERENCED_PARAMETER(f);
	if (!urb)
		return NULL;
	urb->UrbHeader.Function = URB_FUNCTION_SELECT_CONFIGURATION;
	urb->UrbHeader.Length = (USHORT)bytes;
	urb->UrbSelectConfiguration.ConfigurationDescriptor = (USB_CONFIGURATION_DESCRIPTOR *)config;
	at = (uint8_t *)&urb->UrbSelectConfiguration.Interface;
	for (i = 0; i < settings; i++) {
		fill_info((USBD_INTERFACE_INFORMATION *)at, &setting[i]);
		at += info_bytes(&setting[i]);
	}
	return urb;
}

URB *uw_usbd_urb_interface(struct uw_filter *f, USBD_CONFIGURATION_HANDLE config, struct uw_setting *setting)
{
	uint32_t bytes = offsetof(struct _URB_SELECT_INTERFACE, Interface) + info_bytes(setting);
	URB *urb = allocate(bytes);

	UNREFERENCED_PARAMETER(f);
	if (!urb)
		return NULL;
	urb->UrbHeader.Function = URB_FUNCTION_SELECT_INTERFACE;
	urb->UrbHeader.Length = (USHORT)bytes;
	urb->UrbSelectInterface.ConfigurationHandle = config;
	fill_info(&urb->UrbSelectInterface.Interface, setting);
	return urb;
}
