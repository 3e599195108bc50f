// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events for Event Tracing for Windows, provider UsbWarp {5f0d7c6e-2b0b-4a53-9f0e-9d0a3f6c81b2}.
 *
 * They describe themselves, in the encoding that TraceLogging uses (channel 11; the first two data descriptors hold the
 * names of provider, event and fields, with a byte for each field's type), so no manifest has to be installed:
 *
 *   event      level        keyword  fields
 *   Session    information  1        vm, begins (1 or 0), size
 *   Attach     information  1        vm, port, state (enum uw_ctl_device_state), vendor, product
 *   Device     information  1        interface, status (NTSTATUS)
 *   Fault      warning      2        vm, badTags, lies: counters of the session
 *   Transfer   verbose      4        vm, verb (enum uw_verb), endpoint, length, actual, status (enum uw_status)
 */
#include "trace.h"

#define LEVEL_WARNING 3
#define LEVEL_INFORMATION 4
#define LEVEL_VERBOSE 5
#define KEYWORD_SESSION 1
#define KEYWORD_FAULT 2
#define KEYWORD_TRANSFER 4

/* What a field is: TraceLogging's TlgIn. */
#define UNICODE "\001"
#define TEXT8 "\002"
#define U8 "\004"
#define U16 "\006"
#define I32 "\007"
#define U32 "\010"
#define U64 "\012"
#define FIELD(name, type) name "\0" type

#define METADATA(variable, text) \
	static const struct { uint16_t size; char bytes[sizeof(text) - 1]; } __attribute__((packed)) variable = { \
		sizeof(variable), text }

METADATA(provider, "UsbWarp\0");
METADATA(session, "\0Session\0" FIELD("vm", TEXT8) FIELD("begins", U8) FIELD("size", U32));
METADATA(attach, "\0Attach\0" FIELD("vm", TEXT8) FIELD("port", U8) FIELD("state", U8) FIELD("vendor", U16)
	 FIELD("product", U16));
METADATA(device, "\0Device\0" FIELD("interface", UNICODE) FIELD("status", I32));
METADATA(fault, "\0Fault\0" FIELD("vm", TEXT8) FIELD("badTags", U64) FIELD("lies", U64));
METADATA(transfer, "\0Transfer\0" FIELD("vm", TEXT8) FIELD("verb", U8) FIELD("endpoint", U8) FIELD("length", U32)
	 FIELD("actual", U32) FIELD("status", U32));

static const GUID id = { 0x5f0d7c6e, 0x2b0b, 0x4a53, { 0x9f, 0x0e, 0x9d, 0x0a, 0x3f, 0x6c, 0x81, 0xb2 } };
static REGHANDLE handle;
static volatile UCHAR listened;       /* level; 0: nobody listens */
static volatile ULONGLONG keywords;

static void NTAPI on_enable(LPCGUID source, ULONG enabled, UCHAR level, ULONGLONG any, ULONGLONG all,
			    PEVENT_FILTER_DESCRIPTOR filter, void *context)
{
	(void)source;
	(void)all;
	(void)filter;
	(void)context;
	if (enabled == 2) /* asked to log its state, of which there is none */
		return;
	keywords = any ? any : ~0ull;
	listened = !enabled ? 0 : level ? level : 0xff;
}

void uw_trace_open(void)
{
	if (!NT_SUCCESS(EtwRegister(&id, on_enable, NULL, &handle)))
		handle = 0;
}

void uw_trace_close(void)
{
	if (handle)
		EtwUnregister(handle);
	handle = 0;
}

static bool heard(UCHAR level, ULONGLONG keyword)
{
	return handle && level <= listened && (keyword & keywords);
}

static EVENT_DATA_DESCRIPTOR data(const void *at, ULONG bytes, ULONG kind)
{
	EVENT_DATA_DESCRIPTOR d = { (ULONG_PTR)at, bytes, kind };

	return d;
}

#define FIELDS_MAX 6u
#define VALUE(v) data(&(v), sizeof(v), 0)
#define NAMES(metadata) data(&(metadata), sizeof(metadata), 1)

static EVENT_DATA_DESCRIPTOR vm_name(const struct uw_link *l)
{
	uint32_t length = 0;

	while (l->name[length])
		length++;
	return data(l->name, length + 1, 0);
}

static void write(UCHAR level, ULONGLONG keyword, EVENT_DATA_DESCRIPTOR names, const EVENT_DATA_DESCRIPTOR *fields,
		  uint32_t count)
{
	const EVENT_DESCRIPTOR event = { .Channel = 11, .Level = level, .Keyword = keyword };
	EVENT_DATA_DESCRIPTOR all[2 + FIELDS_MAX] = { data(&provider, sizeof(provider), 2), names };
	uint32_t i;

	for (i = 0; i < count; i++)
		all[2 + i] = fields[i];
	(void)EtwWrite(handle, &event, NULL, 2 + count, all);
}

#define WRITE(level, keyword, metadata, fields) write(level, keyword, NAMES(metadata), fields, UW_COUNT_OF(fields))

void uw_trace_session(const struct uw_link *l, bool begins)
{
	uint8_t flag = begins;
	uint32_t size = l->host.layout.size;
	const EVENT_DATA_DESCRIPTOR fields[] = { vm_name(l), VALUE(flag), VALUE(size) };

	if (heard(LEVEL_INFORMATION, KEYWORD_SESSION))
		WRITE(LEVEL_INFORMATION, KEYWORD_SESSION, session, fields);
}

void uw_trace_fault(const struct uw_link *l, uint64_t bad_tags, uint64_t lies)
{
	const EVENT_DATA_DESCRIPTOR fields[] = { vm_name(l), VALUE(bad_tags), VALUE(lies) };

	if (heard(LEVEL_WARNING, KEYWORD_FAULT))
		WRITE(LEVEL_WARNING, KEYWORD_FAULT, fault, fields);
}

void uw_trace_attach(const struct uw_link *l, const struct uw_dev *dev, uint8_t state)
{
	const struct uw_device *d = &dev->peer->dev;
	const EVENT_DATA_DESCRIPTOR fields[] = { vm_name(l), VALUE(dev->port), VALUE(state), VALUE(d->vendor),
						 VALUE(d->product) };

	if (heard(LEVEL_INFORMATION, KEYWORD_SESSION))
		WRITE(LEVEL_INFORMATION, KEYWORD_SESSION, attach, fields);
}

void uw_trace_device(const struct uw_dev *dev, NTSTATUS status)
{
	uint32_t units = 0;

	if (!heard(LEVEL_INFORMATION, KEYWORD_SESSION))
		return;
	while (dev->path[units])
		units++;
	{
		const EVENT_DATA_DESCRIPTOR fields[] = { data(dev->path, 2 * (units + 1), 0), VALUE(status) };

		WRITE(LEVEL_INFORMATION, KEYWORD_SESSION, device, fields);
	}
}

void uw_trace_transfer(const struct uw_link *l, const struct uw_transfer_io *io)
{
	if (heard(LEVEL_VERBOSE, KEYWORD_TRANSFER)) {
		const EVENT_DATA_DESCRIPTOR fields[] = { vm_name(l), VALUE(io->verb), VALUE(io->endpoint), VALUE(io->length),
							 VALUE(io->actual), VALUE(io->status) };

		WRITE(LEVEL_VERBOSE, KEYWORD_TRANSFER, transfer, fields);
	}
}
