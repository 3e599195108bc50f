/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options of the command line. Our own and not getopt_long(), which words its complaints differently in every C library
 * and is missing from one of them; without its abbreviations, which mean something else as soon as an option is added.
 */
#ifndef UW_OPTIONS_H
#define UW_OPTIONS_H

#include <stdbool.h>

struct uw_option {
	const char *name;      /* without its dashes; NULL ends a table */
	char letter;           /* its short form, or 0 */
	bool value;            /* takes one: "--name VALUE" or "--name=VALUE" */
	int code;              /* above 0 */
};

struct uw_options {
	int left;              /* words not looked at yet */
	char **at;
	const char *value;     /* of the option just found, or the word itself */
	const char *program;   /* begins complaints */
	bool words_only;       /* "--" was there */
};

enum { UW_OPTIONS_END = 0, UW_OPTIONS_WORD = -1, UW_OPTIONS_WRONG = -2 };

/* The next option's code, or one of the above; what is wrong has been said on stderr. */
int uw_options_next(struct uw_options *o, const struct uw_option *table);

#endif
