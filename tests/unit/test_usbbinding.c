/* SPDX-License-Identifier: GPL-2.0-only */
/* Bindings: what they fit, which one counts, what is read from a file and from a table that somebody else has made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "binding.h"

static void test_words(void **state)
{
	static const char *const good[] = { "1-4", "1-4.2", "pico-1", "2e8a:0005", "2E8A:*", "*:*", "04??:6001", "1:2" };
	static const char *const bad[] = { "", ".", "1 4", "2e8a:", ":5", "2e8a:00055", "2e8a:g", "1:2:3", "a/b:1",
					   "123456789012345678901234567890123" };
	size_t i;

	(void)state;
	for (i = 0; i < UW_COUNT_OF(good); i++)
		assert_true(uw_binding_is_match(good[i]));
	for (i = 0; i < UW_COUNT_OF(bad); i++)
		assert_false(uw_binding_is_match(bad[i]));
}

static void test_hardware_ids(void **state)
{
	(void)state;
	assert_true(uw_hardware_id_fits("2e8a:0005", 0x2e8a, 5));
	assert_true(uw_hardware_id_fits("2E8A:*", 0x2e8a, 0xffff));
	assert_true(uw_hardware_id_fits("*:*", 1, 2));
	assert_true(uw_hardware_id_fits("04?3:6?01", 0x0403, 0x6001));
	assert_false(uw_hardware_id_fits("2e8a:0005", 0x2e8a, 6));
	assert_false(uw_hardware_id_fits("2e8a:5", 0x2e8a, 5)); /* four digits, as lsusb shows them */
	assert_false(uw_hardware_id_fits("2e8a", 0x2e8a, 5));
}

static void test_which_one_counts(void **state)
{
	static struct uw_bindings all;

	(void)state;
	memset(&all, 0, sizeof(all));
	assert_non_null(uw_bindings_put(&all, "*:*", "a", 0));
	assert_non_null(uw_bindings_put(&all, "2e8a:*", "b", 0));
	assert_non_null(uw_bindings_put(&all, "1-4", "c", 0));
	assert_string_equal(uw_bindings_for(&all, "1-4", 0x2e8a, 1)->vm, "c");
	assert_string_equal(uw_bindings_for(&all, "1-5", 0x2e8a, 1)->vm, "a");
	uw_bindings_remove(&all, uw_bindings_find(&all, "*:*"));
	assert_string_equal(uw_bindings_for(&all, "1-5", 0x2e8a, 1)->vm, "b");
	assert_null(uw_bindings_for(&all, "1-5", 0x2e8b, 1));
	assert_ptr_equal(uw_bindings_find(&all, "2E8A:*"), uw_bindings_find(&all, "2e8a:*"));
}

static void test_a_port_is_of_one_vm(void **state)
{
	static struct uw_bindings all;

	(void)state;
	memset(&all, 0, sizeof(all));
	uw_bindings_put(&all, "1-4", "a", 0)->port = 3;
	assert_int_equal(uw_bindings_put(&all, "1-4", "a", 0)->port, 3);
	assert_int_equal(uw_bindings_put(&all, "1-4", "b", 0)->port, 0);
	assert_int_equal(all.count, 1);
}

static void test_a_full_table(void **state)
{
	static struct uw_bindings all;
	char match[UW_CTL_NAME];
	uint32_t i;

	(void)state;
	memset(&all, 0, sizeof(all));
	for (i = 0; i < UW_BINDINGS_MAX; i++) {
		snprintf(match, sizeof(match), "1-%u", i);
		assert_non_null(uw_bindings_put(&all, match, "a", 0));
	}
	assert_null(uw_bindings_put(&all, "2-1", "a", 0));
	assert_non_null(uw_bindings_put(&all, "1-7", "b", 0));
}

static void test_judging(void **state)
{
	static struct uw_bindings all;

	(void)state;
	memset(&all, 0, sizeof(all));
	uw_bindings_put(&all, "1-1", "a", 0);
	uw_bindings_put(&all, "1-2", "a", 0)->port = UW_PORTS_MAX + 1;
	uw_bindings_put(&all, "1-3", "a", 0)->flags = 0x80;
	memset(uw_bindings_put(&all, "1-4", "a", 0)->match, 'x', UW_CTL_NAME);
	memset(uw_bindings_put(&all, "1-5", "a", 0)->vm, 'x', UW_CTL_NAME);
	memcpy(uw_bindings_put(&all, "1-6", "a", 0)->vm, "a\n", 3);
	memcpy(uw_bindings_put(&all, "1-7", "a", 0)->match, "/etc", 5);
	uw_bindings_put(&all, "1-8", "", UW_BINDING_FORCED);
	uw_bindings_judge(&all);
	assert_int_equal(all.count, 2);
	assert_string_equal(all.entry[0].match, "1-1");
	assert_string_equal(all.entry[1].match, "1-8");
	all.count = ~0u;
	uw_bindings_judge(&all); /* what lies behind the two is empty, so no binding */
	assert_int_equal(all.count, 2);
}

static void put_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_file(void **state)
{
	static struct uw_bindings all, back;
	char directory[] = "/tmp/usbwarp-test-XXXXXX", path[64], bad[80];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/bindings", directory);
	snprintf(bad, sizeof(bad), "%s.bad", path);
	memset(&all, 0, sizeof(all));
	assert_true(uw_bindings_load(&all, path));
	assert_int_equal(all.count, 0);
	uw_bindings_put(&all, "1-4", "a", UW_BINDING_FORCED)->port = 3;
	uw_bindings_put(&all, "2e8a:*", "b", 0);
	assert_true(uw_bindings_save(&all, path));
	memset(&back, 0, sizeof(back));
	assert_true(uw_bindings_load(&back, path));
	assert_memory_equal(&all, &back, sizeof(all));
	assert_int_equal(access(bad, F_OK), -1);

	put_file(path, "# a comment\n\n1-4 a 3 # mine\n1-4 b 1\n1-5\n1-6 a x\n1-7 a 99\n2e8a:* 1:2 0\nx:y a 0\n1-9 a\n1-8 a 0 loved\n");
	memset(&back, 0, sizeof(back));
	assert_true(uw_bindings_load(&back, path));
	assert_int_equal(back.count, 2);
	assert_string_equal(back.entry[1].match, "1-9");
	assert_int_equal(access(bad, F_OK), 0);
	assert_true(uw_bindings_save(&back, path));

	assert_false(uw_bindings_save(&all, "/nonexistent/bindings"));
	assert_false(uw_bindings_load(&back, "/proc/self/mem/x"));
	unlink(path);
	unlink(bad);
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_hardware_ids), cmocka_unit_test(test_which_one_counts),
		cmocka_unit_test(test_a_port_is_of_one_vm), cmocka_unit_test(test_a_full_table),
		cmocka_unit_test(test_judging), cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
