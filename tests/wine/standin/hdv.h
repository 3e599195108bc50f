/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside the stand-in vmdevicehost.dll: the API's side is hdv.c, the VM worker's and the guest's side are hdvworker.c and hdvwalk.c. */
#ifndef UWLAB_HDV_H
#define UWLAB_HDV_H

#include "lab.h"

#include "hdvapi.h"

#define HDV_PAGE 4096u
#define HDV_RANGES 64
#define HDV_DOORBELLS 8
#define HDV_APERTURES 16
#define HDV_PAIRS 16
#define HDV_DEVICES 4
#define HDV_GUEST_MEMORY (1u << 20)
#define HDV_REGISTERS 0            /* BAR numbers of our device */
#define HDV_REGION 2
#define HDV_CONFIG 256u

enum hdv_state {
	HDV_CREATED,                /* known, but not yet in the VM */
	HDV_STARTING,
	HDV_STARTED,
	HDV_STOPPED,
	HDV_GONE,                   /* Teardown was called */
};

struct hdv_range {
	bool used;
	uint64_t bar, first, pages, section_first;
	uint32_t flags;
	HANDLE section;             /* our own */
};

struct hdv_doorbell {
	bool used;
	uint64_t bar, offset, trigger, flags;
	HANDLE event;               /* our own */
};

/* An MSI address and data that were in force, until when: a delivery that was under way at a change is not wrong. */
struct hdv_pair {
	uint64_t address;
	uint32_t data;
	uint64_t until;             /* milliseconds; UINT64_MAX: still */
};

struct hdv_device {
	struct hdv_host *host;
	GUID class, instance;
	HDV_PCI_DEVICE_INTERFACE face;
	void *context;
	enum hdv_state state;
	bool initialized;           /* Initialize has succeeded, so Teardown is due */
	bool stopping;
	HDV_PCI_PNP_ID id;
	UINT32 probed[HDV_PCI_BAR_COUNT];
	bool visible;
	struct hdv_range ranges[HDV_RANGES];
	struct hdv_doorbell doorbells[HDV_DOORBELLS];
	void *apertures[HDV_APERTURES];
	/* What the guest has written, hence what is in force */
	uint8_t config[HDV_CONFIG];
	bool memory;                /* Memory Space Enable */
	uint32_t msi;               /* offset of the capability; 0: not found yet */
	struct hdv_pair pairs[HDV_PAIRS];
	uint32_t next_pair;
	uint64_t interrupts;
	/* The guest's thread */
	HANDLE thread;
	DWORD thread_id;
	char command[LAB_TEXT];
	bool quit;
};

struct hdv_host {
	bool alive;
	bool lost;                  /* the VM has ended: its worker answers no more */
	void *system;
	struct lab_vm vm;
	struct lab_line line;
	uint8_t *memory;            /* what the guest's RAM is here; a QEMU guest's own is out of reach */
	struct hdv_device *devices[HDV_DEVICES];
};

/* Guards all of it; no callback of a device is called with it held. changed: anything did. */
extern CRITICAL_SECTION hdv_lock;
extern CONDITION_VARIABLE hdv_changed;

void hdv_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t hdv_now(void);

/* hdvworker.c. All are called without the lock. */
HRESULT hdv_worker_start(struct hdv_device *d, UINT32 count, const PCWSTR *configuration);
void hdv_worker_stop(struct hdv_device *d);
/* hdvwalk.c: the guest's way through configuration space; faults are reported, and true says that it can go on. */
bool hdv_guest_enumerate(struct hdv_device *d);
void hdv_guest_msi(struct hdv_device *d, uint64_t address, uint32_t data, bool by_mask);
void hdv_guest_mask(struct hdv_device *d, bool masked);
void hdv_guest_memory(struct hdv_device *d, bool on);

uint32_t hdv_config_read(struct hdv_device *d, uint32_t offset, uint32_t width);
void hdv_config_write(struct hdv_device *d, uint32_t offset, uint32_t width, uint32_t value);

#endif
