/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The named pipe on which the command line asks. Its prefix is one below which Windows lets only administrators create
 * pipes, so nobody can stand in for a service that is not running; the first instance is demanded to be the first.
 */
#include "listen.h"

#include <sddl.h>

#define BUFFER 8192u

/*
 * Interactive users may connect, read and write, but not make further instances (0x4, which FILE_GENERIC_WRITE would
 * give): 0x12019b is FILE_GENERIC_READ, FILE_WRITE_DATA, FILE_WRITE_EA and FILE_WRITE_ATTRIBUTES. The network has no way
 * in: its logons are denied here, and remote clients below.
 */
#define SECURITY L"D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x12019b;;;IU)"

HANDLE uw_listen_pipe(bool first)
{
	SECURITY_ATTRIBUTES attributes = { .nLength = sizeof(attributes) };
	DWORD open = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0);
	HANDLE pipe;

	if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(SECURITY, SDDL_REVISION_1, &attributes.lpSecurityDescriptor,
								 NULL))
		return INVALID_HANDLE_VALUE;
	pipe = CreateNamedPipeW(UW_PIPE, open, PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
				PIPE_UNLIMITED_INSTANCES, BUFFER, BUFFER, 0, &attributes);
	LocalFree(attributes.lpSecurityDescriptor);
	return pipe;
}

/* The client gives its identity and no more; the group is enabled in its token only when it was elevated. */
bool uw_listen_is_admin(HANDLE pipe)
{
	SID_IDENTIFIER_AUTHORITY authority = SECURITY_NT_AUTHORITY;
	PSID administrators;
	BOOL member = FALSE;

	if (!AllocateAndInitializeSid(&authority, 2, SECURITY_BUILTIN_DOMAIN_RID, DOMAIN_ALIAS_RID_ADMINS, 0, 0, 0, 0, 0, 0,
				      &administrators))
		return false;
	if (ImpersonateNamedPipeClient(pipe)) {
		if (!CheckTokenMembership(NULL, administrators, &member))
			member = FALSE;
		/* To go on as somebody else would be worse than to end. */
		if (!RevertToSelf())
			TerminateProcess(GetCurrentProcess(), 1);
	}
	FreeSid(administrators);
	return member;
}
