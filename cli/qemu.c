/* SPDX-License-Identifier: GPL-2.0-only */
/* What QEMU has to be told so that its guest gets a VM's region. */
#include "qemu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "show.h"

#define ARGUMENTS_MAX 8u
#define CHASSIS 250u           /* of root ports; others count from 0 or 1, and the pair of chassis and slot is unique */
#define VECTORS 2u             /* the guest's: completions, events */
/* A path that was cut ends at a whole character of up to 4 bytes, so from here on it may be one. */
#define PATH_SURE (UW_CTL_PATH - 4)

struct arguments {
	char text[ARGUMENTS_MAX][512];
	uint32_t count;
};

static const char *const links[] = { "ivshmem", "file", "hdv" };

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(a->text[a->count++], sizeof(a->text[0]), format, values);
	va_end(values);
}

/* ---- which VM ---- */

__attribute__((format(printf, 3, 4))) static bool refuse(struct uw_reply *r, uint16_t status, const char *format, ...)
{
	va_list values;

	r->code = UW_EXIT_REFUSED;
	r->status = status;
	va_start(values, format);
	vsnprintf(r->text, sizeof(r->text), format, values);
	va_end(values);
	return false;
}

static void list_names(const struct uw_reply *r, char *text, size_t size)
{
	size_t used = 0;
	uint32_t i;

	*text = 0;
	for (i = 0; i < r->count; i++)
		if (r->records[i].type == UW_CTL_VM && used + UW_CTL_NAME + 2 < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 (const char *)r->records[i].u.vm.name);
}

/* The VM, and which in order it is; NULL when there is none that was meant, and then the reply says so. */
static const struct uw_ctl_vm *find(struct uw_reply *r, const char *name, uint32_t *place)
{
	const struct uw_ctl_vm *found = NULL;
	char names[400];
	uint32_t i, vms = 0;

	for (i = 0; i < r->count; i++) {
		if (r->records[i].type != UW_CTL_VM)
			continue;
		vms++;
		if (name && strcmp(name, (const char *)r->records[i].u.vm.name))
			continue;
		found = &r->records[i].u.vm;
		*place = vms;
	}
	list_names(r, names, sizeof(names));
	if (!vms)
		refuse(r, UW_CTL_NO_VM, "no VM is served; the configuration says which there are");
	else if (!found)
		refuse(r, UW_CTL_NO_VM, "there is no VM %s; there are: %s", name, names);
	else if (!name && vms > 1)
		refuse(r, UW_CTL_NO_VM, "there are several VMs; name one of: %s", names);
	return r->code ? NULL : found;
}

/* ---- what can be told ---- */

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static bool can_tell(struct uw_reply *r, const struct uw_ctl_vm *v)
{
	const char *path = (const char *)v->path;

	if (v->kind == UW_CTL_LINK_HDV)
		return refuse(r, UW_CTL_FAILED, "%s is a VM of Hyper-V, which gets its device without any arguments; "
			      "only VMs of QEMU need them", v->name);
	if (v->kind > UW_CTL_LINK_HDV)
		return refuse(r, UW_CTL_FAILED, "%s has a link that this program does not know; install both programs "
			      "from one release", v->name);
	if (strlen(path) >= PATH_SURE)
		return refuse(r, UW_CTL_FAILED, "the path of %s may have been cut, since a status has room for %u bytes; "
			      "choose a shorter one in usbwarpd.conf", v->name, PATH_SURE - 1);
	if (*path != '/' || has_control(path))
		return refuse(r, UW_CTL_FAILED, "the path of %s %s; QEMU may not find it: choose another one in "
			      "usbwarpd.conf", v->name, *path == '/' ? "has control characters" :
			      "begins in the daemon's directory, not at /");
	if (v->kind == UW_CTL_LINK_FILE && !strncmp(path, "/sys/", 5))
		return refuse(r, UW_CTL_FAILED, "the region of %s is a PCI device of this machine: the daemon runs inside "
			      "the VM that it serves, whose QEMU has its arguments already", v->name);
	return true;
}

/* ---- the arguments ---- */

/* In an option's value QEMU takes a comma for the end, unless it is written twice. */
static const char *double_commas(const uw_u8 *path)
{
	static char text[2 * UW_CTL_PATH];
	char *to = text;

	for (; *path; path++) {
		*to++ = (char)*path;
		if (*path == ',')
			*to++ = ',';
	}
	*to = 0;
	return text;
}

/*
 * The root port has a window of its own for prefetchable memory, which firmware places above 4 GiB; below, on q35, the
 * region would be uncachable. The names begin with what they are, so that no two VMs' names can make the same.
 */
static void build(struct arguments *a, const struct uw_ctl_vm *v, uint32_t place)
{
	const char *path = double_commas(v->path);

	a->count = 0;
	add(a, "-device");
	add(a, "pcie-root-port,id=usbwarp-port-%s,chassis=%u,slot=%u,pref64-reserve=2G", v->name, CHASSIS, place);
	if (v->kind == UW_CTL_LINK_IVSHMEM) {
		add(a, "-chardev");
		add(a, "socket,id=usbwarp-door-%s,path=%s", v->name, path);
		add(a, "-device");
		add(a, "ivshmem-doorbell,id=usbwarp-link-%s,bus=usbwarp-port-%s,chardev=usbwarp-door-%s,vectors=%u", v->name,
		    v->name, v->name, VECTORS);
	} else {
		add(a, "-object");
		add(a, "memory-backend-file,id=usbwarp-memory-%s,share=on,mem-path=%s,size=%u", v->name, path, v->size);
		add(a, "-device");
		add(a, "ivshmem-plain,id=usbwarp-link-%s,bus=usbwarp-port-%s,memdev=usbwarp-memory-%s", v->name, v->name,
		    v->name);
	}
}

/* ---- the three forms ---- */

static bool is_plain(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-";

	return *word && strspn(word, plain) == strlen(word);
}

/* For a POSIX shell: between single quotes nothing is special but the quote itself. */
static void put_quoted(const char *word)
{
	if (is_plain(word)) {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*word);
	}
	putchar('\'');
}

/* What a shell puts in place of $(...) it splits at blanks and does not unquote. */
static void show_line(const struct arguments *a)
{
	bool quoted = false;
	uint32_t i;

	for (i = 0; i < a->count; i++) {
		if (i)
			putchar(' ');
		put_quoted(a->text[i]);
		quoted |= !is_plain(a->text[i]);
	}
	putchar('\n');
	if (quoted)
		fputs("usbwarp: the path needs the quotes, which $(...) would pass on to QEMU; paste the line, or use\n"
		      "  eval \"qemu-system-x86_64 ... $(usbwarp qemu-args ...)\"\n", stderr);
}

static void put_xml(const char *word)
{
	for (; *word; word++) {
		if (*word == '&')
			fputs("&amp;", stdout);
		else if (*word == '<')
			fputs("&lt;", stdout);
		else if (*word == '\'')
			fputs("&apos;", stdout);
		else
			putchar(*word);
	}
}

static void show_libvirt(const struct arguments *a)
{
	uint32_t i;

	puts("<!-- Inside <domain>, which has to name this namespace, or libvirt drops the element without a word:\n"
	     "     <domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'> -->\n"
	     "<qemu:commandline>");
	for (i = 0; i < a->count; i++) {
		fputs("  <qemu:arg value='", stdout);
		put_xml(a->text[i]);
		puts("'/>");
	}
	puts("</qemu:commandline>");
}

static void show_json(const struct arguments *a, const struct uw_ctl_vm *v)
{
	struct uw_json j = { .out = stdout };
	uint32_t i;

	uw_json_open(&j, NULL, '{');
	uw_json_text(&j, "vm", (const char *)v->name);
	uw_json_text(&j, "link", links[v->kind]);
	uw_json_text(&j, "path", (const char *)v->path);
	uw_json_open(&j, "arguments", '[');
	for (i = 0; i < a->count; i++)
		uw_json_text(&j, NULL, a->text[i]);
	uw_json_close(&j, ']');
	uw_json_close(&j, '}');
}

int uw_qemu_show(struct uw_reply *r, const char *name, enum uw_qemu_form form)
{
	struct arguments a;
	uint32_t place = 0;
	const struct uw_ctl_vm *v = find(r, name, &place);

	if (!v || !can_tell(r, v)) {
		uw_show_outcome(r, form == UW_QEMU_JSON);
		return r->code;
	}
	build(&a, v, place);
	if (form == UW_QEMU_LIBVIRT)
		show_libvirt(&a);
	else if (form == UW_QEMU_JSON)
		show_json(&a, v);
	else
		show_line(&a);
	return UW_EXIT_OK;
}
