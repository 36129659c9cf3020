/* SPDX-License-Identifier: GPL-2.0 */
/* What subject and supervisor say to each other. */
#ifndef SELFTEST_PROTOCOL_H
#define SELFTEST_PROTOCOL_H

enum op {
	OP_FIRST, OP_AGAIN, OP_NOTE, OP_NOTED, OP_VM_WRITE, OP_MEM_WRITE, OP_PTRACE_POKE,
	OP_KILL, OP_ALIVE, OP_DRAIN, OP_REASON
};

struct message {
	long op, a, b, result;
	char bytes[128];
};

#endif
