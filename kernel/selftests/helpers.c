// SPDX-License-Identifier: GPL-2.0
/* Small things that many cases need; see harness.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

char *anon(size_t pages, int fill)
{
	char *start = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		fail("mmap of %zu pages: %s", pages, strerror(errno));
	if (fill)
		memset(start, fill, pages * PAGE);
	return start;
}

char *room_for_huge(void)
{
	unsigned long at = (unsigned long)anon(2 * HUGE / PAGE, 0);

	return (char *)((at + HUGE - 1) & ~(HUGE - 1));
}

int open_bytes(size_t length, int fill)
{
	char name[] = "/tmp/bytes.XXXXXX", page[PAGE];
	int fd = mkstemp(name);

	if (fd < 0)
		fail("mkstemp: %s", strerror(errno));
	unlink(name);
	memset(page, fill, sizeof(page));
	for (size_t done = 0; done < length; done += PAGE)
		if (write(fd, page, length - done < PAGE ? length - done : PAGE) < 0)
			fail("write: %s", strerror(errno));
	return fd;
}

char *file_private(size_t pages, int fill)
{
	int fd = open_bytes(pages * PAGE, fill);
	char *start = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (start == MAP_FAILED)
		fail("mmap of a file: %s", strerror(errno));
	close(fd);
	return start;
}

void expect_filled(const char *start, size_t pages, int fill)
{
	if (*start == (char)fill && !memcmp(start, start + 1, pages * PAGE - 1))
		return;
	for (size_t i = 0; i < pages * PAGE; i++)
		if (start[i] != (char)fill)
			fail("page %zu byte %zu is %#x, not %#x", i / PAGE, i % PAGE,
			     (unsigned char)start[i], fill);
}

static ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	text[0] = 0;
	if (fd < 0)
		return -1;
	while (have < size - 1 && (n = read(fd, text + have, size - 1 - have)) > 0)
		have += n;
	close(fd);
	text[have] = 0;
	return have;
}

/* The word or number after a key at the start of a line; NULL when there is no such line. */
static char *after_key(char *text, const char *key)
{
	size_t length = strlen(key);

	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && (line[length] == ' ' || line[length] == ':'))
			return line + length + 1 + strspn(line + length + 1, " \t");
	}
	return NULL;
}

long number_in(const char *path, const char *key)
{
	static char text[65536];
	char *value;

	if (read_text(path, text, sizeof(text)) < 0)
		return -1;
	value = after_key(text, key);
	return value ? atol(value) : -1;
}

long vmstat(const char *key)
{
	return number_in("/proc/vmstat", key);
}

long meminfo_kb(const char *key)
{
	return number_in("/proc/meminfo", key);
}

long rewind_counter(const char *key)
{
	return number_in("/proc/self/rewind", key);
}

long refusal_reason_of(const char *path, char *out, size_t size)
{
	static char text[8192];
	char *value;

	snprintf(out, size, "(none given)");
	if (read_text(path, text, sizeof(text)) < 0)
		return -1;
	value = after_key(text, "refusal");
	if (!value)
		return -1;
	value[strcspn(value, "\n")] = 0;
	snprintf(out, size, "%s", value);
	return 0;
}

/* Pages that processors hold back from the free lists, which the total leaves out. */
static long held_back_kb(void)
{
	static char text[262144];
	long pages = 0;

	if (read_text("/proc/zoneinfo", text, sizeof(text)) < 0)
		return 0;
	for (char *at = text; (at = strstr(at, "count:")); at += strlen("count:"))
		pages += atol(at + strlen("count:"));
	return pages * (long)(PAGE / 1024);
}

/*
 * Memory in use, to the page: what is free and what caches hold taken off, the counters of
 * all processors folded in first.  Slab caches keep partly used pages and stand apart.
 */
struct usage usage(void)
{
	static const char *const not_used[] = { "MemFree", "Buffers", "Cached", "SwapCached", "Slab" };
	struct usage now = { .used_kb = meminfo_kb("MemTotal") };
	int fd = open("/proc/sys/vm/stat_refresh", O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	if (fd >= 0) {
		if (read(fd, text, 1) < 0)
			diag("stat_refresh: %s", strerror(errno));
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_used); i++)
		now.used_kb -= meminfo_kb(not_used[i]);
	now.used_kb -= held_back_kb();
	now.slab_kb = meminfo_kb("Slab");
	if (read_text("/proc/sys/vm/rewind_live", now.live, sizeof(now.live)) < 0)
		fail("no vm.rewind_live");
	now.live[strcspn(now.live, "\n")] = 0;
	return now;
}

/* Caches keep freed objects, and a debug kernel's quarantine megabytes of them: they let go. */
static void shrink_caches(void)
{
	DIR *caches = opendir("/sys/kernel/slab");
	struct dirent *cache;
	char path[320];

	while (caches && (cache = readdir(caches))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", cache->d_name);
		write_text(path, "1");
	}
	if (caches)
		closedir(caches);
}

/*
 * Each processor holds on to some thirty pages until they have a place among all others, freed
 * or not: they go there now.  4 keeps the kernel's log quiet.
 */
static void place_held_pages(void)
{
	write_text("/proc/sys/vm/drop_caches", "5");
}

/*
 * Pages that go from the free ones to a processor's own while the two are read are counted
 * twice or not at all, some thirty at a time: what is read twice in a row is right.
 */
struct usage settled_usage(void)
{
	struct usage last, now;

	place_held_pages();
	shrink_caches();
	now = usage();
	for (int tries = 0; tries < 100; tries++) {
		last = now;
		now = usage();
		if (now.used_kb == last.used_kb)
			break;
	}
	return now;
}

static long used_limit(long processes) { return 2 * processes; }
static long slab_limit(long processes) { return 1024 + processes; }

/*
 * After @processes have come and gone.  What the facility counts itself must be as before, to
 * the object (it warns by itself about a page that its log has lost).  A page in use for each
 * would be 4 kB a process: half of that is allowed.  Slab caches keep what they like at first,
 * and any process, with a checkpoint or not, leaves some hundred bytes there.  Much is freed a
 * little later (RCU, work queues).
 */
static int nothing_kept(const struct usage *before, struct usage *now, long processes)
{
	for (int wait = 0; wait < 500; wait++) {
		*now = wait % 100 ? usage() : settled_usage();
		if (!strcmp(now->live, before->live) &&
		    now->used_kb - before->used_kb <= used_limit(processes) &&
		    now->slab_kb - before->slab_kb <= slab_limit(processes)) {
			diag("  %ld processes: %ld kB, %ld kB slab", processes,
			     now->used_kb - before->used_kb, now->slab_kb - before->slab_kb);
			return 1;
		}
		usleep(10000);
	}
	return 0;
}

static void fail_kept(const struct usage *before, const struct usage *now, long processes)
{
	fail("%ld processes kept %ld kB (limit %ld), %ld kB slab (limit %ld), objects %s (before: %s)",
	     processes, now->used_kb - before->used_kb, used_limit(processes),
	     now->slab_kb - before->slab_kb, slab_limit(processes), now->live, before->live);
}

void expect_nothing_kept(const struct usage *before, long processes)
{
	struct usage now;

	if (!nothing_kept(before, &now, processes))
		fail_kept(before, &now, processes);
}

long read_long(const char *path)
{
	char text[64];

	return read_text(path, text, sizeof(text)) < 0 ? -1 : atol(text);
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), result;

	if (fd < 0)
		return -errno;
	result = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return result;
}

void live_in_child(void (*life)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		life();
	expect(waitpid(pid, &status, 0) == pid);
	expect_eq(status, 0);
}

/*
 * What is lost with each life is lost in each series of them; what only fills at first, such as
 * a debug kernel's store of call chains, comes to an end.
 */
void expect_lives_keep_nothing(long processes, void (*live)(long number))
{
	struct usage before, now;

	for (int series = 0; series < 8; series++) {
		before = settled_usage();
		for (long i = 0; i < processes; i++)
			live(i);
		if (nothing_kept(&before, &now, processes))
			return;
		if (strcmp(now.live, before.live))
			break;
	}
	fail_kept(&before, &now, processes);
}

pid_t start_stranger(void (*life)(void *), void *with)
{
	pid_t *told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), pid;

	expect(told != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0) {
			if (life)
				life(with);
			for (;;)
				pause();
		}
		*told = pid;
		_exit(pid < 0);
	}
	expect(waitpid(pid, NULL, 0) == pid && *told > 0);
	pid = *told;
	munmap(told, PAGE);
	return pid;
}

long set_attributes(struct attributes *attributes)
{
	attributes->size = sizeof(*attributes);
	return syscall(SYS_sched_setattr, 0, attributes, 0);
}

int mount_served(const char *path)
{
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[64];

	close(open(path, O_CREAT | O_RDWR, 0600));
	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", device);
	expect(device >= 0 && mount("served", path, "fuse", 0, options) == 0);
	return device;
}

static void answer_with(int device, unsigned long number, int error, const void *what, size_t size)
{
	struct fuse_out_header head = { .len = sizeof(head) + size, .unique = number, .error = error };
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)what, size } };

	expect(writev(device, parts, 2) == head.len);
}

void answer_served(int device, unsigned long number, const void *what, size_t size)
{
	answer_with(device, number, 0, what, size);
}

unsigned long serve_until(int device, unsigned int kind, unsigned int open_flags)
{
	static char request[FUSE_MIN_READ_BUFFER + SERVED_PAGES * PAGE];
	const struct fuse_in_header *head = (void *)request;
	struct fuse_attr_out attributes = { .attr_valid = 60, .attr = { .ino = 1, .mode = S_IFREG | 0600, .nlink = 1 } };
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = SERVED_PAGES * PAGE };
	struct fuse_open_out open = { .open_flags = open_flags };

	for (;;) {
		expect(read(device, request, sizeof(request)) > 0);
		if (head->opcode == kind)
			return head->unique;
		switch (head->opcode) {
		case FUSE_INIT:
			answer_with(device, head->unique, 0, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			answer_with(device, head->unique, 0, &attributes, sizeof(attributes));
			break;
		case FUSE_OPEN:
			answer_with(device, head->unique, 0, &open, sizeof(open));
			break;
		case FUSE_GETXATTR:
			answer_with(device, head->unique, -ENOSYS, NULL, 0);
			break;
		default:
			fail("request %u of a file system", head->opcode);
		}
	}
}

void enter_group(const char *name, const char *file, const char *limit)
{
	char path[128], pid[16];

	snprintf(path, sizeof(path), "/cgroup/%s", name);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "/cgroup/%s/%s", name, file);
	if (write_text(path, limit))
		skip("no cgroup: %s", path);
	snprintf(path, sizeof(path), "/cgroup/%s/cgroup.procs", name);
	snprintf(pid, sizeof(pid), "%d", getpid());
	expect_eq(write_text(path, pid), 0);
}

void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	expect(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0);
	close(fd);
}

int bound(int type, struct sockaddr_in *to)
{
	socklen_t length = sizeof(*to);
	int fd = socket(AF_INET, type, 0);

	loopback_up();
	*to = (struct sockaddr_in){ .sin_family = AF_INET };
	to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	expect(fd >= 0 && bind(fd, (void *)to, sizeof(*to)) == 0);
	expect(getsockname(fd, (void *)to, &length) == 0);
	return fd;
}

int has_swap(void)
{
	return meminfo_kb("SwapTotal") > 0;
}

const char *swap_device(void)
{
	return access("/dev/vda", F_OK) ? "/dev/ram0" : "/dev/vda";
}

unsigned long random_step(unsigned long *state)
{
	*state = *state * 6364136223846793005UL + 1442695040888963407UL;
	return *state >> 33;
}

void copy_program(const char *to, mode_t mode)
{
	int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	static char bytes[65536];
	ssize_t n;

	expect(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		expect(write(out, bytes, n) == n);
	expect(n == 0 && fchmod(out, mode) == 0);
	close(in);
	close(out);
}
