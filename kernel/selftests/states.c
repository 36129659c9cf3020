// SPDX-License-Identifier: GPL-2.0
/*
 * Random programs over the state of a process. A request makes some calls from the table
 * below and rewinds. Then either everything that can be asked about the process is as at the
 * checkpoint, or the rewind was refused, by name, and changed nothing; which of both is
 * written beside each kind of call.
 *
 *	states -s SEED -g GENERATIONS -o OPERATIONS
 *
 * First each kind alone, then mixtures: GENERATIONS of up to OPERATIONS calls, every other
 * one of calls that can all be restored. After a refusal a new subject goes on.
 *
 * The subject of a case is here a supervisor of subjects of its own. It looks at them from
 * outside (portrait.h and some more), and they tell what only they can ask (see inside()).
 * Counts by kind are printed; a kind that never succeeds is a failure, unless the kernel may
 * lack it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "portrait.h"
#include "protocol.h"

static unsigned long dice;

static unsigned long pick(unsigned long below)
{
	return random_step(&dice) % below;
}

/* ---- what the subject has before its checkpoint ------------------------- */

/* Descriptors of its own, that nobody shares. */
enum { FILE_FD = 10, PIPE_IN, PIPE_OUT, SOCKET_FD, SOCKET_PEER, DIR_FD, LEASE_FD, UDP_FD, TCP_FD,
       NULL_FD, TTY_FD, PLAIN_FDS };

#define TERMINALS	"/tmp/states.pts"

static char *area;			/* private, 8 pages */
static int semaphores, segment;		/* System V objects from before */
static volatile pid_t other;		/* another thread of the checkpoint, or 0 */
static volatile int never;

static void *wait_forever(void *unused)
{
	other = syscall(SYS_gettid);
	for (;;)
		syscall(SYS_futex, &never, 128 /* WAIT | PRIVATE */, 0, NULL, NULL, 0);
}

static void put_at(int fd, int number)
{
	if (fd < 0 || dup2(fd, number) != number)
		fail("descriptor %d: %s", number, strerror(errno));
	if (fd != number)
		close(fd);
}

static void make_descriptors(void)
{
	int pair[2];

	put_at(open_bytes(3 * PAGE, 'f'), FILE_FD);
	expect(pipe(pair) == 0);
	put_at(pair[0], PIPE_IN);
	put_at(pair[1], PIPE_OUT);
	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	put_at(pair[0], SOCKET_FD);
	put_at(pair[1], SOCKET_PEER);
	put_at(open("/tmp", O_RDONLY | O_DIRECTORY), DIR_FD);
	close(open("/tmp/states.lease", O_RDWR | O_CREAT, 0600));
	put_at(open("/tmp/states.lease", O_RDONLY), LEASE_FD);
	put_at(socket(AF_INET, SOCK_DGRAM, 0), UDP_FD);
	put_at(socket(AF_INET, SOCK_STREAM, 0), TCP_FD);
	put_at(open("/dev/null", O_RDWR), NULL_FD);
	pair[0] = open(TERMINALS "/0", O_RDWR | O_NOCTTY);
	put_at(pair[0] < 0 ? open("/dev/null", O_RDWR) : pair[0], TTY_FD);
}

static void prepare(int with_thread)
{
	pthread_t thread;

	make_descriptors();
	area = anon(8, 'a');
	semaphores = semget(0x57a7, 2, IPC_CREAT | 0600);
	segment = shmget(0x57a7, 2 * PAGE, IPC_CREAT | 0600);
	expect(semaphores >= 0 && segment >= 0);
	close(mq_open("/states", O_RDWR | O_CREAT, 0600, NULL));
	if (!with_thread)
		return;
	expect(pthread_create(&thread, NULL, wait_forever, NULL) == 0);
	while (!other)
		usleep(1000);
	usleep(5000);
}

/* ---- kinds of calls: each returns what the call returned ----------------- */

static long set_name(void) { return prctl(PR_SET_NAME, pick(2) ? "states" : "renamed process"); }
static long set_timerslack(void) { return prctl(PR_SET_TIMERSLACK, 1000 + pick(100000)); }
static long set_pdeathsig(void) { return prctl(PR_SET_PDEATHSIG, 1 + pick(31)); }
static long set_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0); }
static long set_keepcaps(void) { return prctl(PR_SET_KEEPCAPS, 1); }
static long set_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static long set_securebits(void) { return prctl(PR_SET_SECUREBITS, 1 + pick(2) * 4); }
static long set_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1); }
static long set_thp_disable(void) { return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }
static long set_tsc(void) { return prctl(PR_SET_TSC, PR_TSC_SIGSEGV); }
static long set_mce_policy(void) { return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, pick(2), 0, 0); }
static long set_speculation(void)
{
	return prctl(PR_SET_SPECULATION_CTRL, pick(3), pick(2) ?
		     PR_SPEC_DISABLE : PR_SPEC_FORCE_DISABLE,
		     0, 0);
}
static long set_mdwe(void) { return prctl(65, 1, 0, 0, 0); }
static long set_memory_merge(void) { return prctl(67, 1, 0, 0, 0); }
static long set_io_flusher(void) { return prctl(57, 1, 0, 0, 0); }
static long set_user_dispatch(void)
{
	static char selector;

	return prctl(59, 1, 0x1000 + pick(8) * 0x1000, 0x1000, &selector);
}
static long set_area_name(void)
{
	return prctl(0x53564d41, 0, area + pick(4) * PAGE, 2 * PAGE, "named");
}
static long set_core_cookie(void) { return prctl(62, 1, 0, 0, 0); }
static long set_cpuid(void) { return syscall(SYS_arch_prctl, 0x1012, 0); }
static long drop_bounding(void) { return prctl(PR_CAPBSET_DROP, pick(30)); }
static long raise_ambient(void)
{
	unsigned int header[2] = { 0x20080522, 0 }, data[6];
	long cap = pick(20);

	if (syscall(SYS_capget, header, data))
		return -1;
	data[2] |= 1 << cap;
	if (syscall(SYS_capset, header, data))
		return -1;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
}
static long set_mm_arguments(void)
{
	return prctl(PR_SET_MM, PR_SET_MM_ARG_START, sbrk(0) - 4096, 0, 0);
}
static long set_mm_auxv(void)
{
	unsigned long vector[4] = { 6, 4097 + pick(9), 0, 0 };

	return prctl(PR_SET_MM, 12, vector, sizeof(vector), 0);
}

static long set_limit(void)
{
	static const int which[] = {
		RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS,
		RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS,
		RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME
	};
	struct rlimit limit = { 0 };
	int one = which[pick(ARRAY_SIZE(which))];

	if (getrlimit(one, &limit))
		return -1;
	limit.rlim_cur = one == RLIMIT_NOFILE ? 64 + pick(64) :
			 one == RLIMIT_CPU ? 3000 + pick(99) : (1UL << 22) + pick(999);
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = pick(2) ? 0 : limit.rlim_max / 2;
	if (pick(2) && limit.rlim_max > limit.rlim_cur)
		limit.rlim_max = limit.rlim_cur;
	return prlimit(0, one, &limit, NULL);
}

static long set_umask(void) { umask(pick(0777)); return 0; }
static long change_dir(void) { return chdir(pick(2) ? "/proc" : "/sys"); }
static long change_dir_fd(void) { return fchdir(DIR_FD); }
static long change_root(void) { return chroot("/tmp"); }
static long set_nice(void) { return setpriority(PRIO_PROCESS, 0, 1 + pick(19)); }
static long set_policy(void)
{
	static const int policies[] = { SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR };
	struct sched_param param = { 0 };
	int one = pick(4);

	param.sched_priority = one < 2 ? 0 : 1 + pick(50);
	return sched_setscheduler(0, policies[one] | (pick(2) ? SCHED_RESET_ON_FORK : 0), &param);
}

static long set_slice(void)
{
	return set_attributes(&(struct attributes){ .runtime = 1000000 * (1 + pick(50)),
						    .nice = pick(5) });
}
static long set_deadline(void)
{
	return set_attributes(&(struct attributes){ .policy = 6, .runtime = 10000000,
						    .deadline = 30000000,
						    .period = 50000000 });
}
static long set_clamp(void)
{
	/* keep policy and parameters, minimum and maximum */
	return set_attributes(&(struct attributes){ .flags = 0x78, .clamp_min = 10 + pick(99),
						    .clamp_max = 500 });
}
static long set_affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(pick(2), &set);
	return sched_setaffinity(0, sizeof(set), &set);
}
static long set_io_priority(void) { return syscall(SYS_ioprio_set, 1, 0, 2 << 13 | (1 + pick(6))); }

static void handler(int unused) { }
static long set_action(void)
{
	static const int numbers[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, 40, 64 };
	struct sigaction action = { .sa_handler = pick(3) ? handler : SIG_IGN,
				    .sa_flags = pick(2) ? SA_RESTART : SA_ONSTACK | SA_NODEFER };

	sigaddset(&action.sa_mask, 1 + pick(60));
	return sigaction(numbers[pick(ARRAY_SIZE(numbers))], &action, NULL);
}
static long set_mask(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, 34 + pick(20));
	sigaddset(&set, SIGUSR1);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}
static long pend_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	/* Another thread would take it. */
	return !other && pick(2) ? kill(getpid(), SIGUSR1) :
	       syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
}
static long set_altstack(void)
{
	static char stack[16384];

	return sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) - pick(64) }, NULL);
}
static long set_itimer(void)
{
	struct itimerval value = { { 7 + pick(9), 3 }, { 3600, 0 } };

	return setitimer(pick(3), &value, NULL);
}
static long set_alarm(void) { alarm(3000); return 0; }
static long make_timer(void)
{
	struct itimerspec value = { { 5000, 0 }, { 5000, 0 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	int id;

	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
		return -1;
	return syscall(SYS_timer_settime, id, 0, &value, NULL);
}
static long set_personality(void)
{
	return personality(ADDR_NO_RANDOMIZE | (pick(2) ? STICKY_TIMEOUTS : 0));
}

static long unshare_names(void) { return unshare(CLONE_NEWUTS); }
static long unshare_ipc(void) { return unshare(CLONE_NEWIPC); }
static long unshare_net(void) { return unshare(CLONE_NEWNET); }
static long unshare_mounts(void) { return unshare(CLONE_NEWNS); }
static long unshare_cgroup(void) { return unshare(CLONE_NEWCGROUP); }
static long unshare_pid(void) { return unshare(CLONE_NEWPID); }
static long unshare_time(void) { return unshare(0x80); }
static long unshare_user(void) { return unshare(CLONE_NEWUSER); }
/* Nothing changes for who shares them with no other thread. */
static long unshare_own(void)
{
	static const int what[] = { CLONE_FS, CLONE_FILES, CLONE_SYSVSEM };

	errno = EBUSY;
	return other ? -1 : unshare(what[pick(3)]);
}
static long unshare_files(void) { errno = ESRCH; return other ? unshare(CLONE_FILES) : -1; }
static long unshare_directory(void) { errno = ESRCH; return other ? unshare(CLONE_FS) : -1; }

/* Of the calling thread: libc would tell all threads by signals. */
static long set_user(void) { return syscall(SYS_setresuid, 1000, 1000, pick(2) ? 0 : -1); }
static long set_group(void) { return syscall(SYS_setresgid, 1000, 1000, 7); }
static long set_groups(void) { return syscall(SYS_setgroups, 2, (gid_t[]){ 5, 6 + pick(9) }); }
static long set_fs_user(void) { syscall(SYS_setfsuid, 1000); return 0; }
static long set_capabilities(void)
{
	unsigned int header[2] = { 0x20080522, 0 }, data[6];

	if (syscall(SYS_capget, header, data))
		return -1;
	data[0] &= ~(1 << (10 + pick(10)));
	return syscall(SYS_capset, header, data);
}
static long new_session(void) { return setsid(); }
static long new_group(void) { return setpgid(0, 0); }
static long join_keyring(void) { return syscall(SYS_keyctl, 1, 0, 0, 0, 0); }
static long make_keyring(void) { return syscall(SYS_keyctl, 0, pick(2) ? -1 : -2, 1, 0, 0); }
static long key_destination(void) { return syscall(SYS_keyctl, 14, 4 + pick(2), 0, 0, 0); }
static long set_memory_policy(void)
{
	return syscall(SYS_set_mempolicy, 1 + pick(3), (long[]){ 1 }, 64L);
}
static long bind_memory(void)
{
	return syscall(SYS_mbind, area + pick(4) * PAGE, 3 * PAGE, 2L, (long[]){ 1 }, 64L, 0L);
}
static long lock_future(void) { return mlockall(MCL_FUTURE | (pick(2) ? MCL_ONFAULT : 0)); }
static long lock_current(void) { return mlockall(MCL_CURRENT); }
static long lock_some(void) { return mlock(area + pick(4) * PAGE, 2 * PAGE); }
static long seal_memory(void) { return syscall(462, area, 4 * PAGE, 0); }
static long wipe_on_fork(void) { return madvise(area + pick(4) * PAGE, 2 * PAGE, MADV_WIPEONFORK); }
static long merge_area(void) { return madvise(area, 4 * PAGE, MADV_MERGEABLE); }
static long register_membarrier(void)
{
	return syscall(SYS_membarrier, pick(2) ? 1 << 4 : 1 << 2, 0, 0);
}
static long set_robust(void)
{
	static long head[2][3];
	return syscall(SYS_set_robust_list, head[pick(2)], 24L);
}
static long set_tid_word(void)
{
	static int words[4];
	syscall(SYS_set_tid_address, &words[pick(4)]);
	return 0;
}

static char rseq_area[2][64] __attribute__((aligned(64)));
static long register_rseq(void) { return syscall(334, rseq_area[0], 32, 0, 0x5305); }
static long set_gs(void) { return syscall(SYS_arch_prctl, 0x1001, area + pick(PAGE)); }
static long set_ldt(void)
{
	struct { unsigned int entry, base, limit, flags; } one = { pick(4), pick(999), 0xfffff,
								   0x51 };

	return syscall(SYS_modify_ldt, 1, &one, sizeof(one));
}
static long set_tls_entry(void)
{
	struct { unsigned int entry, base, limit, flags; } one = { -1, pick(999), 0xfffff, 0x51 };

	return syscall(SYS_set_thread_area, &one);
}
static long set_ports(void) { return syscall(SYS_ioperm, 0x80, 1, 1); }
static long set_io_level(void) { return syscall(SYS_iopl, 3); }

static long make_semaphores(void) { return semget(IPC_PRIVATE, 1 + pick(3), IPC_CREAT | 0600); }
static long undo_semaphore(void)
{
	return semop(semaphores, &(struct sembuf){ pick(2), 1, SEM_UNDO }, 1);
}
static long make_segment(void) { return shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600); }
static long attach_segment(void)
{
	return shmat(segment, NULL, pick(2) ? SHM_RDONLY : 0) == (void *)-1 ? -1 : 0;
}
/* As many as before, but others. */
static long replace_semaphores(void)
{
	return semctl(semaphores, 0, IPC_RMID) ?: semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
}
static long make_message_queue(void) { return msgget(IPC_PRIVATE, IPC_CREAT | 0600); }
static long open_queue(void) { return mq_open("/states", O_RDWR); }
static long make_queue(void)
{
	char name[16] = "/made0";

	name[5] += pick(9);
	return mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
}

static long replace_queue(void)
{
	return mq_unlink("/states") ?: mq_open("/other", O_RDWR | O_CREAT, 0600, NULL);
}

static int some_fd(void) { return FILE_FD + pick(PLAIN_FDS - FILE_FD); }
static long set_fd_flags(void)
{
	static const int fds[] = { FILE_FD, PIPE_IN, PIPE_OUT, SOCKET_FD, UDP_FD };

	return fcntl(fds[pick(5)], F_SETFL, pick(2) ? O_NONBLOCK : O_APPEND | O_NONBLOCK);
}
static long set_async(void) { return fcntl(PIPE_IN, F_SETFL, O_ASYNC); }
static long set_fd_cloexec(void) { return fcntl(some_fd(), F_SETFD, FD_CLOEXEC); }
static long set_fd_owner(void)
{
	struct f_owner_ex owner = { pick(2) ? F_OWNER_TID : F_OWNER_PGRP, 0 };

	owner.pid = owner.type == F_OWNER_TID ? syscall(SYS_gettid) : getpgrp();
	return fcntl(some_fd(), F_SETOWN_EX, &owner);
}
static long set_fd_signal(void) { return fcntl(some_fd(), F_SETSIG, 34 + pick(9)); }
static long seek(void) { return lseek(FILE_FD, 1 + pick(9000), SEEK_SET); }
static long read_dir(void)
{
	char entries[256];
	return syscall(SYS_getdents64, DIR_FD, entries, 256L);
}
static long lock_posix(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = pick(99), .l_len = 1 + pick(9) };

	return fcntl(FILE_FD, F_SETLK, &lock);
}
static long lock_ofd(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = pick(99), .l_len = 1 + pick(9) };

	return fcntl(FILE_FD, F_OFD_SETLK, &lock);
}
static long lock_bsd(void) { return flock(FILE_FD, LOCK_EX | LOCK_NB); }
static long lease(void) { return fcntl(LEASE_FD, F_SETLEASE, F_RDLCK); }
static long set_pipe_size(void) { return fcntl(PIPE_IN, F_SETPIPE_SZ, 2 * PAGE << pick(3)); }
static long set_socket_option(void)
{
	static const int options[] = {
		SO_RCVBUF, SO_SNDBUF, SO_PRIORITY, SO_KEEPALIVE, SO_BROADCAST, SO_REUSEADDR
	};

	return setsockopt(pick(2) ? UDP_FD : SOCKET_FD, SOL_SOCKET,
			  options[pick(ARRAY_SIZE(options))],
			  &(int){ 1 + 5000 * pick(2) }, sizeof(int));
}
static long bind_socket(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	return bind(pick(2) ? UDP_FD : TCP_FD, (struct sockaddr *)&any, sizeof(any));
}
static long set_terminal(void)
{
	struct termios settings;

	if (tcgetattr(TTY_FD, &settings))
		return -1;
	settings.c_lflag ^= pick(2) ? ECHO : ICANON;
	return tcsetattr(TTY_FD, TCSANOW, &settings);
}
static long shut_socket(void) { return shutdown(SOCKET_FD, pick(2)); }
static long replace_fd(void) { return dup2(NULL_FD, some_fd()); }
static long close_some(void) { return close(some_fd()); }
static long open_some(void) { return open(pick(2) ? "/dev/zero" : "/tmp", O_RDONLY); }
static long make_sockets(void) { return socketpair(AF_UNIX, SOCK_DGRAM, 0, (int[2]){ 0 }); }
static long make_epoll(void)
{
	struct epoll_event event = { EPOLLIN };
	int fd = epoll_create1(0);

	return fd < 0 ? fd : epoll_ctl(fd, EPOLL_CTL_ADD, PIPE_IN, &event);
}
static long make_eventfd(void) { return eventfd(3, 0); }
static long make_timerfd(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static long make_signalfd(void) { sigset_t set; sigfillset(&set); return signalfd(-1, &set, 0); }
static long make_inotify(void)
{
	int fd = inotify_init();

	return fd < 0 ? fd : inotify_add_watch(fd, "/tmp", IN_CREATE);
}
static long make_fanotify(void) { return fanotify_init(FAN_CLASS_NOTIF, O_RDONLY); }
static long make_pidfd(void) { return syscall(SYS_pidfd_open, getpid(), 0); }
static long make_memfd(void) { return memfd_create("states", MFD_ALLOW_SEALING); }
static long make_secret(void) { return syscall(447, 0); }
static long make_userfaultfd(void) { return syscall(SYS_userfaultfd, O_CLOEXEC); }
static long make_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr) };

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}
static long make_aio(void) { unsigned long context = 0; return syscall(SYS_io_setup, 4, &context); }
static long make_uring(void)
{
	struct io_uring_params p = { 0 };
	return syscall(SYS_io_uring_setup, 4, &p);
}
static long landlock(void)
{
	unsigned long handled[2] = { 1 << 9 /* MAKE_SOCK */ };
	long fd = syscall(444, handled, 8L, 0);

	if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return syscall(446, fd, 0);
}
static long filter_calls(void)
{
	struct { unsigned short code; unsigned char t, f; unsigned int k; } allow = { 6, 0, 0,
										      0x7fff0000 };
	struct { unsigned short length; void *filter; } program = { 1, &allow };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
static long protection_key(void) { return syscall(330, 0, 0); }
static long be_traced(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL); }

static long put_text(const char *path, const char *text)
{
	int result = write_text(path, text);

	errno = -result;
	return result ? -1 : 0;
}
static long oom_score(void) { return put_text("/proc/self/oom_score_adj", pick(2) ? "300" : "7"); }
static long dump_filter(void)
{
	return put_text("/proc/self/coredump_filter", pick(2) ? "0x7f" : "0x1");
}
static long proc_comm(void) { return put_text("/proc/self/comm", "by proc"); }
static long proc_slack(void) { return put_text("/proc/self/timerslack_ns", "77777"); }
static long proc_cgroup(void) { return put_text("/cgroup/states/cgroup.procs", "0"); }

/* What one thread does to another, which sleeps all the time. */
static long need_other(long result) { if (!other) errno = ESRCH; return other ? result : -1; }
static pid_t the_other(void) { return other ?: -1; }
static long other_nice(void)
{
	return need_other(setpriority(PRIO_PROCESS, the_other(), 1 + pick(19)));
}
static long other_policy(void)
{
	return need_other(sched_setscheduler(the_other(), SCHED_BATCH, &(struct sched_param){ 0 }));
}
static long other_affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(pick(2), &set);
	return need_other(sched_setaffinity(the_other(), sizeof(set), &set));
}
static long other_io_priority(void)
{
	return need_other(syscall(SYS_ioprio_set, 1, the_other(), 2 << 13 | 5));
}
static long other_name(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", the_other());
	return need_other(put_text(path, "other"));
}
static long other_signal(void)
{
	signal(SIGUSR2, SIG_IGN);
	return need_other(syscall(SYS_tgkill, getpid(), the_other(), SIGUSR2));
}

/* What the rewind has to do: RESTORE, REFUSE, or one of them; what the kernel may lack. */
enum { RESTORE = 0, REFUSE = 1, EITHER = 2, LACKING = 4, THREAD = 8 };

#define KIND(name, what) { #name, name, what }
static const struct { const char *name; long (*call)(void); int what; } kinds[] = {
	KIND(set_name, RESTORE), KIND(set_timerslack, RESTORE), KIND(set_pdeathsig, RESTORE),
	KIND(set_dumpable, REFUSE), KIND(set_keepcaps, REFUSE), KIND(set_no_new_privs, REFUSE),
	KIND(set_securebits, REFUSE), KIND(set_subreaper, RESTORE), KIND(set_thp_disable, REFUSE),
	KIND(set_tsc, REFUSE), KIND(set_mce_policy, REFUSE | LACKING),
	KIND(set_speculation, REFUSE | LACKING), KIND(set_mdwe, REFUSE),
	KIND(set_memory_merge, REFUSE | LACKING), KIND(set_io_flusher, REFUSE),
	KIND(set_user_dispatch, REFUSE), KIND(set_area_name, RESTORE | LACKING),
	KIND(set_core_cookie, REFUSE | LACKING), KIND(set_cpuid, REFUSE | LACKING),
	KIND(drop_bounding, REFUSE), KIND(raise_ambient, REFUSE), KIND(set_mm_arguments, REFUSE),
	KIND(set_mm_auxv, REFUSE), KIND(set_limit, RESTORE), KIND(set_umask, RESTORE),
	KIND(change_dir, RESTORE), KIND(change_dir_fd, RESTORE), KIND(change_root, RESTORE),
	KIND(set_nice, RESTORE), KIND(set_policy, RESTORE), KIND(set_slice, RESTORE),
	KIND(set_deadline, RESTORE), KIND(set_clamp, REFUSE | LACKING),
	KIND(set_affinity, RESTORE), KIND(set_io_priority, REFUSE), KIND(set_action, RESTORE),
	KIND(set_mask, RESTORE), KIND(pend_signal, RESTORE), KIND(set_altstack, RESTORE),
	KIND(set_itimer, RESTORE), KIND(set_alarm, RESTORE), KIND(make_timer, RESTORE),
	KIND(set_personality, REFUSE), KIND(unshare_names, REFUSE | LACKING),
	KIND(unshare_ipc, REFUSE | LACKING), KIND(unshare_net, REFUSE | LACKING),
	KIND(unshare_mounts, REFUSE), KIND(unshare_cgroup, REFUSE | LACKING),
	KIND(unshare_pid, REFUSE | LACKING), KIND(unshare_time, REFUSE | LACKING),
	KIND(unshare_user, REFUSE | LACKING), KIND(unshare_own, RESTORE),
	KIND(unshare_files, REFUSE | THREAD), KIND(unshare_directory, REFUSE | THREAD),
	KIND(set_user, REFUSE), KIND(set_group, REFUSE), KIND(set_groups, REFUSE),
	KIND(set_fs_user, REFUSE), KIND(set_capabilities, REFUSE), KIND(new_session, REFUSE),
	KIND(new_group, REFUSE), KIND(join_keyring, REFUSE | LACKING),
	KIND(make_keyring, REFUSE | LACKING), KIND(key_destination, REFUSE | LACKING),
	KIND(set_memory_policy, REFUSE | LACKING), KIND(bind_memory, RESTORE | LACKING),
	KIND(lock_future, RESTORE), KIND(lock_current, RESTORE), KIND(lock_some, RESTORE),
	KIND(seal_memory, RESTORE | LACKING), KIND(wipe_on_fork, RESTORE),
	KIND(merge_area, REFUSE | LACKING), KIND(register_membarrier, REFUSE | LACKING),
	KIND(set_robust, RESTORE), KIND(set_tid_word, RESTORE),
	KIND(register_rseq, RESTORE | LACKING), KIND(set_gs, RESTORE),
	KIND(set_ldt, REFUSE | LACKING), KIND(set_tls_entry, REFUSE | LACKING),
	KIND(set_ports, REFUSE | LACKING), KIND(set_io_level, REFUSE | LACKING),
	KIND(make_semaphores, REFUSE), KIND(undo_semaphore, REFUSE), KIND(make_segment, REFUSE),
	KIND(attach_segment, RESTORE), KIND(make_message_queue, REFUSE),
	KIND(replace_semaphores, EITHER), KIND(open_queue, RESTORE), KIND(make_queue, REFUSE),
	KIND(replace_queue, EITHER), KIND(set_fd_flags, RESTORE), KIND(set_async, REFUSE),
	KIND(set_fd_cloexec, RESTORE), KIND(set_fd_owner, RESTORE), KIND(set_fd_signal, RESTORE),
	KIND(seek, RESTORE), KIND(read_dir, RESTORE), KIND(lock_posix, RESTORE),
	KIND(lock_ofd, REFUSE), KIND(lock_bsd, REFUSE), KIND(lease, REFUSE),
	KIND(set_pipe_size, REFUSE), KIND(set_socket_option, REFUSE), KIND(bind_socket, REFUSE),
	KIND(shut_socket, REFUSE), KIND(set_terminal, REFUSE | LACKING),
	KIND(replace_fd, RESTORE), KIND(close_some, RESTORE), KIND(open_some, RESTORE),
	KIND(make_sockets, RESTORE), KIND(make_epoll, RESTORE), KIND(make_eventfd, RESTORE),
	KIND(make_timerfd, RESTORE), KIND(make_signalfd, RESTORE), KIND(make_inotify, RESTORE),
	KIND(make_fanotify, RESTORE | LACKING), KIND(make_pidfd, RESTORE),
	KIND(make_memfd, RESTORE), KIND(make_secret, RESTORE | LACKING),
	KIND(make_userfaultfd, RESTORE), KIND(make_perf, REFUSE | LACKING),
	KIND(make_aio, REFUSE | LACKING), KIND(make_uring, REFUSE | LACKING),
	KIND(landlock, REFUSE | LACKING), KIND(filter_calls, REFUSE),
	KIND(protection_key, REFUSE | LACKING), KIND(be_traced, REFUSE), KIND(oom_score, REFUSE),
	KIND(dump_filter, REFUSE), KIND(proc_comm, RESTORE), KIND(proc_slack, RESTORE),
	KIND(proc_cgroup, REFUSE), KIND(other_nice, RESTORE | THREAD),
	KIND(other_policy, RESTORE | THREAD), KIND(other_affinity, RESTORE | THREAD),
	KIND(other_io_priority, REFUSE | THREAD), KIND(other_name, RESTORE | THREAD),
	KIND(other_signal, RESTORE | THREAD),
};
#define KINDS	((int)ARRAY_SIZE(kinds))

/* ---- what a process tells about itself ----------------------------------- */

#define REPORT_FD	LOG_FD
#define TEXT_SIZE	16384

static char text[TEXT_SIZE];
static size_t length;

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	length += vsnprintf(text + length, sizeof(text) - length, format, args);
	va_end(args);
	if (length >= sizeof(text))
		fail("report too long");
}

static void add_bytes(const char *name, const void *bytes, size_t size)
{
	add("%s:", name);
	for (size_t i = 0; i < size; i++)
		add(" %x", ((const unsigned char *)bytes)[i]);
	add("\n");
}

static void add_controls(void)
{
	static const struct { const char *name; int option; long a, b; } simple[] = {
		{ "dumpable", PR_GET_DUMPABLE }, { "keepcaps", PR_GET_KEEPCAPS },
		{ "thp_disable", PR_GET_THP_DISABLE }, { "mce", PR_MCE_KILL_GET }, { "mdwe", 66 },
		{ "memory_merge", 68 }, { "timerslack", PR_GET_TIMERSLACK }, { "io_flusher", 58 },
		{ "securebits", PR_GET_SECUREBITS }, { "no_new_privs", PR_GET_NO_NEW_PRIVS },
		{ "spec_store_bypass", PR_GET_SPECULATION_CTRL, 0 },
		{ "spec_indirect_branch", PR_GET_SPECULATION_CTRL, 1 },
		{ "spec_l1d_flush", PR_GET_SPECULATION_CTRL, 2 },
	};
	static const struct { const char *name; int option; } stored[] = {
		{ "pdeathsig", PR_GET_PDEATHSIG }, { "subreaper", PR_GET_CHILD_SUBREAPER },
		{ "tsc", PR_GET_TSC }, { "tid_address", PR_GET_TID_ADDRESS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
		add("prctl %s: %d\n", simple[i].name, prctl(simple[i].option, simple[i].a, 0, 0,
							    0));
	for (size_t i = 0; i < ARRAY_SIZE(stored); i++) {
		long value = 0;

		prctl(stored[i].option, &value, 0, 0, 0);
		add("prctl %s: %lx\n", stored[i].name, value);
	}
}

static void add_signals(void)
{
	stack_t stack = { 0 };
	struct itimerval timer;

	for (int number = 1; number <= 64; number++) {
		unsigned long action[4] = { 0 };

		syscall(SYS_rt_sigaction, number, NULL, action, 8L);
		add("action %d: %lx %lx %lx %lx\n", number, action[0], action[1], action[2],
		    action[3]);
	}
	sigaltstack(NULL, &stack);
	add("altstack: %p %zu %d\n", stack.ss_sp, stack.ss_size, stack.ss_flags);
	for (int i = 0; i < 3; i++) {
		getitimer(i, &timer);
		add("itimer %d: %s, %ld.%06ld\n", i, timer.it_value.tv_sec ? "set" : "not set",
		    timer.it_interval.tv_sec, timer.it_interval.tv_usec);
	}
}

static void add_scheduling(void)
{
	struct attributes a = { 0 };

	syscall(315, 0, &a, sizeof(a), 0);
	add("scheduling: policy %u flags %lx nice %d priority %u slice %lu %lu %lu clamp %u %u\n",
	    a.policy, a.flags, a.nice, a.priority, a.runtime, a.deadline, a.period, a.clamp_min,
	    a.clamp_max);
	add("io priority: %ld\n", syscall(SYS_ioprio_get, 1, 0));
	add("io priority of the other: %ld\n", other ? syscall(SYS_ioprio_get, 1, other) : 0);
}

/* Once more would be refused if there is one already: a registration has no other way to ask. */
static long rseq_registered(void)
{
	if (syscall(334, rseq_area[1], 32, 0, 0x5305))
		return errno;
	syscall(334, rseq_area[1], 32, 1, 0x5305);
	return 0;
}

/* MCL_FUTURE shows only in what is mapped later: is it populated at once, and locked? */
static int populated_at_once(void)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char present = 0;

	if (page == MAP_FAILED)
		return -1;
	mincore(page, PAGE, &present);
	munmap(page, PAGE);
	return present & 1;
}

static void add_memory(void)
{
	static unsigned char table[4096];
	unsigned long nodes[16] = { 0 }, base[2] = { 0 };
	struct { unsigned int entry, base, limit, flags; } one;
	int mode = -1;
	void *head = NULL;
	size_t size = 0;
	long key;

	syscall(SYS_get_mempolicy, &mode, nodes, 1024L, NULL, 0L);
	add("memory policy: %d %lx\n", mode, nodes[0]);
	for (int i = 0; i < 8; i++) {
		syscall(SYS_get_mempolicy, &mode, nodes, 1024L, area + i * PAGE,
			2L /* MPOL_F_ADDR */);
		add("policy of page %d: %d %lx\n", i, mode, nodes[0]);
	}
	add("populated at once: %d\n", populated_at_once());
	add("membarrier: %ld\n", syscall(SYS_membarrier, 1 << 9, 0, 0));
	add_bytes("ldt", table, syscall(SYS_modify_ldt, 0, table, 64));
	for (int i = 12; i < 15; i++) {
		one.entry = i;
		syscall(SYS_get_thread_area, &one);
		add("thread area %d: %x %x %x\n", i, one.base, one.limit, one.flags);
	}
	syscall(SYS_arch_prctl, 0x1003, &base[0]);
	syscall(SYS_arch_prctl, 0x1004, &base[1]);
	add("bases: %lx %lx\n", base[0], base[1]);
	add("cpuid: %ld\n", syscall(SYS_arch_prctl, 0x1011, 0));
	syscall(SYS_get_robust_list, 0, &head, &size);
	add("robust list: %p %zu\n", head, size);
	add("rseq: %ld\n", rseq_registered());
	key = syscall(330, 0, 0);
	if (key >= 0)
		syscall(331, key);
	add("next protection key: %ld\n", key);
}

static void add_keyrings(void)
{
	for (int i = -5; i < 0; i++)
		add("keyring %d: %lx\n", i, syscall(SYS_keyctl, 0, i, 0, 0, 0));
	add("request keys to: %ld\n", syscall(SYS_keyctl, 14, -1, 0, 0, 0));
}

static void add_descriptors(void)
{
	static const int options[] = {
		SO_RCVBUF, SO_SNDBUF, SO_PRIORITY, SO_KEEPALIVE, SO_BROADCAST, SO_REUSEADDR,
		SO_ERROR, SO_ACCEPTCONN
	};

	for (int fd = FILE_FD; fd < PLAIN_FDS; fd++) {
		struct f_owner_ex owner = { 0 };
		struct sockaddr_in name = { 0 };
		socklen_t size = sizeof(name);
		struct termios settings = { 0 };
		struct pollfd poll_fd = { fd, POLLIN | POLLOUT | POLLRDHUP };

		fcntl(fd, F_GETOWN_EX, &owner);
		poll(&poll_fd, 1, 0);
		add("fd %d: owner %d %d signal %d pipe %d lease %d events %x", fd, owner.type,
		    owner.pid,
		    fcntl(fd, F_GETSIG), fcntl(fd, F_GETPIPE_SZ), fcntl(fd, F_GETLEASE),
			poll_fd.revents);
		for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
			int value = -1;
			socklen_t room = sizeof(value);

			getsockopt(fd, SOL_SOCKET, options[i], &value, &room);
			add(" %d", value);
		}
		if (!tcgetattr(fd, &settings))
			add(" terminal %x %x %x %x", settings.c_iflag, settings.c_oflag,
			    settings.c_cflag,
			    settings.c_lflag);
		if (!getsockname(fd, (struct sockaddr *)&name, &size) && name.sin_family == AF_INET)
			add(" port %d", name.sin_port);
		add("\n");
	}
}

static void add_ipc(void)
{
	union { int value; struct semid_ds *set; } none = { 0 };
	int queue = mq_open("/states", O_RDONLY);
	struct shmid_ds there = { 0 };

	add("queue: %d\n", queue < 0 ? errno : 0);
	close(queue);
	shmctl(segment, IPC_STAT, &there);
	add("segment: %lu attached\n", (unsigned long)there.shm_nattch);
	add("semaphores: %d %d\n", semctl(semaphores, 0, GETVAL, none), semctl(semaphores, 1,
		GETVAL, none));
}

/* ---- the subject ---------------------------------------------------------- */

enum { N_DOING, N_DID, N_INSIDE, N_INSIDE_THEN, N_BEFORE, N_AFTER, N_INSIDE_AGAIN, N_REFUSED };

static void ask_all(void)
{
	length = 0;
	add_controls();
	add_signals();
	add_scheduling();
	add_memory();
	add_keyrings();
	add_descriptors();
	add_ipc();
}

static void inside(int slot)
{
	ask_all();
	if (pwrite(REPORT_FD, text, length, 0) != (ssize_t)length)
		fail("report: %s", strerror(errno));
	note(slot, length);
}

static const struct message before = { .op = OP_NOTE, .a = N_BEFORE },
			    after = { .op = OP_NOTE, .a = N_AFTER };
static struct message seen;

/* From the first look to the second the subject changes no byte of its memory. */
static long look_rewind_look(void)
{
	register long r12 asm("r12") = (long)&before;
	register long r13 asm("r13") = (long)&after;
	register long r14 asm("r14") = (long)&seen;
	register long r15 asm("r15") = call_flags;
	long error;

#define TELL_AND_WAIT(which)				\
	"mov $1, %%eax\n\t"				\
	"mov %[fd], %%edi\n\t"				\
	"mov " which ", %%rsi\n\t"			\
	"mov %[size], %%edx\n\t"			\
	"syscall\n\t"					\
	"xor %%eax, %%eax\n\t"				\
	"mov %[fd], %%edi\n\t"				\
	"mov %%r14, %%rsi\n\t"				\
	"mov %[size], %%edx\n\t"			\
	"syscall\n\t"
	asm volatile(TELL_AND_WAIT("%%r12")
		     "mov %[nr], %%eax\n\t"
		     "mov %%r15, %%rdi\n\t"
		     "syscall\n\t"
		     "mov %%rax, %%rbx\n\t"
		     TELL_AND_WAIT("%%r13")
		     : "=&b"(error)
		     : "r"(r12), "r"(r13), "r"(r14), "r"(r15), [nr] "i"(NR_REWIND),
			[fd] "i"(CONTROL_FD),
		       [size] "i"(sizeof(struct message))
		     : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "memory", "cc");
	return error;
}

struct plan {
	int alone;		/* one kind in each generation, in turn */
	long from, to;		/* generations, counted over all subjects */
	long operations;
	int with_thread;
};

static void do_one(int kind)
{
	note(N_DOING, kind);
	errno = 0;
	note(N_DID, kind << 16 | (kinds[kind].call() < 0 ? errno : 0));
}

static void do_generation(const struct plan *plan, long number)
{
	int restorable = number % 2, kind;

	dice = (run_seed * 1000003 + number) * 0x9E3779B97F4A7C15UL;
	random_step(&dice);
	if (plan->alone) {
		do_one(number);
		return;
	}
	for (long n = 1 + pick(plan->operations); n; n--) {
		do
			kind = pick(KINDS);
		while (restorable && kinds[kind].what & (REFUSE | EITHER));
		do_one(kind);
	}
}

static void subject(const struct plan *plan)
{
	long gen;

	prepare(plan->with_thread);
	/* The first question about a keyring makes it. */
	ask_all();
	gen = checkpoint();
	inside(N_INSIDE);
	if (plan->from + gen == plan->to)
		_exit(CASE_PASS);
	do_generation(plan, plan->from + gen);
	inside(N_INSIDE_THEN);
	gen = look_rewind_look();
	inside(N_INSIDE_AGAIN);
	note(N_REFUSED, gen);
	_exit(CASE_PASS);
}

/* ---- its supervisor ------------------------------------------------------- */

struct look {
	struct portrait *portrait;
	char outside[4096];
};

struct watch {
	const struct plan *plan;
	pid_t pid;
	int socket, report;
	long generation, number;	/* of this subject; of all */
	struct look first, then;
	char told[TEXT_SIZE], told_then[TEXT_SIZE];
	int did[64], nr_did, doing;	/* in this generation: kinds that succeeded */
	int bad, refused, died, over;
};

#define LIMIT_MS	20000
#define COUNTS		"/tmp/states.counts"

static long generations = 24, operations = 4;

enum { RESTORED, REFUSED, ABSENT };

static void count(int kind, int what)
{
	int fd = open(COUNTS, O_RDWR);
	long value = 0, at = (kind * 3 + what) * sizeof(value);

	if (pread(fd, &value, sizeof(value), at) == sizeof(value)) {
		value++;
		if (pwrite(fd, &value, sizeof(value), at) < 0)
			printf("#   %s: %s\n", COUNTS, strerror(errno));
	}
	close(fd);
}

static void take_look(struct look *look, pid_t pid)
{
	static const char *const links[] = {
		"ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/pid_for_children",
			"ns/time",
		"ns/time_for_children", "ns/user", "ns/uts", "cwd", "root",
	};
	char path[64], *at = look->outside;
	struct stat there;

	look->portrait = portrait_take(pid);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		memset(&there, 0, sizeof(there));
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, links[i]);
		stat(path, &there);
		at += sprintf(at, "%s: %lx:%lu\n", links[i], (long)there.st_dev,
			      (long)there.st_ino);
	}
}

static void drop_look(struct look *look)
{
	portrait_free(look->portrait);
	look->portrait = NULL;
}

static int compare_texts(const char *was, const char *is)
{
	int differences = 0;

	while (*was || *is) {
		size_t a = strcspn(was, "\n"), b = strcspn(is, "\n");

		if (a != b || memcmp(was, is, a)) {
			printf("#   was:  %.*s\n#   is:   %.*s\n", (int)a, was, (int)b, is);
			differences++;
		}
		was += a + (was[a] == '\n');
		is += b + (is[b] == '\n');
	}
	return differences;
}

static void blame(struct watch *w, const char *what)
{
	printf("#   generation %ld: %s, after", w->number, what);
	for (int i = 0; i < w->nr_did; i++)
		printf(" %s", kinds[w->did[i]].name);
	printf("%s\n", w->nr_did ? "" : " nothing");
	w->bad = 1;
}

static void compare_look(struct watch *w, const struct look *was, const char *what)
{
	struct look now;

	take_look(&now, w->pid);
	if (portrait_compare(was->portrait, now.portrait) + compare_texts(was->outside,
		now.outside))
		blame(w, what);
	drop_look(&now);
}

static int expected(const struct watch *w)
{
	int what = 0;

	for (int i = 0; i < w->nr_did; i++)
		what |= kinds[w->did[i]].what;
	return what & REFUSE ? REFUSE : what & EITHER;
}

static void end_generation(struct watch *w, int what)
{
	if (what == REFUSED && expected(w) == RESTORE)
		blame(w, "refused");
	if (what == RESTORED && expected(w) == REFUSE)
		blame(w, "not refused");
	for (int i = 0; i < w->nr_did; i++)
		count(w->did[i], what);
	w->nr_did = 0;
	/* What is wrong now would be wrong in each generation that follows. */
	w->over = w->bad;
}

static void read_report(struct watch *w, char *into, long size)
{
	if (size >= TEXT_SIZE || pread(w->report, into, size, 0) != size)
		size = 0;
	into[size] = 0;
}

static void compare_report(struct watch *w, const char *was, long size, const char *what)
{
	static char now[TEXT_SIZE];

	read_report(w, now, size);
	if (compare_texts(was, now))
		blame(w, what);
}

static int is_absence(int error)
{
	static const int known[] = { ENOSYS, EINVAL, ENODEV, ENXIO, EOPNOTSUPP, EIO, ENOSPC, EPERM,
				     ENOENT,
				      ENOTTY };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (error == known[i])
			return 1;
	return 0;
}

static void note_did(struct watch *w, int kind, int error)
{
	if (!error) {
		if (w->nr_did < (int)ARRAY_SIZE(w->did))
			w->did[w->nr_did++] = kind;
	} else if (w->plan->alone) {
		if (kinds[kind].what & LACKING && is_absence(error)) {
			count(kind, ABSENT);
			return;
		}
		printf("#   %s: %s\n", kinds[kind].name, strerror(error));
		w->bad = 1;
	}
}

static void note_refusal(struct watch *w, long error)
{
	char path[64], reason[256];

	w->refused = 1;
	snprintf(path, sizeof(path), "/proc/%d/rewind", w->pid);
	refusal_reason_of(path, reason, sizeof(reason));
	if (error != -EOPNOTSUPP)
		blame(w, strerror(-error));
	if (reason[0] == '(')
		blame(w, "refused without a reason");
	if (w->plan->alone || expected(w) == RESTORE)
		printf("#   %s: %s\n", w->nr_did ? kinds[w->did[0]].name : "nothing", reason);
	end_generation(w, REFUSED);
}

static void be_told(struct watch *w, struct message *m)
{
	switch (m->a) {
	case N_DOING:
		w->doing = m->b;
		w->number = w->plan->from + w->generation;
		break;
	case N_DID:
		note_did(w, m->b >> 16, m->b & 0xffff);
		break;
	case N_INSIDE:
		if (!w->generation) {
			read_report(w, w->told, m->b);
			break;
		}
		compare_report(w, w->told, m->b, "tells something else after the rewind");
		end_generation(w, RESTORED);
		break;
	case N_INSIDE_THEN:
		read_report(w, w->told_then, m->b);
		break;
	case N_BEFORE:
		take_look(&w->then, w->pid);
		break;
	case N_AFTER:
		compare_look(w, &w->then, "a refused rewind changed something");
		break;
	case N_INSIDE_AGAIN:
		compare_report(w, w->told_then, m->b,
			       "tells something else after a refused rewind");
		break;
	case N_REFUSED:
		note_refusal(w, m->b);
		break;
	}
	memset(m, 0, sizeof(*m));
}

static void answer_subject(struct watch *w, struct message *m)
{
	switch (m->op) {
	case OP_FIRST:
		take_look(&w->first, w->pid);
		m->a = 0;
		break;
	case OP_AGAIN:
		w->generation++;
		drop_look(&w->then);
		compare_look(w, &w->first, "not as at the checkpoint");
		m->a = w->generation;
		break;
	case OP_NOTE:
		be_told(w, m);
		break;
	}
	m->result = 0;
	send(w->socket, m, sizeof(*m), MSG_NOSIGNAL);
}

/* Serve a subject until it ends. */
static void attend(struct watch *w)
{
	const char *patience = getenv("REWIND_PATIENCE");
	int limit_ms = LIMIT_MS * (patience ? atoi(patience) : 1);
	struct message message;
	int status;

	for (;;) {
		struct pollfd fd = { w->socket, POLLIN };

		if (poll(&fd, 1, limit_ms) <= 0) {
			blame(w, "no answer");
			kill(w->pid, SIGKILL);
			break;
		}
		if (recv(w->socket, &message, sizeof(message), 0) != sizeof(message))
			break;
		answer_subject(w, &message);
		if (w->over) {
			kill(w->pid, SIGKILL);
			waitpid(w->pid, NULL, __WALL);
			return;
		}
	}
	waitpid(w->pid, &status, __WALL);
	if (status) {
		w->died = 1;
		printf("#   status %#x; last call: %s\n", status, kinds[w->doing].name);
		blame(w, "the subject died");
	}
}

/* The first terminal of an instance of their own; the returned descriptor keeps it. */
static int make_terminal(void)
{
	int zero = 0, fd;

	mkdir(TERMINALS, 0755);
	if (mount("pts", TERMINALS, "devpts", 0, "ptmxmode=0666"))
		return -1;
	fd = open(TERMINALS "/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	ioctl(fd, TIOCSPTLCK, &zero);
	return fd;
}

/* Of one subject; returns the generation that the next one begins with. */
static long run_subject(const struct plan *plan, int *bad)
{
	static struct watch w;
	int sockets[2], terminal = make_terminal();

	memset(&w, 0, sizeof(w));
	w.plan = plan;
	/* What outlives processes lives no longer than this. */
	if (unshare(CLONE_NEWIPC) && errno != EINVAL)
		fail("IPC namespace: %s", strerror(errno));
	w.report = open("/tmp/states.report", O_RDWR | O_CREAT | O_TRUNC, 0600);
	expect(w.report >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
					   sockets) == 0);
	w.pid = fork();
	if (w.pid == 0) {
		put_at(fcntl(sockets[1], F_DUPFD, 100), CONTROL_FD);
		put_at(fcntl(w.report, F_DUPFD, 100), REPORT_FD);
		for (int fd = REPORT_FD + 1; fd < 128; fd++)
			close(fd);
		subject(plan);
	}
	close(sockets[1]);
	w.socket = sockets[0];
	attend(&w);
	close(w.socket);
	close(w.report);
	close(terminal);
	umount2(TERMINALS, MNT_DETACH);
	drop_look(&w.first);
	drop_look(&w.then);
	*bad |= w.bad;
	return plan->from + w.generation + (w.refused || w.died);
}

/* Much is freed a little later. */
static void expect_live(const char *before)
{
	struct usage now = usage();

	for (int wait = 0; wait < 500 && strcmp(now.live, before); wait++) {
		usleep(10000);
		now = usage();
	}
	if (strcmp(now.live, before))
		fail("objects of the facility: %s, before: %s", now.live, before);
}

static void run_plan(struct plan plan)
{
	struct usage start = usage();
	int bad = 0;

	setlinebuf(stdout);
	mkdir("/cgroup/states", 0755);
	while (plan.from < plan.to) {
		plan.with_thread = plan.alone ?
			!!(kinds[plan.from].what & THREAD) : plan.from / 4 % 2;
		if (!plan.alone) {
			plan.from = run_subject(&plan, &bad);
			continue;
		}
		/* Kinds that need another thread are in rows. */
		struct plan some = plan;

		some.to = plan.from;
		while (some.to < plan.to && !!(kinds[some.to].what & THREAD) == plan.with_thread)
			some.to++;
		plan.from = run_subject(&some, &bad);
	}
	expect_live(start.live);
	if (bad)
		_exit(CASE_FAIL);
}

static void alone(long unused, long unused2)
{
	run_plan((struct plan){ .alone = 1, .to = KINDS });
}

static void mixtures(long unused, long unused2)
{
	run_plan((struct plan){ .to = generations, .operations = operations });
}

static void report_counts(void)
{
	long values[KINDS][3] = { 0 };
	int fd = open(COUNTS, O_RDONLY);

	if (read(fd, values, sizeof(values)) < 0)
		return;
	for (int i = 0; i < KINDS; i++)
		printf("# states %s restored %ld refused %ld%s\n", kinds[i].name,
		       values[i][RESTORED],
		       values[i][REFUSED], values[i][ABSENT] ? " (not in this kernel)" : "");
}

/* As one word, in place of a word that has been read already. */
static int keep_option(char **argv, int at, int option, const char *value)
{
	char *word;

	if (asprintf(&word, "-%c%s", option, value ?: "") < 0)
		exit(2);
	argv[at] = word;
	return at + 1;
}

int main(int argc, char **argv)
{
	static const struct testcase cases[] = {
		{ "each kind alone", alone, 0, 0, 0, 600 }, { "mixtures", mixtures, 0, 0, 0, 3600 },
	};
	int option, failed, fd, kept = 1;

	/* -g and -o are of this program; the rest is for run_cases(). */
	while ((option = getopt(argc, argv, "las:f:g:o:t:")) != -1) {
		if (option == '?')
			return 2;
		if (option == 'g')
			generations = atol(optarg);
		else if (option == 'o')
			operations = atol(optarg);
		else
			kept = keep_option(argv, kept, option, optarg);
	}
	argv[kept] = NULL;
	fd = open(COUNTS, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (ftruncate(fd, KINDS * 3 * sizeof(long)))
		return 2;
	close(fd);
	optind = 1;
	failed = run_cases(kept, argv, cases, ARRAY_SIZE(cases));
	report_counts();
	return failed;
}
