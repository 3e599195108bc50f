/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Power: this driver owns the policy of its device, and the policy is D0 while the system works, D3 otherwise.
 *
 * Both ways there are things to do that block, so a work item does them: before D3 every transfer ends, after D0 the
 * device is set up again.
 */
#include "filter.h"

static NTSTATUS pass(struct uw_filter *f, IRP *irp)
{
	return uw_irp_pass(f, irp);
}

/* ---- the system's state ---- */

static VOID NTAPI on_device_state(DEVICE_OBJECT *device, UCHAR minor, POWER_STATE state, void *context,
				  IO_STATUS_BLOCK *io)
{
	IRP *irp = context;
	struct uw_filter *f = uw_filter_of(IoGetCurrentIrpStackLocation(irp)->DeviceObject);

	UNREFERENCED_PARAMETER(device);
	UNREFERENCED_PARAMETER(minor);
	UNREFERENCED_PARAMETER(state);
	uw_irp_end(irp, io->Status);
	IoReleaseRemoveLock(&f->removal, irp);
}

/* Going to sleep waits for the device; waking does not, or every device would delay the system. */
static NTSTATUS NTAPI on_system_state(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	SYSTEM_POWER_STATE system = IoGetCurrentIrpStackLocation(irp)->Parameters.Power.State.SystemState;
	struct uw_filter *f = context;
	bool wakes = system == PowerSystemWorking;
	NTSTATUS status = irp->IoStatus.Status;
	POWER_STATE state;

	UNREFERENCED_PARAMETER(device);
	state.DeviceState = wakes ? PowerDeviceD0 : PowerDeviceD3;
	if (NT_SUCCESS(status)) {
		f->system = system;
		status = PoRequestPowerIrp(f->pdo, IRP_MN_SET_POWER, state, wakes ? NULL : on_device_state, irp, NULL);
	}
	if (status == STATUS_PENDING && !wakes)
		return STATUS_MORE_PROCESSING_REQUIRED;
	IoReleaseRemoveLock(&f->removal, irp);
	return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS set_system(struct uw_filter *f, IRP *irp)
{
	IoMarkIrpPending(irp);
	IoCopyCurrentIrpStackLocationToNext(irp);
	IoSetCompletionRoutine(irp, on_system_state, f, TRUE, TRUE, TRUE);
	IoCallDriver(f->lower, irp);
	return STATUS_PENDING;
}

/* ---- the device's state ---- */

static void note_power(struct uw_filter *f, DEVICE_POWER_STATE power)
{
	POWER_STATE state;

	state.DeviceState = power;
	PoSetPowerState(f->self, DevicePowerState, state);
	f->power = power;
}

static bool set_waking(struct uw_filter *f, bool waking)
{
	bool was;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	was = f->waking;
	f->waking = waking;
	KeSetEvent(&f->changed, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLock(&f->lock, irql);
	return was;
}

static VOID NTAPI on_up(DEVICE_OBJECT *device, void *context)
{
	struct uw_filter *f = uw_filter_of(device);

	UNREFERENCED_PARAMETER(context);
	uw_usb_wake(f);
	set_waking(f, false);
	IoReleaseRemoveLock(&f->removal, f);
}

static NTSTATUS NTAPI on_d0(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	struct uw_filter *f = context;

	UNREFERENCED_PARAMETER(device);
	if (NT_SUCCESS(irp->IoStatus.Status)) {
		note_power(f, PowerDeviceD0);
		if (NT_SUCCESS(IoAcquireRemoveLock(&f->removal, f))) {
			set_waking(f, true);
			IoQueueWorkItem(f->wake_work, on_up, DelayedWorkQueue, NULL);
		}
	}
	IoReleaseRemoveLock(&f->removal, irp);
	return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS go_up(struct uw_filter *f, IRP *irp)
{
	IoMarkIrpPending(irp);
	IoCopyCurrentIrpStackLocationToNext(irp);
	IoSetCompletionRoutine(irp, on_d0, f, TRUE, TRUE, TRUE);
	IoCallDriver(f->lower, irp);
	return STATUS_PENDING;
}

static bool wakes(struct uw_filter *f)
{
	bool waking;
	KIRQL irql;

	KeAcquireSpinLock(&f->lock, &irql);
	waking = f->waking;
	KeReleaseSpinLock(&f->lock, irql);
	return waking;
}

/* The device may be told to sleep again before it has woken up. */
static VOID NTAPI on_down(DEVICE_OBJECT *device, void *context)
{
	struct uw_filter *f = uw_filter_of(device);
	IRP *irp = f->power_irp;

	UNREFERENCED_PARAMETER(context);
	while (wakes(f)) {
		uw_urbs_cancel(f, UW_EVERY);
		uw_wait_ms(&f->changed, 20);
	}
	uw_usb_sleep(f);
	note_power(f, IoGetCurrentIrpStackLocation(irp)->Parameters.Power.State.DeviceState);
	uw_irp_pass(f, irp);
}

static NTSTATUS go_down(struct uw_filter *f, IRP *irp)
{
	IoMarkIrpPending(irp);
	f->power_irp = irp;
	IoQueueWorkItem(f->power_work, on_down, DelayedWorkQueue, NULL);
	return STATUS_PENDING;
}

/* Device states come one at a time. */
static NTSTATUS set_device(struct uw_filter *f, IRP *irp)
{
	DEVICE_POWER_STATE state = IoGetCurrentIrpStackLocation(irp)->Parameters.Power.State.DeviceState;

	if ((state == PowerDeviceD0) == (f->power == PowerDeviceD0))
		return pass(f, irp);
	return state == PowerDeviceD0 ? go_up(f, irp) : go_down(f, irp);
}

NTSTATUS NTAPI uw_power(DEVICE_OBJECT *device, IRP *irp)
{
	const IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
	struct uw_filter *f = uw_filter_of(device);
	NTSTATUS status = IoAcquireRemoveLock(&f->removal, irp);

	if (!NT_SUCCESS(status))
		return uw_irp_end(irp, status);
	if (stack->MinorFunction != IRP_MN_SET_POWER)
		return pass(f, irp);
	return stack->Parameters.Power.Type == SystemPowerState ? set_system(f, irp) : set_device(f, irp);
}
