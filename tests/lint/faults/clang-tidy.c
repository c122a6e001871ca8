// SPDX-License-Identifier: GPL-2.0-only
/*
 * A size of a pointer for what it points to; a null pointer on one of its ways.
 * lint: bugprone-sizeof-expression
 * lint: clang-analyzer-core.NullDereference
 */
#include <string.h>

struct big {
	int numbers[100];
};

int sizes(struct big *big, int *number);
int sizes(struct big *big, int *number)
{
	memset(big, 0, sizeof(big));
	return number ? 0 : *number;
}
