/* SPDX-License-Identifier: GPL-2.0-only */
/* Flips a word of shared memory after each single access of the host to it: a double fetch is then seen for certain. */
#ifndef UW_TRAP_H
#define UW_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* False: not on this machine. page: the host's view, which it may write or only read; word: the guest's view of the word,
 * which lies at offset in that page. */
bool trap_begin(void *page, bool writable, uint32_t *word, uint32_t offset, const uint32_t value[2], uint32_t first);
/* Accesses of the host to the word's cache line. */
uint32_t trap_end(void);

#endif
