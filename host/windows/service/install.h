/* SPDX-License-Identifier: GPL-2.0-only */
/* What is written into a Windows when UsbWarp is installed, and taken out again. Each returns an exit code. */
#ifndef UW_INSTALL_H
#define UW_INSTALL_H

#include "base.h"

#define UW_SERVICE_NAME L"UsbWarpService"
#define UW_DRIVER_NAME L"UsbWarp"
#define UW_FILTER_NAME L"UsbWarpFilter"

/* The service itself; what Windows Installer does where there is one. */
int uw_install(void);
int uw_uninstall(void);
/* What Windows Installer cannot: drivers, event source, recovery. Each may be repeated, and undoes the other. */
int uw_install_drivers(void);
int uw_remove_drivers(void);

#endif
