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
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
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
enum { RESTORE, REFUSE, VERDICT = 1 };
/* No question shows this change: that the call succeeded has to do. */
enum { UNSEEN = 2 };

/* A call that some kernels or processors do not have. */
static void need(long result, const char *what)
{
	if (result >= 0)
		return;
	if (errno == ENOSYS || errno == ENXIO || errno == ENODEV)
		skip("no %s: %s", what, strerror(errno));
	fail("%s: %s", what, strerror(errno));
}

static void directory(void) { expect(chdir("/proc") == 0); }

static void root_directory(void)
{
	mkdir("/tmp/proc", 0755);
	mount("proc", "/tmp/proc", "proc", 0, NULL);
	expect(chroot("/tmp") == 0);
}

static void set(int option, unsigned long a, unsigned long b, unsigned long c)
{
	if (prctl(option, a, b, c, 0))
		fail("prctl(%d, %lu): %s", option, a, strerror(errno));
}

static void set_file(const char *name, const char *text)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	expect_eq(write_text(path, text), 0);
}

static void umask_bits(void) { umask(0123); }
static void nice_value(void) { expect(setpriority(PRIO_PROCESS, 0, 7) == 0); }
static void name(void) { set(PR_SET_NAME, (unsigned long)"renamed", 0, 0); }
static void timer_slack(void) { set(PR_SET_TIMERSLACK, 123456, 0, 0); }
static void dumpable(void) { set(PR_SET_DUMPABLE, 0, 0, 0); }
static void keep_capabilities(void) { set(PR_SET_KEEPCAPS, 1, 0, 0); }
static void no_new_privileges(void) { set(PR_SET_NO_NEW_PRIVS, 1, 0, 0); }
static void death_signal(void) { set(PR_SET_PDEATHSIG, SIGUSR2, 0, 0); }
static void subreaper(void) { set(PR_SET_CHILD_SUBREAPER, 1, 0, 0); }
static void no_huge_pages(void) { set(PR_SET_THP_DISABLE, 1, 0, 0); }
static void tsc_faults(void) { set(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0); }
static void tsc_and_back(void) { tsc_faults(); set(PR_SET_TSC, PR_TSC_ENABLE, 0, 0); }
static void machine_check_policy(void) { set(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0); }
static void executable_memory_denied(void) { set(65 /* PR_SET_MDWE */, 1, 0, 0); }
static void merge_all_memory(void) { set(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0); }
static void mergeable(void) { expect(madvise(anon(4, 4), 4 * PAGE, MADV_MERGEABLE) == 0); }
static void new_session(void) { expect(setsid() > 0); }
static void new_group(void) { expect(setpgid(0, 0) == 0); }
static void personality_bits(void) { expect(personality(ADDR_NO_RANDOMIZE) >= 0); }
static void user_id(void) { expect(setresuid(1000, 1000, 0) == 0); }
static void out_of_memory_score(void) { set_file("oom_score_adj", "300"); }
static void dump_filter(void) { set_file("coredump_filter", "0x7f"); }
static void lock_future_memory(void) { expect(mlockall(MCL_FUTURE) == 0); }
static void lock_all_memory(void) { expect(mlockall(MCL_CURRENT | MCL_FUTURE) == 0); }
static void namespace_of_names(void) { expect(unshare(CLONE_NEWUTS) == 0); }
static void namespace_of_mounts(void) { expect(unshare(CLONE_NEWNS) == 0); }
static void namespace_of_users(void) { expect(unshare(CLONE_NEWUSER) == 0); }
static void io_priority(void) { expect(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3) == 0); }
static void membarrier(void) { need(syscall(SYS_membarrier, 1 << 4, 0, 0), "membarrier"); }
static void system_v_segment(void) { expect(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0); }
static void system_v_queue(void) { expect(msgget(IPC_PRIVATE, IPC_CREAT | 0600) >= 0); }

static void group_list(void)
{
	gid_t ids[] = { 5, 6 };

	expect(syscall(SYS_setgroups, 2, ids) == 0);
}

static void clear_tid_address(void)
{
	static int word;

	expect(syscall(SYS_set_tid_address, &word) > 0);
}

static void robust_list(void)
{
	static long head[3];

	expect(syscall(SYS_set_robust_list, head, sizeof(head)) == 0);
}

static void keyring(void)
{
	need(syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, 0, 0, 0, 0), "keyrings");
}

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

static char selector;
static volatile int dispatched;

static void dispatch(int number)
{
	selector = 0;
	dispatched = 1;
}

static void user_dispatch(void)
{
	signal(SIGSYS, dispatch);
	expect(prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0x1000, 0x1000, &selector) == 0);
	selector = 1;
	syscall(SYS_getppid);
	expect(dispatched);
}

static void speculation(void)
{
	need(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0),
	     "control of speculation");
}

/* What /proc/<pid>/cmdline shows. */
static void arguments(void)
{
	set(PR_SET_MM, PR_SET_MM_ARG_START, (unsigned long)sbrk(0) - PAGE, 0);
}

static void local_descriptor_table(void)
{
	struct { unsigned int entry, base, limit, flags; } segment = { 1, 0, 0xfffff, 0x51 };

	need(syscall(SYS_modify_ldt, 1, &segment, sizeof(segment)), "LDT");
}

/* Without the right, the read is a fault that ends the case. */
static void port_rights(void)
{
	need(ioperm(0x80, 1, 1), "port permissions");
	inb(0x80);
}

static char core_area[64] __attribute__((aligned(32)));

static long set_core_area(int flags)
{
	return syscall(334 /* rseq */, core_area, 32, flags, 0x5305);
}

static void core_number(void) { need(set_core_area(0), "restartable sequences"); }

/* Zero when there is none: then one can be had. */
static long has_core_area(void)
{
	static const int remove = 1;

	if (set_core_area(0))
		return errno;
	return set_core_area(remove);
}

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

static void code_area(void)
{
	unsigned long start = 0x400000, end = 0x480000;

	/* Both at once, as a checksum over both might not notice. */
	set(PR_SET_MM, PR_SET_MM_START_CODE, start, 0);
	set(PR_SET_MM, PR_SET_MM_END_CODE, end, 0);
}

static void descriptor_signal(void) { expect(fcntl(LOG_FD, F_SETSIG, SIGUSR1) == 0); }
static void descriptor_owner(void) { expect(fcntl(LOG_FD, F_SETOWN, getpid()) == 0); }

static sigjmp_buf back;
static volatile long told;

static void jump_back(int number) { siglongjmp(back, 1); }

static void last_fault(void)
{
	struct sigaction action = { .sa_handler = jump_back }, old;

	expect(sigaction(SIGSEGV, &action, &old) == 0);
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
	if (syscall(330 /* pkey_alloc */, 0, 0) < 0)
		skip("no protection keys: %s", strerror(errno));
}

#define CHANGE(function, what) { #function, one, (long)function, what, 0, 0 }

/*
 * What no other process can see of it, asked by the process itself. Values are compared
 * only with themselves, so a call that this kernel does not know does no harm.
 */
static long asked[64];

static long link_number(const char *path)
{
	struct stat there;

	/* The roots of many file systems have the same number. */
	return stat(path, &there) ? -1 : (long)(there.st_ino ^ there.st_dev << 32);
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

/* Of a file that is read whole: is it still the same? */
static long sum_of(const char *path)
{
	unsigned char bytes[4096];
	int fd = open(path, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	long sum = length;

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < length; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

/* Where code begins and ends: words 26 and 27 of /proc/<pid>/stat. */
static long code_told(void)
{
	char text[1024], *at = text, *end;
	int fd = open("/proc/self/stat", O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	long sum = 0;

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	for (int word = 1; word < 28 && at; word++) {
		if (word >= 26)
			sum = sum * 31 + strtol(at, &end, 10);
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return sum;
}

static long limit_of(int which)
{
	struct rlimit limit = { 0 };

	getrlimit(which, &limit);
	return limit.rlim_cur * 31 + limit.rlim_max;
}

static long mask_of_files(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

static long first_bits(int number)
{
	unsigned int header[2] = { 0x20080522, 0 }, data[6] = { 0 };
	unsigned long set[16] = { 0 };
	uid_t ids[3] = { 0 };
	gid_t groups[8] = { 0 };

	switch (number) {
	case SYS_capget:
		return syscall(number, header, data) ?: (long)data[0] << 32 | data[1];
	case SYS_sched_getaffinity:
		return syscall(number, 0, sizeof(set), set) < 0 ? -1 : (long)set[0];
	case SYS_getresuid:
		return syscall(number, &ids[0], &ids[1], &ids[2]) ?: ids[0] * 31 + ids[1];
	default:
		return syscall(SYS_getgroups, 8, groups) * 1000 + groups[0];
	}
}

/* What the portrait shows too: to see that a change took effect. */
static int ask_common(long *out)
{
	int n = 0;

	out[n++] = link_number("/proc/self/cwd/.");
	out[n++] = mask_of_files();
	out[n++] = getpriority(PRIO_PROCESS, 0);
	out[n++] = sum_of("/proc/self/comm");
	out[n++] = limit_of(RLIMIT_FSIZE);
	out[n++] = limit_of(RLIMIT_NOFILE);
	out[n++] = limit_of(RLIMIT_AS);
	out[n++] = sched_getscheduler(0);
	out[n++] = first_bits(SYS_sched_getaffinity);
	out[n++] = first_bits(SYS_getresuid);
	out[n++] = first_bits(SYS_getgroups);
	out[n++] = first_bits(SYS_capget);
	out[n++] = getsid(0);
	out[n++] = getpgid(0);
	out[n++] = personality(0xffffffff);
	out[n++] = sum_of("/proc/self/oom_score_adj");
	out[n++] = sum_of("/proc/self/coredump_filter");
	out[n++] = sum_of("/proc/self/cmdline");
	out[n++] = sum_of("/proc/self/auxv");
	out[n++] = code_told();
	out[n++] = prctl(PR_GET_SECCOMP);
	out[n++] = has_core_area();
	return n;
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
	out[n++] = fcntl(LOG_FD, F_GETSIG);
	out[n++] = fcntl(LOG_FD, F_GETOWN);
	out[n++] = fault_told();
	syscall(SYS_get_robust_list, 0, &address, &size);
	out[n++] = (long)address;
	prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0);
	out[n++] = (long)address;
	return n + ask_common(out + n);
}

/* The first question whose answer is another one now; -1: none. */
static int first_change(const long *now, int count)
{
	for (int i = 0; i < count; i++)
		if (now[i] != asked[i])
			return i;
	return -1;
}

/* The keys in use and the one for PROT_EXEC, chosen so that a sum of both is what it was. */
static void keys_of_the_same_sum(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* The map 1 without such a key, and 0x843 with key 1: 31 * 1 + 65535 = 31 * 0x843 + 1. */
	expect(mprotect(page, 4096, PROT_EXEC) == 0);
	for (int key = 2; key <= 11; key++)
		need(syscall(330 /* pkey_alloc */, 0, 0), "protection keys");
	for (int key = 2; key <= 10; key++)
		expect(key == 6 || syscall(331 /* pkey_free */, key) == 0);
}

static void expect_refusal(const char *page, long error)
{
	char reason[256];

	if (error != -EOPNOTSUPP)
		fail("rewind: %s", strerror(-error));
	refusal_reason(reason, sizeof(reason));
	if (page[5] != 'T')
		fail("refused, but memory was changed");
	if (strlen(reason) < 3 || reason[0] == '(')
		fail("refused without a reason in /proc/self/rewind");
	diag("  refused: %s", reason);
}

static void one(long change, long what)
{
	char *page = anon(1, 'a');
	long now[ARRAY_SIZE(asked)], gen;
	int count = ask_all(asked), which;

	gen = checkpoint();
	ask_all(now);
	which = first_change(now, count);
	if (which >= 0)
		fail("question %d was answered %ld, is %ld after rewind %ld", which, asked[which],
		     now[which], gen);
	if (gen && (what & VERDICT) == REFUSE)
		fail("not refused");
	if (gen == 3)
		return;
	((void (*)(void))change)();
	ask_all(now);
	if (!(what & UNSEEN) && first_change(now, count) < 0)
		fail("the change is not to be seen");
	page[5] = 'T';
	if ((what & VERDICT) == RESTORE)
		rewind_now();
	expect_refusal(page, sys_rewind(call_flags));
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
		CHANGE(directory, RESTORE), CHANGE(umask_bits, RESTORE),
		CHANGE(nice_value, RESTORE), CHANGE(name, RESTORE),
		CHANGE(file_size_limit, RESTORE), CHANGE(descriptor_limit, RESTORE),
		CHANGE(address_space_limit, RESTORE), CHANGE(affinity, RESTORE),
		CHANGE(policy, RESTORE), CHANGE(real_time, RESTORE),
		CHANGE(clear_tid_address, RESTORE), CHANGE(robust_list, RESTORE),
		CHANGE(root_directory, RESTORE), CHANGE(timer_slack, RESTORE),
		CHANGE(death_signal, RESTORE), CHANGE(subreaper, RESTORE),
		CHANGE(lock_future_memory, RESTORE), CHANGE(lock_all_memory, RESTORE),
		CHANGE(core_number, RESTORE), CHANGE(time_slice, RESTORE),
		CHANGE(last_fault, RESTORE), CHANGE(descriptor_signal, RESTORE),
		CHANGE(descriptor_owner, RESTORE), CHANGE(tsc_and_back, RESTORE | UNSEEN),
		CHANGE(dumpable, REFUSE), CHANGE(keep_capabilities, REFUSE),
		CHANGE(no_new_privileges, REFUSE), CHANGE(no_huge_pages, REFUSE),
		CHANGE(tsc_faults, REFUSE), CHANGE(machine_check_policy, REFUSE),
		CHANGE(executable_memory_denied, REFUSE), CHANGE(merge_all_memory, REFUSE),
		CHANGE(new_session, REFUSE), CHANGE(new_group, REFUSE),
		CHANGE(personality_bits, REFUSE), CHANGE(user_id, REFUSE),
		CHANGE(group_list, REFUSE), CHANGE(out_of_memory_score, REFUSE),
		CHANGE(dump_filter, REFUSE), CHANGE(namespace_of_names, REFUSE),
		CHANGE(namespace_of_mounts, REFUSE), CHANGE(namespace_of_users, REFUSE),
		CHANGE(io_priority, REFUSE), CHANGE(membarrier, REFUSE), CHANGE(keyring, REFUSE),
		CHANGE(system_v_segment, REFUSE), CHANGE(system_v_queue, REFUSE),
		CHANGE(system_v_undo, REFUSE), CHANGE(capabilities, REFUSE),
		CHANGE(filter_calls, REFUSE), CHANGE(speculation, REFUSE),
		CHANGE(arguments, REFUSE), CHANGE(local_descriptor_table, REFUSE),
		CHANGE(auxiliary_vector, REFUSE), CHANGE(code_area, REFUSE),
		CHANGE(mergeable, REFUSE | UNSEEN), CHANGE(user_dispatch, REFUSE | UNSEEN),
		CHANGE(port_rights, REFUSE | UNSEEN), CHANGE(protection_key, REFUSE | UNSEEN),
		CHANGE(keys_of_the_same_sum, REFUSE | UNSEEN),
		{ "a second filter", second_filter, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
