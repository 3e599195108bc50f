/* SPDX-License-Identifier: GPL-2.0-only */
/* The whole of what the command line wants from its system: a connection to the daemon, clocks, files, interruptions. */
#ifndef UW_TRANSPORT_H
#define UW_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define UW_TRANSPORT_WHY 512

/* What answers at the other end is called so on this system. */
extern const char uw_transport_peer[];

/* First of all calls: the words of the command line in UTF-8, and streams that take UTF-8 and write lines as they are. */
void uw_transport_begin(int *argc, char ***argv);

/* where: NULL for the usual places. False: why, of UW_TRANSPORT_WHY bytes, says what to do. One for the process. */
bool uw_transport_open(const char *where, char *why);
/* All of count bytes, or false. */
bool uw_transport_send(const void *bytes, uint32_t count);
/* All of count bytes, within patience milliseconds between any two; else false. */
bool uw_transport_receive(void *bytes, uint32_t count, uint32_t patience);
/* What has come, at most count bytes; 0: nothing within patience milliseconds, or interrupted; -1: the peer is gone. */
int uw_transport_some(void *bytes, uint32_t count, uint32_t patience);
void uw_transport_pause(uint32_t milliseconds);
/* Nanoseconds, never going back. */
uint64_t uw_transport_clock(void);
/* Nanoseconds since 1970, UTC. */
uint64_t uw_transport_time(void);

/* From here on an interruption by the user (Ctrl-C) or system does not end the process, but is to be asked for. */
void uw_transport_catch(void);
/* Has there been one since the last question? */
bool uw_transport_interrupted(void);

/* A file of that name, emptied, for bytes that concern nobody but this user; NULL with errno. */
FILE *uw_transport_create(const char *path);
/* Standard output: is it a terminal, and does nobody read it any more? */
bool uw_transport_is_terminal(void);
bool uw_transport_unread(void);

#endif
