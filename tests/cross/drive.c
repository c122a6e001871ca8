// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a target of tests/fuzz where there is no libFuzzer: drive COUNT FILE..., first
 * the files, then COUNT inputs that the target's own mutator makes of them, the same
 * ones each time. A finding aborts, as it does there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX 65536
#define INPUTS_MAX 4096

static struct input {
	size_t size;
	__u8 *data;
} inputs[INPUTS_MAX];

/* A generator of numbers that is the same on every machine. */
static __u32 next_random(void)
{
	static __u64 state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return state >> 33;
}

size_t LLVMFuzzerMutate(__u8 *data, size_t size, size_t max)
{
	if (!size || (size < max && !(next_random() % 4)))
		data[size++] = next_random();
	for (unsigned int i = next_random() % 4 + 1; i--; )
		data[next_random() % size] ^= 1 << next_random() % 8;
	return size;
}

static struct input read_input(const char *path)
{
	struct input input = { .data = malloc(INPUT_MAX) };
	FILE *file = fopen(path, "rb");

	if (!file || !input.data) {
		perror(path);
		exit(1);
	}
	input.size = fread(input.data, 1, INPUT_MAX, file);
	fclose(file);
	return input;
}

/* What is looked at ends where the input does, for those who see what lies behind. */
static void try(const __u8 *data, size_t size)
{
	__u8 *copy = malloc(size + 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	static __u8 data[INPUT_MAX];
	unsigned int nr = argc - 2, count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (argc < 3 || nr > INPUTS_MAX || LLVMFuzzerInitialize(&argc, &argv))
		return 2;
	for (unsigned int i = 0; i < nr; i++) {
		inputs[i] = read_input(argv[i + 2]);
		try(inputs[i].data, inputs[i].size);
	}
	for (unsigned int i = 0; i < count; i++) {
		const struct input *input = &inputs[next_random() % nr];
		size_t size = input->size;

		memcpy(data, input->data, size);
		for (unsigned int times = next_random() % 4 + 1; times--; )
			size = LLVMFuzzerCustomMutator(data, size, sizeof(data), next_random());
		try(data, size);
	}
	return 0;
}
