/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A launcher that does random things to its memory: random_memory SNAPSHOTTER FILE
 *
 * Speaks to its manager as launcher.py does. For each seed (8 bytes on descriptor 0) it runs OPERATIONS
 * of them, and is then restored; while it waits in read(2), all its memory should be what it was the
 * first time it waited there. Only accesses through the kernel are made to memory that may be gone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096ul
#define ARENA_PAGES 2048ul
#define OPERATIONS 60

static char *arena, *heap;
static int control, noise, file;
static uint64_t state;

static uint64_t chance(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void stop(void)
{
	syscall(SYS_tgkill, getpid(), gettid(), SIGSTOP);
}

static char word(void)
{
	char text[1024];
	char first;

	if (read(control, text, sizeof(text)) <= 0)
		_exit(1);
	first = text[0];
	if (first != '{' && (first < '0' || first > '9') && first != 'a')
		(void)!write(2, text, strnlen(text, sizeof(text)));
	explicit_bzero(text, sizeof(text));
	return first;
}

static char *place(uint64_t *pages)
{
	uint64_t at = chance(ARENA_PAGES - 70);

	*pages = 1 + chance(chance(4) ? 4 : 64);
	return arena + at * PAGE;
}

static const int rights[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
			      PROT_READ | PROT_WRITE };

static void deep(int n)
{
	volatile char room[8192];

	for (size_t i = 0; i < sizeof(room); i += 64)
		room[i] = (char)n;
	if (n)
		deep(n - 1);
	(void)room[0];
}

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void operate(void)
{
	uint64_t pages, others;
	char *at = place(&pages), *other, scrap[64];
	pthread_t thread;

	switch (chance(18)) {
	case 0:
	case 1:
	case 2: /* the kernel writes; fails where nothing can be written */
		(void)!read(noise, at + chance(PAGE), pages * PAGE);
		break;
	case 3:
		munmap(at, pages * PAGE);
		break;
	case 4:
		munmap(at, pages * PAGE);
		mmap(at, pages * PAGE, rights[chance(5)], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		(void)!read(noise, at, pages * PAGE / 2);
		break;
	case 5:
		mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, (off_t)(chance(8) * PAGE));
		(void)!read(noise, at, chance(2) * PAGE);
		break;
	case 6:
	case 7:
		mprotect(at, pages * PAGE, rights[chance(5)]);
		break;
	case 8: /* written while it may be, then as before */
		mprotect(at, PAGE, PROT_READ | PROT_WRITE);
		(void)!read(noise, at, 100);
		mprotect(at, PAGE, PROT_READ);
		break;
	case 9:
		madvise(at, pages * PAGE, MADV_DONTNEED);
		process_vm_readv(getpid(), &(struct iovec){ scrap, 64 }, 1, &(struct iovec){ at, 64 }, 1, 0);
		break;
	case 10:
		other = place(&others);
		mremap(at, pages * PAGE, others * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
		break;
	case 11:
		mremap(at, PAGE, (1 + chance(8)) * PAGE, MREMAP_MAYMOVE);
		break;
	case 12:
		other = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (chance(2))
			(void)!read(noise, other, pages * PAGE);
		break;
	case 13:
		if (sbrk((intptr_t)chance(9000)) != (void *)-1) /* another one may have lowered it */
			(void)!read(noise, heap, 5000);
		break;
	case 14:
		if (chance(4) == 0)
			brk(heap + chance(3) * PAGE);
		break;
	case 15:
		deep((int)chance(60));
		break;
	case 16:
		madvise(at, pages * PAGE, chance(2) ? MADV_HUGEPAGE : MADV_DONTFORK);
		break;
	case 17:
		if (chance(3) == 0)
			pthread_create(&thread, NULL, idle, NULL);
		else if (chance(2) && fork() == 0)
			for (;;)
				pause();
		break;
	}
}

static void set_up(const char *path)
{
	size_t size = ARENA_PAGES * PAGE;
	char *volatile first = malloc(1); /* so that malloc's memory is below ours, which brk takes away */

	free(first);
	noise = open("/dev/urandom", O_RDONLY);
	file = open(path, O_RDONLY);
	arena = (char *)(((uintptr_t)mmap(NULL, size + (4 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) +
			  (2 << 20)) & ~((2ul << 20) - 1));
	mprotect(arena, size, PROT_READ | PROT_WRITE);
	madvise(arena, 4 << 20, MADV_HUGEPAGE);
	for (uint64_t i = 0; i < 400; i++)
		memset(arena + chance(ARENA_PAGES) * PAGE, (int)i, PAGE / 2);
	for (uint64_t i = 0; i < 20; i++) { /* populated, and zero */
		volatile char *byte = arena + chance(ARENA_PAGES) * PAGE;
		*byte = *byte;
	}
	for (uint64_t i = 0; i < 6; i++) {
		char *at = arena + (600 + 100 * i) * PAGE;

		mmap(at, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, 0);
		memset(at + PAGE, 7, 2 * PAGE);
		mprotect(at + 20 * PAGE, 10 * PAGE, rights[i % 5]);
		munmap(at + 40 * PAGE, 10 * PAGE);
	}
	heap = sbrk(16 * PAGE);
	memset(heap, 3, 8 * PAGE);
}

int main(int argc, char **argv)
{
	int ends[2];
	char number[4][16];
	pid_t child;

	if (argc != 3 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
		return 2;
	child = fork();
	if (child) {
		snprintf(number[0], 16, "%d", child);
		snprintf(number[1], 16, "%d", ends[1]);
		snprintf(number[2], 16, "%d", ends[0]);
		execl(argv[1], argv[1], number[0], number[1], number[2], "4", NULL);
		_exit(1);
	}
	close(ends[1]);
	close(4);
	control = ends[0];
	if (word() != 'a')
		return 1;
	state = 88172645463325252ull;
	set_up(argv[2]);
	stop();
	if (word() != '{')
		stop();
	for (;;) {
		if (read(0, &state, sizeof(state)) != sizeof(state))
			return 0;
		for (int i = 0; i < OPERATIONS; i++)
			operate();
		stop();
		_exit(1); /* was not restored */
	}
}
