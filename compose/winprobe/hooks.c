#include "winprobe/hooks.h"

#include <psapi.h>
#include <stdint.h>
#include <string.h>

enum { MOST_MODULES = 512, STUB = 16, REGION = 0x10000 };

static IMAGE_DATA_DIRECTORY *directory(HMODULE module, int which)
{
	uint8_t *base = (uint8_t *)module;
	IMAGE_NT_HEADERS *headers = (IMAGE_NT_HEADERS *)(base + ((IMAGE_DOS_HEADER *)base)->e_lfanew);
	return &headers->OptionalHeader.DataDirectory[which];
}

static void overwrite(void *at, const void *value, size_t size)
{
	DWORD before;
	if (VirtualProtect(at, size, PAGE_READWRITE, &before)) {
		memcpy(at, value, size);
		VirtualProtect(at, size, before, &before);
	}
}

/* By value: an import by another name or from another library (wsock32 forwards) is the same function. */
static void patch_imports(HMODULE module, const struct hook *hooks, size_t count)
{
	uint8_t *base = (uint8_t *)module;
	IMAGE_DATA_DIRECTORY *imports = directory(module, IMAGE_DIRECTORY_ENTRY_IMPORT);
	if (!imports->VirtualAddress)
		return;
	for (IMAGE_IMPORT_DESCRIPTOR *each = (void *)(base + imports->VirtualAddress); each->FirstThunk; each++)
		for (void **at = (void **)(base + each->FirstThunk); *at; at++)
			for (size_t i = 0; i < count; i++)
				if (*hooks[i].original && *at == *hooks[i].original) {
					overwrite(at, &hooks[i].replacement, sizeof *at);
					break;
				}
}

/* Executable memory that an export table can lead to: its entries are 32 bits from the library's beginning. */
static uint8_t *memory_above(HMODULE library)
{
	uint8_t *base = (uint8_t *)library;
	MEMORY_BASIC_INFORMATION about;
	for (uint8_t *at = base; VirtualQuery(at, &about, sizeof about);
	     at = (uint8_t *)about.BaseAddress + about.RegionSize) {
		uint8_t *aligned = (uint8_t *)(((uintptr_t)about.BaseAddress + REGION - 1) & ~(uintptr_t)(REGION - 1));
		if (aligned + REGION - base > (intptr_t)UINT32_MAX)
			break;
		if (about.State != MEM_FREE || aligned + REGION > (uint8_t *)about.BaseAddress + about.RegionSize)
			continue;
		void *found = VirtualAlloc(aligned, REGION, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE);
		if (found)
			return found;
	}
	return NULL;
}

static void patch_exports(HMODULE library, const struct hook *hooks, size_t count)
{
	uint8_t *base = (uint8_t *)library, *stub = memory_above(library);
	if (!stub)
		return;
	IMAGE_EXPORT_DIRECTORY *exports = (void *)(base + directory(library, IMAGE_DIRECTORY_ENTRY_EXPORT)->VirtualAddress);
	DWORD *functions = (DWORD *)(base + exports->AddressOfFunctions);
	for (size_t i = 0; i < count; i++) {
		if (!*hooks[i].original)
			continue;
		for (DWORD n = 0; n < exports->NumberOfFunctions; n++) {
			if (base + functions[n] != *hooks[i].original)
				continue;
			static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
			memcpy(stub, jump, sizeof jump);
			memcpy(stub + sizeof jump, &hooks[i].replacement, sizeof hooks[i].replacement);
			DWORD where = (DWORD)(stub - base);
			overwrite(&functions[n], &where, sizeof where);
			stub += STUB;
		}
	}
}

void hook_library(HMODULE library, HMODULE ours, const struct hook *hooks, size_t count)
{
	HMODULE modules[MOST_MODULES];
	DWORD size = 0;
	for (size_t i = 0; i < count; i++)
		*hooks[i].original = (void *)GetProcAddress(library, hooks[i].name);
	if (!EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &size))
		return;
	for (DWORD i = 0; i < size / sizeof *modules && i < MOST_MODULES; i++)
		if (modules[i] != ours && modules[i] != library)
			patch_imports(modules[i], hooks, count);
	patch_exports(library, hooks, count);
}
