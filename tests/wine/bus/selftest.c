/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bus against itself: URBs that are right end as they should and without a complaint, URBs that are wrong are refused
 * with the right status and exactly one complaint. The device is a zero that PnP never hears of.
 */
#include "selftest.h"

/* ---- sending ---- */

static NTSTATUS NTAPI on_end(DEVICE_OBJECT *device, IRP *irp, void *context)
{
	struct uw_send *s = context;

	(void)device;
	(void)irp;
	InterlockedIncrement(&s->ended);
	KeSetEvent(&s->done, 0, FALSE);
	return STATUS_MORE_PROCESSING_REQUIRED;
}

static bool call(struct uw_test *t, struct uw_send *s, ULONG code, void *argument, CCHAR stack)
{
	IO_STACK_LOCATION *next;

	uw_zero(s, sizeof(*s));
	KeInitializeEvent(&s->done, NotificationEvent, FALSE);
	s->irp = IoAllocateIrp(stack, FALSE);
	if (!s->irp)
		return false;
	t->refused = uw_bus.refused;
	s->urb = argument;
	next = IoGetNextIrpStackLocation(s->irp);
	next->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
	next->Parameters.DeviceIoControl.IoControlCode = code;
	next->Parameters.Others.Argument1 = argument;
	IoSetCompletionRoutine(s->irp, on_end, s, TRUE, TRUE, TRUE);
	IoCallDriver(t->pdo, s->irp);
	return true;
}

bool uw_test_await(struct uw_send *s, uint32_t milliseconds)
{
	LARGE_INTEGER wait = { .QuadPart = -(LONGLONG)milliseconds * 10000 };

	if (uw_irql() != PASSIVE_LEVEL)
		return s->ended; /* what is refused ends at once */
	return KeWaitForSingleObject(&s->done, Executive, KernelMode, FALSE, &wait) == STATUS_SUCCESS;
}

/* One that does not end by itself is cancelled, so that the bus survives its own test. */
void uw_test_free(struct uw_send *s)
{
	if (!s->irp)
		return;
	if (!uw_test_await(s, 5000)) {
		IoCancelIrp(s->irp);
		KeWaitForSingleObject(&s->done, Executive, KernelMode, FALSE, NULL);
	}
	IoFreeIrp(s->irp);
	s->irp = NULL;
}

bool uw_test_begin(struct uw_test *t, struct uw_send *s, URB *urb)
{
	return call(t, s, IOCTL_INTERNAL_USB_SUBMIT_URB, urb, t->pdo->StackSize);
}

/* The copy of the URB lives as long as the request. */
bool uw_test_send(struct uw_test *t, struct uw_send *s)
{
	URB *urb = uw_alloc(sizeof(*urb));

	if (!urb)
		return false;
	uw_copy(urb, t->urb, sizeof(*urb));
	if (uw_test_begin(t, s, urb))
		return true;
	uw_free(urb);
	return false;
}

NTSTATUS uw_test_control(struct uw_test *t, ULONG code, void *argument, CCHAR stack)
{
	struct uw_send s;
	NTSTATUS status;

	if (!call(t, &s, code, argument, stack))
		return STATUS_INSUFFICIENT_RESOURCES;
	status = uw_test_await(&s, 5000) ? s.irp->IoStatus.Status : STATUS_TIMEOUT;
	if (s.ended > 1)
		status = STATUS_INTERNAL_ERROR;
	uw_test_free(&s);
	return status;
}

/* ---- judging ---- */

void uw_test_case(struct uw_test *t, const char *name, bool good, uint32_t status)
{
	uint32_t i;

	if (good) {
		t->result->passed++;
		return;
	}
	DbgPrint("uwbus: selftest: %s: status %08x\n", name, (unsigned int)status);
	if (t->result->failed++)
		return;
	t->result->status = status;
	for (i = 0; i < UWB_CASE - 1 && name[i]; i++)
		t->result->first[i] = name[i];
}

static void judge(struct uw_test *t, const char *name, USBD_STATUS status, LONG refused)
{
	NTSTATUS result = uw_test_control(t, IOCTL_INTERNAL_USB_SUBMIT_URB, t->urb, t->pdo->StackSize);
	USBD_STATUS got = t->urb->UrbHeader.Status;

	uw_test_case(t, name, got == status && result == uw_urb_status(got) && uw_bus.refused - t->refused == refused,
		     (uint32_t)got);
}

void uw_test_good(struct uw_test *t, const char *name) { judge(t, name, USBD_STATUS_SUCCESS, 0); }
void uw_test_status(struct uw_test *t, const char *name, USBD_STATUS status) { judge(t, name, status, 0); }
void uw_test_bad(struct uw_test *t, const char *name, USBD_STATUS status) { judge(t, name, status, 1); }

/* ---- building ---- */

static void header(struct uw_test *t, uint16_t function, size_t length)
{
	uw_zero(t->urb, sizeof(*t->urb));
	t->urb->UrbHeader.Function = function;
	t->urb->UrbHeader.Length = (USHORT)length;
}

void uw_test_bulk(struct uw_test *t, uint32_t pipe, uint32_t flags, uint32_t length)
{
	struct _URB_BULK_OR_INTERRUPT_TRANSFER *u = &t->urb->UrbBulkOrInterruptTransfer;

	header(t, URB_FUNCTION_BULK_OR_INTERRUPT_TRANSFER, sizeof(*u));
	u->PipeHandle = t->pipe[pipe];
	u->TransferFlags = flags;
	u->TransferBufferLength = length;
	u->TransferBuffer = length ? t->data : NULL;
}

void uw_test_raw(struct uw_test *t, uint32_t type, uint32_t request, uint32_t value, uint32_t index, uint32_t length)
{
	struct _URB_CONTROL_TRANSFER_EX *u = &t->urb->UrbControlTransferEx;
	const uint8_t setup[8] = {
		(uint8_t)type, (uint8_t)request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
		(uint8_t)(index >> 8), (uint8_t)length, (uint8_t)(length >> 8),
	};

	header(t, URB_FUNCTION_CONTROL_TRANSFER_EX, sizeof(*u));
	u->TransferFlags =
		USBD_DEFAULT_PIPE_TRANSFER | (type >> 7 ? USBD_TRANSFER_DIRECTION_IN | USBD_SHORT_TRANSFER_OK : 0);
	u->TransferBufferLength = length;
	u->TransferBuffer = length ? t->data : NULL;
	uw_copy(u->SetupPacket, setup, sizeof(setup));
}

void uw_test_pipe(struct uw_test *t, uint16_t function, uint32_t pipe)
{
	header(t, function, sizeof(struct _URB_PIPE_REQUEST));
	t->urb->UrbPipeRequest.PipeHandle = t->pipe[pipe];
}

void uw_test_feature(struct uw_test *t, uint16_t function, uint32_t feature, uint32_t index)
{
	header(t, function, sizeof(struct _URB_CONTROL_FEATURE_REQUEST));
	t->urb->UrbControlFeatureRequest.FeatureSelector = (USHORT)feature;
	t->urb->UrbControlFeatureRequest.Index = (USHORT)index;
}

/* The first configuration with its one interface, alternate setting 0: two pipes. */
void uw_test_select_config(struct uw_test *t)
{
	struct _URB_SELECT_CONFIGURATION *u = &t->urb->UrbSelectConfiguration;

	header(t, URB_FUNCTION_SELECT_CONFIGURATION, sizeof(*u) + sizeof(USBD_PIPE_INFORMATION));
	uw_zero(u, u->Hdr.Length);
	u->Hdr.Function = URB_FUNCTION_SELECT_CONFIGURATION;
	u->Hdr.Length = sizeof(*u) + sizeof(USBD_PIPE_INFORMATION);
	u->ConfigurationDescriptor = (void *)t->config;
	u->Interface.Length = sizeof(u->Interface) + sizeof(USBD_PIPE_INFORMATION);
}

void uw_test_select_interface(struct uw_test *t, uint8_t alternate, uint32_t pipes)
{
	struct _URB_SELECT_INTERFACE *u = &t->urb->UrbSelectInterface;
	size_t length = sizeof(*u) + (pipes - 1) * sizeof(USBD_PIPE_INFORMATION);

	uw_zero(u, length);
	u->Hdr.Function = URB_FUNCTION_SELECT_INTERFACE;
	u->Hdr.Length = (USHORT)length;
	u->ConfigurationHandle = t->handle;
	u->Interface.Length = (USHORT)(sizeof(u->Interface) + (pipes - 1) * sizeof(USBD_PIPE_INFORMATION));
	u->Interface.AlternateSetting = alternate;
}

void uw_test_pipes(struct uw_test *t, const USBD_INTERFACE_INFORMATION *info)
{
	uint32_t i;

	uw_zero(t->pipe, sizeof(t->pipe));
	for (i = 0; i < info->NumberOfPipes && i < UW_COUNT_OF(t->pipe); i++)
		t->pipe[i] = info->Pipes[i].PipeHandle;
}

/* ---- the device ---- */

static NTSTATUS make_pdo(struct uw_test *t)
{
	struct uw_extension *ext;
	NTSTATUS status = IoCreateDevice(uw_bus.driver, sizeof(*ext), NULL, FILE_DEVICE_UNKNOWN,
					 FILE_DEVICE_SECURE_OPEN, FALSE, &t->pdo);

	if (!NT_SUCCESS(status))
		return status;
	ext = t->pdo->DeviceExtension;
	ext->object = UW_PDO;
	ext->dev = t->dev;
	t->pdo->StackSize = UW_STACK;
	t->pdo->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
	return STATUS_SUCCESS;
}

static bool begin(struct uw_test *t, uint32_t speed)
{
	struct uwb_plug plug = { .model = "zero", .speed = speed, .flags = UWB_PACED | UWB_NO_SERIAL,
				 .streams = speed == UW_SPEED_SUPER ? 16 : 0 };
	NTSTATUS status;

	t->dev = uw_dev_new(&plug, &status);
	if (!t->dev)
		return false;
	if (!NT_SUCCESS(uw_port_hide(t->dev)) || !NT_SUCCESS(make_pdo(t))) {
		uw_port_unhide(t->dev);
		return false;
	}
	return true;
}

/* Unplugs it: what is sent then ends with "no device", and after its removal it may not be sent at all. */
static void end(struct uw_test *t)
{
	KIRQL irql = uw_lock();

	t->dev->unplug = true;
	uw_unlock(irql);
	uw_engine_kick();
	uw_test_raw(t, 0x80, 0, 0, 0, 2);
	uw_test_status(t, "a URB after the unplug", USBD_STATUS_DEVICE_GONE);
	irql = uw_lock();
	t->dev->removed = true;
	uw_unlock(irql);
	uw_test_case(t, "a URB after REMOVE_DEVICE",
		     uw_test_control(t, IOCTL_INTERNAL_USB_SUBMIT_URB, t->urb, t->pdo->StackSize) ==
				     STATUS_NO_SUCH_DEVICE &&
			     uw_bus.refused - t->refused == 1,
		     0);
	IoDeleteDevice(t->pdo);
	uw_port_unhide(t->dev);
}

static void run(struct uw_test *t, uint32_t speed)
{
	if (!begin(t, speed)) {
		uw_test_case(t, "a device", false, speed);
		return;
	}
	uw_test_requests(t);
	uw_test_settings(t);
	uw_test_transfers(t);
	uw_test_iso(t);
	uw_test_usbd(t);
	uw_test_hub(t);
	end(t);
}

static MDL *make_mdl(uint8_t *data)
{
	MDL *mdl = IoAllocateMdl(data, UW_TEST_BYTES, FALSE, FALSE, NULL);

	if (mdl)
		MmBuildMdlForNonPagedPool(mdl);
	if (mdl && !(mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL)) {
		IoFreeMdl(mdl);
		mdl = NULL;
	}
	return mdl;
}

void uw_selftest(struct uwb_selftest *result)
{
	struct uw_test *t = uw_alloc(sizeof(*t));
	size_t bytes = sizeof(URB) + 1100 * sizeof(USBD_ISO_PACKET_DESCRIPTOR);
	uint32_t speed;

	uw_zero(result, sizeof(*result));
	if (t) {
		t->result = result;
		t->urb = uw_alloc(bytes);
		t->data = uw_alloc(UW_TEST_BYTES);
		t->mdl = t->data ? make_mdl(t->data) : NULL;
	}
	if (t && t->urb && t->data)
		for (speed = UW_SPEED_FULL; speed <= UW_SPEED_SUPER; speed++)
			run(t, speed);
	if (t) {
		if (t->mdl)
			IoFreeMdl(t->mdl);
		uw_free(t->data);
		uw_free(t->urb);
	}
	uw_free(t);
}
