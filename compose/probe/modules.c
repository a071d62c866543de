#define _GNU_SOURCE
#include "probe/modules.h"

#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

#include "probe/log.h"

#define MODULES 512

static struct {
	struct {
		uintptr_t from, to;
	} range[MODULES];
	_Atomic unsigned count;
	_Atomic unsigned busy; /* the generation of the log whose thread is at it, 0: none */
} modules;

TLS unsigned last_module;       /* the one that this thread called from last */
TLS uintptr_t unknown_page = 1; /* a page that is in no module: code made at run time */

static bool module_known(uintptr_t address)
{
	unsigned count = atomic_load_explicit(&modules.count, memory_order_acquire);
	if (last_module < count && address - modules.range[last_module].from <
	                               modules.range[last_module].to - modules.range[last_module].from)
		return true;
	for (unsigned i = 0; i < count; i++)
		if (address >= modules.range[i].from && address < modules.range[i].to) {
			last_module = i;
			return true;
		}
	return false;
}

static void module_write(const char *path, uintptr_t base, uintptr_t from, uintptr_t to)
{
	size_t length = strlen(path);
	size_t size = offsetof(struct probe_record, address) + length;
	struct probe_record *record = log_slots((size + sizeof *record - 1) / sizeof *record);
	if (!record)
		return;
	memcpy(record->name, NAME("#module"), sizeof record->name);
	record->start = now();
	record->arg[0] = (int64_t)from;
	record->arg[1] = (int64_t)to;
	record->arg[2] = (int64_t)base;
	record->arg[3] = (int64_t)length;
	/* The slots are one array of bytes here; the last one holds the end of the path. */
	memcpy((char *)record + offsetof(struct probe_record, address), path, length);
	log_state(record, PROBE_RETURNED);
}

static int module_visit(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	(void)context;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + segment->p_vaddr;
		unsigned count = modules.count;
		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || module_known(from) || count == MODULES)
			continue;
		modules.range[count].from = from;
		modules.range[count].to = from + segment->p_memsz;
		module_write(*info->dlpi_name ? info->dlpi_name : call_log.program, info->dlpi_addr, from,
		             from + segment->p_memsz);
		atomic_store_explicit(&modules.count, count + 1, memory_order_release);
	}
	return 0;
}

/* Nothing happens while another thread, or the code that a signal handler interrupted, is at it. Whoever was at it when
 * this process was forked is not in it: the generation tells. */
void modules_refresh(void)
{
	unsigned busy = atomic_load(&modules.busy);
	if (busy == call_log.generation || !atomic_compare_exchange_strong(&modules.busy, &busy, call_log.generation))
		return;
	int saved = errno;
	dl_iterate_phdr(module_visit, NULL);
	errno = saved;
	atomic_store(&modules.busy, 0);
}

void module_note(const void *caller)
{
	uintptr_t address = (uintptr_t)caller;
	if (!address || module_known(address) || address >> 12 == unknown_page)
		return;
	modules_refresh();
	if (!module_known(address))
		unknown_page = address >> 12;
}
