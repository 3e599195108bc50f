/* SPDX-License-Identifier: GPL-2.0-only */
/* What every file of the core stands on: the OS seam, a list, and arithmetic on ring positions. */
#ifndef UW_BASE_H
#define UW_BASE_H

#if defined(__KERNEL__)
#include "port/linux_kernel.h"
#elif defined(_WIN32) && defined(UW_NT_KERNEL)
#include "port/nt_kernel.h"
#else
#include "port/user.h"
#endif

#define UW_CONTAINER(p, type, member) ((type *)(void *)((char *)(p) - offsetof(type, member)))
#define UW_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define UW_MS 1000000ull /* nanoseconds: the core's time is a u64 of nanoseconds from any start, never going back */
#define UW_NEVER UINT64_C(0xffffffffffffffff)

/* Signed distance from position b to position a; positions count modulo 2^32. */
static inline int32_t uw_ahead(uint32_t a, uint32_t b) { return (int32_t)(a - b); }

static inline bool uw_power_of_two(uint32_t v) { return v && !(v & (v - 1)); }

static inline uint32_t uw_min(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Did a counter that went from before to now pass the index its reader named? The same test as virtio's event index:
 * it stays right when all three wrap. */
static inline bool uw_passed(uint32_t now, uint32_t before, uint32_t index)
{
	return (uint32_t)(now - index - 1) < (uint32_t)(now - before);
}

/* Circular list with a head; a node that is on no list points at itself. */
struct uw_list {
	struct uw_list *next, *prev;
};

static inline void uw_list_init(struct uw_list *l) { l->next = l->prev = l; }
static inline bool uw_list_empty(const struct uw_list *l) { return l->next == l; }

static inline void uw_list_add(struct uw_list *head, struct uw_list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Removing a node that is on no list does nothing. */
static inline void uw_list_del(struct uw_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	uw_list_init(node);
}

static inline struct uw_list *uw_list_pop(struct uw_list *head)
{
	struct uw_list *node = head->next;

	if (node == head)
		return NULL;
	uw_list_del(node);
	return node;
}

#endif
