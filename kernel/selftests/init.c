// SPDX-License-Identifier: GPL-2.0
/*
 * Process 1 of the test boot: mounts what the tests need, runs each line of
 * /selftests.list as a command, and powers off.
 *
 * Results (TAP and "# program" lines) go to the second serial port when there is one,
 * so that kernel messages, which go to the first, cannot tear them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORDS	32

static void mount_all(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mkdir("/tmp", 01777);
	mkdir("/cgroup", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);
	mount("cgroup", "/cgroup", "cgroup2", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
}

static void open_results(void)
{
	struct termios raw;
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);

	/* A port that is not there opens too, and fails at the first request. */
	if (fd >= 0 && tcgetattr(fd, &raw)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		return;
	if (!tcgetattr(fd, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		printf("# %s: %s\n", path, strerror(errno));
	close(fd);
}

/* A swap area made by hand: the signature page that mkswap would write. */
static void swap_on(void)
{
	static const char *const disks[] = { "/dev/vda", "/dev/ram0" };
	static char header[4096];
	unsigned int *info = (unsigned int *)(header + 1024);
	const char *disk = disks[access(disks[0], F_OK) ? 1 : 0];
	int fd = open(disk, O_RDWR);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (size <= 0)
		return;
	info[0] = 1;			/* version */
	info[1] = size / 4096 - 1;	/* last page */
	memcpy(header + 4096 - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, header, sizeof(header), 0) != sizeof(header) || fsync(fd))
		printf("# no swap: %s\n", strerror(errno));
	close(fd);
	if (swapon(disk, 0))
		printf("# swapon: %s\n", strerror(errno));
}

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

/* Its findings, in the kernel's log: that is where a report belongs. */
static void show_leaks(void)
{
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	FILE *leaks = fopen(KMEMLEAK, "re");
	char text[256], line[300];

	while (log >= 0 && leaks && fgets(text, sizeof(text), leaks)) {
		int length = snprintf(line, sizeof(line), "<4>%s", text);

		if (write(log, line, length) != length)
			break;
	}
	if (leaks)
		fclose(leaks);
	if (log >= 0)
		close(log);
}

/*
 * kmemleak spares objects that are younger than five seconds, and at first all those whose
 * content has changed since the scan before: what is lost shows in the second scan.
 */
static void look_for_leaks(void)
{
	static const int waits[] = { 6, 1, 1 };

	if (access(KMEMLEAK, W_OK))
		return;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		sleep(waits[i]);
		put(KMEMLEAK, "scan");
	}
	show_leaks();
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* KEY=value words before the command are its environment, as in a shell. */
static void start(char *line)
{
	char *words[MAX_WORDS + 1], *rest, *word;
	int count = 0;
	pid_t pid;

	for (word = strtok_r(line, " ", &rest); word && count < MAX_WORDS; word = strtok_r(NULL, " ", &rest)) {
		if (!count && strchr(word, '=') && word[0] != '/')
			putenv(word);
		else
			words[count++] = word;
	}
	words[count] = NULL;
	/*
	 * One process in between: rewindable() permits the children of its caller's
	 * parent too, and that must not be process 1, or the next program could not
	 * be shown to be refused.
	 */
	pid = fork();
	if (pid == 0) {
		execv(words[0], words);
		printf("# cannot run %s: %s\n", words[0], strerror(errno));
		_exit(127);
	}
	int status;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}

static void run(const char *command)
{
	char line[1024];
	double begin = now();
	int status;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", command);
	printf("# program begins: %s\n", command);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		start(line);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	printf("# program ends: status %d signal %d after %.3f s\n",
	       WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	       WIFSIGNALED(status) ? WTERMSIG(status) : 0, now() - begin);
	fflush(stdout);
}

int main(void)
{
	char line[1024];
	FILE *list;

	mount_all();
	open_results();
	setenv("HOME", "/", 1);
	setenv("PATH", "/bin", 1);
	/* The kernel writes a processor number into an rseq area whenever it migrates a thread. */
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	put("/cgroup/cgroup.subtree_control", "+memory");
	put("/cgroup/cgroup.subtree_control", "+pids");
	swap_on();
	list = fopen("/selftests.list", "re");
	if (!list)
		printf("# no /selftests.list\n");
	while (list && fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] && line[0] != '#')
			run(line);
	}
	look_for_leaks();
	printf("# all programs ended\n");
	fflush(stdout);
	tcdrain(1);
	sync();
	reboot(getenv("rewind_reboot") ? RB_AUTOBOOT : RB_POWER_OFF);
	return 0;
}
