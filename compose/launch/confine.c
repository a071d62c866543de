#define _GNU_SOURCE
#include "launch/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/seccomp.h>

enum { MAX_PROCESSES = 4096 }; /* as a container of the other engine has */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define NEW_NAMESPACES (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)
enum { NEW_TIME = 0x80, X32_BIT = 0x40000000 };

/* What a program of a lab has no use for, and a hostile one has. io_uring is no such thing: programs send with it. */
static const int refused[] = {
    SYS_mount,        SYS_umount2,       SYS_pivot_root,    SYS_move_mount,      SYS_open_tree,     SYS_fsopen,
    SYS_fsconfig,     SYS_fsmount,       SYS_fspick,        SYS_mount_setattr,   SYS_setns,         SYS_bpf,
    SYS_keyctl,       SYS_add_key,       SYS_request_key,   SYS_perf_event_open, SYS_userfaultfd,   SYS_init_module,
    SYS_finit_module, SYS_delete_module, SYS_kexec_load,    SYS_kexec_file_load, SYS_reboot,        SYS_swapon,
    SYS_swapoff,      SYS_quotactl,      SYS_acct,          SYS_open_by_handle_at, SYS_name_to_handle_at,
};

#define LOAD(member) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define JUMP(test, value, yes, no) (struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), yes, no)
#define ANSWER(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, value)
#define REFUSE(error) ANSWER(SECCOMP_RET_ERRNO | (error))

size_t confine_filter(struct sock_filter *code)
{
	size_t n = 0;
#ifdef ARCHITECTURE
	code[n++] = LOAD(arch);
	code[n++] = JUMP(BPF_JEQ, ARCHITECTURE, 1, 0);
	code[n++] = REFUSE(ENOSYS); /* 32-bit programs: their numbers mean other calls */
	code[n++] = LOAD(nr);
#ifdef __x86_64__
	code[n++] = JUMP(BPF_JGE, X32_BIT, 0, 1);
	code[n++] = REFUSE(ENOSYS);
#endif
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		code[n++] = JUMP(BPF_JEQ, refused[i], 0, 1);
		code[n++] = REFUSE(EPERM);
	}
	code[n++] = JUMP(BPF_JEQ, SYS_clone3, 0, 1); /* its flags are in memory; C libraries then use clone */
	code[n++] = REFUSE(ENOSYS);
	/* Both: call, flags; the number is no longer loaded after the flags. */
	code[n++] = JUMP(BPF_JEQ, SYS_unshare, 0, 4);
	code[n++] = LOAD(args[0]);
	code[n++] = JUMP(BPF_JSET, NEW_NAMESPACES | NEW_TIME, 0, 1);
	code[n++] = REFUSE(EPERM);
	code[n++] = ANSWER(SECCOMP_RET_ALLOW);
	code[n++] = JUMP(BPF_JEQ, SYS_clone, 0, 3);
	code[n++] = LOAD(args[0]);
	code[n++] = JUMP(BPF_JSET, NEW_NAMESPACES, 0, 1);
	code[n++] = REFUSE(EPERM);
	code[n++] = ANSWER(SECCOMP_RET_ALLOW);
#else
	(void)code;
#endif
	return n;
}

const char *confine(void)
{
	struct rlimit processes = {MAX_PROCESSES, MAX_PROCESSES};
	struct sock_filter code[CONFINE_MAX];
	struct sock_fprog filter = {.len = (unsigned short)confine_filter(code), .filter = code};
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) { /* a kernel without it has no such choice to make */
		ssize_t written = write(fd, "1000", 4);
		(void)written;
		close(fd);
	}
	if (setrlimit(RLIMIT_NPROC, &processes) && errno != EPERM) /* EPERM: it is lower already */
		return "limit of processes";
	if (filter.len && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) && errno != EINVAL)
		return "filter of system calls";
	return NULL;
}
