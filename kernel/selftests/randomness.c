// SPDX-License-Identifier: GPL-2.0
/* What must differ: pages that are wiped, never restored, so that no two requests share a seed. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "harness.h"

#define MAP_DROPPABLE	0x08
#define DRAWS		8	/* generations that draw */

static void wiped(long flags, long unused)
{
	char *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			   flags ? flags | MAP_ANONYMOUS : MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long gen;

	if (pages == MAP_FAILED)
		skip("no such mapping: %s", strerror(errno));
	if (!flags && madvise(pages, 4 * PAGE, MADV_WIPEONFORK))
		skip("no MADV_WIPEONFORK");
	memset(pages, 's', 2 * PAGE);
	gen = checkpoint_plain();
	if (gen)
		expect_filled(pages, 4, 0);
	if (gen == GENERATIONS)
		return;
	memset(pages + PAGE, 'T', 3 * PAGE);
	rewind_now();
}

static void expect_new(long gen, long bytes)
{
	for (int i = 0; i < gen; i++)
		if (noted(i) == bytes)
			fail("generation %ld drew the bytes of generation %d", gen, i);
	note(gen, bytes);
}

/* A generator as libraries have them: it asks for a key when its page says that it has none. */
struct generator {
	long keyed;
	unsigned long state;
};

static long draw(struct generator *generator)
{
	if (!generator->keyed) {
		expect(getrandom(&generator->state, sizeof(long), 0) == sizeof(long));
		generator->keyed = 1;
	}
	random_step(&generator->state);
	return generator->state;
}

static struct generator *keyed_generator(int advice)
{
	struct generator *generator = (struct generator *)anon(1, 0);

	if (advice && madvise(generator, PAGE, advice))
		skip("no such advice: %s", strerror(errno));
	draw(generator);
	return generator;
}

/* The one in an ordinary page shows what happens without the wiping. */
static void own_generator(long unused, long unused2)
{
	struct generator *wiped = keyed_generator(MADV_WIPEONFORK), *plain = keyed_generator(0);
	long gen = checkpoint_plain(), ordinary = draw(plain);

	if (gen == 0)
		note(DRAWS + 1, ordinary);
	expect_eq(ordinary, noted(DRAWS + 1));
	expect_new(gen, draw(wiped));
	if (gen < DRAWS)
		rewind_now();
}

/* ---- the C library's generator: a function of the vDSO ----------------- */

typedef ssize_t (*vdso_getrandom)(void *bytes, size_t length, unsigned int flags,
				  void *state, size_t state_length);

struct vdso_state {
	unsigned int size, protection, flags, reserved[13];
};

static const Elf64_Dyn *dynamic_section(unsigned long base)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)base;
	const Elf64_Phdr *part = (const Elf64_Phdr *)(base + head->e_phoff);

	for (int i = 0; i < head->e_phnum; i++)
		if (part[i].p_type == PT_DYNAMIC)
			return (const Elf64_Dyn *)(base + part[i].p_offset);
	return NULL;
}

/* The table of names follows that of symbols, which does not tell its own length. */
static void *vdso_function(const char *name)
{
	unsigned long base = getauxval(AT_SYSINFO_EHDR);
	const Elf64_Sym *symbol = NULL;
	const char *names = NULL;

	if (!base)
		return NULL;
	for (const Elf64_Dyn *d = dynamic_section(base); d && d->d_tag; d++) {
		if (d->d_tag == DT_SYMTAB)
			symbol = (const Elf64_Sym *)(base + d->d_un.d_ptr);
		if (d->d_tag == DT_STRTAB)
			names = (const char *)(base + d->d_un.d_ptr);
	}
	for (; symbol && (const char *)symbol < names; symbol++)
		if (!strcmp(names + symbol->st_name, name))
			return (void *)(base + symbol->st_value);
	return NULL;
}

static void *vdso_state(vdso_getrandom random, struct vdso_state *kind)
{
	void *state;

	expect_eq(random(NULL, 0, 0, kind, ~0UL), 0);
	expect(kind->flags & MAP_DROPPABLE);
	state = mmap(NULL, PAGE, kind->protection, kind->flags, -1, 0);
	expect(state != MAP_FAILED);
	return state;
}

static int is_blank(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i])
			return 0;
	return 1;
}

static void library_generator(long unused, long unused2)
{
	vdso_getrandom random = vdso_function("__vdso_getrandom");
	struct vdso_state kind;
	long bytes = 0, gen;
	void *state;

	if (!random)
		skip("no getrandom in the vDSO");
	state = vdso_state(random, &kind);
	/* Some of a batch is drawn and some left over: that is what must not come again. */
	expect_eq(random(&bytes, sizeof(bytes), 0, state, kind.size), sizeof(bytes));
	if (is_blank(state, kind.size))
		skip("the system call was asked: the kernel's generator is not ready");
	gen = checkpoint_plain();
	if (gen)
		expect(is_blank(state, kind.size));
	expect_eq(random(&bytes, sizeof(bytes), 0, state, kind.size), sizeof(bytes));
	expect_new(gen, bytes);
	expect(!is_blank(state, kind.size));
	if (gen < DRAWS)
		rewind_now();
}

int main(int argc, char **argv)
{
	const struct testcase cases[] = {
		{ "MADV_WIPEONFORK", wiped, 0, 0, 0, 0 },
		{ "MAP_DROPPABLE", wiped, MAP_DROPPABLE, 0, 0, 0 },
		{ "a generator in a wiped page", own_generator, 0, 0, 0, 0 },
		{ "the vDSO's getrandom", library_generator, 0, 0, 0, 0 },
	};

	return run_cases(argc, argv, cases, ARRAY_SIZE(cases));
}
