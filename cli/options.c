/* SPDX-License-Identifier: GPL-2.0-only */
/* Options of the command line. */
#include "options.h"

#include <stdio.h>
#include <string.h>

static const struct uw_option *by_name(const struct uw_option *table, const char *name, size_t length)
{
	for (; table->name; table++)
		if (strlen(table->name) == length && !memcmp(table->name, name, length))
			return table;
	return NULL;
}

static const struct uw_option *by_letter(const struct uw_option *table, char letter)
{
	for (; table->name; table++)
		if (table->letter && table->letter == letter)
			return table;
	return NULL;
}

static int complain(const struct uw_options *o, const char *what, const char *word)
{
	fprintf(stderr, "%s: %s %s\n", o->program, what, word);
	return UW_OPTIONS_WRONG;
}

static char *take(struct uw_options *o)
{
	if (o->left <= 0)
		return NULL;
	o->left--;
	return *o->at++;
}

static int long_option(struct uw_options *o, const struct uw_option *table, const char *word)
{
	const char *equals = strchr(word, '=');
	const struct uw_option *found = by_name(table, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));

	if (!found)
		return complain(o, "there is no option", word);
	if (equals && !found->value)
		return complain(o, "this option takes no value:", word);
	o->value = equals ? equals + 1 : found->value ? take(o) : NULL;
	if (found->value && !o->value)
		return complain(o, "this option needs a value:", word);
	return found->code;
}

int uw_options_next(struct uw_options *o, const struct uw_option *table)
{
	const char *word = take(o);
	const struct uw_option *found;

	if (word && !o->words_only && !strcmp(word, "--")) {
		o->words_only = true;
		word = take(o);
	}
	o->value = word;
	if (!word)
		return UW_OPTIONS_END;
	if (o->words_only || word[0] != '-' || !word[1])
		return UW_OPTIONS_WORD;
	if (word[1] == '-')
		return long_option(o, table, word);
	found = word[2] ? NULL : by_letter(table, word[1]);
	return found ? found->code : complain(o, "there is no option", word);
}
