// SPDX-License-Identifier: GPL-2.0-only
/*
 * What control-flow guard needs in a driver: the load configuration directory (PE format, "The Load Configuration
 * Structure") and the two pointers that Windows redirects to its own checks. A C run-time library would bring them.
 */
#include <stddef.h>
#include <stdint.h>

struct load_config {
	uint32_t size;
	uint32_t time;
	uint16_t major, minor;
	uint32_t flags_clear, flags_set;
	uint32_t section_timeout;
	uint64_t decommit[2];
	uint64_t lock_prefixes;
	uint64_t allocation_max;
	uint64_t memory_threshold;
	uint64_t affinity;
	uint32_t heap_flags;
	uint16_t service_pack;
	uint16_t load_flags;
	uint64_t edit_list;
	uint64_t cookie;
	uint64_t handlers[2];
	const void *guard_check;       /* GuardCFCheckFunctionPointer */
	const void *guard_dispatch;    /* GuardCFDispatchFunctionPointer */
	const void *guard_table;       /* GuardCFFunctionTable */
	uint64_t guard_count;
	uint64_t guard_flags;          /* 4 bytes of flags, 4 of the code integrity block: the linker's symbol is 64 bits wide */
	uint32_t integrity[2];
	const void *iat_table;
	uint64_t iat_count;
	const void *jump_table;
	uint64_t jump_count;
};
_Static_assert(offsetof(struct load_config, guard_check) == 112, "PE format");
_Static_assert(offsetof(struct load_config, iat_table) == 160, "PE format");
_Static_assert(sizeof(struct load_config) == 192, "PE format");

/* Without Windows' own: the target, which the compiler passes in rax, is called unchecked. */
__asm__(".text\n"
	".globl uw_guard_dispatch\n"
	".def uw_guard_dispatch; .scl 2; .type 32; .endef\n"
	"uw_guard_dispatch: jmp *%rax\n"
	".globl uw_guard_check\n"
	".def uw_guard_check; .scl 2; .type 32; .endef\n"
	"uw_guard_check: ret\n");
extern void uw_guard_dispatch(void);
extern void uw_guard_check(void);

extern const char __guard_fids_table[], __guard_fids_count[], __guard_flags[];
extern const char __guard_iat_table[], __guard_iat_count[], __guard_longjmp_table[], __guard_longjmp_count[];

__attribute__((section(".00cfg"))) void (*const __guard_check_icall_fptr)(void) = uw_guard_check;
__attribute__((section(".00cfg"))) void (*const __guard_dispatch_icall_fptr)(void) = uw_guard_dispatch;

__attribute__((section(".rdata"))) const struct load_config _load_config_used = {
	.size = sizeof(struct load_config),
	.guard_check = &__guard_check_icall_fptr,
	.guard_dispatch = &__guard_dispatch_icall_fptr,
	.guard_table = __guard_fids_table,
	.guard_count = (uint64_t)__guard_fids_count,
	.guard_flags = (uint64_t)__guard_flags,
	.iat_table = __guard_iat_table,
	.iat_count = (uint64_t)__guard_iat_count,
	.jump_table = __guard_longjmp_table,
	.jump_count = (uint64_t)__guard_longjmp_count,
};
