// SPDX-License-Identifier: GPL-2.0-only
/* Bus ids, instance ids, records, options, and what the host compute service tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "hcsjson.h"
#include "record.h"
#include "usbid.h"

static void test_bus_id(void **state)
{
	static const struct {
		const char *location, *bus_id;
	} cases[] = {
		{ "Port_#0004.Hub_#0002", "2-4" },   { "Port_#0012.Hub_#0010", "10-12" }, { "port_#1.hub_#1", "1-1" },
		{ "", NULL },			     { "Port_#0000.Hub_#0001", NULL },	  { "Port_#0001.Hub_#0000", NULL },
		{ "Port_#0001", NULL },		     { "Port_#.Hub_#0001", NULL },	  { "Port_#0001.Hub_#0001x", NULL },
		{ "Port_#00001.Hub_#0001", NULL },   { "0000.0014.0000", NULL },	  { "Port_#-1.Hub_#0001", NULL },
	};
	char bus_id[UW_CTL_NAME];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(uw_usbid_bus(cases[i].location, bus_id), cases[i].bus_id != NULL);
		if (cases[i].bus_id)
			assert_string_equal(bus_id, cases[i].bus_id);
	}
}

static void test_instance(void **state)
{
	static const struct {
		const char *instance;
		enum uw_usbid_kind kind;
		uint16_t vendor, product;
	} cases[] = {
		{ "USB\\VID_2E8A&PID_0003\\E0C9125B0D9B", UW_USBID_DEVICE, 0x2e8a, 3 },
		{ "usb\\vid_0403&pid_6001\\A1", UW_USBID_DEVICE, 0x403, 0x6001 },
		{ "USB\\VID_2E8A&PID_0005&MI_02\\6&2A&0&2", UW_USBID_FUNCTION, 0x2e8a, 5 },
		{ "USB\\ROOT_HUB30\\4&1F&0&0", UW_USBID_HUB, 0, 0 },
		{ "USB\\VID_2E8A\\1", UW_USBID_OTHER, 0, 0 },
		{ "USB\\VID_2E8A&PID_00055\\1", UW_USBID_OTHER, 0, 0 },
		{ "USB\\VID_2E8A&PID_0005", UW_USBID_OTHER, 0x2e8a, 5 },
		{ "HID\\VID_2E8A&PID_0005\\1", UW_USBID_OTHER, 0, 0 },
		{ "", UW_USBID_OTHER, 0, 0 },
	};
	uint16_t vendor, product;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(uw_usbid_instance(cases[i].instance, &vendor, &product), cases[i].kind);
		assert_int_equal(vendor, cases[i].vendor);
		assert_int_equal(product, cases[i].product);
	}
}

static void test_class(void **state)
{
	uint8_t c[3];
	uint16_t release;

	(void)state;
	assert_true(uw_usbid_class("USB\\Class_08&SubClass_06&Prot_50", c));
	assert_memory_equal(c, "\x08\x06\x50", 3);
	assert_true(uw_usbid_class("USB\\DevClass_EF&SubClass_02&Prot_01", c));
	assert_memory_equal(c, "\xef\x02\x01", 3);
	assert_true(uw_usbid_class("USB\\Class_09", c));
	assert_memory_equal(c, "\x09\0\0", 3);
	assert_false(uw_usbid_class("USB\\COMPOSITE", c));
	assert_true(uw_usbid_release("USB\\VID_2E8A&PID_0005&REV_0100", &release));
	assert_int_equal(release, 0x100);
	assert_false(uw_usbid_release("USB\\VID_2E8A&PID_0005", &release));
}

static void test_link(void **state)
{
	static const char want[] = "USB#VID_2E8A&PID_0005#1#{fe90d5d0-814c-4e90-a6b5-6b5370d68b35}";
	char longest[256];
	uw_le16 link[256];
	size_t i;

	(void)state;
	assert_true(uw_usbid_link("USB\\VID_2E8A&PID_0005\\1", link, 256));
	for (i = 0; i < sizeof(want); i++)
		assert_int_equal(link[i], want[i]);
	memset(longest, 'A', sizeof(longest));
	longest[216] = 0;
	assert_true(uw_usbid_link(longest, link, 256));
	assert_int_equal(link[255], 0);
	longest[216] = 'A';
	longest[217] = 0;
	assert_false(uw_usbid_link(longest, link, 256));
	longest[255] = 0;
	assert_false(uw_usbid_link(longest, link, 256));
}

static struct uw_record sample(void)
{
	struct uw_record r = { .port = 4, .step = UW_STEP_BOUND };

	strcpy(r.vm, "wsl");
	strcpy(r.bus_id, "2-4");
	strcpy(r.instance, "USB\\VID_2E8A&PID_0005\\E0C9");
	strcpy(r.hub, "USB\\ROOT_HUB30\\4&1F&0&0");
	strcpy(r.id, "USB\\VID_2E8A&PID_0005");
	strcpy(r.name, "Pico = \xc3\xbc");
	strcpy(r.former.inf, "usbser.inf");
	strcpy(r.former.section, "DriverInstall.NT");
	strcpy(r.former.provider, "Microsoft");
	strcpy(r.former.description, "USB Serial Device");
	strcpy(r.former.version, "10.0.19041.1");
	strcpy(r.former.service, "usbser");
	strcpy(r.former.class_guid, "{4d36e978-e325-11ce-bfc1-08002be10318}");
	return r;
}

static void test_record(void **state)
{
	struct uw_record r = sample(), again;
	char text[UW_RECORD_TEXT];

	(void)state;
	for (r.step = 0; r.step <= UW_STEP_RESTORING; r.step++) {
		r.by_id = r.step & 1;
		assert_true(uw_record_print(&r, text));
		assert_true(uw_record_parse(text, &again));
		assert_memory_equal(&r, &again, sizeof(r));
	}
}

/* A device's name cannot add a line, a record cut short is none, and none has a field that is too long. */
static void test_record_bad(void **state)
{
	struct uw_record r = sample(), again;
	char text[UW_RECORD_TEXT], longest[UW_RECORD_TEXT + 200];
	size_t cut, bytes;

	(void)state;
	strcpy(r.name, "x\nvm=other");
	assert_true(uw_record_print(&r, text));
	assert_true(uw_record_parse(text, &again));
	assert_string_equal(again.vm, "wsl");
	assert_string_equal(again.name, "x?vm=other");
	bytes = (size_t)(strstr(text, "instance=") - text) + strlen("instance=");
	for (cut = 0; cut < bytes; cut++) {
		memcpy(longest, text, cut);
		longest[cut] = 0;
		assert_false(uw_record_parse(longest, &again));
	}
	snprintf(longest, sizeof(longest), "%svm=%0100d\n", text, 1);
	assert_false(uw_record_parse(longest, &again));
	snprintf(longest, sizeof(longest), "%sfuture=%0100d\n", text, 1);
	assert_true(uw_record_parse(longest, &again));
	snprintf(longest, sizeof(longest), "%sno key\n", text);
	assert_false(uw_record_parse(longest, &again));
	assert_false(uw_record_parse("step=flying\nvm=a\nbus-id=b\ninstance=c\n", &again));
	memset(&r.former, 'x', sizeof(r.former) - 1);
	assert_false(uw_record_print(&r, text));
}

static void test_matches(void **state)
{
	struct uw_record r = sample();
	const char *other = "USB\\VID_2E8A&PID_0003\\X", *id = "USB\\VID_2E8A&PID_0003";

	(void)state;
	assert_true(uw_record_matches(&r, "usb\\vid_2e8a&pid_0005\\e0c9", "elsewhere", 9, id)); /* the same one, moved */
	assert_true(uw_record_matches(&r, other, r.hub, 4, id));                                /* its boot loader */
	assert_false(uw_record_matches(&r, other, r.hub, 5, r.id));
	assert_false(uw_record_matches(&r, other, "USB\\ROOT_HUB30\\other", 4, r.id));
	r.by_id = true;
	assert_true(uw_record_matches(&r, other, "elsewhere", 9, r.id));
	assert_false(uw_record_matches(&r, other, r.hub, 4, id));
	r.id[0] = 0;
	assert_false(uw_record_matches(&r, other, r.hub, 4, ""));
}

static void test_repair(void **state)
{
	struct uw_record r = sample();
	int present, ours;

	(void)state;
	for (present = 0; present < 2; present++) {
		for (ours = 0; ours < 2; ours++) {
			r.step = UW_STEP_BOUND;
			assert_int_equal(uw_record_repair(&r, present, ours), UW_REPAIR_NONE);
			r.step = UW_STEP_RESTORING;
			assert_int_equal(uw_record_repair(&r, present, ours), UW_REPAIR_BACK);
			r.step = UW_STEP_BINDING;
			assert_int_equal(uw_record_repair(&r, present, ours), present && ours ? UW_REPAIR_FORWARD : UW_REPAIR_BACK);
		}
	}
}

static void test_config(void **state)
{
	struct uw_config c;
	char why[UW_WHY];

	(void)state;
	uw_config_init(&c);
	assert_true(uw_config_set(&c, "size", "64M", why));
	assert_int_equal(c.size, 64u << 20);
	assert_false(uw_config_set(&c, "size", "128M", why));  /* no room in the gap of a 32-bit BAR */
	assert_false(uw_config_set(&c, "size", "2M", why));
	assert_false(uw_config_set(&c, "size", "12M", why));
	assert_false(uw_config_set(&c, "size", "", why));
	assert_false(uw_config_set(&c, "size", "18446744073709551616M", why));
	assert_false(uw_config_set(&c, "rate", "4294967296", why));
	assert_true(uw_config_set(&c, "rate", "4294967295", why));
	assert_false(uw_config_set(&c, "poll", "-1", why));
	assert_true(uw_config_set(&c, "bar64", "yes", why));
	assert_true(c.wide);
	assert_false(uw_config_set(&c, "bar64", "maybe", why));
	assert_true(uw_config_set(&c, "remember", "id", why));
	assert_true(c.by_id);
	assert_false(uw_config_set(&c, "colour", "red", why));
	assert_non_null(strstr(why, "colour"));
}

static void test_config_vm(void **state)
{
	struct uw_config c;
	char why[UW_WHY], text[UW_VM_ID + 2];
	uint32_t i;

	(void)state;
	uw_config_init(&c);
	assert_true(uw_config_complete(&c, why));
	assert_string_equal(c.vm[0].name, "wsl");
	assert_string_equal(c.vm[0].owner, "WSL");
	uw_config_init(&c);
	assert_true(uw_config_set(&c, "vm", "12345678-1234-1234-1234-123456789abc", why));
	assert_string_equal(c.vm[0].name, "12345678");
	assert_string_equal(c.vm[0].id, "12345678-1234-1234-1234-123456789abc");
	assert_true(uw_config_set(&c, "vm", "dev=My VM", why));
	assert_string_equal(c.vm[1].name, "dev");
	assert_string_equal(c.vm[1].id, "My VM");
	assert_false(uw_config_set(&c, "vm", "My VM", why));   /* the name is none for commands */
	assert_false(uw_config_set(&c, "vm", "DEV=other", why));
	assert_false(uw_config_set(&c, "vm", "more=my vm", why));
	assert_false(uw_config_set(&c, "vm", "=x", why));
	assert_false(uw_config_set(&c, "vm", "x=", why));
	memset(text, 'x', sizeof(text));
	text[UW_VM_ID] = 0;
	assert_false(uw_config_set(&c, "vm", text, why));
	for (i = c.vms; i < UW_VMS_MAX; i++) {
		snprintf(text, sizeof(text), "v%u", i);
		assert_true(uw_config_set(&c, "vm", text, why));
	}
	assert_false(uw_config_set(&c, "vm", "toomany", why));
}

static void test_hcs(void **state)
{
	static const char good[] =
		" [ {\"Id\":\"AB\",\"Owner\":\"WSL\",\"State\":\"Running\",\"X\":{\"a\":[1,-2.5e3,true,null,\"\\u0041\\\"]\"]},"
		"\"RuntimeId\":\"r\"} , {} , {\"Name\":\"t\\u00fcr\\\\\",\"Id\":null} ] ";
	struct uw_system s[2];
	char text[sizeof(good)];
	size_t cut;

	(void)state;
	assert_int_equal(uw_hcs_parse("[]", s, 2), 0);
	assert_int_equal(uw_hcs_parse(good, s, 2), 2);
	assert_string_equal(s[0].id, "AB");
	assert_string_equal(s[0].owner, "WSL");
	assert_string_equal(s[0].runtime, "r");
	assert_string_equal(s[0].state, "Running");
	assert_string_equal(s[1].id, "");
	for (cut = 0; cut < sizeof(good) - 2; cut++) {
		memcpy(text, good, cut);
		text[cut] = 0;
		assert_int_equal(uw_hcs_parse(text, s, 2), -1);
	}
	assert_int_equal(uw_hcs_parse("[{\"a\":[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]}]", s, 2), -1);
	assert_int_equal(uw_hcs_parse("[{\"Id\":\"\\q\"}]", s, 2), -1);
	assert_int_equal(uw_hcs_parse("{}", s, 2), -1);
}

static void test_guid(void **state)
{
	uint8_t g[16];
	char sid[64];

	(void)state;
	assert_true(uw_guid_parse("{00112233-4455-6677-8899-aaBBccDDeeFF}", g));
	assert_memory_equal(g, "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
	uw_guid_sid(g, sid, sizeof(sid));
	assert_string_equal(sid, "S-1-5-83-1-1122867-1719092309-3148519816-4293844428");
	assert_false(uw_guid_parse("00112233-4455-6677-8899-aabbccddeef", g));
	assert_false(uw_guid_parse("00112233-4455-6677-8899-aabbccddeeff0", g));
	assert_false(uw_guid_parse("{00112233-4455-6677-8899-aabbccddeeff", g));
	assert_false(uw_guid_parse("001122334455-6677-8899-aabbccddeeff", g));
	assert_false(uw_guid_parse("wsl", g));
	assert_false(uw_guid_parse("", g));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bus_id), cmocka_unit_test(test_instance),	  cmocka_unit_test(test_class),
		cmocka_unit_test(test_link),   cmocka_unit_test(test_record),	  cmocka_unit_test(test_record_bad),
		cmocka_unit_test(test_matches), cmocka_unit_test(test_repair),	  cmocka_unit_test(test_config),
		cmocka_unit_test(test_config_vm), cmocka_unit_test(test_hcs),	  cmocka_unit_test(test_guid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
