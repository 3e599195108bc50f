// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event tracing. A session listens when told to from outside (README.md, etw); its events are counted by name, and those
 * that describe themselves are looked at as a decoder would: each field that the names announce has a value of that size.
 */
#include "lab.h"
#include "etw.h"

#define PROVIDERS 16
#define NAMES 32
#define SELF_DESCRIBING 11 /* the channel */

static struct {
	bool used;
	PETWENABLECALLBACK callback;
	void *context;
	GUID id;
} providers[PROVIDERS];

static struct {
	char name[32];
	uint32_t count;
} names[NAMES];

static struct lab_lock etw_lock;
static uint8_t listened;           /* level; 0: nobody listens */
static uint64_t wanted;            /* keywords */

static bool registered(REGHANDLE handle)
{
	return handle && handle <= PROVIDERS && providers[handle - 1].used;
}

static void tell(unsigned int i, ULONG what)
{
	if (providers[i].used && providers[i].callback)
		providers[i].callback(&providers[i].id, what, listened, wanted, 0, NULL, providers[i].context);
}

void lab_etw_listen(uint8_t level, uint64_t keywords)
{
	listened = level;
	wanted = keywords;
	for (unsigned int i = 0; i < PROVIDERS; i++)
		tell(i, level ? 1 : 0);
}

void lab_etw_state(void)
{
	for (unsigned int i = 0; i < PROVIDERS; i++)
		tell(i, 2);
}

const char *lab_etw_name(unsigned int i, uint32_t *count)
{
	if (i >= NAMES || !names[i].count)
		return NULL;
	*count = names[i].count;
	return names[i].name;
}

NTSTATUS NTAPI lab_EtwRegister(LPCGUID id, PETWENABLECALLBACK callback, PVOID context, PREGHANDLE handle)
{
	unsigned int i;

	if (!id || !handle)
		return STATUS_INVALID_PARAMETER;
	lab_lock(&etw_lock);
	for (i = 0; i < PROVIDERS && providers[i].used; i++)
		;
	if (i < PROVIDERS) {
		providers[i].used = true;
		providers[i].callback = callback;
		providers[i].context = context;
		providers[i].id = *id;
		*handle = i + 1;
	}
	lab_unlock(&etw_lock);
	if (i == PROVIDERS)
		return STATUS_INSUFFICIENT_RESOURCES;
	if (listened)
		tell(i, 1);
	return STATUS_SUCCESS;
}

NTSTATUS NTAPI lab_EtwUnregister(REGHANDLE handle)
{
	if (!registered(handle)) {
		lab_report("EtwUnregister of a provider that is not registered");
		return STATUS_INVALID_HANDLE;
	}
	providers[handle - 1].used = false;
	return STATUS_SUCCESS;
}

/* ---- events that describe themselves ---- */

/* Bytes of a value, by TraceLogging's TlgIn; 0: not one that drivers here use. */
static uint32_t size_of(uint8_t type, const EVENT_DATA_DESCRIPTOR *value)
{
	const uint8_t *at = (const uint8_t *)(uintptr_t)value->Ptr;
	uint32_t n = 0;

	switch (type) {
	case 1: /* UTF-16 with its end */
		while (n + 2 <= value->Size && (at[n] || at[n + 1]))
			n += 2;
		return n + 2;
	case 2: /* 8-bit text with its end */
		while (n < value->Size && at[n])
			n++;
		return n + 1;
	case 3: case 4:
		return 1;
	case 5: case 6:
		return 2;
	case 7: case 8:
		return 4;
	case 9: case 10:
		return 8;
	default:
		return 0;
	}
}

/* Names of the provider (kind 2) or of an event and its fields (kind 1): their size first, a zero byte last. */
static bool is_block(const EVENT_DATA_DESCRIPTOR *d, uint32_t kind)
{
	return d->Reserved == kind && d->Size > 3 && *(const uint16_t *)(uintptr_t)d->Ptr == d->Size;
}

static void count_name(const char *name)
{
	unsigned int i, n;

	lab_lock(&etw_lock);
	for (i = 0; i < NAMES && names[i].count; i++) {
		for (n = 0; names[i].name[n] && names[i].name[n] == name[n]; n++)
			;
		if (names[i].name[n] == name[n])
			break;
	}
	if (i < NAMES && !names[i].count++)
		for (n = 0; name[n] && n < sizeof(names[i].name) - 1; n++)
			names[i].name[n] = name[n];
	lab_unlock(&etw_lock);
}

static const char *after(const char *text, const char *end)
{
	while (text < end && *text)
		text++;
	return text + 1;
}

/* What is wrong with it, or NULL. */
static const char *judge(ULONG count, const EVENT_DATA_DESCRIPTOR *data)
{
	const char *at, *end;
	ULONG i = 2;

	if (count < 2 || !is_block(&data[0], 2) || !is_block(&data[1], 1))
		return "names";
	at = (const char *)(uintptr_t)data[1].Ptr;
	end = at + data[1].Size;
	at += 2;
	if (*at)
		return "tags, which nobody here uses";
	at = after(at + 1, end);
	for (; at < end; at++, i++) {
		at = after(at, end);
		if (at >= end || i == count)
			return "more names than values";
		if (data[i].Reserved || data[i].Size != size_of((uint8_t)*at, &data[i]))
			return "a value of another size";
	}
	return i == count ? NULL : "more values than names";
}

NTSTATUS NTAPI lab_EtwWrite(REGHANDLE handle, PCEVENT_DESCRIPTOR event, LPCGUID activity, ULONG count,
	PEVENT_DATA_DESCRIPTOR data)
{
	const char *wrong = NULL;
	uint64_t size = 0;

	(void)activity;
	if (!registered(handle)) {
		lab_report("EtwWrite to a provider that is not registered");
		return STATUS_INVALID_HANDLE;
	}
	for (ULONG i = 0; i < count; i++)
		size += data[i].Size;
	if (!event || count > 128 || size > 65536) {
		lab_report("EtwWrite of %lu pieces, %llu bytes", count, size);
		return STATUS_INVALID_PARAMETER;
	}
	if (event->Channel != SELF_DESCRIBING)
		return STATUS_SUCCESS;
	wrong = judge(count, data);
	if (wrong)
		lab_report("EtwWrite of an event with %s", wrong);
	else
		count_name((const char *)(uintptr_t)data[1].Ptr + 3);
	return STATUS_SUCCESS;
}

BOOLEAN NTAPI lab_EtwEventEnabled(REGHANDLE handle, PCEVENT_DESCRIPTOR event)
{
	(void)event;
	return registered(handle);
}

BOOLEAN NTAPI lab_EtwProviderEnabled(REGHANDLE handle, UCHAR level, ULONGLONG keyword)
{
	(void)level;
	(void)keyword;
	return registered(handle);
}
