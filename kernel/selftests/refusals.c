// SPDX-License-Identifier: GPL-2.0
/*
 * State that cannot be restored: refused at the checkpoint, or at the rewind when it came
 * later and does not go away by itself. Each refusal names its reason, the one in the line
 * of its case, in /proc/self/rewind, and changes nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fuse.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static void writable_shared_memory(void)
{
	expect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void writable_shared_file(void)
{
	int fd = open_bytes(PAGE, 's');

	expect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
}

/* By this process, whose descriptor could make it writable; and by another. */
static void readable_shared_file_of_a_writer(void)
{
	int fd = open_bytes(PAGE, 's');

	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
}

static void readable_shared_file_open_for_writing(void)
{
	int fd = open("/tmp/shared", O_RDWR | O_CREAT | O_TRUNC, 0600), reader = open("/tmp/shared", O_RDONLY);

	expect(fd >= 0 && ftruncate(fd, PAGE) == 0);
	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0) != MAP_FAILED);
}

static void memory_file(void)
{
	int fd = syscall(SYS_memfd_create, "memory", 0);

	expect(ftruncate(fd, PAGE) == 0);
	expect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
}

static void memory_file_not_mapped(void)
{
	expect(syscall(SYS_memfd_create, "memory", 0) >= 0);
}

static void locked_memory(void) { expect(mlock(anon(1, 'l'), PAGE) == 0); }

/* Where a connection's data would appear. */
static void device_memory(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	expect(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	close(fd);
}

static void special_file(void)
{
	int fd = open(swap_device(), O_RDONLY);

	expect(fd >= 0 && mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	close(fd);
}

#define KSM	"/sys/kernel/mm/ksm/"

/* Which of the zeroes are those of the file? */
static void merged_zeroes(void)
{
	char *pages = file_private(16, 'f');

	if (write_text(KSM "use_zero_pages", "1"))
		skip("no KSM");
	write_text(KSM "run", "1");
	write_text(KSM "sleep_millisecs", "1");
	write_text(KSM "pages_to_scan", "10000");
	memset(pages, 0, 16 * PAGE);
	expect(madvise(pages, 16 * PAGE, MADV_MERGEABLE) == 0);
	for (int i = 0; i < 5000 && number_in("/proc/self/ksm_stat", "ksm_zero_pages") <= 0; i++)
		usleep(1000);
	expect_eq(write_text(KSM "use_zero_pages", "0"), 0);
	expect(number_in("/proc/self/ksm_stat", "ksm_zero_pages") > 0);
}

static void secret_memory(void)
{
	int fd = syscall(447 /* memfd_secret */, 0);

	if (fd < 0)
		skip("no secret memory");
}

static void queue(void)
{
	if (syscall(SYS_mq_open, "queue", O_RDWR | O_CREAT, 0600, NULL) < 0)
		skip("no POSIX queues");
}

static void huge_pages(void)
{
	char *at;

	write_text("/proc/sys/vm/nr_hugepages", "2");
	at = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (at == MAP_FAILED)
		skip("no huge pages to be had");
	at[0] = 1;
}

static void user_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		skip("no userfaultfd");
	range.range.start = (unsigned long)anon(1, 0);
	range.range.len = PAGE;
	expect(ioctl(fd, UFFDIO_REGISTER, &range) == 0);
}

static void asynchronous_io(void)
{
	static unsigned long context;

	if (syscall(SYS_io_setup, 4, &context))
		skip("no AIO");
}

static void living_child(void)
{
	if (fork() == 0) {
		pause();
		_exit(0);
	}
}

static void dead_child(void)
{
	pid_t pid = fork();
	siginfo_t info;

	if (pid == 0)
		_exit(0);
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
}

static char stack[32768] __attribute__((aligned(64)));

static volatile int in_place;	/* what a thread was started for */
static int *held;

static void want_it(void *unused)
{
	syscall(SYS_futex, held, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

/* Somebody waits for it, and lends his priority. */
static void futex_of_inherited_priority(void)
{
	held = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*held = syscall(SYS_gettid);
	start_stranger(want_it, NULL);
	while (!(*(volatile int *)held & FUTEX_WAITERS))
		usleep(1000);
	usleep(20000);
}

static void tracing(void)
{
	expect(ptrace(PTRACE_SEIZE, start_stranger(NULL, NULL), NULL, NULL) == 0);
}

static void perf_event(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_PAGE_FAULTS, .size = sizeof(attributes),
	};

	expect(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0) >= 0);
}

static void semaphore_to_undo(void)
{
	struct sembuf add = { 0, 1, SEM_UNDO };
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);

	expect(id >= 0 && semop(id, &add, 1) == 0);
}

static void deadline(void)
{
	struct attributes attributes = { .policy = 6, .runtime = 10000000, .deadline = 30000000,
					 .period = 30000000 };

	expect(set_attributes(&attributes) == 0);
}

static void port_permissions(void) { expect(ioperm(0x80, 1, 1) == 0); }

static void segment_register(void)
{
	asm volatile("mov %0, %%gs" : : "r"(0x2b));
}

/* Its code is a jump to itself. An lret would do, but not in every emulator. */
static void *as_32_bits(void *code)
{
	struct { unsigned int offset; unsigned short segment; } __attribute__((packed)) there = {
		(unsigned long)code, 0x23
	};

	in_place = 1;
	asm volatile("ljmpl *%0" : : "m"(there));
	return NULL;
}

static void thread_of_32_bits(void)
{
	char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	pthread_t thread;

	expect(code != MAP_FAILED);
	memcpy(code, "\xeb\xfe", 2);
	expect(pthread_create(&thread, NULL, as_32_bits, code) == 0);
	while (!in_place)
		usleep(1000);
	usleep(20000);
}

static int wait_here(void *unused)
{
	for (;;)
		pause();
}

static void shared_address_space(void)
{
	expect(clone(wait_here, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) > 0);
}

static void *stop_sharing(void *what)
{
	expect(syscall(SYS_unshare, (long)what) == 0);
	in_place = 1;
	for (;;)
		pause();
}

static void start_unsharing(long what)
{
	pthread_t thread;

	expect(pthread_create(&thread, NULL, stop_sharing, (void *)what) == 0);
	while (!in_place)
		usleep(1000);
}

static void thread_with_own_files(void) { start_unsharing(CLONE_FILES); }
static void thread_with_own_directory(void) { start_unsharing(CLONE_FS); }
static void thread_with_own_names(void) { start_unsharing(CLONE_NEWUTS); }

static long ring_with(unsigned int flags)
{
	struct io_uring_params parameters = { .flags = flags };
	long fd = syscall(SYS_io_uring_setup, 4, &parameters);

	if (fd < 0)
		skip("no io_uring");
	return fd;
}

/* The buffer stays with the ring, the ring with a stranger. */
static void *pin_it(void *page)
{
	struct iovec buffer = { page, PAGE };
	long fd = ring_with(0);

	expect(syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &buffer, 1) == 0);
	start_stranger(NULL, NULL);
	close(fd);
	return NULL;
}

static void pinned_memory(void)
{
	pthread_t thread;

	expect(pthread_create(&thread, NULL, pin_it, anon(1, 'p')) == 0);
	pthread_join(thread, NULL);
}

/* The kernel's thread that polls a ring is one of the process. */
static void *poll_a_ring(void *unused)
{
	ring_with(IORING_SETUP_SQPOLL);
	in_place = 1;
	for (;;)
		pause();
}

static void kernel_worker(void)
{
	pthread_t thread;

	expect(pthread_create(&thread, NULL, poll_a_ring, NULL) == 0);
	while (!in_place)
		usleep(1000);
}

/* Of a thread that is younger, or waits on a ring of one: what is under way is of the request. */
static volatile int ring_fd, may_wait;

static void *make_a_ring(void *unused)
{
	ring_fd = ring_with(0);
	return NULL;
}

static void *wait_for_a_ring(void *own)
{
	if (own)
		make_a_ring(NULL);
	while (!may_wait)
		usleep(100);
	syscall(SYS_io_uring_enter, ring_fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	return NULL;
}

static void ring_of_a_thread(long older, long unused)
{
	pthread_t thread;

	if (older)
		expect(pthread_create(&thread, NULL, wait_for_a_ring, NULL) == 0);
	usleep(20000);
	if (checkpoint_plain())
		fail("a thread goes on in a ring");
	/* With the older thread alone, nothing but its system call shows what it is in. */
	expect(pthread_create(&thread, NULL, older ? make_a_ring : wait_for_a_ring, (void *)1) == 0);
	if (older)
		pthread_join(thread, NULL);
	while (!ring_fd)
		usleep(100);
	may_wait = 1;
	usleep(50000);
	for (int i = 0; i < 5; i++) {
		expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
		expect_reason("io_uring");
	}
}

static void *rewind_with_a_ring(void *unused)
{
	ring_with(0);
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason("io_uring");
	return NULL;
}

static void caller_with_a_ring(long unused, long unused2)
{
	pthread_t thread;

	if (checkpoint_plain())
		fail("a thread with a ring rewinds");
	expect(pthread_create(&thread, NULL, rewind_with_a_ring, NULL) == 0);
	pthread_join(thread, NULL);
}

/* What somebody else imposes cannot be told from what the request did to itself. */
static int asked[2], answered[2];
static long what_to_limit;

static void look_by_perf(pid_t subject)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_PAGE_FAULTS, .size = sizeof(attributes),
	};
	int fd = syscall(SYS_perf_event_open, &attributes, subject, -1, -1, 0);

	expect(fd >= 0 && close(fd) == 0);
}

static void limit_from_outside(void *unused)
{
	struct rlimit few = { 64, 64 };
	struct sched_param none = { 0 };
	pid_t subject;
	cpu_set_t one, nowhere;

	close(asked[1]);
	expect(read(asked[0], &subject, sizeof(subject)) == sizeof(subject));
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CPU_ZERO(&nowhere);
	switch (what_to_limit) {
	case 0: expect(prlimit(subject, RLIMIT_NOFILE, &few, NULL) == 0); break;
	case 1: expect(setpriority(PRIO_PROCESS, subject, 10) == 0); break;
	case 2: expect(sched_setscheduler(subject, SCHED_BATCH, &none) == 0); break;
	case 3: expect(sched_setaffinity(subject, sizeof(one), &one) == 0); break;
	/* Nothing comes of it. */
	case 4: expect(sched_setaffinity(subject, sizeof(nowhere), &nowhere) < 0); break;
	case 5: look_by_perf(subject); break;
	}
	expect(write(answered[1], "x", 1) == 1);
}

/* The generation; in the first, a stranger has done it since the checkpoint. */
static long checkpoint_and_limit(long what)
{
	pid_t own = getpid();
	long gen;
	char byte;

	what_to_limit = what;
	expect(pipe(asked) == 0 && pipe(answered) == 0);
	start_stranger(limit_from_outside, NULL);
	gen = checkpoint_plain();
	if (gen == 0) {
		expect(write(asked[1], &own, sizeof(own)) == sizeof(own));
		expect(read(answered[0], &byte, 1) == 1);
	}
	return gen;
}

/* What somebody has tried, or only looked at, is no reason to refuse. */
static void left_as_it_was(long what, long unused)
{
	if (checkpoint_and_limit(what) == 0)
		rewind_now();
}

static void limited(long what, long unused)
{
	if (checkpoint_and_limit(what))
		fail("a rewind lifted a limit");
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason("limits were set from outside");
	/* From here on it is part of the state. */
	if (checkpoint_plain() == 0)
		rewind_now();
}

static void kernel_log(void) { expect(open("/dev/kmsg", O_RDONLY) >= 0); }
static void io_ring(void) { ring_with(0); }
static void epoll_fd(void) { expect(epoll_create1(0) >= 0); }
static void timer_fd(void) { expect(timerfd_create(CLOCK_MONOTONIC, 0) >= 0); }
static void event_fd(void) { expect(eventfd(3, 0) >= 0); }
static void inotify_fd(void) { expect(inotify_init() >= 0); }
static void pid_fd(void) { expect(syscall(SYS_pidfd_open, getpid(), 0) >= 0); }

static void fanotify_fd(void) { expect(syscall(SYS_fanotify_init, 0, 0) >= 0); }
static void block_device(void) { expect(open(swap_device(), O_RDONLY) >= 0); }
static void device(void) { expect(open("/dev/fuse", O_RDWR) >= 0); }
static void signal_driven(void) { expect(fcntl(PIPE_FD, F_SETFL, O_ASYNC) == 0); }

static void bpf_map(void)
{
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

	expect(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)) >= 0);
}

static void unsent_datagram(void)
{
	struct sockaddr_in to;
	int fd;

	bound(SOCK_DGRAM, &to);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	expect(sendto(fd, "half", 4, MSG_MORE, (void *)&to, sizeof(to)) == 4);
}

static void signal_fd(void)
{
	sigset_t set;

	sigfillset(&set);
	expect(signalfd(-1, &set, 0) >= 0);
}

static void unread_pipe(void)
{
	int ends[2];

	expect(pipe(ends) == 0 && write(ends[1], "unread", 6) == 6);
}

static void posix_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	expect(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
}

#define MUST(function, why)	{ #function, at_checkpoint, (long)function, (long)why, 0, 0 }
#define LATER(function, why)	{ #function " later", after_checkpoint, (long)function, (long)why, 0, 0 }
/* A rewind takes it away. */
#define GOES(function)		{ #function " goes", after_checkpoint, (long)function, 0, 0, 0 }

static void at_checkpoint(long make, long why)
{
	((void (*)(void))make)();
	expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason((const char *)why);
	expect_eq(sys_rewind(call_flags), -ENODATA);
}

static void after_checkpoint(long make, long why)
{
	char *page = anon(1, 'a');
	long gen = checkpoint();

	if (gen && why)
		fail("the rewind was not refused");
	if (gen == 3)
		return;
	((void (*)(void))make)();
	page[9] = 'T';
	if (!why)
		rewind_now();
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason((const char *)why);
	expect_eq(page[9], 'T');
}

static int refused_here(void *why)
{
	expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason(why);
	expect_eq(sys_rewind(call_flags), -ENODATA);
	return 0;
}

static void with_a_parent(long flags, long why)
{
	pid_t pid = clone(refused_here, stack + sizeof(stack), flags | SIGCHLD, (void *)why);
	int status;

	expect(pid > 0 && waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
}

/* Nor is the checkpoint there that of the process which finds it. */
static void memory_with_a_checkpoint(long unused, long unused2)
{
	long gen = checkpoint_plain();

	if (gen == GENERATIONS)
		return;
	with_a_parent(CLONE_VM, (long)"the memory is shared with another process");
	rewind_now();
}

/* The kernel's code for user space is in no file that it could be mapped from again. */
static void unmapped_vdso(void)
{
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR), start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[256];

	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == vdso)
			break;
	expect_eq(start, vdso);
	fclose(maps);
	expect(munmap((void *)vdso, end - start) == 0);
}

/* Where a mapping of the snapshot ends there is the middle of a huge page. */
static void boundary_in_a_huge_page(long unused, long unused2)
{
	char *at = room_for_huge();

	expect(mprotect(at + HUGE / 2, HUGE / 2, PROT_READ) == 0);
	write_text("/proc/sys/vm/nr_hugepages", "2");
	expect(checkpoint() == 0);
	if (mmap(at, HUGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0) == MAP_FAILED)
		skip("no huge pages to be had");
	expect_eq(sys_rewind(call_flags), -EOPNOTSUPP);
	expect_reason("a mapping that cannot be divided");
}

static int to_thread[2], to_main[2], to_tracer[2];

static void hear(int *from)
{
	char byte;

	expect(read(from[0], &byte, 1) == 1);
}

static void *exit_when_told(void *unused)
{
	pid_t me = syscall(SYS_gettid);

	expect(write(to_tracer[1], &me, sizeof(me)) == sizeof(me));
	hear(to_thread);
	return NULL;
}

static void with_an_exiting_thread(long later)
{
	char *page = anon(1, 'a');
	pthread_t thread;

	expect(pthread_create(&thread, NULL, exit_when_told, NULL) == 0);
	if (later) {
		usleep(20000);
		expect(checkpoint_plain() == 0);
	}
	hear(to_main);
	page[5] = 'T';
	expect_eq(later ? sys_rewind(call_flags) : sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason("a thread is exiting");
	expect_eq(page[5], 'T');
	_exit(CASE_PASS);
}

/* Held on its way out, it is called to the meeting, and comes when it cannot go back. */
static void exiting_thread(long later, long unused)
{
	pid_t pid, thread;
	int status;

	expect(pipe(to_thread) == 0 && pipe(to_main) == 0 && pipe(to_tracer) == 0);
	pid = fork();
	if (pid == 0)
		with_an_exiting_thread(later);
	expect(read(to_tracer[0], &thread, sizeof(thread)) == sizeof(thread));
	usleep(100000);
	expect(ptrace(PTRACE_SEIZE, thread, NULL, PTRACE_O_TRACEEXIT) == 0);
	expect(write(to_thread[1], "", 1) == 1);
	expect(waitpid(thread, &status, __WALL) == thread && status >> 16 == PTRACE_EVENT_EXIT);
	expect(write(to_main[1], "", 1) == 1);
	usleep(300000);
	expect(ptrace(PTRACE_DETACH, thread, NULL, NULL) == 0);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
}

static void *tell_and_wait(void *unused)
{
	pid_t me = syscall(SYS_gettid);

	expect(write(to_tracer[1], &me, sizeof(me)) == sizeof(me));
	for (;;)
		pause();
}

/* The parent says when the thread is as it must not be, and has mended that when it speaks again. */
static void beside_a_thread(void *(*life)(void *), const char *reason, long later)
{
	char *page = anon(1, 'a');
	pthread_t thread;
	long gen = later ? checkpoint_plain() : 0;

	expect_filled(page, 1, 'a');
	if (gen)
		_exit(CASE_PASS);
	expect(pthread_create(&thread, NULL, life, NULL) == 0);
	hear(to_main);
	page[5] = 'T';
	expect_eq(later ? sys_rewind(call_flags) : sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason(reason);
	expect_eq(page[5], 'T');
	expect(write(to_tracer[1], "", 1) == 1);
	hear(to_main);
	if (later)
		rewind_now();
	expect_eq(sys_checkpoint(call_flags), 0);
	_exit(CASE_PASS);
}

/* Not the one that calls, and perhaps one that would only have to end. */
static void traced_thread(long later, long unused)
{
	pid_t pid, thread;
	int status;

	expect(pipe(to_main) == 0 && pipe(to_tracer) == 0);
	pid = fork();
	if (pid == 0)
		beside_a_thread(tell_and_wait, "a thread is being traced", later);
	expect(read(to_tracer[0], &thread, sizeof(thread)) == sizeof(thread));
	expect(ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0);
	expect(write(to_main[1], "", 1) == 1);
	hear(to_tracer);
	expect(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0);
	expect(waitpid(thread, &status, __WALL) == thread);
	expect(ptrace(PTRACE_DETACH, thread, NULL, NULL) == 0);
	expect(write(to_main[1], "", 1) == 1);
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
}

/* ---- a thread that does not get out ------------------------------------- */

#define SLOW_FILE	"/tmp/slow"

/* Its descriptors go with it, and one of them takes its time. */
static void *leave_slowly(void *unused)
{
	expect(unshare(CLONE_FILES) == 0 && open(SLOW_FILE, O_RDONLY) >= 0);
	return NULL;
}

static void slow_thread(long later, long unused)
{
	int device = mount_served(SLOW_FILE), status;
	unsigned long unique;
	pid_t pid;

	expect(pipe(to_main) == 0 && pipe(to_tracer) == 0);
	pid = fork();
	if (pid == 0) {
		close(device);
		beside_a_thread(leave_slowly, "a thread does not finish exiting", later);
	}
	unique = serve_until(device, FUSE_FLUSH, 0);
	expect(write(to_main[1], "", 1) == 1);
	hear(to_tracer);
	answer_served(device, unique, NULL, 0);
	expect(write(to_main[1], "", 1) == 1);
	expect(waitpid(pid, &status, 0) == pid);
	umount2(SLOW_FILE, MNT_DETACH);
	expect_eq(status, 0);
}

/* ---- userfaultfd, and what was there before ----------------------------- */

/* Write-protection by userfaultfd and the log use the same mark: the later one loses. */
static void no_user_faults_later(long unused, long unused2)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_WP };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	long gen;

	if (fd < 0)
		skip("no userfaultfd");
	close(fd);
	range.range.start = (unsigned long)anon(1, 'u');
	range.range.len = PAGE;
	gen = checkpoint();
	if (gen == 3)
		return;
	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	expect(ioctl(fd, UFFDIO_API, &api) == 0);
	expect_eq(ioctl(fd, UFFDIO_REGISTER, &range), -1);
	expect_eq(errno, EBUSY);
	rewind_now();
}

/* The marks are not those of a userfaultfd: it can neither take them away nor add any. */
static void marks_of_its_own(long protect, long unused)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_writeprotect change = { .mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };
	char *page = anon(8, 'u');
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	long gen;

	if (fd < 0)
		skip("no userfaultfd");
	close(fd);
	gen = checkpoint();
	if (gen == GENERATIONS)
		return;
	if (protect)
		page[0] = 'T';
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	expect(ioctl(fd, UFFDIO_API, &api) == 0);
	change.range.start = (unsigned long)page;
	change.range.len = 8 * PAGE;
	if (ioctl(fd, UFFDIO_WRITEPROTECT, &change) == 0)
		diag("  changed the protection of the snapshot");
	close(fd);
	for (int i = 0; i < 8; i++)
		page[i * PAGE + 1] = 'T';
	rewind_now();
}

/* A refused checkpoint leaves an earlier one as it was. */
static void refusal_keeps_the_old_one(long unused, long unused2)
{
	char *page = anon(1, 'a');
	long gen = checkpoint();

	if (gen == GENERATIONS)
		return;
	page[3] = 'T';
	writable_shared_memory();
	expect_eq(sys_checkpoint(call_flags), -EOPNOTSUPP);
	expect_reason("writable shared mapping");
	rewind_now();
}

static const char shared_memory[] = "writable shared mapping", hidden[] = "descriptor of a kind with hidden state",
	memory_fd[] = "memfd or shared memory descriptor", child[] = "a child is alive or was not waited for";

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		MUST(writable_shared_memory, shared_memory), MUST(writable_shared_file, shared_memory),
		MUST(memory_file, shared_memory), MUST(memory_file_not_mapped, memory_fd),
		MUST(secret_memory, memory_fd), MUST(queue, memory_fd),
		MUST(readable_shared_file_of_a_writer, shared_memory),
		MUST(readable_shared_file_open_for_writing,
		     "shared mapping of a file that is open for writing"),
		MUST(locked_memory, "locked memory"), MUST(device_memory, "mapping of device memory"),
		MUST(special_file, "private mapping of a special file"),
		MUST(huge_pages, "hugetlb mapping"), MUST(user_faults, "userfaultfd"),
		MUST(merged_zeroes, "merged pages of zeroes in a mapping of a file"),
		MUST(pinned_memory, "memory is pinned for I/O"),
		MUST(io_ring, "io_uring"), MUST(asynchronous_io, "AIO context"),
		MUST(living_child, child), MUST(dead_child, child), MUST(shared_address_space, child),
		MUST(thread_with_own_files, "a thread has its own descriptors or directory"),
		MUST(thread_with_own_directory, "a thread has its own descriptors or directory"),
		MUST(thread_with_own_names, "a thread has its own namespaces"),
		MUST(thread_of_32_bits, "32-bit process"),
		MUST(segment_register, "segment registers in use"),
		MUST(port_permissions, "I/O port permissions"),
		MUST(futex_of_inherited_priority, "a priority-inheritance futex is held"),
		MUST(tracing, "a thread traces another process"), MUST(perf_event, "perf events"),
		MUST(semaphore_to_undo, "semaphore undo list"), MUST(deadline, "deadline scheduling"),
		MUST(posix_timer, "POSIX timer"), MUST(epoll_fd, hidden), MUST(timer_fd, hidden),
		MUST(event_fd, hidden), MUST(signal_fd, hidden), MUST(inotify_fd, hidden),
		MUST(fanotify_fd, hidden), MUST(pid_fd, memory_fd), MUST(bpf_map, hidden),
		MUST(block_device, hidden), MUST(device, "descriptor of a device"),
		MUST(signal_driven, "descriptor with signal-driven I/O"),
		MUST(unread_pipe, "unread data in a pipe or socket"),
		MUST(unsent_datagram, "unsent data in a socket"),
		LATER(io_ring, "io_uring"), LATER(asynchronous_io, "AIO context"),
		LATER(kernel_worker, "io_uring"),
		LATER(thread_with_own_files, "a thread has its own descriptors or directory"),
		LATER(thread_with_own_names, "a thread has its own namespaces"),
		LATER(segment_register, "segment registers in use"),
		LATER(port_permissions, "I/O port permissions"),
		LATER(futex_of_inherited_priority, "a priority-inheritance futex is held"),
		LATER(tracing, "a thread traces another process"), LATER(perf_event, "perf events"),
		LATER(semaphore_to_undo, "semaphore undo list"),
		LATER(signal_driven, "descriptor with signal-driven I/O"),
		LATER(unmapped_vdso, "a mapping that cannot be made again changed"),
		GOES(writable_shared_memory), GOES(writable_shared_file), GOES(memory_file),
		GOES(huge_pages), GOES(device_memory), GOES(special_file), GOES(locked_memory),
		GOES(living_child), GOES(shared_address_space), GOES(epoll_fd), GOES(timer_fd), GOES(event_fd), GOES(signal_fd),
		GOES(inotify_fd), GOES(pid_fd), GOES(bpf_map), GOES(device), GOES(kernel_log), GOES(block_device),
		GOES(thread_of_32_bits), GOES(deadline),
		{ "a boundary in a huge page", boundary_in_a_huge_page, 0, 0, 0, 0 },
		{ "io_uring in a later thread", ring_of_a_thread, 0, 0, 0, 0 },
		{ "io_uring in a thread of the checkpoint", ring_of_a_thread, 1, 0, 0, 0 },
		{ "rewind by a later thread with io_uring", caller_with_a_ring, 0, 0, 0, 0 },
		{ "a limit set by another", limited, 0, 0, 0, 0 },
		{ "a nice value set by another", limited, 1, 0, 0, 0 },
		{ "a policy set by another", limited, 2, 0, 0, 0 },
		{ "an affinity set by another", limited, 3, 0, 0, 0 },
		{ "an affinity that somebody could not set", left_as_it_was, 4, 0, 0, 0 },
		{ "somebody has looked by perf", left_as_it_was, 5, 0, 0, 0 },
		{ "another thread is traced", traced_thread, 0, 0, 0, 0 },
		{ "a later thread is traced", traced_thread, 1, 0, 0, 0 },
		{ "a thread that is exiting", exiting_thread, 0, 0, 0, 0 },
		{ "a thread that is exiting later", exiting_thread, 1, 0, 0, 0 },
		{ "a thread that does not finish exiting", slow_thread, 0, 0, 0, 0 },
		{ "a thread that does not finish exiting later", slow_thread, 1, 0, 0, 0 },
		{ "userfaultfd is not to be had later", no_user_faults_later, 0, 0, 0, 0 },
		{ "userfaultfd does not disarm", marks_of_its_own, 0, 0, 0, 0 },
		{ "userfaultfd does not protect", marks_of_its_own, 1, 0, 0, 0 },
		{ "memory that a parent shares", with_a_parent, CLONE_VM,
		  (long)"the memory is shared with another process", 0, 0 },
		{ "memory that has a checkpoint", memory_with_a_checkpoint, 0, 0, 0, 0 },
		{ "descriptors that a parent shares", with_a_parent, CLONE_FILES,
		  (long)"descriptors are shared with another process", 0, 0 },
		{ "a directory that a parent shares", with_a_parent, CLONE_FS,
		  (long)"working directory is shared with another process", 0, 0 },
		{ "handlers that a parent shares", with_a_parent, CLONE_SIGHAND | CLONE_VM,
		  (long)"signal handlers are shared with another process", 0, 0 },
		{ "a refused checkpoint keeps the earlier one", refusal_keeps_the_old_one, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
