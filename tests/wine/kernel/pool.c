// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool: each allocation ends at a page without access, and its pages are taken away when it is freed. So a byte too
 * far, or one too late, is an access violation at the instruction that did it, and this file says whose memory it was.
 *
 * Freed pages stay reserved for a while, the oldest being given back first.
 */
#include "lab.h"

#define PAGE 4096u
#define MEM_COMMIT_ 0x1000
#define MEM_RESERVE_ 0x2000
#define MEM_DECOMMIT_ 0x4000
#define MEM_RELEASE_ 0x8000
#define PAGE_RW 4
#define BUCKETS 4096u
#define GRAVES 2048u
#define FILL 0xa5

struct block {
	struct block *next;
	uint8_t *base;             /* reserved from here */
	size_t pages;              /* committed, the guard page not counted */
	uint8_t *data;
	size_t size;
	ULONG tag;
	bool freed;
	const void *by;            /* who allocated it, or who freed it */
};

static struct block *buckets[BUCKETS];
static struct block *graves[GRAVES];
static unsigned int grave;
static struct lab_lock pool_lock;
static void (NTAPI *wine_free)(void *, ULONG);

static struct block **bucket_of(const void *address)
{
	return &buckets[(uintptr_t)address / PAGE % BUCKETS];
}

/* The block that starts in the page of this address. */
static struct block **find(const void *data)
{
	struct block **b = bucket_of(data);

	while (*b && (*b)->data != data)
		b = &(*b)->next;
	return b;
}

static void *allocate(size_t size, ULONG tag, const void *by)
{
	struct block *b = lab_alloc(sizeof(*b)), **at;
	size_t room = (size + 15) & ~(size_t)15;

	b->pages = room / PAGE + (room % PAGE != 0 || !room);
	b->base = VirtualAlloc(NULL, (b->pages + 1) * PAGE, MEM_RESERVE_, PAGE_RW);
	if (!b->base || !VirtualAlloc(b->base, b->pages * PAGE, MEM_COMMIT_, PAGE_RW)) {
		lab_free(b);
		return NULL;
	}
	b->data = size >= PAGE ? b->base : b->base + b->pages * PAGE - room;
	b->size = size;
	b->tag = tag;
	b->by = by;
	memset(b->base, FILL, b->pages * PAGE);
	lab_lock(&pool_lock);
	at = bucket_of(b->data);
	b->next = *at;
	*at = b;
	lab_unlock(&pool_lock);
	return b->data;
}

/* The bytes before and behind a block, in its own pages. */
static bool untouched(const struct block *b)
{
	const uint8_t *end = b->base + b->pages * PAGE;

	for (const uint8_t *p = b->base; p < b->data; p++)
		if (*p != FILL)
			return false;
	for (const uint8_t *p = b->data + b->size; p < end; p++)
		if (*p != FILL)
			return false;
	return true;
}

/* Remembers a freed block, and lets go of the oldest. Under the lock. */
static void bury(struct block *b)
{
	struct block *old = graves[grave % GRAVES], **at;

	graves[grave++ % GRAVES] = b;
	if (!old)
		return;
	for (at = bucket_of(old->data); *at != old; at = &(*at)->next)
		;
	*at = old->next;
	VirtualFree(old->base, 0, MEM_RELEASE_);
	lab_free(old);
}

static const char *tag_text(ULONG tag, char text[5])
{
	memcpy(text, &tag, 4);
	text[4] = 0;
	for (int i = 0; i < 4; i++)
		if (text[i] < 32 || text[i] > 126)
			text[i] = '.';
	return text;
}

/* False: not of this pool. */
static bool release(void *data, ULONG tag, const void *by)
{
	struct block *b;
	char where[96], mine[5], given[5];

	lab_lock(&pool_lock);
	b = *find(data);
	if (b && !b->freed) {
		if (tag && tag != b->tag)
			lab_report("pool: block of tag %s freed as %s", tag_text(b->tag, mine), tag_text(tag, given));
		if (!untouched(b))
			lab_report("pool: bytes around a block of %llu, tag %s, were written; allocated by %s", b->size,
				   tag_text(b->tag, mine), lab_where(b->by, where, sizeof(where)));
		b->freed = true;
		b->by = by;
		VirtualFree(b->base, b->pages * PAGE, MEM_DECOMMIT_);
		bury(b);
	} else if (b) {
		lab_report("pool: block of %llu, tag %s, freed twice; first by %s", b->size, tag_text(b->tag, mine),
			   lab_where(b->by, where, sizeof(where)));
	}
	lab_unlock(&pool_lock);
	return b != NULL;
}

void lab_pool_fault(EXCEPTION_POINTERS *e)
{
	uintptr_t at = (uintptr_t)e->ExceptionRecord->ExceptionInformation[1];
	char where[96], by[96], tag[5];

	/* One that was raised by a call names no address. */
	if (e->ExceptionRecord->ExceptionCode != STATUS_ACCESS_VIOLATION || e->ExceptionRecord->NumberParameters < 2)
		return;
	for (unsigned int i = 0; i < BUCKETS; i++)
		for (struct block *b = buckets[i]; b; b = b->next)
			if (at >= (uintptr_t)b->base && at < (uintptr_t)b->base + (b->pages + 1) * PAGE)
				lab_report("pool: %s touches byte %lld of a block of %llu, tag %s, %s by %s",
					   lab_where((void *)e->ContextRecord->Rip, where, sizeof(where)),
					   (int64_t)(at - (uintptr_t)b->data), b->size, tag_text(b->tag, tag),
					   b->freed ? "freed" : "allocated", lab_where(b->by, by, sizeof(by)));
}

void *lab_pool_get(size_t size, ULONG tag, const void *by)
{
	return allocate(size, tag, by);
}

void lab_pool_put(void *data, const void *by)
{
	if (!release(data, 0, by))
		wine_free(data, 0);
}

bool lab_pool_lives(const void *data)
{
	struct block *b;
	bool lives;

	lab_lock(&pool_lock);
	b = *find(data);
	lives = b && !b->freed;
	lab_unlock(&pool_lock);
	return lives;
}

PVOID NTAPI lab_ExAllocatePoolWithTag(POOL_TYPE type, SIZE_T size, ULONG tag)
{
	void *p = allocate(size, tag, __builtin_return_address(0));

	if (!p && (type & POOL_RAISE_IF_ALLOCATION_FAILURE))
		RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
	return p;
}

PVOID NTAPI lab_ExAllocatePoolWithTagPriority(POOL_TYPE type, SIZE_T size, ULONG tag, EX_POOL_PRIORITY priority)
{
	(void)priority;
	return lab_ExAllocatePoolWithTag(type, size, tag);
}

PVOID NTAPI lab_ExAllocatePool(POOL_TYPE type, SIZE_T size)
{
	return lab_ExAllocatePoolWithTag(type, size, 0x656e6f4e);
}

void NTAPI lab_ExFreePoolWithTag(void *data, ULONG tag)
{
	if (!data)
		lab_report("pool: NULL freed");
	else if (!release(data, tag, __builtin_return_address(0)))
		wine_free(data, tag);
}

void NTAPI lab_ExFreePool(void *data)
{
	if (!data)
		lab_report("pool: NULL freed");
	else if (!release(data, 0, __builtin_return_address(0)))
		wine_free(data, 0);
}

/* Wine's own callers free nothing now and then, which does no harm there. */
static void NTAPI wine_calls_free(void *data, ULONG tag)
{
	if (data && !release(data, tag, __builtin_return_address(0)))
		wine_free(data, tag);
}

/* Of the blocks that a driver allocated: how many are left, and how many bytes; the first ones are said. */
uint32_t lab_pool_left(const void *image, size_t image_size, uint64_t *bytes, bool say)
{
	uint32_t left = 0;
	char where[96], tag[5];

	*bytes = 0;
	lab_lock(&pool_lock);
	for (unsigned int i = 0; i < BUCKETS; i++)
		for (struct block *b = buckets[i]; b; b = b->next)
			if (!b->freed && (uintptr_t)b->by - (uintptr_t)image < image_size) {
				*bytes += b->size;
				if (++left <= 8 && say)
					lab_report("pool: %llu bytes, tag %s, left behind; allocated by %s", b->size,
						   tag_text(b->tag, tag), lab_where(b->by, where, sizeof(where)));
			}
	lab_unlock(&pool_lock);
	return left;
}

void lab_pool_init(void)
{
	wine_free = lab_hook("ExFreePoolWithTag", wine_calls_free, true);
}
