// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin for QEMU's emulation: counts the guest's instructions by the address of
 * their block, between two marks, and writes "ADDRESS INSTRUCTIONS" lines to the
 * file that PROFILE_OUT names. The marks are no-operations with an operand of their
 * own (mark_begin() and mark_end() in tests/bench/bench.c).
 *
 * Debian's QEMU takes plugins, but has no header for them: what is used of the
 * interface, version 1, is declared here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
					   void (*cb)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  void (*cb)(unsigned int cpu, void *data), int flags,
					  void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int cpu, void *data), int flags,
					    void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*cb)(uint64_t id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 1;
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

#define BUCKETS 65536

/* struct block - a row of instructions that are run together */
struct block {
	struct block *next;
	uint64_t address;
	uint64_t length;
	uint64_t runs;
};

static struct block *blocks[BUCKETS];
static bool counting;

static struct block *block_at(uint64_t address, uint64_t length)
{
	struct block **bucket = &blocks[(address ^ address >> 16) % BUCKETS];
	struct block *block;

	for (block = *bucket; block; block = block->next)
		if (block->address == address && block->length == length)
			return block;
	block = calloc(1, sizeof(*block));
	if (!block)
		abort();
	block->address = address;
	block->length = length;
	block->next = *bucket;
	*bucket = block;
	return block;
}

static void run(unsigned int cpu, void *data)
{
	struct block *block = data;

	block->runs += counting;
}

static void mark(unsigned int cpu, void *data)
{
	counting = data;
}

static void translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	static const uint8_t begin[] = { 0x0f, 0x1f, 0x80, 0x11, 0x22, 0x33, 0x44 };
	static const uint8_t end[] = { 0x0f, 0x1f, 0x80, 0x55, 0x66, 0x77, 0x08 };
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t n = qemu_plugin_tb_n_insns(tb), i;
	struct qemu_plugin_insn *insn;
	const void *bytes;

	qemu_plugin_register_vcpu_tb_exec_cb(tb, run, 0, block_at(address, n));
	/* Marks are in programs. */
	for (i = 0; i < n && !(address >> 63); i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		if (qemu_plugin_insn_size(insn) != sizeof(begin))
			continue;
		bytes = qemu_plugin_insn_data(insn);
		if (!memcmp(bytes, begin, sizeof(begin)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, 0, &counting);
		else if (!memcmp(bytes, end, sizeof(end)))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, 0, NULL);
	}
}

static void report(uint64_t id, void *data)
{
	FILE *out = fopen(getenv("PROFILE_OUT"), "w");
	struct block *block;
	size_t i;

	if (!out)
		return;
	for (i = 0; i < BUCKETS; i++)
		for (block = blocks[i]; block; block = block->next)
			if (block->runs)
				fprintf(out, "%llx %llu\n", (unsigned long long)block->address,
					(unsigned long long)(block->runs * block->length));
	fclose(out);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	if (!getenv("PROFILE_OUT"))
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	qemu_plugin_register_atexit_cb(id, report, NULL);
	return 0;
}
