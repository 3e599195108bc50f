/* SPDX-License-Identifier: GPL-2.0-only */
/* The OS seam for Linux kernel code. */
#ifndef UW_PORT_H
#define UW_PORT_H

#include <linux/types.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/byteorder.h>
#include <linux/compiler.h>

/* sparse follows these, so that a forgotten conversion is an error of the build. */
#define UW_LE_TYPES
typedef __le16 uw_le16;
typedef __le32 uw_le32;
typedef __le64 uw_le64;

#include "usbwarp/proto.h"

/* The kernel has no <stdint.h>. */
#define UINT16_C(v) v##u
#define UINT32_C(v) v##u
#define UINT64_C(v) v##ull

#define UW_MUST_CHECK __must_check

static inline uint16_t uw_get16(uw_le16 v) { return le16_to_cpu(v); }
static inline uint32_t uw_get32(uw_le32 v) { return le32_to_cpu(v); }
static inline uint64_t uw_get64(uw_le64 v) { return le64_to_cpu(v); }
static inline uw_le16 uw_put16(uint16_t v) { return cpu_to_le16(v); }
static inline uw_le32 uw_put32(uint32_t v) { return cpu_to_le32(v); }
static inline uw_le64 uw_put64(uint64_t v) { return cpu_to_le64(v); }

static inline uint32_t uw_read32(const uw_le32 *p) { return le32_to_cpu(READ_ONCE(*p)); }
static inline void uw_write32(uw_le32 *p, uint32_t v) { WRITE_ONCE(*p, cpu_to_le32(v)); }
/* The peer may run on another machine's CPU, so the SMP forms, empty on a uniprocessor kernel, would not do. */
static inline uint32_t uw_acquire32(const uw_le32 *p) { return le32_to_cpu(virt_load_acquire(p)); }
static inline void uw_release32(uw_le32 *p, uint32_t v) { virt_store_release(p, cpu_to_le32(v)); }
static inline void uw_fence(void) { virt_mb(); }

static inline void uw_copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
static inline void uw_zero(void *at, size_t bytes) { memset(at, 0, bytes); }

#endif
