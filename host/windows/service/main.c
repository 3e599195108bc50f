/* SPDX-License-Identifier: GPL-2.0-only */
/* UsbWarpService: options, and which of the programs that it is they ask for. */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>

#include "install.h"
#include "log.h"
#include "registry.h"
#include "worker.h"

#define EXIT_USAGE 2
#define STOP_HINT 15000u       /* milliseconds that a stop may take */

static struct uw_config config;
static struct uw_worker worker;
static SERVICE_STATUS_HANDLE service;
static SERVICE_STATUS status = { .dwServiceType = SERVICE_WIN32_OWN_PROCESS };

/* ---- as a service ---- */

static void report(DWORD state, DWORD code)
{
	status.dwCurrentState = state;
	status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN : 0;
	status.dwWin32ExitCode = code ? ERROR_SERVICE_SPECIFIC_ERROR : 0;
	status.dwServiceSpecificExitCode = code;
	status.dwWaitHint = state == SERVICE_RUNNING || state == SERVICE_STOPPED ? 0 : STOP_HINT;
	SetServiceStatus(service, &status);
}

static DWORD WINAPI on_control(DWORD control, DWORD type, void *data, void *context)
{
	(void)type;
	(void)data;
	(void)context;
	switch (control) {
	case SERVICE_CONTROL_STOP:
	case SERVICE_CONTROL_SHUTDOWN:
		report(SERVICE_STOP_PENDING, 0);
		uw_worker_stop(&worker);
		return NO_ERROR;
	case SERVICE_CONTROL_INTERROGATE:
		return NO_ERROR;
	default:
		return ERROR_CALL_NOT_IMPLEMENTED;
	}
}

static void on_ready(void)
{
	if (service)
		report(SERVICE_RUNNING, 0);
	uw_log(service ? UW_LOG_NOTICE : UW_LOG_INFO, "started, release " USBWARP_RELEASE);
}

static int run(void)
{
	int code;

	code = uw_worker_main(&worker, &config, on_ready);
	uw_log(service ? UW_LOG_NOTICE : UW_LOG_INFO, "stopped");
	return code;
}

static void WINAPI service_main(DWORD count, wchar_t **arguments)
{
	int code;

	(void)count;
	(void)arguments;
	uw_log_init((int)config.level, false);
	service = RegisterServiceCtrlHandlerExW(UW_SERVICE_NAME, on_control, NULL);
	if (!service)
		return;
	report(SERVICE_START_PENDING, 0);
	code = run();
	uw_log_fini();
	report(SERVICE_STOPPED, (DWORD)code);
}

/* ---- in a console ---- */

static BOOL WINAPI on_console(DWORD event)
{
	(void)event;
	uw_worker_stop(&worker);
	return TRUE;
}

static int run_console(void)
{
	uw_log_init((int)config.level, true);
	SetConsoleCtrlHandler(on_console, TRUE);
	return run();
}

static int run_service(void)
{
	static const SERVICE_TABLE_ENTRYW table[] = { { (wchar_t *)(uintptr_t)UW_SERVICE_NAME, service_main }, { NULL, NULL } };

	if (StartServiceCtrlDispatcherW(table))
		return 0;
	if (GetLastError() != ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		uw_log(UW_LOG_ERROR, "the service control manager: %s", uw_error_text(GetLastError()));
		return 1;
	}
	uw_log(UW_LOG_ERROR, "started by hand, but not told what to do; --console runs it here, --help tells the rest");
	return EXIT_USAGE;
}

/* ---- options ---- */

static int print_help(void)
{
	const char *key, *argument, *help;
	char left[48];
	uint32_t i;

	puts("Usage: UsbWarpService [OPTION]...\n"
	     "Serves USB devices to WSL2 and virtual machines through shared memory.\n\n"
	     "  --console                        run here, not as a service; Ctrl-C ends it\n"
	     "  --install, --uninstall           make or remove the service\n"
	     "  --install-drivers                put the drivers into this Windows\n"
	     "  --remove-drivers                 give all devices their former drivers, then remove ours\n"
	     "  --help                           this text\n"
	     "  --version\n\n"
	     "Each of these is also a value of HKLM\\SOFTWARE\\UsbWarp\\Parameters; a REG_MULTI_SZ gives several:");
	for (i = 0; (key = uw_config_key(i, &argument, &help)) != NULL; i++) {
		snprintf(left, sizeof(left), "--%s %s", key, argument);
		printf("  %-32s %s\n", left, help);
	}
	puts("\nExit code: 0 done, 1 something failed, 2 the options or the registry are wrong.");
	return 0;
}

static int print_version(void)
{
	puts("UsbWarpService " USBWARP_RELEASE);
	return 0;
}

static const struct {
	const char *option;
	int (*run)(void);
} modes[] = {
	{ "console", run_console },
	{ "install", uw_install },
	{ "uninstall", uw_uninstall },
	{ "install-drivers", uw_install_drivers },
	{ "remove-drivers", uw_remove_drivers },
	{ "help", print_help },
	{ "version", print_version },
};

static bool usage(const char *what, const char *which)
{
	uw_log(UW_LOG_ERROR, "%s%s", what, which);
	return false;
}

/* --KEY VALUE or --KEY=VALUE; used: arguments that it took. */
static bool take_option(const char *option, const wchar_t *next, int *used, int (**mode)(void))
{
	char name[64], value[256], why[UW_WHY];
	const char *equals = strchr(option, '=');
	size_t bytes = equals ? (size_t)(equals - option) : strlen(option), i;

	if (bytes < 3 || bytes >= sizeof(name) || strncmp(option, "--", 2))
		return usage("not an option; --help tells those there are: ", option);
	snprintf(name, sizeof(name), "%.*s", (int)bytes - 2, option + 2);
	*used = 1;
	for (i = 0; i < UW_COUNT_OF(modes); i++) {
		if (equals || strcmp(modes[i].option, name))
			continue;
		if (*mode)
			return usage("two things to do at once: ", option);
		*mode = modes[i].run;
		return true;
	}
	if (!equals && !next)
		return usage("a value is missing after ", option);
	if (equals)
		snprintf(value, sizeof(value), "%s", equals + 1);
	else
		uw_narrow(value, sizeof(value), next);
	*used += !equals;
	return uw_config_set(&config, name, value, why) || usage("--", why);
}

/* VMs add to the registry's; of other keys the last one counts. */
static bool take_options(int count, wchar_t **arguments, int (**mode)(void))
{
	char option[320], why[UW_WHY];
	int i, used;

	for (i = 1; i < count; i += used)
		if (!take_option(uw_narrow(option, sizeof(option), arguments[i]), i + 1 < count ? arguments[i + 1] : NULL,
				 &used, mode))
			return false;
	return uw_config_complete(&config, why) || usage("", why);
}

int wmain(int count, wchar_t **arguments)
{
	int (*mode)(void) = NULL;

	uw_log_init(UW_LOG_INFO, true);
	uw_config_init(&config);
	if (!uw_registry_config(&config) || !take_options(count, arguments, &mode))
		return EXIT_USAGE;
	if (!uw_loop_init(&worker.loop))
		return 1;
	return mode ? mode() : run_service();
}
