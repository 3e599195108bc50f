/* SPDX-License-Identifier: GPL-2.0-only */
/* The named pipe on which the command line asks. */
#ifndef UW_LISTEN_H
#define UW_LISTEN_H

#include <windows.h>

#include "base.h"

#define UW_PIPE L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\UsbWarp"

/* An instance to connect to, overlapped; first: nobody else may have one. INVALID_HANDLE_VALUE: GetLastError. */
HANDLE uw_listen_pipe(bool first);
/* Is who asks through this pipe an administrator with his rights switched on? After the first byte was read. */
bool uw_listen_is_admin(HANDLE pipe);

#endif
