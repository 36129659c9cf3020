// SPDX-License-Identifier: GPL-2.0
/* Registers: general, x87, SSE, AVX, MXCSR, protection keys, thread-local bases. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

static uint8_t before[16][32] __attribute__((aligned(32)));
static uint8_t after[16][32] __attribute__((aligned(32)));

static int has_avx(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AVX) && (c & bit_OSXSAVE);
}

static long vectors_sse(void)
{
	long gen;

	asm volatile("movdqa (%2), %%xmm0\n\tmovdqa 32(%2), %%xmm7\n\t"
		     "movdqa 64(%2), %%xmm8\n\tmovdqa 96(%2), %%xmm15\n\t"
		     "syscall\n\t"
		     "movdqa %%xmm0, (%3)\n\tmovdqa %%xmm7, 32(%3)\n\t"
		     "movdqa %%xmm8, 64(%3)\n\tmovdqa %%xmm15, 96(%3)\n\t"
		     : "=a"(gen) : "0"(NR_CHECKPOINT), "r"(before), "r"(after), "D"(call_flags)
		     : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm8", "xmm15");
	return gen;
}

static long vectors_avx(void)
{
	long gen;

	asm volatile("vmovdqa (%2), %%ymm0\n\tvmovdqa 32(%2), %%ymm7\n\t"
		     "vmovdqa 64(%2), %%ymm8\n\tvmovdqa 96(%2), %%ymm15\n\t"
		     "syscall\n\t"
		     "vmovdqa %%ymm0, (%3)\n\tvmovdqa %%ymm7, 32(%3)\n\t"
		     "vmovdqa %%ymm8, 64(%3)\n\tvmovdqa %%ymm15, 96(%3)\n\tvzeroupper\n\t"
		     : "=a"(gen) : "0"(NR_CHECKPOINT), "r"(before), "r"(after), "D"(call_flags)
		     : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm8", "xmm15");
	return gen;
}

static void vectors(long avx, long unused)
{
	size_t width = avx ? 32 : 16;
	long gen;

	if (avx && !has_avx())
		skip("no AVX");
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 32; k++)
			before[i][k] = 16 * i + k + 1;
	gen = avx ? vectors_avx() : vectors_sse();
	if (gen < 0)
		fail("checkpoint: %ld", gen);
	for (int i = 0; i < 4; i++)
		if (memcmp(before[i], after[i], width))
			fail("vector register %d differs after rewind %ld", i, gen);
	if (gen == GENERATIONS)
		return;
	asm volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm7, %%xmm7\n\t"
		     "pcmpeqd %%xmm8, %%xmm8\n\tpcmpeqd %%xmm15, %%xmm15"
		     : : : "xmm0", "xmm7", "xmm8", "xmm15");
	if (avx)
		asm volatile("vpcmpeqd %%xmm1, %%xmm1, %%xmm1\n\tvinsertf128 $1, %%xmm1, %%ymm0, %%ymm0"
			     : : : "xmm0", "xmm1");
	rewind_now();
}

static void general(long unused, long unused2)
{
	register long r12 asm("r12") = 0x1212121212121212;
	register long r13 asm("r13") = 0x1313131313131313;
	register long r14 asm("r14") = 0x1414141414141414;
	register long r15 asm("r15") = 0x1515151515151515;
	register long r8 asm("r8") = 8, r9 asm("r9") = 9, r10 asm("r10") = 10;
	long gen, flags;

	asm volatile("std\n\tsyscall\n\tpushf\n\tpop %1\n\tcld"
		     : "=a"(gen), "=&b"(flags), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r12), "+r"(r13),
		       "+r"(r14), "+r"(r15)
		     : "0"(NR_CHECKPOINT), "D"(call_flags)
		     : "rcx", "r11", "memory", "cc");
	if (gen < 0)
		fail("checkpoint: %ld", gen);
	if (r8 != 8 || r9 != 9 || r10 != 10)
		fail("argument registers differ: %ld %ld %ld", r8, r9, r10);
	if (r12 != 0x1212121212121212 || r13 != 0x1313131313131313 || r14 != 0x1414141414141414 ||
	    r15 != 0x1515151515151515)
		fail("saved registers differ: %lx %lx %lx %lx", r12, r13, r14, r15);
	if (!(flags & 0x400))
		fail("the direction flag was lost: %#lx", flags);
	if (gen == GENERATIONS)
		return;
	asm volatile("xor %%r12d, %%r12d\n\txor %%r13d, %%r13d\n\txor %%r15d, %%r15d\n\t"
		     : : : "r12", "r13", "r15", "cc");
	rewind_now();
}

static void control_words(long unused, long unused2)
{
	uint32_t mxcsr = 0x9f80 | 0x6000, read_mxcsr;
	uint16_t word = 0x0c7f, read_word;
	long gen;

	asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(word));
	gen = checkpoint();
	asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(read_mxcsr), "=m"(read_word));
	if (read_mxcsr != mxcsr || read_word != word)
		fail("MXCSR %#x and x87 control %#x after rewind %ld", read_mxcsr, read_word, gen);
	if (gen == GENERATIONS)
		return;
	read_mxcsr = 0x1f80;
	asm volatile("ldmxcsr %0\n\tfninit" : : "m"(read_mxcsr));
	rewind_now();
}

static void x87_stack(long unused, long unused2)
{
	double left;
	long gen;

	asm volatile("fninit\n\tfldpi\n\tfld1");
	gen = checkpoint();
	asm volatile("fstpl %0" : "=m"(left));
	if (left != 1.0)
		fail("top of the x87 stack is %f after rewind %ld", left, gen);
	asm volatile("fstpl %0" : "=m"(left));
	if (left < 3.14 || left > 3.15)
		fail("second of the x87 stack is %f", left);
	if (gen == GENERATIONS)
		return;
	asm volatile("fninit\n\tfldz\n\tfldz\n\tfldz");
	rewind_now();
}

static void thread_base(long unused, long unused2)
{
	unsigned long base = 0;
	long gen;

	syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456789000UL);
	gen = checkpoint();
	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	if (base != 0x123456789000UL)
		fail("gs base is %#lx after rewind %ld", base, gen);
	if (gen == GENERATIONS)
		return;
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0x5000UL);
	rewind_now();
}

/* A process may load them; they make no difference in 64-bit code, but stay. */
static void data_segments(long unused, long unused2)
{
	unsigned int ds, es, ds_now, es_now;
	long gen;

	asm volatile("mov %%ds, %0\n\tmov %%es, %1" : "=r"(ds), "=r"(es));
	gen = checkpoint();
	asm volatile("mov %%ds, %0\n\tmov %%es, %1" : "=r"(ds_now), "=r"(es_now));
	if (ds_now != ds || es_now != es)
		fail("DS is %#x, ES is %#x after rewind %ld", ds_now, es_now, gen);
	if (gen == GENERATIONS)
		return;
	asm volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x2b));
	rewind_now();
}

static int has_keys(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & (1 << 4));
}

static uint32_t read_keys(void)
{
	uint32_t keys, rest;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(keys), "=d"(rest) : "c"(0));
	return keys;
}

static void write_keys(uint32_t keys)
{
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(keys), "c"(0), "d"(0));
}

static void protection_keys(long unused, long unused2)
{
	long gen;

	if (!has_keys())
		skip("no protection keys");
	write_keys(0x55555550);
	gen = checkpoint();
	if (read_keys() != 0x55555550)
		fail("PKRU is %#x after rewind %ld", read_keys(), gen);
	if (gen == GENERATIONS)
		return;
	write_keys(0x5555555c);
	rewind_now();
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "general registers and flags", general, 0, 0, 0, 0 },
		{ "SSE", vectors, 0, 0, 0, 0 },
		{ "AVX", vectors, 1, 0, 0, 0 },
		{ "MXCSR and x87 control", control_words, 0, 0, 0, 0 },
		{ "the x87 stack", x87_stack, 0, 0, 0, 0 },
		{ "gs base", thread_base, 0, 0, 0, 0 },
		{ "PKRU", protection_keys, 0, 0, 0, 0 },
		{ "data segments", data_segments, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
