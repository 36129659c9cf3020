// SPDX-License-Identifier: GPL-2.0
/* Permit and run: rewindable() permits children of its caller, so a launcher needs one process in between. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../selftests/rewind.h"

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	if (argc < 2)
		return 2;
	if (sys_rewindable() < 0)
		fprintf(stderr, "rewindable() failed\n");
	pid = fork();
	if (pid == 0) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
