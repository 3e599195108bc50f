/* SPDX-License-Identifier: GPL-2.0-only */
/* usbwarp: the command line of both hosts. */
#include "commands.h"
#include "transport.h"

int main(int argc, char **argv)
{
	uw_transport_begin(&argc, &argv);
	return uw_commands_run(argc, argv);
}
