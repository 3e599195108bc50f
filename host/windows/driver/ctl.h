/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs ask of the driver: the device controls of usbwarp/ioctl.h. */
#ifndef UW_CTL_H
#define UW_CTL_H

#include "dev.h"

NTSTATUS NTAPI uw_ctl_create(DEVICE_OBJECT *device, IRP *irp);
NTSTATUS NTAPI uw_ctl_cleanup(DEVICE_OBJECT *device, IRP *irp);
NTSTATUS NTAPI uw_ctl_close(DEVICE_OBJECT *device, IRP *irp);
NTSTATUS NTAPI uw_ctl_control(DEVICE_OBJECT *device, IRP *irp);

/* The generation is another one: whoever watches is told. At IRQL <= APC_LEVEL. */
void uw_ctl_changed(void);

/* All that follows is for a session's thread. */

/* Carries out a request that uw_link_ask handed over. */
void uw_ctl_serve(struct uw_link *l, IRP *irp);
/* Tells whoever asked to attach the device. False: nobody is there any more. */
bool uw_ctl_attached(struct uw_link *l, struct uw_dev *dev, enum uw_ctl_status status);
/* Tells whoever waits for the device to be let go. */
void uw_ctl_detached(struct uw_link *l, struct uw_dev *dev);
/* Tells whoever waits for the session to stop, if it has. */
void uw_ctl_stopped(struct uw_link *l);

#endif
