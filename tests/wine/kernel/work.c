// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work items. Windows keeps a reference to the device of each that is queued until its routine has returned, and with the
 * device the driver's image. Wine takes the image away under a routine that has just said to its driver that it is done.
 */
#include "lab.h"

#define WAIT_MS 10000u

struct work {
	struct work *next, **at;
	PIO_WORKITEM_ROUTINE routine;
	void *context;
};

static struct work *works; /* queued or running */
static struct lab_lock works_lock;

static VOID NTAPI run(DEVICE_OBJECT *device, void *context)
{
	struct work *w = context;

	w->routine(device, w->context);
	lab_lock(&works_lock);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	lab_unlock(&works_lock);
	lab_free(w);
}

void NTAPI lab_IoQueueWorkItem(PIO_WORKITEM item, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE type, void *context)
{
	struct work *w = lab_alloc(sizeof(*w));

	w->routine = routine;
	w->context = context;
	lab_lock(&works_lock);
	w->at = &works;
	w->next = works;
	if (works)
		works->at = &w->next;
	works = w;
	lab_unlock(&works_lock);
	IoQueueWorkItem(item, run, type, w);
}

static bool any_of(const uint8_t *image, size_t size)
{
	const struct work *w;

	lab_lock(&works_lock);
	for (w = works; w && (size_t)((const uint8_t *)w->routine - image) >= size; w = w->next)
		;
	lab_unlock(&works_lock);
	return w != NULL;
}

void lab_work_wait(const void *image, size_t size)
{
	unsigned int ms;

	for (ms = 0; any_of(image, size) && ms < WAIT_MS; ms++)
		Sleep(1);
	if (ms == WAIT_MS)
		lab_report("a driver that goes has a work item that does not end");
}
