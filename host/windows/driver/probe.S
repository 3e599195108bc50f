/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NTSTATUS uw_probe_and_lock(MDL *mdl): probe.c for GCC, which has no __try. The scope table after the handler's name is
 * the one that __C_specific_handler reads (winnt.h, SCOPE_TABLE_AMD64); a filter of 1 takes every exception, and the code
 * then arrives in eax.
 */
	.text
	.globl uw_probe_and_lock
	.def uw_probe_and_lock; .scl 2; .type 32; .endef
	.seh_proc uw_probe_and_lock
uw_probe_and_lock:
	subq $40, %rsp
	.seh_stackalloc 40
	.seh_endprologue
	.seh_handler __C_specific_handler, @except
	.seh_handlerdata
	.long 1
	.rva .Lbegin, .Lend
	.long 1
	.rva .Lraised
	.text
.Lbegin:
	xorl %edx, %edx /* KernelMode */
	movl $2, %r8d   /* IoModifyAccess */
	call MmProbeAndLockPages
	nop
.Lend:
	xorl %eax, %eax
.Lraised:
	addq $40, %rsp
	ret
	.seh_endproc
