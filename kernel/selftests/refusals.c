// SPDX-License-Identifier: GPL-2.0
/*
 * State that cannot be restored: refused at the checkpoint, or at the rewind when it came
 * later and does not go away by itself. Each refusal names its reason in
 * /proc/self/rewind, and changes nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
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

static void readable_shared_file_open_for_writing(void)
{
	int fd = open_bytes(PAGE, 's');

	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
}

static void memory_file(void)
{
	int fd = syscall(SYS_memfd_create, "memory", 0);

	expect(ftruncate(fd, PAGE) == 0);
	expect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
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

static void io_ring(void)
{
	static char parameters[256];
	long fd = syscall(SYS_io_uring_setup, 4, parameters);

	if (fd < 0)
		skip("no io_uring");
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

static int wait_here(void *unused)
{
	for (;;)
		pause();
}

static void shared_address_space(void)
{
	expect(clone(wait_here, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) > 0);
}

static void *unshare_files(void *unused)
{
	syscall(SYS_unshare, CLONE_FILES);
	for (;;)
		pause();
}

static void thread_with_own_files(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, unshare_files, NULL);
	usleep(20000);
}

static void epoll_fd(void) { expect(epoll_create1(0) >= 0); }
static void timer_fd(void) { expect(timerfd_create(CLOCK_MONOTONIC, 0) >= 0); }
static void event_fd(void) { expect(eventfd(3, 0) >= 0); }
static void inotify_fd(void) { expect(inotify_init() >= 0); }
static void pid_fd(void) { expect(syscall(SYS_pidfd_open, getpid(), 0) >= 0); }

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

#define MUST(function)	{ #function, at_checkpoint, (long)function, 1, 0, 0 }
#define MAY(function)	{ #function, at_checkpoint, (long)function, 0, 0, 0 }
#define LATER(function)	{ #function " later", after_checkpoint, (long)function, 0, 0, 0 }

static void expect_reason(const char *call)
{
	char reason[256];

	refusal_reason(reason, sizeof(reason));
	if (strlen(reason) < 3 || reason[0] == '(')
		fail("%s was refused without a reason in /proc/self/rewind", call);
	diag("  %s refused: %s", call, reason);
}

static void at_checkpoint(long make, long must)
{
	char *page;
	long gen;

	((void (*)(void))make)();
	page = anon(1, 'a');
	gen = sys_checkpoint(call_flags);
	if (gen < 0) {
		expect_eq(gen, -EOPNOTSUPP);
		expect_reason("checkpoint");
		expect_eq(sys_rewind(call_flags), -ENODATA);
		return;
	}
	if (must)
		fail("the checkpoint was not refused");
	/* A kind on the reviewed list: then it has to work. */
	expect_filled(page, 1, 'a');
	if (gen == 3)
		return;
	page[gen] = 'T';
	rewind_now();
}

static void after_checkpoint(long make, long unused)
{
	char *page = anon(1, 'a');
	long gen = checkpoint(), error;

	if (gen == 3)
		return;
	((void (*)(void))make)();
	page[9] = 'T';
	error = sys_rewind(call_flags);
	expect_eq(error, -EOPNOTSUPP);
	expect_reason("rewind");
	expect_eq(page[9], 'T');
}

static int checkpoint_here(void *result)
{
	*(long *)result = sys_checkpoint(call_flags);
	return 0;
}

/* Whose parent goes on in the same memory. */
static void memory_of_a_parent(long unused, long unused2)
{
	long result = 0;
	pid_t pid = clone(checkpoint_here, stack + sizeof(stack), CLONE_VM | SIGCHLD, &result);

	expect(pid > 0 && waitpid(pid, NULL, 0) == pid);
	expect_eq(result, -EOPNOTSUPP);
}

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
	rewind_now();
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		MUST(writable_shared_memory), MUST(writable_shared_file), MUST(memory_file),
		MUST(readable_shared_file_open_for_writing), MUST(huge_pages), MUST(user_faults),
		MUST(io_ring), MUST(asynchronous_io), MUST(living_child), MUST(shared_address_space),
		MUST(thread_with_own_files), MUST(posix_timer), MUST(dead_child), MUST(epoll_fd),
		MUST(timer_fd), MUST(event_fd), MUST(signal_fd), MUST(inotify_fd), MUST(pid_fd),
		MUST(unread_pipe), MAY(secret_memory), MUST(queue),
		LATER(writable_shared_memory), LATER(writable_shared_file), LATER(memory_file),
		LATER(huge_pages), LATER(io_ring), LATER(asynchronous_io),
		LATER(living_child), LATER(shared_address_space), LATER(epoll_fd), LATER(timer_fd),
		LATER(event_fd), LATER(signal_fd), LATER(inotify_fd), LATER(pid_fd),
		{ "userfaultfd is not to be had later", no_user_faults_later, 0, 0, 0, 0 },
		{ "userfaultfd does not disarm", marks_of_its_own, 0, 0, 0, 0 },
		{ "userfaultfd does not protect", marks_of_its_own, 1, 0, 0, 0 },
		{ "memory that a parent shares", memory_of_a_parent, 0, 0, 0, 0 },
		{ "a refused checkpoint keeps the earlier one", refusal_keeps_the_old_one, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
