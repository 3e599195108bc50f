/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs ask for: uwbus.h. */
#include "bus.h"

static bool terminated(const char *text, size_t size)
{
	while (size && *text) {
		text++;
		size--;
	}
	return size != 0;
}

static bool good_plug(const struct uwb_plug *plug)
{
	return terminated(plug->model, sizeof(plug->model)) && terminated(plug->serial, sizeof(plug->serial)) &&
	       terminated(plug->file, sizeof(plug->file)) && plug->speed <= UW_SPEED_SUPER && plug->pattern <= 255;
}

static void describe(struct uwb_entry *e, const struct uw_vdev *dev, uint32_t port)
{
	e->port = port;
	if (!dev->present)
		e->state = UWB_LEAVING;
	else
		e->state = dev->started ? UWB_STARTED : UWB_PLUGGED;
	e->speed = dev->model->dev.speed;
	e->configuration = dev->config_value;
	e->outstanding = dev->outstanding;
	e->enumerated = dev->enumerated;
	e->urbs = dev->urbs;
	uw_copy(e->model, dev->model->dev.bus_id, sizeof(e->model) - 1);
	uw_copy(e->id, dev->id, sizeof(e->id));
}

static void list(struct uwb_list *to)
{
	uint32_t i;
	KIRQL irql = uw_lock();

	uw_zero(to, sizeof(*to));
	to->mode = uw_bus.mode;
	to->delay = uw_bus.delay;
	to->refused = (uint32_t)uw_bus.refused;
	to->slow = uw_bus.slow;
	to->frame = (uint32_t)(uw_now() / UW_FRAME);
	for (i = 1; i <= UWB_PORTS; i++)
		if (uw_bus.port[i])
			describe(&to->entry[to->count++], uw_bus.port[i], i);
	uw_unlock(irql);
}

/* Under the lock. */
static void set(struct uw_vdev *dev, const struct uwb_switch *s)
{
	switch (s->what) {
	case UWB_IGNORE_CANCEL:
		dev->ignore_cancel = s->value;
		break;
	case UWB_FAIL:
		dev->fail_in = s->value;
		dev->fail_with = (USBD_STATUS)s->value2;
		break;
	case UWB_NAK:
		dev->nak = (uint8_t)s->value;
		break;
	default:
		dev->full = s->value != 0;
		break;
	}
	dev->look = true;
}

static NTSTATUS turn_switch(const struct uwb_switch *s)
{
	NTSTATUS status = STATUS_NO_SUCH_DEVICE;
	uint32_t i;
	KIRQL irql;

	if (s->what > UWB_OFFER || s->port > UWB_PORTS || (s->what == UWB_SET_MODE && s->value > UWB_DELAY))
		return STATUS_INVALID_PARAMETER;
	if (s->what == UWB_SLOW)
		return uw_slow(s->value);
	irql = uw_lock();
	if (s->what == UWB_SET_MODE) {
		uw_bus.mode = s->value;
		uw_bus.delay = s->value2;
		status = STATUS_SUCCESS;
	} else if (s->what == UWB_OFFER) {
		uw_bus.streams = uw_min(s->value, UWB_STREAMS);
		uw_bus.chains = s->value2 != 0;
		status = STATUS_SUCCESS;
	} else {
		for (i = 1; i <= UWB_PORTS; i++) {
			if (!uw_bus.port[i] || (s->port && s->port != i))
				continue;
			set(uw_bus.port[i], s);
			status = STATUS_SUCCESS;
		}
	}
	uw_unlock(irql);
	uw_engine_kick();
	return status;
}

static NTSTATUS plug(struct uwb_plug *p, void *out)
{
	struct uwb_port port = { .port = 0 };
	NTSTATUS status = good_plug(p) ? uw_port_plug(p, &port.port) : STATUS_INVALID_PARAMETER;

	if (NT_SUCCESS(status))
		uw_copy(out, &port, sizeof(port));
	return status;
}

static NTSTATUS act(uint32_t code, void *buffer)
{
	struct uwb_port *port = buffer;

	switch (code) {
	case UWB_PLUG:
		return plug(buffer, buffer);
	case UWB_REPLUG:
		return good_plug(buffer) ? uw_port_replug(buffer) : STATUS_INVALID_PARAMETER;
	case UWB_UNPLUG:
		return uw_port_unplug(port->port, false);
	case UWB_CYCLE:
		return uw_port_unplug(port->port, true);
	case UWB_REMOVE:
		return uw_port_remove(port->port);
	case UWB_LIST:
		list(buffer);
		return STATUS_SUCCESS;
	case UWB_SELFTEST:
		uw_selftest(buffer);
		return STATUS_SUCCESS;
	default:
		return turn_switch(buffer);
	}
}

NTSTATUS uw_ctl(IRP *irp, IO_STACK_LOCATION *at)
{
	static const struct {
		uint32_t code, in, out;
	} sizes[] = {
		{ UWB_PLUG, sizeof(struct uwb_plug), sizeof(struct uwb_port) },
		{ UWB_REPLUG, sizeof(struct uwb_plug), 0 },
		{ UWB_UNPLUG, sizeof(struct uwb_port), 0 },
		{ UWB_CYCLE, sizeof(struct uwb_port), 0 },
		{ UWB_REMOVE, sizeof(struct uwb_port), 0 },
		{ UWB_SWITCH, sizeof(struct uwb_switch), 0 },
		{ UWB_LIST, 0, sizeof(struct uwb_list) },
		{ UWB_SELFTEST, 0, sizeof(struct uwb_selftest) },
	};
	uint32_t code = at->Parameters.DeviceIoControl.IoControlCode, i;
	NTSTATUS status;

	irp->IoStatus.Information = 0;
	for (i = 0; i < UW_COUNT_OF(sizes) && sizes[i].code != code; i++)
		;
	if (i == UW_COUNT_OF(sizes))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (at->Parameters.DeviceIoControl.InputBufferLength != sizes[i].in ||
	    at->Parameters.DeviceIoControl.OutputBufferLength != sizes[i].out)
		return STATUS_INVALID_BUFFER_SIZE;
	status = act(code, irp->AssociatedIrp.SystemBuffer);
	if (NT_SUCCESS(status))
		irp->IoStatus.Information = sizes[i].out;
	return status;
}
