/* SPDX-License-Identifier: GPL-2.0-only */
/* One model device and, for a disk, the file behind it. */
#include "bus.h"

/* ---- the medium ---- */

static int transfer(struct uw_vdev *dev, uint64_t offset, void *bytes, uint32_t length, bool write)
{
	LARGE_INTEGER at = { .QuadPart = (LONGLONG)offset };
	IO_STATUS_BLOCK io;
	NTSTATUS status;

	if (write)
		status = ZwWriteFile(dev->file, NULL, NULL, NULL, &io, bytes, length, &at, NULL);
	else
		status = ZwReadFile(dev->file, NULL, NULL, NULL, &io, bytes, length, &at, NULL);
	return NT_SUCCESS(status) && io.Information == length ? 0 : -1;
}

static int disk_read(void *ctx, uint64_t offset, void *to, uint32_t bytes)
{
	return transfer(ctx, offset, to, bytes, false);
}

static int disk_write(void *ctx, uint64_t offset, const void *from, uint32_t bytes)
{
	return transfer(ctx, offset, (void *)(uintptr_t)from, bytes, true);
}

static int disk_flush(void *ctx)
{
	IO_STATUS_BLOCK io;

	return NT_SUCCESS(ZwFlushBuffersFile(((struct uw_vdev *)ctx)->file, &io)) ? 0 : -1;
}

static NTSTATUS open_file(struct uw_vdev *dev, const struct uwb_plug *plug, uint64_t *size)
{
	FILE_STANDARD_INFORMATION info;
	WCHAR name[UWB_FILE];
	UNICODE_STRING path;
	OBJECT_ATTRIBUTES attributes;
	IO_STATUS_BLOCK io;
	ACCESS_MASK access = GENERIC_READ | SYNCHRONIZE;
	NTSTATUS status;
	uint32_t i;

	for (i = 0; i < UWB_FILE - 1 && plug->file[i]; i++)
		name[i] = (uint8_t)plug->file[i];
	name[i] = 0;
	RtlInitUnicodeString(&path, name);
	InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
	if (!(plug->flags & UWB_READ_ONLY))
		access |= GENERIC_WRITE;
	status = ZwCreateFile(&dev->file, access, &attributes, &io, NULL, FILE_ATTRIBUTE_NORMAL,
			      FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN,
			      FILE_NON_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
	if (!NT_SUCCESS(status)) {
		dev->file = NULL;
		return status;
	}
	status = ZwQueryInformationFile(dev->file, &io, &info, sizeof(info), FileStandardInformation);
	*size = plug->size ? plug->size : (uint64_t)info.EndOfFile.QuadPart;
	return status;
}

/* ---- the model ---- */

static struct uw_model *build(struct uw_vdev *dev, const struct uwb_plug *plug, uint64_t size)
{
	struct uw_disk_io disk = {
		.read = disk_read,
		.write = plug->flags & UWB_READ_ONLY ? NULL : disk_write,
		.flush = disk_flush,
		.size = size,
		.block = plug->block,
		.ctx = dev,
	};
	struct uw_model_options options = {
		.speed = (uint8_t)plug->speed,
		.paced = plug->flags & UWB_PACED,
		.babble = plug->flags & UWB_BABBLE,
		.pattern = (uint8_t)plug->pattern,
		.streams = plug->streams,
		.autoresume = plug->autoresume,
		.serial = dev->serial[0] ? dev->serial : NULL,
		.disk = dev->file ? &disk : NULL,
	};

	return dev->kind->init(dev + 1, &options);
}

void uw_dev_free(struct uw_vdev *dev)
{
	if (dev->next)
		uw_dev_free(dev->next);
	if (dev->model)
		dev->model->dev.ops->close(&dev->model->dev);
	if (dev->file)
		ZwClose(dev->file);
	uw_free(dev);
}

struct uw_vdev *uw_dev_new(const struct uwb_plug *plug, NTSTATUS *status)
{
	const struct uw_model_kind *kind = uw_model_find(plug->model);
	struct uw_vdev *dev;
	uint64_t size = 0;

	*status = STATUS_INVALID_PARAMETER;
	if (!kind || ((kind->options & UW_MODEL_DISK) != 0) != (plug->file[0] != 0))
		return NULL;
	*status = STATUS_INSUFFICIENT_RESOURCES;
	dev = uw_alloc(sizeof(*dev) + kind->size);
	if (!dev)
		return NULL;
	dev->kind = kind;
	dev->no_serial = plug->flags & UWB_NO_SERIAL;
	dev->power = PowerDeviceD0;
	dev->timer = dev->due = UW_NEVER;
	uw_copy(dev->serial, plug->serial, sizeof(dev->serial));
	uw_list_init(&dev->inbox);
	uw_list_init(&dev->active);
	*status = plug->file[0] ? open_file(dev, plug, &size) : STATUS_SUCCESS;
	if (NT_SUCCESS(*status)) {
		dev->model = build(dev, plug, size);
		*status = dev->model ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
	}
	if (NT_SUCCESS(*status)) {
		uw_engine_host(dev);
		*status = dev->model->dev.ops->open(&dev->model->dev) ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
	}
	if (!NT_SUCCESS(*status)) {
		uw_dev_free(dev);
		return NULL;
	}
	return dev;
}
