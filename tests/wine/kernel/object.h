/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UWLAB_OBJECT_H
#define UWLAB_OBJECT_H

#include "lab.h"

enum lab_object { LAB_WINES, LAB_SECTION, LAB_FILE, LAB_STATIC };

void *lab_event_type(void);
void lab_object_made(void *object, enum lab_object kind, const void *by);
uint32_t lab_object_left(const void *image, size_t size);    /* what a driver has not dropped; reported */
void lab_file_destroy(void *object);                         /* the last reference is gone */

#endif
