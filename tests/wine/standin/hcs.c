// SPDX-License-Identifier: GPL-2.0-only
/*
 * computecore.dll, as far as a user of running VMs needs it: enumerate, open, watch, and add a FlexibleIov device. The
 * VMs are the broker's. Documents are read strictly; what Windows would refuse is refused and reported.
 */
#include "lab.h"

#include <computecore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define API HRESULT WINAPI
#define VMS 8
#define OBJECTS 256
#define DOCUMENT 2048
#define FLEXIBLE_IOV "VirtualMachine/Devices/FlexibleIov/"
#define E_JSON ((HRESULT)0x8037010dl)          /* HCS_E_INVALID_JSON */
#define E_NOT_FOUND ((HRESULT)0x8037010el)     /* HCS_E_SYSTEM_NOT_FOUND */
#define E_STOPPED ((HRESULT)0x80370110l)       /* HCS_E_SYSTEM_ALREADY_STOPPED */
#define E_OPERATION ((HRESULT)0x80370117l)     /* HCS_E_OPERATION_NOT_STARTED */
#define E_BUSY ((HRESULT)0x80370116l)          /* HCS_E_OPERATION_ALREADY_STARTED */

enum kind {
	OPERATION = 1,
	SYSTEM = 2,
};

/* A handle. It is never freed, so that a dead one is known. */
struct object {
	enum kind kind;
	bool alive;
	/* operation */
	bool started, done;
	HCS_OPERATION_TYPE type;
	HRESULT result;
	WCHAR document[DOCUMENT];
	const void *context;
	HCS_OPERATION_COMPLETION completion;
	/* system: one handle to a VM as it was at open */
	struct lab_vm vm;
	bool exited;
	const void *event_context;
	HCS_EVENT_CALLBACK event;
	uint32_t calling;           /* callbacks that run now */
	DWORD caller;
};

static CRITICAL_SECTION lock;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;
static struct object *objects[OBJECTS];
static struct lab_vm vms[VMS];
static uint32_t vm_count;
static struct lab_line line;
static bool line_open, synced;

#define fault(...) lab_report("hcs", __VA_ARGS__)

static void enter(void)
{
	EnterCriticalSection(&lock);
}

static HRESULT leave(HRESULT result)
{
	WakeAllConditionVariable(&changed);
	LeaveCriticalSection(&lock);
	return result;
}

/* ---- objects ---- */

static struct object *new_object(enum kind kind)
{
	struct object *o = calloc(1, sizeof(*o));
	int i;

	o->kind = kind;
	o->alive = true;
	for (i = 0; i < OBJECTS && objects[i]; i++)
		;
	if (i == OBJECTS) {     /* the oldest dead one makes room */
		for (i = 0; i < OBJECTS - 1 && objects[i]->alive; i++)
			;
		free(objects[i]);
	}
	objects[i] = o;
	return o;
}

static struct object *find(const char *call, const void *handle, enum kind kind)
{
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (objects[i] && objects[i] == handle && objects[i]->kind == kind && objects[i]->alive)
			return objects[i];
	fault("%s: %p is no live %s", call, handle, kind == OPERATION ? "operation" : "compute system");
	return NULL;
}

static void tell_handles(const struct lab_vm *vm)
{
	uint32_t count = 0;
	int i;

	for (i = 0; i < OBJECTS; i++)
		if (objects[i] && objects[i]->alive && objects[i]->kind == SYSTEM && IsEqualGUID(&objects[i]->vm.id, &vm->id))
			count++;
	lab_line_send(&line, LAB_HANDLES, vm->number, count, 0);
}

/* ---- operations ---- */

/* An operation serves one call. */
static struct object *begin(const char *call, HCS_OPERATION handle, HCS_OPERATION_TYPE type)
{
	struct object *o = find(call, handle, OPERATION);

	if (o && o->started) {
		fault("%s: the operation has been used before", call);
		return NULL;
	}
	if (!o)
		return NULL;
	o->started = true;
	o->type = type;
	return o;
}

static DWORD WINAPI call_completion(void *argument)
{
	struct object *o = argument;

	o->completion(argument, (void *)o->context);
	return 0;
}

static void finish(struct object *o, HRESULT result)
{
	enter();
	o->result = result;
	o->done = true;
	if (o->completion)
		CloseHandle(CreateThread(NULL, 0, call_completion, o, 0, NULL));
	leave(S_OK);
}

HCS_OPERATION WINAPI HcsCreateOperation(const void *context, HCS_OPERATION_COMPLETION completion)
{
	struct object *o;

	enter();
	o = new_object(OPERATION);
	o->type = HcsOperationTypeNone;
	o->context = context;
	o->completion = completion;
	leave(S_OK);
	return (HCS_OPERATION)(void *)o;
}

void WINAPI HcsCloseOperation(HCS_OPERATION operation)
{
	struct object *o;

	enter();
	o = find("HcsCloseOperation", operation, OPERATION);
	if (o)
		o->alive = false;
	leave(S_OK);
}

void *WINAPI HcsGetOperationContext(HCS_OPERATION operation)
{
	struct object *o;

	enter();
	o = find("HcsGetOperationContext", operation, OPERATION);
	leave(S_OK);
	return o ? (void *)o->context : NULL;
}

static WCHAR *copy_document(const WCHAR *text)
{
	WCHAR *copy = LocalAlloc(LMEM_FIXED, (wcslen(text) + 1) * sizeof(*text));

	wcscpy(copy, text);
	return copy;
}

static HRESULT wait_result(const char *call, HCS_OPERATION operation, DWORD timeout, PWSTR *document)
{
	uint64_t end = timeout == INFINITE ? UINT64_MAX : GetTickCount64() + timeout, now;
	struct object *o;

	if (document)
		*document = NULL;
	enter();
	o = find(call, operation, OPERATION);
	if (!o)
		return leave(E_HANDLE);
	if (!o->started)
		return leave(E_OPERATION);
	while (!o->done && (now = GetTickCount64()) < end)
		SleepConditionVariableCS(&changed, &lock, end == UINT64_MAX ? INFINITE : (DWORD)(end - now));
	if (!o->done)
		return leave(HRESULT_FROM_WIN32(WAIT_TIMEOUT));
	if (document && o->document[0])
		*document = copy_document(o->document);
	return leave(o->result);
}

API HcsWaitForOperationResult(HCS_OPERATION operation, DWORD timeout, PWSTR *document)
{
	return wait_result("HcsWaitForOperationResult", operation, timeout, document);
}

API HcsGetOperationResult(HCS_OPERATION operation, PWSTR *document)
{
	return wait_result("HcsGetOperationResult", operation, 0, document);
}

/* ---- VMs ---- */

static const char *state_of(const struct lab_vm *vm)
{
	return vm->running ? "Running" : "Stopped";
}

static void print_vm(const struct lab_vm *vm, WCHAR *out, size_t room)
{
	char id[37], runtime[37], *p;

	lab_guid_print(&vm->id, id);
	strcpy(runtime, id);
	for (p = runtime; *p; p++)
		*p = *p >= 'A' && *p <= 'F' ? *p + 32 : *p;
	swprintf(out, room, L"{\"Id\":\"%hs\",\"SystemType\":\"VirtualMachine\",\"RuntimeOsType\":\"Linux\",\"Name\":\"%hs\","
		 L"\"Owner\":\"%hs\",\"RuntimeId\":\"%hs\",\"State\":\"%hs\"}", id, vm->name, vm->owner, runtime, state_of(vm));
}

static void fire_exit(struct object *o)
{
	HCS_EVENT event = { HcsEventSystemExited, L"{\"Status\":0,\"ExitType\":\"GracefulExit\",\"Attribution\":[]}", NULL };
	HCS_EVENT_CALLBACK callback;

	enter();
	callback = o->alive ? o->event : NULL;
	o->calling++;
	o->caller = GetCurrentThreadId();
	leave(S_OK);
	if (callback)
		callback(&event, (void *)o->event_context);
	enter();
	o->calling--;
	leave(S_OK);
}

static HRESULT unplug(const GUID *vm, const GUID *instance, BOOL gone)
{
	HMODULE module = GetModuleHandleA("vmdevicehost.dll");
	uwlab_unplug_fn fn = module ? (uwlab_unplug_fn)(void *)GetProcAddress(module, "UwlabUnplug") : NULL;

	return fn ? fn(vm, instance, gone) : HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
}

/* The worker ends first, then those who watch hear of it; not in the line's thread, which must go on reading. */
static DWORD WINAPI end_vm(void *argument)
{
	struct lab_vm *vm = argument;
	struct object *o;
	int i;

	unplug(&vm->id, NULL, TRUE);
	for (i = 0; i < OBJECTS; i++) {
		enter();
		o = objects[i];
		if (o && (o->kind != SYSTEM || !o->alive || o->exited || !IsEqualGUID(&o->vm.id, &vm->id)))
			o = NULL;
		if (o)
			o->exited = true;
		leave(S_OK);
		if (o)
			fire_exit(o);
	}
	free(vm);
	return 0;
}

static void take_vm(const struct lab_message *m)
{
	struct lab_vm *vm = &vms[m->vm], former = *vm, *ended;
	char guid[40];
	WCHAR wide[40];
	int i;

	if (sscanf(m->text, "%31s %31s %39s", vm->name, vm->owner, guid) != 3)
		return;
	for (i = 0; i < 37; i++)
		wide[i] = guid[i];
	lab_guid_parse(wide, &vm->id);
	vm->number = m->vm;
	vm->running = m->a;
	vm->size = (uint32_t)m->b;
	if (m->vm >= vm_count)
		vm_count = m->vm + 1;
	lab_trace("hcs", "vm %s %s %s", vm->name, guid, state_of(vm));
	if (!former.running || vm->running)
		return;
	ended = malloc(sizeof(*ended));
	*ended = former;
	CloseHandle(CreateThread(NULL, 0, end_vm, ended, 0, NULL));
}

static void received(struct lab_line *l, const struct lab_message *m)
{
	(void)l;
	enter();
	if (m && m->type == LAB_VM && m->vm < VMS)
		take_vm(m);
	if (!m || m->type == LAB_SYNC)
		synced = true;
	leave(S_OK);
}

/* The first call connects; a lab without a broker has no VMs. Called with the lock held. */
static void connect_line(void)
{
	if (!line_open) {
		line_open = true;
		line.received = received;
		synced = !lab_line_open(&line, LAB_ROLE_HCS, 0);
		if (synced)
			fault("no broker");
	}
	while (!synced)
		SleepConditionVariableCS(&changed, &lock, INFINITE);
}

/* ---- enumeration ---- */

static bool text_in(const struct json *j, const struct json_node *list, const char *want)
{
	const struct json_node *n;
	int i, k;

	for (i = 0; (n = json_child(j, list, i)); i++) {
		for (k = 0; want[k] && n->text[k] == (WCHAR)want[k]; k++)
			;
		if (n->kind == JSON_TEXT && !want[k] && !n->text[k])
			return true;
	}
	return false;
}

static bool query_is_valid(const struct json *j)
{
	static const char *const known[] = { "Ids", "Names", "Types", "Owners" };
	const struct json_node *n;
	int i, k, valid = 0;

	if (j->nodes[0].kind != JSON_OBJECT)
		return false;
	for (i = 0; (n = json_child(j, j->nodes, i)); i++)
		for (k = 0; k < 4; k++)
			if (n->kind == JSON_ARRAY && n == json_member(j, j->nodes, known[k]))
				valid++;
	return valid == i;
}

static bool matches(const struct json *j, const struct lab_vm *vm)
{
	const struct json_node *ids = json_member(j, j->nodes, "Ids"), *names = json_member(j, j->nodes, "Names"),
		*types = json_member(j, j->nodes, "Types"), *owners = json_member(j, j->nodes, "Owners");
	char id[37];

	lab_guid_print(&vm->id, id);
	return (!ids || text_in(j, ids, id)) && (!names || text_in(j, names, vm->name)) &&
	       (!types || text_in(j, types, "VirtualMachine")) && (!owners || text_in(j, owners, vm->owner));
}

API HcsEnumerateComputeSystems(PCWSTR query, HCS_OPERATION operation)
{
	struct json *j = calloc(1, sizeof(*j));
	struct object *o;
	bool valid = json_parse(j, query && *query ? query : L"{}") && query_is_valid(j);
	uint32_t i, length;

	enter();
	connect_line();
	o = begin("HcsEnumerateComputeSystems", operation, HcsOperationTypeEnumerate);
	if (!valid)
		fault("HcsEnumerateComputeSystems: not a query: %ls", query);
	if (!valid || !o) {
		free(j);
		return leave(valid ? E_BUSY : E_JSON);
	}
	wcscpy(o->document, L"[");
	for (i = 0; i < vm_count; i++) {
		length = wcslen(o->document);
		if (!vms[i].running || !matches(j, &vms[i]))
			continue;
		if (length > 1)
			o->document[length++] = ',';
		print_vm(&vms[i], o->document + length, DOCUMENT - length - 2);
	}
	wcscat(o->document, L"]");
	free(j);
	leave(S_OK);
	finish(o, S_OK);
	return S_OK;
}

/* ---- systems ---- */

API HcsOpenComputeSystem(PCWSTR id, DWORD access, HCS_SYSTEM *system)
{
	struct object *o;
	uint32_t i;
	GUID guid;

	if (!system || !id || !access) {
		fault("HcsOpenComputeSystem: arguments");
		return E_INVALIDARG;
	}
	enter();
	connect_line();
	for (i = 0; i < vm_count; i++)
		if (lab_guid_parse(id, &guid) && vms[i].running && IsEqualGUID(&guid, &vms[i].id))
			break;
	if (i == vm_count)
		return leave(E_NOT_FOUND);
	o = new_object(SYSTEM);
	o->vm = vms[i];
	tell_handles(&o->vm);
	*system = (HCS_SYSTEM)(void *)o;
	return leave(S_OK);
}

void WINAPI HcsCloseComputeSystem(HCS_SYSTEM system)
{
	struct object *o;

	enter();
	o = find("HcsCloseComputeSystem", system, SYSTEM);
	while (o && o->calling && o->caller != GetCurrentThreadId())
		SleepConditionVariableCS(&changed, &lock, INFINITE);
	if (o) {
		o->alive = false;
		o->event = NULL;
		tell_handles(&o->vm);
	}
	leave(S_OK);
}

API HcsGetComputeSystemProperties(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR query)
{
	struct json *j = calloc(1, sizeof(*j));
	bool valid = !query || !*query || json_parse(j, query);
	struct object *s, *o;

	free(j);
	enter();
	s = find("HcsGetComputeSystemProperties", system, SYSTEM);
	o = s ? begin("HcsGetComputeSystemProperties", operation, HcsOperationTypeGetProperties) : NULL;
	if (!valid)
		fault("HcsGetComputeSystemProperties: not a query: %ls", query);
	if (!o || !valid)
		return leave(valid ? E_HANDLE : E_JSON);
	s->vm.running = !s->exited;
	print_vm(&s->vm, o->document, DOCUMENT);
	leave(S_OK);
	finish(o, S_OK);
	return S_OK;
}

/* A second callback for a handle is refused; NULL takes the first away and waits for it to return. */
API HcsSetComputeSystemCallback(HCS_SYSTEM system, HCS_EVENT_OPTIONS options, const void *context, HCS_EVENT_CALLBACK event)
{
	struct object *o;

	enter();
	o = find("HcsSetComputeSystemCallback", system, SYSTEM);
	if (!o)
		return leave(E_HANDLE);
	if (options != HcsEventOptionNone || (event && o->event)) {
		fault("HcsSetComputeSystemCallback: %s", event && o->event ? "there is one already" : "options");
		return leave(E_INVALIDARG);
	}
	while (!event && o->calling && o->caller != GetCurrentThreadId())
		SleepConditionVariableCS(&changed, &lock, INFINITE);
	o->event = event;
	o->event_context = context;
	return leave(S_OK);
}

/* ---- modify ---- */

static bool is_text(const struct json_node *n, const char *want)
{
	int k;

	if (!n || n->kind != JSON_TEXT)
		return false;
	for (k = 0; want[k] && n->text[k] == (WCHAR)want[k]; k++)
		;
	return !want[k] && !n->text[k];
}

static bool resource_instance(const struct json_node *path, GUID *instance)
{
	size_t length = strlen(FLEXIBLE_IOV), k;

	if (!path || path->kind != JSON_TEXT)
		return false;
	for (k = 0; k < length && path->text[k] == (WCHAR)FLEXIBLE_IOV[k]; k++)
		;
	return k == length && lab_guid_parse(path->text + length, instance);
}

static HRESULT plug(const struct json *j, const struct lab_vm *vm, const GUID *instance)
{
	const struct json_node *settings = json_member(j, j->nodes, "Settings"), *n;
	const struct json_node *list = settings ? json_member(j, settings, "Configuration") : NULL;
	const struct json_node *hosting = settings ? json_member(j, settings, "HostingModel") : NULL;
	HMODULE module = GetModuleHandleA("vmdevicehost.dll");
	uwlab_plug_fn fn = module ? (uwlab_plug_fn)(void *)GetProcAddress(module, "UwlabPlug") : NULL;
	const WCHAR *values[16];
	UINT32 count = 0;
	char only[32];
	GUID class;

	if (!settings || settings->kind != JSON_OBJECT || !json_member(j, settings, "EmulatorId") ||
	    !lab_guid_parse(json_member(j, settings, "EmulatorId")->text, &class) ||
	    (!is_text(hosting, "External") && !is_text(hosting, "ExternalRestricted")) || (list && list->kind != JSON_ARRAY))
		return E_JSON;
	if (lab_setting("UWLAB_HCS_MODEL", only, sizeof(only)) && !is_text(hosting, only))
		return E_ACCESSDENIED;
	for (; list && count < 16 && (n = json_child(j, list, count)); count++)
		values[count] = n->text;
	return fn ? fn(&vm->id, instance, &class, count, values) : HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
}

/* "Remove" is not documented for FlexibleIov: it works here, and UWLAB_HCS_NO_REMOVE makes it fail as it may there. */
static HRESULT modify(const struct json *j, const struct lab_vm *vm)
{
	const struct json_node *request = json_member(j, j->nodes, "RequestType");
	GUID instance;

	if (!resource_instance(json_member(j, j->nodes, "ResourcePath"), &instance))
		return E_JSON;
	if (is_text(request, "Add"))
		return plug(j, vm, &instance);
	if (!is_text(request, "Remove"))
		return E_JSON;
	return lab_number("UWLAB_HCS_NO_REMOVE", 0) ? E_NOTIMPL : unplug(&vm->id, &instance, FALSE);
}

struct modification {
	struct object *operation;
	struct lab_vm vm;
	struct json j;
};

static DWORD WINAPI run_modification(void *argument)
{
	struct modification *m = argument;
	HRESULT result = modify(&m->j, &m->vm);

	if (FAILED(result))
		swprintf(m->operation->document, DOCUMENT, L"{\"Error\":%d,\"ErrorMessage\":\"refused\"}", (int)result);
	if (result == E_JSON)
		fault("HcsModifyComputeSystem: the document is not one that is documented");
	finish(m->operation, result);
	free(m);
	return 0;
}

API HcsModifyComputeSystem(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR configuration, HANDLE identity)
{
	struct modification *m = calloc(1, sizeof(*m));
	bool valid = configuration && json_parse(&m->j, configuration) && m->j.nodes[0].kind == JSON_OBJECT;
	struct object *s;

	(void)identity;
	enter();
	s = find("HcsModifyComputeSystem", system, SYSTEM);
	if (!valid)
		fault("HcsModifyComputeSystem: no JSON object: %ls", configuration ? configuration : L"(null)");
	if (!s || !valid || s->exited) {
		free(m);
		return leave(!s ? E_HANDLE : valid ? E_STOPPED : E_JSON);
	}
	m->vm = s->vm;
	m->operation = begin("HcsModifyComputeSystem", operation, HcsOperationTypeModify);
	if (!m->operation) {
		free(m);
		return leave(E_BUSY);
	}
	CloseHandle(CreateThread(NULL, 0, run_modification, m, 0, NULL));
	return leave(S_OK);
}

/* ---- for the other stand-ins ---- */

BOOL WINAPI UwlabSystem(void *system, struct lab_vm *vm)
{
	struct object *o;

	enter();
	o = find("HdvInitializeDeviceHost", system, SYSTEM);
	if (o) {
		*vm = o->vm;
		vm->running = !o->exited;
	}
	leave(S_OK);
	return o != NULL;
}

/* The running VM of that id; id NULL: the first that runs. */
BOOL WINAPI UwlabVm(const GUID *id, struct lab_vm *vm)
{
	uint32_t i;

	enter();
	connect_line();
	for (i = 0; i < vm_count && !(vms[i].running && (!id || IsEqualGUID(&vms[i].id, id))); i++)
		;
	if (i < vm_count)
		*vm = vms[i];
	leave(S_OK);
	return i < vm_count;
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, void *reserved)
{
	int i;

	(void)self;
	(void)reserved;
	if (reason == DLL_PROCESS_ATTACH)
		InitializeCriticalSection(&lock);
	for (i = 0; reason == DLL_PROCESS_DETACH && i < OBJECTS; i++)
		if (objects[i] && objects[i]->alive)
			fault("end of the process: %s was not closed", objects[i]->kind == SYSTEM ? "a compute system" :
			      "an operation");
	return TRUE;
}
