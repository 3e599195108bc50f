/* SPDX-License-Identifier: GPL-2.0-only */
/* A port of the root hubs, between hub.c, which knows its states, and hubreq.c, which speaks to the hub driver. */
#ifndef UW_HUBPORT_H
#define UW_HUBPORT_H

#include "hub.h"

/* wPortChange: USB 2.0 table 11-22, USB 3.2 table 10-14. */
#define UW_C_CONNECTION 0x0001u
#define UW_C_ENABLE 0x0002u
#define UW_C_SUSPEND 0x0004u
#define UW_C_OVERCURRENT 0x0008u
#define UW_C_RESET 0x0010u
#define UW_C_WARM_RESET 0x0020u
#define UW_C_LINK_STATE 0x0040u
#define UW_C_CONFIG_ERROR 0x0080u

/* What the hub driver asks of a port: 0, or UW_HUB_STALL. */
int32_t uw_port_reset(struct uw_hub *h, struct uw_hub_port *p, bool warm);
int32_t uw_port_suspend(struct uw_hub *h, struct uw_hub_port *p);
int32_t uw_port_resume(struct uw_hub_port *p);
int32_t uw_port_power_on(struct uw_hub *h, struct uw_hub_port *p);
int32_t uw_port_power_off(struct uw_hub *h, struct uw_hub_port *p);
int32_t uw_port_set_link(struct uw_hub *h, struct uw_hub_port *p, uint8_t link);
int32_t uw_port_disable(struct uw_hub_port *p);
int32_t uw_port_clear_change(struct uw_hub *h, struct uw_hub_port *p, uint16_t bit);

#endif
