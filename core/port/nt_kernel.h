/* SPDX-License-Identifier: GPL-2.0-only */
/* The OS seam for Windows kernel code, x64, by GCC or Clang. */
#ifndef UW_PORT_H
#define UW_PORT_H

#include <ntddk.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#undef interface /* Windows' headers say it for struct, USB and the models for an interface */

#include "usbwarp/proto.h"

#define UW_MUST_CHECK __attribute__((warn_unused_result))

static inline uint16_t uw_get16(uw_le16 v) { return v; }
static inline uint32_t uw_get32(uw_le32 v) { return v; }
static inline uint64_t uw_get64(uw_le64 v) { return v; }
static inline uw_le16 uw_put16(uint16_t v) { return v; }
static inline uw_le32 uw_put32(uint32_t v) { return v; }
static inline uw_le64 uw_put64(uint64_t v) { return v; }

static inline uint32_t uw_read32(const uw_le32 *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void uw_write32(uw_le32 *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint32_t uw_acquire32(const uw_le32 *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void uw_release32(uw_le32 *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
/* KeMemoryBarrier is a macro over an intrinsic in Windows' headers and an unresolved symbol in mingw's. */
static inline void uw_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline void uw_copy(void *to, const void *from, size_t bytes) { RtlCopyMemory(to, from, bytes); }
static inline void uw_zero(void *at, size_t bytes) { RtlZeroMemory(at, bytes); }

#endif
