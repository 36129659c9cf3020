/*
 * Last part of the compile step of schemes on the REWIND kernel: permit what the proxy starts from now
 * on to checkpoint itself. The call marks the caller's parent, so the compile step must become this
 * program; a launcher cannot permit itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NR_REWINDABLE 550

int main(void)
{
	if (syscall(NR_REWINDABLE) == 0)
		return 0;
	fprintf(stderr, "rewindable: %s%s\n", strerror(errno),
		errno == ENOSYS ? " (the kernel has no REWIND)" :
		errno == EPERM ? " (vm.rewind is 0, or a system call filter denies it)" : "");
	return 1;
}
