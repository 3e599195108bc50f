/* SPDX-License-Identifier: GPL-2.0-only */
/* Runs a script of uwclient.sys: clientctl SCRIPT [ROUNDS [SEED [raised] [chains]]]. Exit 0 when it passed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "../client/uwclient.h"

int main(int argc, char **argv)
{
	struct uwc_run run = { .seed = 1, .rounds = 1 };
	struct uwc_result result;
	HANDLE client;
	DWORD got;
	int i;

	if (argc < 2 || strlen(argv[1]) >= sizeof(run.script)) {
		fputs("usage: clientctl SCRIPT [ROUNDS [SEED [raised] [chains]]]\n", stderr);
		return 2;
	}
	strcpy(run.script, argv[1]);
	run.rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
	run.seed = argc > 3 ? strtoul(argv[3], NULL, 0) : 1;
	for (i = 4; i < argc; i++)
		run.flags |= !strcmp(argv[i], "raised") ? UWC_RAISED : !strcmp(argv[i], "chains") ? UWC_CHAINS : 0;
	client = CreateFileA("\\\\.\\UwClient", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
	if (client == INVALID_HANDLE_VALUE ||
	    !DeviceIoControl(client, UWC_RUN, &run, sizeof(run), &result, sizeof(result), &got, NULL)) {
		fprintf(stderr, "clientctl: error %lu\n", GetLastError());
		return 1;
	}
	printf("%s %s: %s, %u transfers, %llu bytes, %llu copied\n", result.failed ? "FAIL" : "ok", run.script, result.text,
	       result.transfers, (unsigned long long)result.bytes, (unsigned long long)result.copied);
	return result.failed ? 1 : 0;
}
