/* SPDX-License-Identifier: GPL-2.0 */
/* The three system calls, without libc: an error is a negative errno. */
#ifndef SELFTEST_REWIND_H
#define SELFTEST_REWIND_H

#define NR_CHECKPOINT	548L
#define NR_REWIND	549L
#define NR_REWINDABLE	550L

/* The low two bits are ignored: published launchers pass 1 and 2. */
#define RF_NO_REUSE		(1UL << 2)
#define RF_NO_REGION_REUSE	(1UL << 3)
#define RF_FULL_WALK		(1UL << 4)
#define RF_VERIFY		(1UL << 5)	/* debug kernels only */
#define RF_SEAL			(1UL << 6)	/* of checkpoint(): no later one */

static inline long raw_syscall(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "0"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline long sys_checkpoint(unsigned long flags)
{
	return raw_syscall(NR_CHECKPOINT, flags, 0, 0);
}

static inline long sys_rewind(unsigned long flags)
{
	return raw_syscall(NR_REWIND, flags, 0, 0);
}

static inline long sys_rewindable(void)
{
	return raw_syscall(NR_REWINDABLE, 0, 0, 0);
}

#endif
