// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects by handle: sections and file objects are ours, events Wine's, referenced through a handle copied out of the
 * process that asked. References to each are counted, and dropping one too many, or to something that is no object, is
 * reported.
 */
#include "lab.h"
#include "object.h"

#define BUCKETS 256u

struct ref {                       /* one object that a driver has got */
	struct ref *next;
	void *object;
	LONG count;
	enum lab_object kind;
	const void *by;
};

static struct ref *refs[BUCKETS];
static struct lab_lock refs_lock;
static uint8_t section_type[256];
POBJECT_TYPE lab_MmSectionObjectType = (POBJECT_TYPE)section_type;

struct section {
	HANDLE handle;
	uint64_t views;
};

static struct ref **find(const void *object)
{
	struct ref **r = &refs[(uintptr_t)object / 16 % BUCKETS];

	while (*r && (*r)->object != object)
		r = &(*r)->next;
	return r;
}

/* Takes one more reference of an object that is known, or makes it known. */
static void note(void *object, enum lab_object kind, const void *by)
{
	struct ref **r;

	lab_lock(&refs_lock);
	r = find(object);
	if (!*r) {
		*r = lab_alloc(sizeof(**r));
		(*r)->object = object;
		(*r)->kind = kind;
	}
	(*r)->count++;
	(*r)->by = by;
	lab_unlock(&refs_lock);
}

void lab_object_made(void *object, enum lab_object kind, const void *by)
{
	note(object, kind, by);
}

/* Drops a reference: what it was, and whether that was the last one. */
static enum lab_object drop(void *object, bool *last)
{
	struct ref **r, *gone;
	enum lab_object kind = LAB_WINES;

	lab_lock(&refs_lock);
	r = find(object);
	gone = *r;
	if (gone) {
		kind = gone->kind;
		*last = !--gone->count;
		if (*last) {
			*r = gone->next;
			lab_free(gone);
		}
	}
	lab_unlock(&refs_lock);
	return kind;
}

static bool is_own(const void *object)
{
	bool own;

	lab_lock(&refs_lock);
	own = *find(object) && (*find(object))->kind != LAB_WINES;
	lab_unlock(&refs_lock);
	return own;
}

static bool is_known(const void *object)
{
	bool known;

	lab_lock(&refs_lock);
	known = *find(object) != NULL;
	lab_unlock(&refs_lock);
	return known;
}

uint32_t lab_object_left(const void *image, size_t size)
{
	uint32_t left = 0;
	char where[96];

	lab_lock(&refs_lock);
	for (unsigned int i = 0; i < BUCKETS; i++)
		for (struct ref *r = refs[i]; r; r = r->next)
			if ((uintptr_t)r->by - (uintptr_t)image < size && ++left <= 8)
				lab_report("object %p: %ld references left behind, the last by %s", r->object, r->count,
					   lab_where(r->by, where, sizeof(where)));
	lab_unlock(&refs_lock);
	return left;
}

static void destroy_section(void *object)
{
	struct section *s = object;

	if (s->views)
		lab_report("section %p goes with %llu views mapped", object, s->views);
	ZwClose(s->handle);
	lab_pool_put(s, NULL);
}

LONG_PTR FASTCALL lab_ObfReferenceObject(PVOID object)
{
	bool own = is_own(object);

	if (is_known(object))
		note(object, LAB_WINES, __builtin_return_address(0));
	return own ? 1 : ObfReferenceObject(object);
}

LONG_PTR FASTCALL lab_ObfDereferenceObject(PVOID object)
{
	bool last = false;

	switch (drop(object, &last)) {
	case LAB_WINES:
		return ObfDereferenceObject(object);
	case LAB_SECTION:
		if (last)
			destroy_section(object);
		break;
	case LAB_FILE:
		if (last)
			lab_file_destroy(object);
		break;
	case LAB_STATIC:
		break;
	}
	return !last;
}

void NTAPI lab_ObDereferenceObject(PVOID object)
{
	lab_ObfDereferenceObject(object);
}

void NTAPI lab_ObDereferenceObjectDeferDelete(PVOID object)
{
	lab_ObfDereferenceObject(object);
}

NTSTATUS NTAPI lab_ObReferenceObjectByPointer(PVOID object, ACCESS_MASK access, POBJECT_TYPE type, KPROCESSOR_MODE mode)
{
	if (!is_own(object))
		return ObReferenceObjectByPointer(object, access, type, mode);
	note(object, LAB_WINES, __builtin_return_address(0));
	return STATUS_SUCCESS;
}

/* The caller's handle, as one of this process; with the rights that it has. */
static NTSTATUS own_handle(HANDLE handle, KPROCESSOR_MODE mode, HANDLE *own)
{
	OBJECT_ATTRIBUTES attr = { .Length = sizeof(attr) };
	CLIENT_ID id = { .UniqueProcess = PsGetCurrentProcessId() };
	HANDLE process = ZwCurrentProcess();
	NTSTATUS status = STATUS_SUCCESS;
	bool other = mode == UserMode && id.UniqueProcess != (HANDLE)(uintptr_t)GetCurrentProcessId();

	if (other)
		status = ZwOpenProcess(&process, PROCESS_DUP_HANDLE, &attr, &id);
	if (!NT_SUCCESS(status))
		return status;
	status = ZwDuplicateObject(process, handle, ZwCurrentProcess(), own, 0, 0, DUPLICATE_SAME_ACCESS);
	if (other)
		ZwClose(process);
	return status;
}

/* Is it of this type, and has the handle these rights? */
static NTSTATUS check_handle(HANDLE handle, const WCHAR *type, ACCESS_MASK access, KPROCESSOR_MODE mode)
{
	uint8_t buffer[512] __attribute__((aligned(16)));
	PUBLIC_OBJECT_TYPE_INFORMATION *name = (PUBLIC_OBJECT_TYPE_INFORMATION *)buffer;
	PUBLIC_OBJECT_BASIC_INFORMATION basic;
	UNICODE_STRING wanted;
	NTSTATUS status = ZwQueryObject(handle, 2, buffer, sizeof(buffer), NULL);

	if (!NT_SUCCESS(status))
		return status;
	RtlInitUnicodeString(&wanted, type);
	if (!RtlEqualUnicodeString(&name->TypeName, &wanted, FALSE))
		return STATUS_OBJECT_TYPE_MISMATCH;
	status = ZwQueryObject(handle, 0, &basic, sizeof(basic), NULL);
	if (NT_SUCCESS(status) && mode == UserMode && (basic.GrantedAccess & access) != access)
		return STATUS_ACCESS_DENIED;
	return status;
}

static NTSTATUS reference_section(HANDLE own, PVOID *object, const void *by)
{
	struct section *s = lab_pool_get(sizeof(*s), 0x74636553, NULL);

	if (!s)
		return STATUS_INSUFFICIENT_RESOURCES;
	*s = (struct section){ .handle = own };
	note(s, LAB_SECTION, by);
	*object = s;
	return STATUS_SUCCESS;
}

NTSTATUS NTAPI lab_ObReferenceObjectByHandle(HANDLE handle, ACCESS_MASK access, POBJECT_TYPE type, KPROCESSOR_MODE mode,
	PVOID *object, POBJECT_HANDLE_INFORMATION info)
{
	bool section = type == lab_MmSectionObjectType, event = type == *(POBJECT_TYPE *)lab_event_type();
	HANDLE own;
	NTSTATUS status;

	*object = NULL;
	if (!section && !event) {
		status = ObReferenceObjectByHandle(handle, access, type, mode, object, info);
		if (NT_SUCCESS(status))
			note(*object, LAB_WINES, __builtin_return_address(0));
		return status;
	}
	status = own_handle(handle, mode, &own);
	if (!NT_SUCCESS(status))
		return status;
	status = check_handle(own, section ? L"Section" : L"Event", access, mode);
	if (NT_SUCCESS(status) && section)
		status = reference_section(own, object, __builtin_return_address(0));
	else if (NT_SUCCESS(status))
		status = ObReferenceObjectByHandle(own, access, type, KernelMode, object, info);
	if (NT_SUCCESS(status) && event)
		note(*object, LAB_WINES, __builtin_return_address(0));
	if (!NT_SUCCESS(status) || event)
		ZwClose(own);
	return status;
}

/* ---- views ---- */

static struct view {
	struct view *next;
	void *base;
	struct section *section;
} *views;
static struct lab_lock views_lock;

NTSTATUS NTAPI lab_MmMapViewInSystemSpace(PVOID object, PVOID *base, PSIZE_T size)
{
	struct section *s = object;
	struct view *v = lab_alloc(sizeof(*v));
	NTSTATUS status;

	if (!is_own(object)) {
		lab_report("MmMapViewInSystemSpace of %p, which is no section", object);
		return STATUS_INVALID_PARAMETER;
	}
	*base = NULL;
	status = ZwMapViewOfSection(s->handle, ZwCurrentProcess(), base, 0, 0, NULL, size, ViewShare, 0, PAGE_READWRITE);
	if (!NT_SUCCESS(status)) {
		lab_free(v);
		return status;
	}
	v->base = *base;
	v->section = s;
	lab_lock(&views_lock);
	v->next = views;
	views = v;
	s->views++;
	lab_unlock(&views_lock);
	return status;
}

NTSTATUS NTAPI lab_MmUnmapViewInSystemSpace(PVOID base)
{
	struct view **at, *v;

	lab_lock(&views_lock);
	for (at = &views; *at && (*at)->base != base; at = &(*at)->next)
		;
	v = *at;
	if (v) {
		*at = v->next;
		v->section->views--;
	}
	lab_unlock(&views_lock);
	if (!v) {
		lab_report("MmUnmapViewInSystemSpace of %p, which is no view", base);
		return STATUS_NOT_MAPPED_VIEW;
	}
	lab_free(v);
	return ZwUnmapViewOfSection(ZwCurrentProcess(), base);
}

void *lab_event_type(void)
{
	static void *type;

	if (!type)
		type = GetProcAddress(GetModuleHandleW(L"ntoskrnl.exe"), "ExEventObjectType");
	return type;
}

void lab_object_init(void)
{
	lab_event_type();
}
