#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes the forwarding kernel's export list and its entry points from calls.list and from Wine's own kernel.

    gen.py def   CALLS WINE_NTOSKRNL > uwlabkrn.def
    gen.py entry CALLS > entry.c

Every export of Wine's is forwarded. Those in calls.list go through an entry of ours first, which checks the IRQL of the
caller and plans failures, and then jumps to our function (own) or to Wine's (wine); what Wine has not is added.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from patch_imports import Image  # noqa: E402

IRQL = {"passive": 0, "apc": 1, "dispatch": 2, "any": 31}


class Call:
    def __init__(self, line):
        words = line.split(None, 4)
        self.name, self.who, irql, fail, self.reason = words
        self.irql = IRQL[irql]
        self.kind, _, value = fail.partition("=")
        self.value = int(value, 16) if value else 0
        if self.who not in ("own", "wine", "data") or not self.reason.strip():
            raise ValueError(line)


def read_calls(path):
    calls = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            line = line.split("#")[0].strip() if line.startswith("#") else line.strip()
            if line:
                call = Call(line)
                if call.name in calls:
                    raise ValueError(f"{call.name} is listed twice")
                calls[call.name] = call
    return calls


def exports(path):
    """{name: is it a stub} of what Wine's kernel exports by name."""
    with open(path, "rb") as file:
        image = Image(file.read())
    table = image.offset(image.u32(image.directories))
    low = image.u32(image.directories)
    high = low + image.u32(image.directories + 4)
    functions, names, ordinals = (image.offset(image.u32(table + at)) for at in (28, 32, 36))
    found = {}
    for i in range(image.u32(table + 24)):
        name = image.name(image.offset(image.u32(names + 4 * i)))
        ordinal = int.from_bytes(image.data[ordinals + 2 * i:ordinals + 2 * i + 2], "little")
        rva = image.u32(functions + 4 * ordinal)
        found[name] = not low <= rva < high and is_stub(image, rva)
    return found


def is_stub(image, rva):
    """Wine's stubs load two names and call the function that raises: nothing else begins like this."""
    try:
        at = image.offset(rva)
    except Exception:  # uninitialised data is not in the file
        return False
    code = image.data[at:at + 24]
    return code[:7] == b"\x48\x83\xec\x28\x48\x8d\x0d" and code[11:14] == b"\x48\x8d\x15" and code[18:19] == b"\xe8"


def make_def(calls, wine):
    lines, missing = ["LIBRARY uwlabkrn.exe", "EXPORTS"], []
    for name in sorted(set(wine) | set(calls)):
        call = calls.get(name)
        if call is None:
            lines.append(f"{name} = ntoskrnl.exe.{name}")
        elif call.who == "data":
            ours = call.reason != "forwarded"
            lines.append(f"{name} = lab_{name} DATA" if ours else f"{name} = ntoskrnl.exe.{name}")
        else:
            if call.who == "wine" and (name not in wine or wine[name]):
                missing.append(name)
                continue
            lines.append(f"{name} = uwe_{name}")
    if missing:
        sys.exit("passed through, but not implemented by Wine: " + " ".join(missing))
    return "\n".join(lines) + "\n"


ENTRY = r'''
__asm__(".text\n.p2align 4\n.globl uwe_{name}\n.def uwe_{name}; .scl 2; .type 32; .endef\n"
	".seh_proc uwe_{name}\nuwe_{name}:\n"
	"	subq $0x48, %rsp\n.seh_stackalloc 0x48\n.seh_endprologue\n"
	"	movq %rcx, 0x20(%rsp)\n	movq %rdx, 0x28(%rsp)\n	movq %r8, 0x30(%rsp)\n	movq %r9, 0x38(%rsp)\n"
	"	leaq lab_calls+{offset}(%rip), %rcx\n	movq 0x48(%rsp), %rdx\n	call lab_enter\n"
	"	movq 0x20(%rsp), %rcx\n	movq 0x28(%rsp), %rdx\n	movq 0x30(%rsp), %r8\n	movq 0x38(%rsp), %r9\n"
	"	addq $0x48, %rsp\n	testb %al, %al\n	jnz 1f\n	{jump}\n"
	"1:	movq lab_calls+{value}(%rip), %rax\n	ret\n.seh_endproc\n");
'''


def make_entry(calls):
    listed = [call for call in calls.values() if call.who != "data"]
    out = ["/* SPDX-License-Identifier: GPL-2.0-only */", "/* Made by gen.py from calls.list. */", '#include "lab.h"', "",
           "struct lab_call lab_calls[] = {"]
    for call in listed:
        kind = "LAB_FAIL_NONE" if call.kind == "-" else f"LAB_FAIL_{call.kind.upper()}"
        out.append(f'\t{{ "{call.name}", {call.value:#x}ull, {call.irql}, {kind}, 0 }},')
    out.append("};")
    out.append(f"const unsigned int lab_call_count = {len(listed)};")
    for i, call in enumerate(listed):
        jump = f"jmp lab_{call.name}" if call.who == "own" else f"jmp *__imp_{call.name}(%rip)"
        out.append(ENTRY.format(name=call.name, offset=24 * i, value=24 * i + 8, jump=jump).strip("\n"))
    return "\n".join(out) + "\n"


def main():
    if sys.argv[1] == "def":
        sys.stdout.write(make_def(read_calls(sys.argv[2]), exports(sys.argv[3])))
    else:
        sys.stdout.write(make_entry(read_calls(sys.argv[2])))


if __name__ == "__main__":
    main()
