/* SPDX-License-Identifier: GPL-2.0-only */
/* Bindings as they are remembered: which device goes to which VM, whether or not it is plugged in now. */
#include "binding.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "field.h"

#define HEADER "# What usbwarpd binds when it is there: MATCH VM PORT. Written by usbwarpd; edit while it does not run.\n"

/* ---- what they fit ---- */

bool uw_binding_is_pattern(const char *match)
{
	return strchr(match, ':') != NULL;
}

/* One to four digits or wildcards; where it ends. */
static const char *skip_number(const char *at)
{
	const char *start = at;

	while (isxdigit((unsigned char)*at) || *at == '*' || *at == '?')
		at++;
	return at > start && at <= start + 4 ? at : NULL;
}

bool uw_binding_is_match(const char *match)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *colon;

	if (!uw_binding_is_pattern(match))
		return *match && *match != '.' && strlen(match) < UW_CTL_NAME &&
		       strspn(match, allowed) == strlen(match);
	colon = skip_number(match);
	if (!colon || *colon != ':')
		return false;
	match = skip_number(colon + 1);
	return match && !*match;
}

bool uw_hardware_id_fits(const char *pattern, uint16_t vendor, uint16_t product)
{
	const char *colon = strchr(pattern, ':');
	char number[8], part[8];

	if (!colon || colon - pattern >= (ptrdiff_t)sizeof(part))
		return false;
	snprintf(part, sizeof(part), "%.*s", (int)(colon - pattern), pattern);
	snprintf(number, sizeof(number), "%04x", vendor);
	if (fnmatch(part, number, FNM_CASEFOLD))
		return false;
	snprintf(number, sizeof(number), "%04x", product);
	return !fnmatch(colon + 1, number, FNM_CASEFOLD);
}

/* ---- the table ---- */

struct uw_binding *uw_bindings_find(struct uw_bindings *all, const char *match)
{
	uint32_t i;

	for (i = 0; i < all->count; i++)
		if (!strcasecmp(all->entry[i].match, match))
			return &all->entry[i];
	return NULL;
}

struct uw_binding *uw_bindings_for(struct uw_bindings *all, const char *bus_id, uint16_t vendor, uint16_t product)
{
	struct uw_binding *binding = uw_bindings_find(all, bus_id);
	uint32_t i;

	for (i = 0; i < all->count && !binding; i++)
		if (uw_hardware_id_fits(all->entry[i].match, vendor, product))
			binding = &all->entry[i];
	return binding;
}

struct uw_binding *uw_bindings_put(struct uw_bindings *all, const char *match, const char *vm, uint32_t flags)
{
	struct uw_binding *binding = uw_bindings_find(all, match);

	if (!binding && all->count == UW_BINDINGS_MAX)
		return NULL;
	if (!binding) {
		binding = &all->entry[all->count++];
		uw_zero(binding, sizeof(*binding));
		UW_TEXT_PUT(binding->match, match);
	}
	if (strcmp(binding->vm, vm))
		binding->port = 0;
	UW_TEXT_PUT(binding->vm, vm);
	binding->flags = flags;
	return binding;
}

void uw_bindings_remove(struct uw_bindings *all, struct uw_binding *binding)
{
	size_t behind = (size_t)(all->entry + --all->count - binding);

	memmove(binding, binding + 1, behind * sizeof(*binding));
	uw_zero(all->entry + all->count, sizeof(*binding));
}

static bool is_binding(const struct uw_binding *b)
{
	return memchr(b->match, 0, sizeof(b->match)) && memchr(b->vm, 0, sizeof(b->vm)) &&
	       uw_binding_is_match(b->match) && (!*b->vm || uw_binding_is_match(b->vm)) && b->port <= UW_PORTS_MAX &&
	       !(b->flags & ~UW_BINDING_FORCED);
}

void uw_bindings_judge(struct uw_bindings *all)
{
	uint32_t i;

	all->count = uw_min(all->count, UW_BINDINGS_MAX);
	for (i = all->count; i--;)
		if (!is_binding(&all->entry[i]))
			uw_bindings_remove(all, &all->entry[i]);
}

/* ---- the file ---- */

static bool fail(const char *path)
{
	uw_log(UW_LOG_ERROR, "bindings: %s: %s", path, strerror(errno));
	return false;
}

/* False: the line is none. An empty line or a comment is fine and means nothing. */
static bool take_line(struct uw_bindings *all, char *line)
{
	char *rest = NULL, *match, *vm, *port, *forced, *end = "";
	struct uw_binding *binding;
	unsigned long number;

	line[strcspn(line, "#\n")] = 0;
	match = strtok_r(line, " \t", &rest);
	vm = strtok_r(NULL, " \t", &rest);
	port = strtok_r(NULL, " \t", &rest);
	forced = strtok_r(NULL, " \t", &rest);
	if (!match)
		return true;
	number = port ? strtoul(port, &end, 10) : 0;
	if (!vm || *end || number > UW_PORTS_MAX || (forced && strcmp(forced, "forced")) ||
	    !uw_binding_is_match(match) || uw_binding_is_pattern(vm) || !uw_binding_is_match(vm))
		return false;
	binding = uw_bindings_find(all, match) ? NULL :
		  uw_bindings_put(all, match, vm, forced ? UW_BINDING_FORCED : 0);
	if (binding)
		binding->port = uw_binding_is_pattern(match) ? 0 : (uint32_t)number;
	return binding != NULL;
}

/* The next save would lose what a person has written there. */
static void keep_copy(const char *path)
{
	char copy[512];

	if (snprintf(copy, sizeof(copy), "%s.bad", path) >= (int)sizeof(copy))
		return;
	unlink(copy);
	if (link(path, copy))
		fail(copy);
	else
		uw_log(UW_LOG_WARNING, "bindings: the file is kept as %s", copy);
}

bool uw_bindings_load(struct uw_bindings *all, const char *path)
{
	FILE *file = fopen(path, "re");
	uint32_t number = 0, wrong = 0;
	char line[256];
	bool good;

	if (!file)
		return errno == ENOENT || fail(path);
	while (fgets(line, sizeof(line), file)) {
		number++;
		if (take_line(all, line))
			continue;
		wrong++;
		uw_log(UW_LOG_WARNING, "bindings: %s:%u: not \"MATCH VM PORT\", or there twice; left out", path, number);
	}
	good = !ferror(file) || fail(path);
	fclose(file);
	if (wrong)
		keep_copy(path);
	return good;
}

static bool write_all(const struct uw_bindings *all, FILE *file)
{
	const struct uw_binding *b;

	fputs(HEADER, file);
	for (b = all->entry; b < all->entry + all->count; b++)
		fprintf(file, "%s %s %u%s\n", b->match, b->vm, b->port, b->flags & UW_BINDING_FORCED ? " forced" : "");
	return !fflush(file) && !fsync(fileno(file));
}

/* Written beside it and put in its place, so that a crash or a full disk leaves the former one. */
bool uw_bindings_save(const struct uw_bindings *all, const char *path)
{
	char beside[512];
	FILE *file;
	bool good;
	int fd;

	errno = ENAMETOOLONG;
	if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
		return fail(path);
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file)
		return fail(beside);
	good = write_all(all, file);
	good &= !fclose(file);
	return (good && !rename(beside, path)) || fail(beside);
}
