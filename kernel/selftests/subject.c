// SPDX-License-Identifier: GPL-2.0
/* The subject's side of the REWIND self-tests; see harness.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "protocol.h"

static const struct message first = { .op = OP_FIRST }, again = { .op = OP_AGAIN };
static struct message answer;

void diag(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "# %s\n", text);
}

void fail_at(const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "#   %s:%d: %s\n", file, line, text);
	_exit(CASE_FAIL);
}

void skip(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "#   skipped: %s\n", text);
	_exit(CASE_SKIP);
}

static long ask(long op, long a, long b, const void *bytes, size_t length);

/* A process that has changed its user may not read its own file; the supervisor may. */
long refusal_reason(char *text, size_t size)
{
	if (!refusal_reason_of("/proc/self/rewind", text, size))
		return 0;
	if (ask(OP_REASON, 0, 0, NULL, 0))
		return -1;
	snprintf(text, size, "%s", answer.bytes);
	return 0;
}

void expect_reason(const char *reason)
{
	size_t length = strlen(reason);
	char text[256];

	refusal_reason(text, sizeof(text));
	/* What follows is a number: which thread, descriptor or address. */
	if (strncmp(text, reason, length) || strncmp(text + length, " (", 2))
		fail("refused for '%s', not '%s'", text, reason);
}

static void checkpoint_failed(long error)
{
	char reason[256];

	refusal_reason(reason, sizeof(reason));
	fail("checkpoint: %s; reason: %s", strerror(-error), reason);
}

long checkpoint(void)
{
	register long r12 asm("r12") = (long)&first;
	register long r13 asm("r13") = (long)&again;
	register long r14 asm("r14") = (long)&answer;
	long gen;

	/*
	 * checkpoint(flags); write(CONTROL_FD, gen ? &again : &first); read(CONTROL_FD, &answer):
	 * no store to memory between the return and the supervisor's look.
	 */
	asm volatile("syscall\n\t"
		     "mov %%rax, %%rbx\n\t"
		     "test %%rax, %%rax\n\t"
		     "js 1f\n\t"
		     "mov %%r12, %%rsi\n\t"
		     "cmovnz %%r13, %%rsi\n\t"
		     "mov $1, %%eax\n\t"
		     "mov %[fd], %%edi\n\t"
		     "mov %[size], %%edx\n\t"
		     "syscall\n\t"
		     "xor %%eax, %%eax\n\t"
		     "mov %[fd], %%edi\n\t"
		     "mov %%r14, %%rsi\n\t"
		     "mov %[size], %%edx\n\t"
		     "syscall\n\t"
		     "1:"
		     : "=&b"(gen)
		     : "a"(NR_CHECKPOINT), "D"(call_flags), "r"(r12), "r"(r13), "r"(r14),
		       [fd] "i"(CONTROL_FD), [size] "i"(sizeof(struct message))
		     : "rcx", "r11", "rsi", "rdx", "memory", "cc");
	if (gen < 0)
		checkpoint_failed(gen);
	if (answer.result)
		_exit(CASE_FAIL);	/* the supervisor has printed why */
	if (answer.a != gen)
		fail("checkpoint returned generation %ld, not %ld", gen, answer.a);
	return gen;
}

long checkpoint_plain(void)
{
	long gen = sys_checkpoint(call_flags);

	if (gen < 0)
		checkpoint_failed(gen);
	return gen;
}

void rewind_now(void)
{
	long error = sys_rewind(call_flags);
	char reason[256];

	refusal_reason(reason, sizeof(reason));
	fail("rewind: %s; reason: %s", strerror(-error), reason);
}

static long ask(long op, long a, long b, const void *bytes, size_t length)
{
	struct message message = { .op = op, .a = a, .b = b };

	if (length > sizeof(message.bytes))
		fail("message of %zu bytes", length);
	if (bytes)
		memcpy(message.bytes, bytes, length);
	if (write(CONTROL_FD, &message, sizeof(message)) != sizeof(message) ||
	    read(CONTROL_FD, &answer, sizeof(answer)) != sizeof(answer))
		fail("no answer from the supervisor (errno %d)", errno);
	return answer.result;
}

void note(int slot, long value)
{
	ask(OP_NOTE, slot, value, NULL, 0);
}

long noted(int slot)
{
	return ask(OP_NOTED, slot, 0, NULL, 0);
}

long other_process_vm_write(void *address, const void *bytes, size_t length)
{
	return ask(OP_VM_WRITE, (long)address, length, bytes, length);
}

long other_mem_write(void *address, const void *bytes, size_t length)
{
	return ask(OP_MEM_WRITE, (long)address, length, bytes, length);
}

long other_ptrace_poke(void *address, const void *bytes, size_t length)
{
	return ask(OP_PTRACE_POKE, (long)address, length, bytes, length);
}

long other_kill(int signal)
{
	return ask(OP_KILL, signal, 0, NULL, 0);
}

long other_is_alive(pid_t pid)
{
	return ask(OP_ALIVE, pid, 0, NULL, 0);
}

long other_drain(void *bytes, size_t length)
{
	long have = ask(OP_DRAIN, 0, length, NULL, 0);

	if (have > 0)
		memcpy(bytes, answer.bytes, have);
	return have;
}
