/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands of usbwarp. */
#ifndef UW_COMMANDS_H
#define UW_COMMANDS_H

/* Runs "usbwarp ARGUMENTS..."; the exit code. */
int uw_commands_run(int argc, char **argv);

#endif
