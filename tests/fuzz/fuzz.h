/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the libFuzzer targets share: figures of a run, printed at its end, and
 * the switch that turns their mutators off, to see what these are good for.
 */
#ifndef INCFS_FUZZ_FUZZ_H
#define INCFS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(__u8 *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const __u8 *a, size_t a_size, const __u8 *b, size_t b_size,
				 __u8 *out, size_t max, unsigned int seed);
/* libFuzzer's own */
size_t LLVMFuzzerMutate(__u8 *data, size_t size, size_t max);

/* INCFS_FUZZ_PLAIN=1: flip bits only. */
static inline bool fuzz_plain(void)
{
	return getenv("INCFS_FUZZ_PLAIN");
}

/* What must hold, whatever the input: libFuzzer keeps the one for which it does not. */
#define fuzz_must(condition)                                                      \
	do {                                                                      \
		if (!(condition)) {                                               \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__,   \
				__LINE__, #condition);                            \
			abort();                                                  \
		}                                                                 \
	} while (0)

#endif
