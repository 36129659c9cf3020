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
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "harness.h"

/* What a rewind is to do about a change: put it back, or refuse for that reason. */
struct change {
	void (*make)(void);
	const char *refusal;
	int unseen;	/* no question shows it: that the call succeeded has to do */
};

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

static void environment(void) { set(PR_SET_MM, PR_SET_MM_ENV_START, (unsigned long)sbrk(0) - PAGE, 0); }
static void data_area(void) { set(PR_SET_MM, PR_SET_MM_START_DATA, 0x402000, 0); }
static void stack_start(void) { set(PR_SET_MM, PR_SET_MM_START_STACK, (unsigned long)sbrk(0) - PAGE, 0); }
static void io_flusher(void) { set(57 /* PR_SET_IO_FLUSHER */, 1, 0, 0); }
static void group_of_processes(void) { enter_group("elsewhere", "pids.max", "max"); }
static void system_v_semaphores(void) { expect(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600) >= 0); }

static void memory_policy(void)
{
	unsigned long nodes = 1;

	expect(syscall(SYS_set_mempolicy, 2 /* MPOL_BIND */, &nodes, 64) == 0);
}

static void segment_of_a_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) < 0);
	expect(waitpid(pid, NULL, 0) == pid);
}

/* It has no descriptor any more, but a name. */
static void posix_queue(void)
{
	int fd = syscall(SYS_mq_open, "left", O_RDWR | O_CREAT, 0600, NULL);

	expect(fd >= 0);
	close(fd);
}

static int wait_here(void *unused)
{
	for (;;)
		pause();
}

/* A table that was shared for a while is left to who shared it. */
static void descriptor_table(void)
{
	static char stack[16384] __attribute__((aligned(64)));
	pid_t pid = clone(wait_here, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);

	expect(pid > 0 && unshare(CLONE_FILES) == 0);
	kill(pid, SIGKILL);
	expect(waitpid(pid, NULL, 0) == pid);
}

/* The same bytes at the same place, but of no file. */
static void replace_mapping(unsigned long start, unsigned long length, const char *rights)
{
	char *copy = anon(length / PAGE, 1);
	int protection = (rights[0] == 'r') * PROT_READ | (rights[1] == 'w') * PROT_WRITE |
			 (rights[2] == 'x') * PROT_EXEC;

	memcpy(copy, (void *)start, length);
	expect(mprotect(copy, length, protection) == 0);
	expect(mremap(copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, start) == (void *)start);
}

/* Only who has nothing of the old one mapped may name another. */
static void executable(void)
{
	struct { unsigned long start, end; char rights[8]; } found[16];
	int fd = open("/init", O_RDONLY), count = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	expect(fd >= 0 && maps);
	while (count < 16 && fgets(line, sizeof(line), maps))
		if (strstr(line, "/selftests/attributes") &&
		    sscanf(line, "%lx-%lx %7s", &found[count].start, &found[count].end, found[count].rights) == 3)
			count++;
	fclose(maps);
	for (int i = 0; i < count; i++)
		replace_mapping(found[i].start, found[i].end - found[i].start, found[i].rights);
	set(PR_SET_MM, PR_SET_MM_EXE_FILE, fd, 0);
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

#define CHANGE(function, why, hidden) \
	{ #function, one, (long)&(const struct change){ function, why, hidden }, 0, 0, 0 }
#define RESTORED(function)	CHANGE(function, NULL, 0)
#define REFUSED(function, why)	CHANGE(function, why, 0)
#define UNSEEN(function, why)	CHANGE(function, why, 1)

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
	int n = 0, policy = 0;

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
	out[n++] = prctl(58 /* PR_GET_IO_FLUSHER */, 0, 0, 0, 0);
	out[n++] = syscall(SYS_get_mempolicy, &policy, NULL, 0, NULL, 0) ?: policy;
	out[n++] = sum_of("/proc/self/cgroup");
	out[n++] = sum_of("/proc/self/environ");
	out[n++] = link_number("/proc/self/exe");
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

static void one(long which, long unused)
{
	const struct change *change = (const struct change *)which;
	char *page = anon(1, 'a');
	long now[ARRAY_SIZE(asked)], gen;
	int count = ask_all(asked), changed;

	gen = checkpoint();
	ask_all(now);
	changed = first_change(now, count);
	if (changed >= 0)
		fail("question %d was answered %ld, is %ld after rewind %ld", changed, asked[changed],
		     now[changed], gen);
	if (gen && change->refusal)
		fail("not refused");
	if (gen == 3)
		return;
	change->make();
	ask_all(now);
	if (!change->unseen && first_change(now, count) < 0)
		fail("the change is not to be seen");
	page[5] = 'T';
	if (!change->refusal)
		rewind_now();
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason(change->refusal);
	expect_eq(page[5], 'T');
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
	expect_reason("seccomp filter");
}

static void refused_later(void (*change)(void), const char *why)
{
	if (checkpoint())
		fail("not refused");
	change();
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason(why);
}

static void open_terminal(void)
{
	char slave[64];
	int fd;

	mkdir("/dev/pts", 0755);
	mount("devpts", "/dev/pts", "devpts", 0, NULL);
	fd = open("/dev/ptmx", O_RDWR);
	if (fd < 0 || unlockpt(fd) || ptsname_r(fd, slave, sizeof(slave)))
		skip("no pseudo-terminals");
	expect(open(slave, O_RDWR) >= 0);
}

static void controlling_terminal(long unused, long unused2)
{
	expect(setsid() > 0);
	refused_later(open_terminal, "controlling terminal");
}

static void may_use_resources(int may)
{
	const unsigned int bit = 1U << 24;	/* CAP_SYS_RESOURCE */
	unsigned int header[2] = { 0x20080522, 0 }, data[6];

	expect(syscall(SYS_capget, header, data) == 0);
	data[0] = may ? data[0] | bit : data[0] & ~bit;
	expect(syscall(SYS_capset, header, data) == 0);
}

/* The same score, but from now on the lowest. */
static void write_score(void) { set_file("oom_score_adj", "100"); }

static void lowest_score(long unused, long unused2)
{
	may_use_resources(0);
	write_score();
	may_use_resources(1);
	refused_later(write_score, "oom_score_adj minimum");
}

static void let_pass(unsigned long start)
{
	need(prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, start, 0x1000, &selector), "user dispatch");
}

static void let_pass_elsewhere(void) { let_pass(0x2000); }

static void other_user_dispatch(long unused, long unused2)
{
	let_pass(0x1000);
	refused_later(let_pass_elsewhere, "system call user dispatch");
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		RESTORED(directory), RESTORED(umask_bits), RESTORED(nice_value), RESTORED(name),
		RESTORED(file_size_limit), RESTORED(descriptor_limit), RESTORED(address_space_limit),
		RESTORED(affinity), RESTORED(policy), RESTORED(real_time), RESTORED(clear_tid_address),
		RESTORED(robust_list), RESTORED(root_directory), RESTORED(timer_slack),
		RESTORED(death_signal), RESTORED(subreaper), RESTORED(lock_future_memory),
		RESTORED(lock_all_memory), RESTORED(core_number), RESTORED(time_slice),
		RESTORED(last_fault), RESTORED(descriptor_signal), RESTORED(descriptor_owner),
		UNSEEN(tsc_and_back, NULL), REFUSED(dumpable, "memory flags of the process"),
		REFUSED(keep_capabilities, "credentials"),
		REFUSED(no_new_privileges, "no_new_privs and speculation controls"),
		REFUSED(no_huge_pages, "memory flags of the process"),
		REFUSED(tsc_faults, "architecture state"),
		REFUSED(machine_check_policy, "machine check policy"),
		REFUSED(executable_memory_denied, "memory flags of the process"),
		REFUSED(merge_all_memory, "memory flags of the process"),
		REFUSED(new_session, "session"), REFUSED(new_group, "process group"),
		REFUSED(personality_bits, "personality"), REFUSED(user_id, "credentials"),
		REFUSED(group_list, "credentials"), REFUSED(out_of_memory_score, "oom_score_adj"),
		REFUSED(dump_filter, "memory flags of the process"),
		REFUSED(namespace_of_names, "namespaces"), REFUSED(namespace_of_mounts, "namespaces"),
		REFUSED(namespace_of_users, "credentials"), REFUSED(io_priority, "I/O priority"),
		REFUSED(membarrier, "membarrier registration"), REFUSED(keyring, "credentials"),
		REFUSED(system_v_segment, "shared memory attachments"),
		REFUSED(system_v_queue, "message queues"),
		REFUSED(system_v_undo, "semaphore undo list"), REFUSED(capabilities, "credentials"),
		REFUSED(filter_calls, "seccomp mode"),
		REFUSED(speculation, "no_new_privs and speculation controls"),
		REFUSED(arguments, "arguments area"),
		REFUSED(local_descriptor_table, "architecture memory context"),
		REFUSED(auxiliary_vector, "auxiliary vector"), REFUSED(code_area, "code area"),
		UNSEEN(mergeable, "memory flags of the process"),
		UNSEEN(user_dispatch, "system call interception"),
		UNSEEN(port_rights, "I/O port permissions"),
		UNSEEN(protection_key, "architecture memory context"),
		UNSEEN(keys_of_the_same_sum, "architecture memory context"),
		REFUSED(environment, "environment area"), UNSEEN(data_area, "data area"),
		UNSEEN(stack_start, "stack start"), REFUSED(io_flusher, "I/O flusher"),
		REFUSED(group_of_processes, "cgroup"), REFUSED(memory_policy, "memory policy"),
		REFUSED(system_v_semaphores, "semaphore sets"),
		REFUSED(segment_of_a_child, "shared memory segments"),
		UNSEEN(posix_queue, "POSIX message queues"),
		UNSEEN(descriptor_table, "descriptor table"), REFUSED(executable, "executable"),
		{ "controlling_terminal", controlling_terminal, 0, 0, 0, 0 },
		{ "lowest_score", lowest_score, 0, 0, 0, 0 },
		{ "other_user_dispatch", other_user_dispatch, 0, 0, 0, 0 },
		{ "a second filter", second_filter, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
