/* SPDX-License-Identifier: GPL-2.0-only */
/* The OS seam for user programs on any system with GCC or Clang: daemon, service, tests and fuzzers. */
#ifndef UW_PORT_H
#define UW_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "usbwarp/proto.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian hosts need conversions here");

#define UW_MUST_CHECK __attribute__((warn_unused_result))

static inline uint16_t uw_get16(uw_le16 v) { return v; }
static inline uint32_t uw_get32(uw_le32 v) { return v; }
static inline uint64_t uw_get64(uw_le64 v) { return v; }
static inline uw_le16 uw_put16(uint16_t v) { return v; }
static inline uw_le32 uw_put32(uint32_t v) { return v; }
static inline uw_le64 uw_put64(uint64_t v) { return v; }

/* One plain load or store of shared memory: never torn, never repeated. */
static inline uint32_t uw_read32(const uw_le32 *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void uw_write32(uw_le32 *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint32_t uw_acquire32(const uw_le32 *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void uw_release32(uw_le32 *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* Orders every access before it with every access after it, stores followed by loads included. */
static inline void uw_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline void uw_copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
static inline void uw_zero(void *at, size_t bytes) { memset(at, 0, bytes); }

#endif
