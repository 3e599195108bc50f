/* SPDX-License-Identifier: GPL-2.0-only */
/* The page is forbidden; an access faults, is let through for one instruction, and then the word is another one. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "trap.h"

#define PAGE 4096u

#if defined(__x86_64__)
#define TRAP_FLAG 0x100 /* of EFLAGS: one instruction, then SIGTRAP */

static struct {
	uint8_t *page;
	int protection;
	uint32_t *word, offset, value[2], turn, hits;
	bool hit;
	struct sigaction old_segv, old_trap;
} trap;

static void on_segv(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint8_t *at = info->si_addr;

	(void)signal;
	if (at < trap.page || at >= trap.page + PAGE) {
		sigaction(SIGSEGV, &trap.old_segv, NULL); /* a real fault: comes again, and ends the test */
		return;
	}
	trap.hit = ((at - trap.page) & ~63) == (trap.offset & ~63u);
	mprotect(trap.page, PAGE, trap.protection);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)signal;
	(void)info;
	uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	if (trap.hit) {
		trap.hits++;
		__atomic_store_n(trap.word, trap.value[++trap.turn & 1], __ATOMIC_RELAXED);
	}
	mprotect(trap.page, PAGE, PROT_NONE);
}

bool trap_begin(void *page, bool writable, uint32_t *word, uint32_t offset, const uint32_t value[2], uint32_t first)
{
	struct sigaction segv = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	struct sigaction step = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	trap.page = page;
	trap.protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	trap.word = word;
	trap.offset = offset;
	trap.value[0] = value[0];
	trap.value[1] = value[1];
	trap.turn = first;
	trap.hits = 0;
	__atomic_store_n(word, value[first & 1], __ATOMIC_RELAXED);
	sigaction(SIGSEGV, &segv, &trap.old_segv);
	sigaction(SIGTRAP, &step, &trap.old_trap);
	return !mprotect(page, PAGE, PROT_NONE);
}

uint32_t trap_end(void)
{
	mprotect(trap.page, PAGE, trap.protection);
	sigaction(SIGSEGV, &trap.old_segv, NULL);
	sigaction(SIGTRAP, &trap.old_trap, NULL);
	return trap.hits;
}
#else
bool trap_begin(void *page, bool writable, uint32_t *word, uint32_t offset, const uint32_t value[2], uint32_t first)
{
	(void)page, (void)writable, (void)word, (void)offset, (void)value, (void)first;
	return false;
}

uint32_t trap_end(void)
{
	return 0;
}
#endif
