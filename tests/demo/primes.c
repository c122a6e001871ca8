// SPDX-License-Identifier: GPL-2.0-only
/* What the demo compiles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	unsigned int limit = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
	unsigned int i, j, count = 0;
	char *composite;

	composite = malloc(limit);
	if (!composite)
		return 1;
	memset(composite, 0, limit);
	for (i = 2; i < limit; i++) {
		if (composite[i])
			continue;
		count++;
		for (j = 2 * i; j < limit; j += i)
			composite[j] = 1;
	}
	free(composite);
	printf("%u primes below %u, says a program of %s\n", count, limit, __VERSION__);
	return 0;
}
