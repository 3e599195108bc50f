/* SPDX-License-Identifier: GPL-2.0-only */
/* Text that came from elsewhere: UTF-8 is decoded strictly, and nothing in it reaches a terminal as a control. */
#ifndef UW_CLI_TEXT_H
#define UW_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define UW_REPLACEMENT 0xfffdu

/* The character at *at, and steps over it; 0 at the end. Anything malformed gives U+FFFD for one byte. */
uint32_t uw_utf8_next(const char **at);
/* Writes a character; how many bytes, at most 4. */
size_t uw_utf8_put(char *to, uint32_t character);
/* A safe copy for a terminal: controls and malformed bytes become U+FFFD. Cut at a whole character. */
void uw_text_clean(char *to, size_t size, const char *from);
/* Characters, which is what a terminal's columns are taken to be. */
size_t uw_text_width(const char *text);

#endif
