/* SPDX-License-Identifier: GPL-2.0-only */
/* usbwarpd: options, and which of them end the program at once. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "keeper.h"
#include "log.h"

#define DEFAULT_CONFIG "/etc/usbwarp/usbwarpd.conf"
#define EXIT_USAGE 2
#define KEYS_MAX 32

enum { OPTION_CONFIG = 256, OPTION_CHECK, OPTION_HELP, OPTION_VERSION, OPTION_KEY };

struct command_line {
	const char *path;      /* of the configuration; NULL: the default, if it is there */
	bool check;
	struct option options[KEYS_MAX + 5];
};

static void print_help(void)
{
	const char *key, *argument, *help;
	char left[48];
	uint32_t i;

	puts("Usage: usbwarpd [OPTION]...\n"
	     "Serves USB devices to virtual machines through shared memory.\n\n"
	     "  --config FILE                    read keys from FILE (" DEFAULT_CONFIG ")\n"
	     "  --check-config                   say what is wrong with the configuration, and end\n"
	     "  --help                           this text\n"
	     "  --version\n\n"
	     "Each of these is a key of the file as well:");
	for (i = 0; (key = uw_config_key(i, &argument, &help)) != NULL; i++) {
		snprintf(left, sizeof(left), "--%s %s", key, argument);
		printf("  %-32s %s\n", left, help);
	}
	puts("\nusbwarpd(8) and usbwarpd.conf(5) tell the rest. Exit code: 0 after a stop by signal, 1 when something\n"
	     "failed, 2 when the options or the configuration are wrong.");
}

static void fill_options(struct command_line *line)
{
	static const struct option first[] = {
		{ "config", required_argument, NULL, OPTION_CONFIG },
		{ "check-config", no_argument, NULL, OPTION_CHECK },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ "version", no_argument, NULL, OPTION_VERSION },
	};
	const char *argument, *help, *key;
	uint32_t i, count = UW_COUNT_OF(first);

	memcpy(line->options, first, sizeof(first));
	for (i = 0; i < KEYS_MAX && (key = uw_config_key(i, &argument, &help)) != NULL; i++)
		line->options[count++] = (struct option){ key, required_argument, NULL, OPTION_KEY };
}

/* What comes before the configuration. -1: go on; else the exit code. */
static int first_pass(struct command_line *line, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", line->options, NULL)) != -1) {
		switch (option) {
		case OPTION_CONFIG:
			line->path = optarg;
			break;
		case OPTION_CHECK:
			line->check = true;
			break;
		case OPTION_HELP:
			print_help();
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			puts("usbwarpd " USBWARP_RELEASE);
			return EXIT_SUCCESS;
		case OPTION_KEY:
			break;
		default:
			fputs("Try usbwarpd --help.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "usbwarpd: %s: not an option. Try usbwarpd --help.\n", argv[optind]);
	return EXIT_USAGE;
}

static bool configure(struct uw_config *config, struct command_line *line, int argc, char **argv)
{
	int option, index = 0;
	bool good = true;

	if (line->path)
		good = uw_config_load(config, line->path);
	else if (!access(DEFAULT_CONFIG, F_OK))
		good = uw_config_load(config, DEFAULT_CONFIG);
	optind = 1;
	while ((option = getopt_long(argc, argv, "", line->options, &index)) != -1)
		if (option == OPTION_KEY)
			good &= uw_config_set(config, line->options[index].name, optarg);
	return good && uw_config_complete(config);
}

int main(int argc, char **argv)
{
	struct command_line line = { 0 };
	struct uw_config config;
	int code;

	uw_log_init(UW_LOG_INFO, "usbwarpd");
	fill_options(&line);
	code = first_pass(&line, argc, argv);
	if (code >= 0)
		return code;
	uw_config_init(&config);
	if (!configure(&config, &line, argc, argv)) {
		code = EXIT_USAGE;
	} else if (line.check) {
		puts("The configuration is good.");
		code = EXIT_SUCCESS;
	} else {
		uw_log_init((int)config.level, "usbwarpd");
		code = uw_keeper_run(&config);
	}
	uw_config_fini(&config);
	return code;
}
