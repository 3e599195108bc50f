/* SPDX-License-Identifier: GPL-2.0-only */
/* Configurations and alternate settings: what is selected, and the pipes that come of it. */
#include "bus.h"

enum { DT_CONFIG = 2, DT_INTERFACE = 4, DT_ENDPOINT = 5, DT_COMPANION = 48 };

static uint32_t total(const uint8_t *config) { return (uint32_t)config[2] | (uint32_t)config[3] << 8; }

/* ---- descriptors: the model's own, so they are well formed ---- */

/* The next descriptor of a type from at on, up to the next interface; NULL: none. */
static const uint8_t *next_of(const uint8_t *at, const uint8_t *end, uint8_t type)
{
	for (at += at[0]; at < end && at[1] != DT_INTERFACE; at += at[0])
		if (at[1] == type)
			return at;
	return NULL;
}

static const uint8_t *find_interface(const uint8_t *config, uint8_t number, uint8_t alternate)
{
	const uint8_t *at, *end = config + total(config);

	for (at = config + config[0]; at < end; at += at[0])
		if (at[1] == DT_INTERFACE && at[2] == number && at[3] == alternate)
			return at;
	return NULL;
}

/* Copies the device's configuration that these are the bytes of; false: it has none such. */
static bool own_config(struct uw_vdev *dev, const void *claimed)
{
	const uint8_t *theirs = claimed;
	uint32_t i, bytes;

	for (i = 0; i < dev->model->class->desc->configs; i++) {
		bytes = uw_model_descriptor(dev->model, DT_CONFIG, (uint8_t)i, 0);
		if (theirs[0] != 9 || theirs[5] != dev->model->scratch[5])
			continue;
		if (total(theirs) != bytes || RtlCompareMemory(theirs, dev->model->scratch, bytes) != bytes)
			return false;
		uw_copy(dev->config, dev->model->scratch, bytes);
		return true;
	}
	return false;
}

/* ---- pipes ---- */

/* Under the lock. Of one interface, or of all. */
static uint32_t pending_in(struct uw_vdev *dev, int interface)
{
	uint32_t i, pending = 0;

	for (i = 0; i < UW_PIPES; i++)
		if (dev->pipe[i].handle && (interface < 0 || dev->pipe[i].interface == interface))
			pending += dev->pipe[i].pending;
	return pending;
}

static void drop_pipes(struct uw_vdev *dev, int interface)
{
	uint32_t i;

	for (i = 0; i < UW_PIPES; i++)
		if (interface < 0 || dev->pipe[i].interface == interface)
			dev->pipe[i].handle = NULL;
}

/* Under the lock: nothing is selected any more. */
void uw_select_drop(struct uw_vdev *dev)
{
	drop_pipes(dev, -1);
	dev->config_value = 0;
	uw_zero(dev->alternate, sizeof(dev->alternate));
}

static USBD_CONFIGURATION_HANDLE config_handle(const struct uw_vdev *dev)
{
	return (void *)(uintptr_t)(0xc0f00000u + dev->config_value);
}

static struct uw_pipe *add_pipe(struct uw_vdev *dev, const uint8_t *ep, const uint8_t *companion, uint8_t interface)
{
	struct uw_pipe *p = dev->pipe;

	while (p->handle)
		p++;
	uw_zero(p, sizeof(*p));
	p->address = ep[2];
	p->type = ep[3] & 3;
	p->packet = (uint16_t)(ep[4] | ep[5] << 8);
	p->interval = ep[6];
	p->burst = companion ? companion[2] : 0;
	p->most = companion && p->type == UW_BULK && companion[3] & 0x1f ? 1u << (companion[3] & 0x1f) : 0;
	p->interface = interface;
	p->handle = (void *)(uintptr_t)(0xb1be000000000000u | (uint64_t)++uw_bus.handles << 8 | p->address);
	return p;
}

static void tell_pipe(const struct uw_pipe *p, USBD_PIPE_INFORMATION *to)
{
	to->MaximumPacketSize = p->packet;
	to->EndpointAddress = p->address;
	to->Interval = p->interval;
	to->PipeType = (USBD_PIPE_TYPE)p->type;
	to->PipeHandle = p->handle;
	to->MaximumTransferSize = 4u << 20;
}

/* Makes the pipes of one alternate setting and tells them. */
static void open_interface(struct uw_vdev *dev, const uint8_t *itf, USBD_INTERFACE_INFORMATION *info)
{
	const uint8_t *end = dev->config + total(dev->config), *ep = itf;
	uint32_t i;
	KIRQL irql = uw_lock();

	for (i = 0; i < itf[4]; i++) {
		ep = next_of(ep, end, DT_ENDPOINT);
		tell_pipe(add_pipe(dev, ep, next_of(ep, end, DT_COMPANION), itf[2]), &info->Pipes[i]);
	}
	dev->alternate[itf[2]] = itf[3];
	uw_unlock(irql);
	info->Class = itf[5];
	info->SubClass = itf[6];
	info->Protocol = itf[7];
	info->NumberOfPipes = itf[4];
	info->InterfaceHandle = (void *)(uintptr_t)(0x1f000000u + ((uint32_t)itf[2] << 8) + itf[3]);
}

/* ---- what is asked for ---- */

/* The entry names an interface and has room for its pipes; room bytes of the URB are left from it on. */
static const uint8_t *check_entry(const struct uw_vdev *dev, const USBD_INTERFACE_INFORMATION *info, uint32_t room)
{
	const uint32_t fixed = FIELD_OFFSET(USBD_INTERFACE_INFORMATION, Pipes);
	const uint8_t *itf;
	uint32_t i;

	if (room < fixed || info->Length < fixed || info->Length > room) {
		uw_refused("an interface of %u bytes where the URB has %u left", room < 2 ? 0 : info->Length,
			   (unsigned int)room);
		return NULL;
	}
	itf = find_interface(dev->config, info->InterfaceNumber, info->AlternateSetting);
	if (!itf) {
		uw_refused("interface %u, alternate setting %u: there is none", info->InterfaceNumber,
			   info->AlternateSetting);
		return NULL;
	}
	if (info->Length < fixed + itf[4] * sizeof(USBD_PIPE_INFORMATION)) {
		uw_refused("interface %u with %u bytes for %u pipes", itf[2], info->Length, itf[4]);
		return NULL;
	}
	for (i = 0; i < itf[4]; i++)
		if (info->Pipes[i].PipeFlags & ~(ULONG)USBD_PF_VALID_MASK) {
			uw_refused("PipeFlags %x", (unsigned int)info->Pipes[i].PipeFlags);
			return NULL;
		}
	return itf;
}

static USBD_INTERFACE_INFORMATION *entry_after(USBD_INTERFACE_INFORMATION *info)
{
	return (void *)((uint8_t *)info + info->Length);
}

static USBD_STATUS check_entries(struct uw_vdev *dev, URB *urb)
{
	uint32_t left = urb->UrbHeader.Length - FIELD_OFFSET(struct _URB_SELECT_CONFIGURATION, Interface);
	USBD_INTERFACE_INFORMATION *info = &urb->UrbSelectConfiguration.Interface;
	uint32_t seen = 0, count = 0;

	while (left) {
		if (!check_entry(dev, info, left))
			return USBD_STATUS_INVALID_PARAMETER;
		seen |= 1u << info->InterfaceNumber;
		count++;
		left -= info->Length;
		info = entry_after(info);
	}
	if (count == dev->config[4] && seen == (1u << count) - 1)
		return USBD_STATUS_SUCCESS;
	uw_refused("%u interfaces for a configuration that has %u", (unsigned int)count, dev->config[4]);
	return USBD_STATUS_INVALID_PARAMETER;
}

static bool idle(struct uw_vdev *dev, int interface)
{
	KIRQL irql = uw_lock();
	uint32_t pending = pending_in(dev, interface);

	uw_unlock(irql);
	if (pending)
		uw_refused("a select with %u transfers in the pipes it closes", (unsigned int)pending);
	return !pending;
}

static USBD_STATUS unconfigure(struct uw_vdev *dev, URB *urb)
{
	USBD_STATUS status = uw_engine_verb(dev, UW_VERB_SET_CONFIGURATION, 0, 0);
	KIRQL irql = uw_lock();

	uw_select_drop(dev);
	uw_unlock(irql);
	urb->UrbSelectConfiguration.ConfigurationHandle = NULL;
	return status;
}

/* The device is in the configuration; alternate settings and pipes follow. */
static USBD_STATUS open_config(struct uw_vdev *dev, URB *urb)
{
	USBD_INTERFACE_INFORMATION *info = &urb->UrbSelectConfiguration.Interface;
	USBD_STATUS status;
	uint32_t i;

	for (i = 0; i < dev->config[4]; i++, info = entry_after(info)) {
		if (info->AlternateSetting) {
			status = uw_engine_verb(dev, UW_VERB_SET_INTERFACE, info->InterfaceNumber,
						info->AlternateSetting);
			if (status != USBD_STATUS_SUCCESS)
				return status;
		}
		open_interface(dev, find_interface(dev->config, info->InterfaceNumber, info->AlternateSetting), info);
	}
	urb->UrbSelectConfiguration.ConfigurationHandle = config_handle(dev);
	return USBD_STATUS_SUCCESS;
}

static USBD_STATUS select_config(struct uw_vdev *dev, URB *urb)
{
	const void *config = urb->UrbSelectConfiguration.ConfigurationDescriptor;
	USBD_STATUS status;
	KIRQL irql;

	if (urb->UrbHeader.Length < FIELD_OFFSET(struct _URB_SELECT_CONFIGURATION, Interface)) {
		uw_refused("a select of the configuration with %u bytes", urb->UrbHeader.Length);
		return USBD_STATUS_INVALID_PARAMETER;
	}
	if (!idle(dev, -1))
		return USBD_STATUS_ERROR_BUSY;
	if (!config)
		return unconfigure(dev, urb);
	irql = uw_lock();
	uw_select_drop(dev);
	uw_unlock(irql);
	if (!own_config(dev, config)) {
		uw_refused("a configuration descriptor that is not the device's");
		return USBD_STATUS_INAVLID_CONFIGURATION_DESCRIPTOR;
	}
	status = check_entries(dev, urb);
	if (status == USBD_STATUS_SUCCESS)
		status = uw_engine_verb(dev, UW_VERB_SET_CONFIGURATION, dev->config[5], 0);
	if (status != USBD_STATUS_SUCCESS)
		return status;
	irql = uw_lock();
	dev->config_value = dev->config[5];
	uw_unlock(irql);
	return open_config(dev, urb);
}

static USBD_STATUS select_interface(struct uw_vdev *dev, URB *urb)
{
	USBD_INTERFACE_INFORMATION *info = &urb->UrbSelectInterface.Interface;
	uint32_t before = FIELD_OFFSET(struct _URB_SELECT_INTERFACE, Interface);
	const uint8_t *itf;
	USBD_STATUS status;
	KIRQL irql;

	if (!dev->config_value || urb->UrbSelectInterface.ConfigurationHandle != config_handle(dev)) {
		uw_refused("a configuration handle that is not the current one");
		return USBD_STATUS_INVALID_PARAMETER;
	}
	itf = check_entry(dev, info, urb->UrbHeader.Length < before ? 0 : urb->UrbHeader.Length - before);
	if (!itf)
		return USBD_STATUS_INVALID_PARAMETER;
	if (!idle(dev, itf[2]))
		return USBD_STATUS_ERROR_BUSY;
	status = uw_engine_verb(dev, UW_VERB_SET_INTERFACE, itf[2], itf[3]);
	if (status != USBD_STATUS_SUCCESS)
		return status;
	irql = uw_lock();
	drop_pipes(dev, itf[2]);
	uw_unlock(irql);
	open_interface(dev, itf, info);
	return USBD_STATUS_SUCCESS;
}

USBD_STATUS uw_select_run(struct uw_xfer *x)
{
	return x->kind == UW_KIND_SELECT_CONFIG ? select_config(x->dev, x->urb) : select_interface(x->dev, x->urb);
}

/* ---- reset of the port ---- */

/* The hub driver puts the device back into its settings, and every handle stays good. */
USBD_STATUS uw_reset_port(struct uw_vdev *dev)
{
	USBD_STATUS status = uw_engine_verb(dev, UW_VERB_RESET, 0, 0);
	uint32_t i;

	if (status == USBD_STATUS_SUCCESS && dev->config_value)
		status = uw_engine_verb(dev, UW_VERB_SET_CONFIGURATION, dev->config_value, 0);
	for (i = 0; dev->config_value && i < dev->config[4]; i++)
		if (status == USBD_STATUS_SUCCESS && dev->alternate[i])
			status = uw_engine_verb(dev, UW_VERB_SET_INTERFACE, (uint16_t)i, dev->alternate[i]);
	uw_streams_drop(dev);
	for (i = 0; i < UW_PIPES; i++) {
		dev->pipe[i].halted = false;
		dev->pipe[i].next_frame = 0;
	}
	return status;
}
