/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NTSTATUS uw_probe_and_lock(MDL *mdl): probe.c for GCC, which has no __try. The scope table after the handler's name is
 * the one that __C_specific_handler reads (winnt.h, SCOPE_TABLE_AMD64). The filter gets struct EXCEPTION_POINTERS in rcx and
 * this function's frame, which is its rsp, in rdx; it leaves the code at 32(%rsp) and takes every exception.
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
	.rva .Lbegin, .Lend, .Lfilter, .Lraised
	.text
.Lbegin:
	xorl %edx, %edx /* KernelMode */
	movl $2, %r8d   /* IoModifyAccess */
	call MmProbeAndLockPages
	nop
.Lend:
	movl $0, 32(%rsp)
.Lraised:
	movl 32(%rsp), %eax
	addq $40, %rsp
	ret
	.seh_endproc

	.seh_proc uw_probe_filter
uw_probe_filter:
	.seh_endprologue
.Lfilter:
	movq (%rcx), %rax /* the record */
	movl (%rax), %eax /* its code */
	movl %eax, 32(%rdx)
	movl $1, %eax     /* EXCEPTION_EXECUTE_HANDLER */
	ret
	.seh_endproc
