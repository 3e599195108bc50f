/* SPDX-License-Identifier: GPL-2.0-only */
/* Model devices: the one file that knows models, which are devices like any other from here on. */
#include "dev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "model.h"
#include "field.h"

static int disk_result(struct uw_dev *dev, ssize_t done, uint32_t bytes)
{
	if (done == (ssize_t)bytes)
		return 0;
	if (!dev->disk_failed)
		uw_log(UW_LOG_ERROR, "%s: %s: %s", dev->model->bus_id, dev->model->file,
		       done < 0 ? strerror(errno) : "the file is shorter than the disk");
	dev->disk_failed = true;
	return -1;
}

static int disk_read(void *ctx, uint64_t offset, void *to, uint32_t bytes)
{
	struct uw_dev *dev = ctx;

	return disk_result(dev, pread(dev->model->fd, to, bytes, (off_t)offset), bytes);
}

static int disk_write(void *ctx, uint64_t offset, const void *from, uint32_t bytes)
{
	struct uw_dev *dev = ctx;

	return disk_result(dev, pwrite(dev->model->fd, from, bytes, (off_t)offset), bytes);
}

static int disk_flush(void *ctx)
{
	struct uw_dev *dev = ctx;

	return disk_result(dev, fdatasync(dev->model->fd), 0);
}

static struct uw_disk_io disk_of(struct uw_dev *dev, const struct uw_model_config *config)
{
	return (struct uw_disk_io){
		.read = disk_read,
		.write = config->readonly ? NULL : disk_write,
		.flush = disk_flush,
		.size = config->size ? config->size : 1 << 20, /* not known before the file is open */
		.block = (uint32_t)config->block,
		.ctx = dev,
	};
}

/* dev is followed by the kind's own memory. */
static struct uw_model *build(const struct uw_model_kind *kind, struct uw_dev *dev,
			      const struct uw_model_config *config)
{
	struct uw_disk_io disk = disk_of(dev, config);
	struct uw_model_options options = {
		.speed = (uint8_t)config->speed,
		.paced = config->paced,
		.babble = config->babble,
		.pattern = (uint8_t)config->pattern,
		.streams = (uint32_t)config->streams,
		.autoresume = (uint32_t)config->autoresume,
		.serial = config->serial,
		.disk = config->file ? &disk : NULL,
	};

	return kind->init(dev + 1, &options);
}

static bool unheeded(uint32_t heeds, const struct uw_model_config *c, char *why)
{
	const char *key = NULL;

	if (c->pattern && !(heeds & UW_MODEL_PATTERN))
		key = "pattern";
	else if (c->babble && !(heeds & UW_MODEL_BABBLE))
		key = "babble";
	else if (c->streams && !(heeds & UW_MODEL_STREAMS))
		key = "streams";
	else if (c->autoresume && !(heeds & UW_MODEL_AUTORESUME))
		key = "autoresume";
	else if ((c->file || c->size || c->block || c->readonly) && !(heeds & UW_MODEL_DISK))
		key = "file, size, block or readonly";
	if (key)
		snprintf(why, UW_WHY, "%s does not heed %s", c->kind, key);
	return key != NULL;
}

bool uw_dev_check_model(const struct uw_model_config *config, char *why)
{
	const struct uw_model_kind *kind = uw_model_find(config->kind);
	struct uw_dev *dev;
	int used;
	uint32_t i;

	if (!kind) {
		used = snprintf(why, UW_WHY, "%s is unknown; there are:", config->kind);
		for (i = 0; i < uw_models_count; i++)
			used += snprintf(why + used, UW_WHY - (size_t)used, " %s", uw_models[i]->name);
		return false;
	}
	if (unheeded(kind->options, config, why))
		return false;
	if ((kind->options & UW_MODEL_DISK) && !config->file) {
		snprintf(why, UW_WHY, "%s needs file=PATH", config->kind);
		return false;
	}
	dev = calloc(1, sizeof(*dev) + kind->size);
	if (dev && build(kind, dev, config)) {
		free(dev);
		return true;
	}
	free(dev);
	snprintf(why, UW_WHY, "%s cannot be made with these options", config->kind);
	return false;
}

bool uw_dev_add_model(struct uw_devs *devs, const struct uw_model_config *config)
{
	const struct uw_model_kind *kind = uw_model_find(config->kind);
	struct uw_dev *dev = calloc(1, sizeof(*dev) + kind->size);
	struct uw_model *model = dev ? build(kind, dev, config) : NULL;

	if (!model) {
		uw_log(UW_LOG_ERROR, "%s: cannot be made", config->bus_id);
		free(dev);
		return false;
	}
	dev->model = config;
	uw_dev_adopt(devs, dev, &model->dev);
	UW_TEXT_PUT(model->dev.bus_id, config->bus_id);
	return true;
}
