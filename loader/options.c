// SPDX-License-Identifier: MIT
/* The command line of incfs-bpf-loader run. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "log.h"
#include "policy_object.h"

#include <incfs/policy.h>

static void print_usage(FILE *out)
{
	fprintf(out,
"usage: incfs-bpf-loader run --source SRC --image FILE [OPTION]... MOUNTPOINT\n"
"Mount FILE on MOUNTPOINT with the files of SRC in it, and fetch their contents:\n"
"first what programs read, then the rest.\n"
"  -s, --source SRC      a directory, or http(s)://... of a static file server\n"
"  -i, --image FILE      where the contents are kept; made if it isn't there\n"
"  -l, --list FILE       list of the files of SRC (incfs pack), if not in SRC\n"
"  -p, --policy NAME     of a policy that comes with the loader (incfs policy list),\n"
"                        or is registered, or auto, or none (default sequential)\n"
"  -S, --set VAR=VALUE   set a variable of the policy that comes with the loader\n"
"  -a, --ahead N         the same as --set ahead=N\n"
"  -P, --profile FILE    what the policy replay fetches by (incfs record)\n"
"  -t, --timeout MS      readers fail after waiting so long (default 0: never)\n"
"  -j, --parallel N      requests at a time (default %d)\n"
"      --no-background   fetch only what is asked for\n"
"      --no-compress     store all blocks as they come\n"
"  -x, --exit-when-complete\n"
"                        end when every block is there\n"
"  -k, --keep-mount      do not unmount at the end\n"
"  -q, --quiet           errors and warnings only\n"
"  -v, --verbose         every request\n"
"  -h, --help            this text\n",
		INCFS_PARALLEL_DEFAULT);
}

static bool parse_count(const char *text, unsigned int least, unsigned int most,
			unsigned int *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number < least || number > most)
		return false;
	*value = number;
	return true;
}

static bool parse_number(const char *name, const char *text, unsigned int least,
			 unsigned int most, unsigned int *value)
{
	if (parse_count(text, least, most, value))
		return true;
	incfs_error("--%s: '%s' is not a number from %u to %u", name, text, least, most);
	return false;
}

/* It becomes part of the mount options. */
static bool parse_policy(struct incfs_options *options, const char *name)
{
	if (!incfs_policy_name_valid(name)) {
		incfs_error("--policy: '%s' is not a name of up to %d letters, digits, '_', '-', '.'",
			    name, INCFS_POLICY_NAME_MAX - 1);
		return false;
	}
	options->policy = strcmp(name, "none") ? name : NULL;
	return true;
}

static bool add_setting(struct incfs_options *options, const char *setting)
{
	for (size_t i = 0; i < INCFS_SETTINGS_MAX; i++) {
		if (options->settings[i])
			continue;
		options->settings[i] = setting;
		return true;
	}
	incfs_error("--set: no more than %d", INCFS_SETTINGS_MAX);
	return false;
}

enum { OPT_NO_BACKGROUND = 256, OPT_NO_COMPRESS };

static bool parse_option(struct incfs_options *options, int opt)
{
	unsigned int ahead;

	switch (opt) {
	case 's':
		options->source = optarg;
		return true;
	case 'i':
		options->image = optarg;
		return true;
	case 'l':
		options->list = optarg;
		return true;
	case 'p':
		return parse_policy(options, optarg);
	case 'a':
		if (!parse_number("ahead", optarg, 0, 1 << 20, &ahead))
			return false;
		snprintf(options->ahead, sizeof(options->ahead), "ahead=%u", ahead);
		return add_setting(options, options->ahead);
	case 'S':
		return add_setting(options, optarg);
	case 'P':
		options->profile = optarg;
		return true;
	case 't':
		return parse_number("timeout", optarg, 0, 0x7fffffff, &options->timeout_ms);
	case 'j':
		return parse_number("parallel", optarg, 1, INCFS_PARALLEL_MAX,
				    &options->parallel);
	case 'x':
		options->exit_when_complete = true;
		return true;
	case 'k':
		options->keep_mount = true;
		return true;
	case 'q':
		options->quiet = true;
		return true;
	case 'v':
		options->verbose = true;
		return true;
	case OPT_NO_BACKGROUND:
		options->background = false;
		return true;
	case OPT_NO_COMPRESS:
		options->compress = false;
		return true;
	default:
		return false;
	}
}

static bool check_options(const struct incfs_options *options)
{
	if (options->source && options->image && options->mountpoint)
		return true;
	incfs_error("%s is missing", !options->source ? "--source" :
		    !options->image ? "--image" : "the mount point");
	return false;
}

int incfs_options_parse(struct incfs_options *options, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "source", required_argument, NULL, 's' },
		{ "image", required_argument, NULL, 'i' },
		{ "list", required_argument, NULL, 'l' },
		{ "policy", required_argument, NULL, 'p' },
		{ "set", required_argument, NULL, 'S' },
		{ "ahead", required_argument, NULL, 'a' },
		{ "profile", required_argument, NULL, 'P' },
		{ "timeout", required_argument, NULL, 't' },
		{ "parallel", required_argument, NULL, 'j' },
		{ "no-background", no_argument, NULL, OPT_NO_BACKGROUND },
		{ "no-compress", no_argument, NULL, OPT_NO_COMPRESS },
		{ "exit-when-complete", no_argument, NULL, 'x' },
		{ "keep-mount", no_argument, NULL, 'k' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int opt;

	*options = (struct incfs_options){
		.policy = "sequential", .parallel = INCFS_PARALLEL_DEFAULT,
		.background = true, .compress = true,
	};
	while ((opt = getopt_long(argc, argv, "s:i:l:p:S:a:P:t:j:xkqvh", longopts, NULL)) != -1) {
		if (opt == 'h') {
			print_usage(stdout);
			return 0;
		}
		if (!parse_option(options, opt))
			goto usage;
	}
	if (optind < argc)
		options->mountpoint = argv[optind++];
	if (optind < argc) {
		incfs_error("'%s' is one argument too many", argv[optind]);
		goto usage;
	}
	if (check_options(options))
		return -1;
usage:
	fputs("'incfs-bpf-loader run --help' says more.\n", stderr);
	return 2;
}
