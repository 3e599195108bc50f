/* SPDX-License-Identifier: GPL-2.0-only */
/* uwclient.sys: its own structures. */
#ifndef UW_CLIENT_H
#define UW_CLIENT_H

#include "peer.h"

#include "uwclient.h"

#define UWC_TAG 0x43577355u
#define REGION (4u << 20)
#define REQUESTS 512u
#define ISO_PACKETS 64u
#define RUNS 8u                  /* MDLs of an URB, where there may be several */
#define PATIENCE 8000u           /* milliseconds for one answer */

struct link;

/* One transfer or verb, and how often it was answered. */
struct request {
	struct uw_transfer_io io;
	struct uw_iso iso[ISO_PACKETS];
	struct link *link;
	volatile LONG out;       /* handed over and not answered */
	KEVENT done;
};

struct link {
	FILE_OBJECT *file;
	DEVICE_OBJECT *device;
	struct uw_peer *peer;
	MDL *mdl;
	uint8_t *region;
	bool raised, chains;
	volatile LONG open;
	volatile LONG out;
	volatile LONG gone;
	volatile LONG lost_power;
	volatile LONG stop;      /* of threads */
	KEVENT turn;             /* verbs are called one at a time */
	struct request request[REQUESTS];
	uint32_t seed;
	uint32_t rounds;
	char text[UWC_TEXT];
};

extern volatile LONG uwc_transfers;
extern volatile LONG64 uwc_bytes, uwc_copied;

/* A rule of the contract is broken: the harness fails the run. */
#define VIOLATION(...) DbgPrint("UWLAB: uwclient: " __VA_ARGS__)

/* A script returns NULL or what failed. */
#define CHECK(what) do { if (!(what)) return uwc_failed(l, #what, __FILE__, __LINE__, 0); } while (0)
#define CHECK_IS(value, wanted) do { \
		uint32_t is_ = (uint32_t)(value); \
		if (is_ != (uint32_t)(wanted)) \
			return uwc_failed(l, #value " is " #wanted, __FILE__, __LINE__, is_); \
	} while (0)
const char *uwc_failed(struct link *l, const char *what, const char *file, int line, uint32_t value);

/* link.c: the owner's side of a peer */
NTSTATUS uwc_find(FILE_OBJECT **file, DEVICE_OBJECT **device);
NTSTATUS uwc_connect(DEVICE_OBJECT *device, FILE_OBJECT *file, uint32_t size, uint32_t version, struct uw_peer **peer);
struct link *uwc_link_new(NTSTATUS *status);
void uwc_link_free(struct link *l);
uint32_t uwc_open(struct link *l);
void uwc_close(struct link *l);
struct request *uwc_request(struct link *l, uint32_t n);
void uwc_go(struct request *r);
void uwc_cancel(struct request *r);
/* False: not answered in time. */
bool uwc_wait(struct request *r);
/* A whole one: its status, or UW_ST_COUNT when it was not answered. */
uint32_t uwc_verb(struct link *l, uint8_t verb, uint16_t arg0, uint16_t arg1);
uint32_t uwc_control(struct link *l, uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint16_t length,
		     uint32_t *actual);
struct request *uwc_data(struct link *l, uint32_t n, uint8_t endpoint, uint32_t at, uint32_t length, uint8_t flags);
struct request *uwc_iso(struct link *l, uint32_t n, uint8_t endpoint, uint32_t at, uint32_t packets, uint32_t length,
			uint32_t stride);
uint32_t uwc_random(struct link *l);
void uwc_sleep(uint32_t ms);

/* scripts */
struct script {
	const char *name;
	bool opened;             /* begins with an open device in configuration 3 */
	const char *(*run)(struct link *l);
};
extern const struct script uwc_basic[], uwc_load[], uwc_frames[], uwc_streams[];

#endif
