/* SPDX-License-Identifier: GPL-2.0-only */
/* The list of models, for hosts that let people choose one by name. */
#include "model.h"

const struct uw_model_kind *const uw_models[] = {
	&uw_model_pico,
	&uw_model_zero,
	&uw_model_disk,
	&uw_model_board,
	&uw_model_camera,
};

const uint32_t uw_models_count = UW_COUNT_OF(uw_models);

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const struct uw_model_kind *uw_model_find(const char *name)
{
	for (uint32_t i = 0; i < uw_models_count; i++)
		if (same(uw_models[i]->name, name))
			return uw_models[i];
	return NULL;
}
