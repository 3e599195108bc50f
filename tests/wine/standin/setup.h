/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared by the stand-ins for setupapi, cfgmgr32 and newdev: steps that can fail, devnodes' keys, drivers of an INF, the bus. */
#ifndef UWLAB_SETUP_H
#define UWLAB_SETUP_H

#include "lab.h"

#include <setupapi.h>

#define SETUP_ID 200
#define SETUP_TEXT 256

/* A driver that an INF offers; SP_DRVINFO_DATA.Reserved points to one. */
struct setup_driver {
	uint32_t magic;
	WCHAR inf[MAX_PATH];
	WCHAR section[SETUP_TEXT];      /* as the models line names it, without decoration */
	WCHAR description[SETUP_TEXT];
	WCHAR manufacturer[SETUP_TEXT];
	WCHAR provider[SETUP_TEXT];
	WCHAR id[SETUP_ID];             /* the first hardware id of the line */
	WCHAR version_text[64];
	GUID class;
	WCHAR class_name[64];
	DWORDLONG version;
	FILETIME date;
	bool excluded;                  /* ExcludeFromSelect */
	uint32_t rank;                  /* 0: the device's first hardware id; larger is worse */
};

#define SETUP_DRIVER_MAGIC 0x55574452u

#define setup_fault(...) lab_report("setup", __VA_ARGS__)

/* Counts a call that changes something (HKLM\Software\UwLab, SetupStep) and says whether it is the one that is to fail:
 * UWLAB_SETUP_FAIL. In that of UWLAB_SETUP_HANG it never returns. The call's name goes into the trace. */
bool setup_fails(const char *call, const WCHAR *id);

/* The instance id of a devnode, of an element of a set. */
bool setup_id_of_node(DWORD node, WCHAR id[SETUP_ID]);
bool setup_id_of_element(HDEVINFO set, SP_DEVINFO_DATA *element, WCHAR id[SETUP_ID]);
/* The devnode of an instance id, valid as long as the process lives; 0: there is no such key. */
DWORD setup_node_of_id(const WCHAR *id);

/* The devnode's key below Enum; NULL when there is none. */
HKEY setup_enum_key(const WCHAR *id, REGSAM access);
bool setup_get(HKEY key, const WCHAR *name, WCHAR *value, uint32_t units);
void setup_set(HKEY key, const WCHAR *name, const WCHAR *value);

/* Each driver that the INF offers: for the device with these ids (two lists of strings), or every one if both are NULL. */
typedef void (*setup_driver_fn)(const struct setup_driver *driver, void *context);
void setup_inf_drivers(const WCHAR *inf, const WCHAR *hardware, const WCHAR *compatible, setup_driver_fn found, void *context);
/* The service that the driver's section makes the devnode's function driver. */
bool setup_inf_service(const struct setup_driver *driver, WCHAR service[SETUP_TEXT]);
bool setup_in_store(const WCHAR *inf);

/* Makes that driver the devnode's, or with NULL none; false: there is no such service. */
bool setup_write(const WCHAR *id, const struct setup_driver *driver);

/* The laboratory's bus. state: enum uwb_state; false: the device is on no port. */
bool setup_bus_find(const WCHAR *id, uint32_t *port, uint32_t *state, uint32_t *enumerated);
/* Takes the device away and brings it back, so that its service is read anew; waits for it to be there. */
bool setup_bus_restart(const WCHAR *id);
/* What is on the bus, one id after the other; count of them. */
uint32_t setup_bus_list(WCHAR ids[][SETUP_ID], uint32_t max);

#endif
