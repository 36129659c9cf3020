// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of the process. A case changes one after the checkpoint; the rewind must
 * put it back, or refuse with a reason and change nothing. Which of both is right for an
 * attribute is written in its line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "harness.h"

/* What a rewind is to do about a change. */
enum { RESTORE, REFUSE, EITHER };

static void directory(void) { expect(chdir("/proc") == 0); }

static void root_directory(void)
{
	mkdir("/tmp/proc", 0755);
	mount("proc", "/tmp/proc", "proc", 0, NULL);
	expect(chroot("/tmp") == 0);
}

static void umask_bits(void) { umask(0123); }
static void nice_value(void) { expect(setpriority(PRIO_PROCESS, 0, 7) == 0); }
static void name(void) { prctl(PR_SET_NAME, "renamed"); }
static void timer_slack(void) { prctl(PR_SET_TIMERSLACK, 123456); }
static void dumpable(void) { prctl(PR_SET_DUMPABLE, 0); }
static void keep_capabilities(void) { prctl(PR_SET_KEEPCAPS, 1); }
static void no_new_privileges(void) { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static void death_signal(void) { prctl(PR_SET_PDEATHSIG, SIGUSR2); }
static void subreaper(void) { prctl(PR_SET_CHILD_SUBREAPER, 1); }
static void no_huge_pages(void) { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }
static void no_tsc(void) { prctl(PR_SET_TSC, PR_TSC_SIGSEGV); prctl(PR_SET_TSC, PR_TSC_ENABLE); }
static void tsc_faults(void) { prctl(PR_SET_TSC, PR_TSC_SIGSEGV); }
static void machine_check_policy(void) { prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0); }
static void executable_memory_denied(void) { prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0); }
static void merge_all_memory(void) { prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0); }
static void mergeable(void) { madvise(anon(4, 4), 4 * PAGE, MADV_MERGEABLE); }
static void new_session(void) { setsid(); }
static void new_group(void) { expect(setpgid(0, 0) == 0); }
static void personality_bits(void) { personality(ADDR_NO_RANDOMIZE); }
static void user_id(void) { expect(setresuid(1000, 1000, 0) == 0); }
static void group_list(void) { gid_t ids[] = { 5, 6 }; syscall(SYS_setgroups, 2, ids); }
static void out_of_memory_score(void) { write_text("/proc/self/oom_score_adj", "300"); }
static void dump_filter(void) { write_text("/proc/self/coredump_filter", "7f"); }
static void lock_future_memory(void) { expect(mlockall(MCL_FUTURE) == 0); }
static void lock_all_memory(void) { expect(mlockall(MCL_CURRENT | MCL_FUTURE) == 0); }
static void namespace_of_names(void) { expect(unshare(CLONE_NEWUTS) == 0); }
static void namespace_of_mounts(void) { expect(unshare(CLONE_NEWNS) == 0); }
static void namespace_of_users(void) { expect(unshare(CLONE_NEWUSER) == 0); }
static void io_priority(void) { syscall(SYS_ioprio_set, 1, 0, 3 << 13); }
static void clear_tid_address(void) { static int word; syscall(SYS_set_tid_address, &word); }
static void robust_list(void) { static long head[3]; syscall(SYS_set_robust_list, head, 24L); }
static void membarrier(void) { syscall(SYS_membarrier, 1 << 4, 0, 0); }
static void keyring(void) { syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, 0, 0, 0, 0); }
static void system_v_segment(void) { expect(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0); }
static void system_v_queue(void) { expect(msgget(IPC_PRIVATE, IPC_CREAT | 0600) >= 0); }

static void system_v_undo(void)
{
	struct sembuf add = { 0, 1, SEM_UNDO };
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);

	expect(id >= 0 && semop(id, &add, 1) == 0);
}

static void file_size_limit(void)
{
	struct rlimit limit = { 1 << 20, 1 << 24 };

	expect(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void descriptor_limit(void)
{
	struct rlimit limit = { 77, 1000 };

	expect(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void address_space_limit(void)
{
	struct rlimit limit = { 1UL << 24, 1UL << 30 };

	expect(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void affinity(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	expect(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void policy(void)
{
	struct sched_param none = { 0 };

	expect(sched_setscheduler(0, SCHED_BATCH, &none) == 0);
}

static void real_time(void)
{
	struct sched_param five = { 5 };

	expect(sched_setscheduler(0, SCHED_FIFO, &five) == 0);
}

static void capabilities(void)
{
	unsigned int header[2] = { 0x20080522, 0 }, data[6] = { 0xff, 0xff, 0, 0, 0, 0 };

	expect(syscall(SYS_capset, header, data) == 0);
}

static void filter_calls(void)
{
	/* Allow everything: BPF_RET | BPF_K, SECCOMP_RET_ALLOW. */
	struct { unsigned short code; unsigned char t, f; unsigned int k; } allow = { 6, 0, 0, 0x7fff0000 };
	struct { unsigned short length; void *filter; } program = { 1, &allow };

	expect(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void user_dispatch(void)
{
	static char selector;

	expect(prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0x1000, 0x1000, &selector) == 0);
}

static void speculation(void)
{
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
}

static void arguments(void)
{
	/* prctl(PR_SET_MM, PR_SET_MM_ARG_START): what /proc/<pid>/cmdline shows */
	prctl(35, 8, (unsigned long)sbrk(0) - 4096, 0, 0);
}

static void local_descriptor_table(void)
{
	struct { unsigned int entry, base, limit, flags; } segment = { 1, 0, 0xfffff, 0x51 };

	syscall(SYS_modify_ldt, 1, &segment, sizeof(segment));
}

static void port_rights(void) { syscall(SYS_ioperm, 0x80, 1, 1); }
static void core_number(void) { static char area[64] __attribute__((aligned(32))); syscall(334, area, 32, 0, 0x5305); }

struct fair_attributes {
	unsigned int size, policy;
	unsigned long flags;
	int nice;
	unsigned int priority;
	unsigned long runtime, deadline, period;
};

static void time_slice(void)
{
	struct fair_attributes attributes = { .size = sizeof(attributes), .runtime = 3000000 };

	expect(syscall(314 /* sched_setattr */, 0, &attributes, 0) == 0);
}

static long slice(void)
{
	struct fair_attributes attributes = { 0 };

	syscall(315 /* sched_getattr */, 0, &attributes, sizeof(attributes), 0);
	return attributes.runtime;
}

static void auxiliary_vector(void)
{
	unsigned long vector[4] = { 6, 4097, 0, 0 };

	expect(prctl(PR_SET_MM, 12 /* PR_SET_MM_AUXV */, vector, sizeof(vector), 0) == 0);
}

static long auxiliary_sum(void)
{
	unsigned char bytes[4096];
	int fd = open("/proc/self/auxv", O_RDONLY);
	ssize_t length = read(fd, bytes, sizeof(bytes));
	long sum = length;

	close(fd);
	for (ssize_t i = 0; i < length; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

static void code_area(void)
{
	unsigned long start = 0x400000, end = 0x480000;

	/* Both at once, as a checksum over both might not notice. */
	prctl(PR_SET_MM, PR_SET_MM_START_CODE, start, 0, 0);
	prctl(PR_SET_MM, PR_SET_MM_END_CODE, end, 0, 0);
}

static void descriptor_signal(void) { expect(fcntl(LOG_FD, F_SETSIG, SIGUSR1) == 0); }
static void descriptor_owner(void) { expect(fcntl(LOG_FD, F_SETOWN, getpid()) == 0); }

static sigjmp_buf back;
static volatile long told;

static void jump_back(int number) { siglongjmp(back, 1); }

static void last_fault(void)
{
	struct sigaction action = { .sa_handler = jump_back }, old;

	sigaction(SIGSEGV, &action, &old);
	if (!sigsetjmp(back, 1))
		*(volatile char *)0x123456789000 = 1;
	sigaction(SIGSEGV, &old, NULL);
}

static void look_at_registers(int number, siginfo_t *info, void *context)
{
	const ucontext_t *where = context;

	told = where->uc_mcontext.gregs[REG_CR2] ^ where->uc_mcontext.gregs[REG_TRAPNO] << 56 ^
	       where->uc_mcontext.gregs[REG_ERR] << 48;
}

/* Any signal's frame has the address of the last fault. */
static long fault_told(void)
{
	struct sigaction action = { .sa_sigaction = look_at_registers, .sa_flags = SA_SIGINFO }, old;

	sigaction(SIGUSR2, &action, &old);
	raise(SIGUSR2);
	sigaction(SIGUSR2, &old, NULL);
	return told;
}

static void protection_key(void)
{
	int key = syscall(330 /* pkey_alloc */, 0, 0);

	if (key < 0)
		skip("no protection keys");
}

#define CHANGE(function, verdict) { #function, one, (long)function, verdict, 0, 0 }

/*
 * What no other process can see of it, asked by the process itself. Values are compared
 * only with themselves, so a call that this kernel does not know does no harm.
 */
static long asked[40];

static long link_number(const char *path)
{
	struct stat there;

	return stat(path, &there) ? -1 : (long)there.st_ino;
}

static int lines_of(const char *path)
{
	FILE *file = fopen(path, "r");
	int lines = 0, byte;

	while (file && (byte = fgetc(file)) != EOF)
		lines += byte == '\n';
	if (file)
		fclose(file);
	return lines;
}

/* mlockall(MCL_FUTURE) shows only in what is mapped later: is it populated at once? */
static long populated_at_once(void)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char present = 0;

	expect(page != MAP_FAILED && mincore(page, PAGE, &present) == 0);
	munmap(page, PAGE);
	return present & 1;
}

static int ask_all(long *out)
{
	static char table[4096];
	int value = 0, n = 0;
	unsigned int word = 0;
	void *address = NULL;
	size_t size;

	out[n++] = prctl(PR_GET_DUMPABLE);
	out[n++] = prctl(PR_GET_KEEPCAPS);
	prctl(PR_GET_PDEATHSIG, &value);
	out[n++] = value;
	prctl(PR_GET_CHILD_SUBREAPER, &value);
	out[n++] = value;
	out[n++] = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	prctl(PR_GET_TSC, &word);
	out[n++] = word;
	out[n++] = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	out[n++] = prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0);
	out[n++] = prctl(68 /* PR_GET_MEMORY_MERGE */, 0, 0, 0, 0);
	out[n++] = prctl(PR_GET_TIMERSLACK);
	out[n++] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	out[n++] = prctl(PR_GET_SECUREBITS);
	out[n++] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	out[n++] = syscall(SYS_ioprio_get, 1, 0);
	out[n++] = syscall(SYS_membarrier, 1 << 9, 0, 0);
	out[n++] = syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 0, 0, 0);
	out[n++] = syscall(SYS_modify_ldt, 0, table, sizeof(table));
	out[n++] = link_number("/proc/self/ns/uts");
	out[n++] = link_number("/proc/self/ns/mnt");
	out[n++] = link_number("/proc/self/ns/user");
	out[n++] = link_number("/proc/self/root/.");
	out[n++] = lines_of("/proc/sysvipc/shm");
	out[n++] = lines_of("/proc/sysvipc/msg");
	out[n++] = lines_of("/proc/sysvipc/sem");
	out[n++] = populated_at_once();
	out[n++] = slice();
	out[n++] = auxiliary_sum();
	out[n++] = fcntl(LOG_FD, F_GETSIG);
	out[n++] = fcntl(LOG_FD, F_GETOWN);
	out[n++] = fault_told();
	syscall(SYS_get_robust_list, 0, &address, &size);
	out[n++] = (long)address;
	prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0);
	out[n++] = (long)address;
	return n;
}

static void one(long change, long verdict)
{
	char *page = anon(1, 'a'), reason[256];
	long now[ARRAY_SIZE(asked)], gen, error;
	int count = ask_all(asked);

	gen = checkpoint();
	ask_all(now);
	for (int i = 0; i < count; i++)
		if (now[i] != asked[i])
			fail("question %d was answered %ld, is %ld after rewind %ld", i, asked[i],
			     now[i], gen);
	if (gen == 3)
		return;
	((void (*)(void))change)();
	page[5] = 'T';
	error = sys_rewind(call_flags);
	refusal_reason(reason, sizeof(reason));
	if (error != -EOPNOTSUPP)
		fail("rewind: %s", strerror(-error));
	if (verdict == RESTORE)
		fail("refused (%s), but is to be restored", reason);
	if (page[5] != 'T')
		fail("refused, but memory was changed");
	if (strlen(reason) < 3 || reason[0] == '(')
		fail("refused without a reason in /proc/self/rewind");
	diag("  refused: %s", reason);
}

/* What a filter allows cannot be seen from its being there. */
static void second_filter(long unused, long unused2)
{
	long gen;

	filter_calls();
	gen = checkpoint();
	if (gen == 2)
		return;
	if (gen == 0)
		rewind_now();
	filter_calls();
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		CHANGE(directory, RESTORE), CHANGE(umask_bits, RESTORE), CHANGE(nice_value, RESTORE),
		CHANGE(name, RESTORE), CHANGE(file_size_limit, RESTORE), CHANGE(descriptor_limit, RESTORE),
		CHANGE(address_space_limit, RESTORE), CHANGE(affinity, RESTORE), CHANGE(policy, RESTORE),
		CHANGE(real_time, RESTORE), CHANGE(clear_tid_address, RESTORE), CHANGE(robust_list, RESTORE),
		CHANGE(root_directory, EITHER), CHANGE(timer_slack, EITHER), CHANGE(dumpable, EITHER),
		CHANGE(keep_capabilities, EITHER), CHANGE(no_new_privileges, EITHER),
		CHANGE(death_signal, EITHER), CHANGE(subreaper, EITHER), CHANGE(no_huge_pages, EITHER),
		CHANGE(no_tsc, EITHER), CHANGE(tsc_faults, EITHER), CHANGE(machine_check_policy, EITHER),
		CHANGE(executable_memory_denied, EITHER), CHANGE(merge_all_memory, EITHER), CHANGE(mergeable, EITHER),
		CHANGE(new_session, EITHER), CHANGE(new_group, EITHER), CHANGE(personality_bits, EITHER),
		CHANGE(user_id, EITHER), CHANGE(group_list, EITHER), CHANGE(out_of_memory_score, EITHER),
		CHANGE(dump_filter, EITHER), CHANGE(lock_future_memory, EITHER),
		CHANGE(lock_all_memory, EITHER), CHANGE(namespace_of_names, EITHER),
		CHANGE(namespace_of_mounts, EITHER), CHANGE(namespace_of_users, EITHER),
		CHANGE(io_priority, EITHER), CHANGE(membarrier, EITHER), CHANGE(keyring, EITHER),
		CHANGE(system_v_segment, EITHER), CHANGE(system_v_queue, EITHER),
		CHANGE(system_v_undo, EITHER), CHANGE(capabilities, EITHER), CHANGE(filter_calls, EITHER),
		CHANGE(user_dispatch, EITHER), CHANGE(speculation, EITHER), CHANGE(arguments, EITHER),
		CHANGE(local_descriptor_table, EITHER), CHANGE(port_rights, EITHER),
		CHANGE(core_number, EITHER), CHANGE(protection_key, EITHER), CHANGE(time_slice, RESTORE),
		CHANGE(auxiliary_vector, EITHER), CHANGE(code_area, EITHER), CHANGE(last_fault, RESTORE),
		CHANGE(descriptor_signal, RESTORE), CHANGE(descriptor_owner, RESTORE),
		{ "a second filter", second_filter, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
