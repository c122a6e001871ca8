// SPDX-License-Identifier: MIT
/* The command line and the configuration file of incfs-bpf-loader run. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "fetch.h"
#include "list.h"
#include "log.h"
#include "option.h"
#include "policy_object.h"
#include "util.h"

#include <incfs/policy.h>

/* It becomes part of the mount options. */
static bool set_policy(const struct incfs_option *option, void *context, const char *value)
{
	struct incfs_options *options = context;

	if (!incfs_policy_name_valid(value)) {
		incfs_error("--%s: '%s' is not a name of up to %d letters, digits, '_', '-', '.'",
			    option->name, value, INCFS_POLICY_NAME_MAX - 1);
		return false;
	}
	options->policy = strcmp(value, "none") ? value : NULL;
	return true;
}

static const struct incfs_option settings_row = {
	.name = "set", .offset = offsetof(struct incfs_options, settings),
	.most = INCFS_SETTINGS_MAX,
};

static bool set_ahead(const struct incfs_option *option, void *context, const char *value)
{
	struct incfs_options *options = context;
	__u64 ahead;

	if (!incfs_parse_number(value, option->least, option->most, &ahead)) {
		incfs_error("--%s: '%s' is not a number from %llu to %llu", option->name, value,
			    option->least, option->most);
		return false;
	}
	snprintf(options->ahead, sizeof(options->ahead), "ahead=%llu", ahead);
	return incfs_option_texts(&settings_row, options, options->ahead);
}

#define AT(member) .offset = offsetof(struct incfs_options, member)

static const struct incfs_option rows[] = {
	{ "config", 'c', "FILE", "take options from FILE, one a line, as NAME = VALUE",
	  incfs_option_text, AT(config) },
	{ "source", 's', "SRC", "a directory, or http(s)://... of a static file server, with\n"
	  "the files or a bundle of them (incfs pack); several have the same",
	  incfs_option_texts, AT(sources), .most = INCFS_MIRRORS_MAX },
	{ "verify", 0, "KEY", "take only a bundle that is signed with this Ed25519 key; the\n"
	  "public one, in a PEM file", incfs_option_text, AT(verify) },
	{ "image", 'i', "FILE", "where the contents are kept; made if it isn't there",
	  incfs_option_text, AT(image) },
	{ "subdir", 0, "NAME", "the tree is in directory NAME of the image, which can hold other\n"
	  "versions beside it", incfs_option_text, AT(subdir) },
	{ "limit-image", 0, "SIZE", "how large the image may grow: bytes, or K, M, G, T",
	  incfs_option_size, AT(limit_image) },
	{ "mountpoint", 'm', "DIR", "the same as the argument MOUNTPOINT",
	  incfs_option_text, AT(mountpoint) },
	{ "list", 'l', "FILE", "list of the files of SRC (incfs pack), if not in SRC",
	  incfs_option_text, AT(list) },
	{ "policy", 'p', "NAME", "of a policy that comes with the loader (incfs policy list),\n"
	  "or is registered, or auto, or none (default sequential)", set_policy, AT(policy) },
	{ "set", 'S', "VAR=VALUE", "set a variable of the policy that comes with the loader",
	  incfs_option_texts, AT(settings), .most = INCFS_SETTINGS_MAX },
	{ "ahead", 'a', "N", "the same as --set ahead=N", set_ahead, .most = 1 << 20 },
	{ "profile", 'P', "FILE", "what the policy replay fetches by (incfs record)",
	  incfs_option_text, AT(profile) },
	{ "timeout", 't', "MS", "readers fail after waiting so long (default 0: never)",
	  incfs_option_number, AT(timeout_ms), .most = 0x7fffffff },
	{ "parallel", 'j', "N", "requests at a time (default 32)",
	  incfs_option_number, AT(parallel), 1, INCFS_PARALLEL_MAX },
	{ "limit-rate", 0, "SIZE", "bytes a second to be fetched, or K, M, G",
	  incfs_option_size, AT(limit_rate) },
	{ "header-file", 0, "FILE", "lines to be sent in the head of each request",
	  incfs_option_text, AT(http.header_file) },
	{ "netrc", 0, "FILE", "names and passwords for servers, as netrc(5) has them",
	  incfs_option_text, AT(http.netrc) },
	{ "cacert", 0, "FILE", "certificates of those who vouch for servers, in a PEM file",
	  incfs_option_text, AT(http.cacert) },
	{ "proxy", 0, "URL", "instead of what the environment says",
	  incfs_option_text, AT(http.proxy) },
	{ "stall-timeout", 0, "S", "give up a transfer that stalls for so many seconds, and try\n"
	  "again (default 20)", incfs_option_number, AT(http.stall_s), 1, 86400 },
	{ "no-background", 0, NULL, "fetch only what is asked for",
	  incfs_option_off, AT(background) },
	{ "no-compress", 0, NULL, "store all blocks as they come",
	  incfs_option_off, AT(compress) },
	{ "exit-when-complete", 'x', NULL, "end when every block is there",
	  incfs_option_on, AT(exit_when_complete) },
	{ "keep-mount", 'k', NULL, "do not unmount at the end",
	  incfs_option_on, AT(keep_mount) },
	{ "quiet", 'q', NULL, "errors and warnings only", incfs_option_on, AT(quiet) },
	{ "verbose", 'v', NULL, "every request", incfs_option_on, AT(verbose) },
	{}
};

static const struct incfs_usage usage = {
	.program = "incfs-bpf-loader run",
	.args = "--source SRC --image FILE [OPTION]... MOUNTPOINT\n"
		"--config FILE [OPTION]... [MOUNTPOINT]",
	.about =
"Mount FILE on MOUNTPOINT with the files of SRC in it, and fetch their contents:\n"
"first what programs read, then the rest.\n",
	.options = rows,
	.most = 1,
};

static bool check_options(const struct incfs_options *options)
{
	if (options->verify && options->list) {
		incfs_error("--verify and --list exclude each other: a bundle has its own list");
		return false;
	}
	if (options->subdir && (incfs_list_check_path(options->subdir) ||
				strchr(options->subdir, '/'))) {
		incfs_error("--subdir: '%s' is not the name of a directory", options->subdir);
		return false;
	}
	if (options->sources[0] && options->image && options->mountpoint)
		return true;
	incfs_error("%s is missing", !options->sources[0] ? "--source" :
		    !options->image ? "--image" : "the mount point");
	return false;
}

/* The file stands before all that the command line says. */
static int parse_config(struct incfs_options *options, int argc, char **argv)
{
	struct incfs_options first = *options;
	int code = incfs_usage_parse(&usage, &first, argc, argv);

	if (code >= 0)
		return code;
	if (!first.config)
		return -1;
	if (incfs_config_read(first.config, rows, options, &options->config_text))
		return 2;
	/* Sources add up, but not those of two descriptions. */
	if (first.sources[0])
		memset(options->sources, 0, sizeof(options->sources));
	if (!options->config)
		return -1;
	incfs_error("'%s' can't name another file with options", first.config);
	return 2;
}

int incfs_options_parse(struct incfs_options *options, int argc, char **argv)
{
	int code;

	*options = (struct incfs_options){
		.policy = "sequential", .parallel = INCFS_PARALLEL_DEFAULT,
		.background = true, .compress = true, .http.stall_s = INCFS_STALL_DEFAULT_S,
	};
	code = parse_config(options, argc, argv);
	if (code < 0)
		code = incfs_usage_parse(&usage, options, argc, argv);
	if (code >= 0)
		return code;
	if (optind < argc)
		options->mountpoint = argv[optind];
	options->http.where = options->sources;
	/* One is what a bundle's base needs, beside all others. */
	options->http.parallel = options->parallel + 1;
	options->http.rate = options->limit_rate;
	return check_options(options) ? -1 : incfs_usage_mistake(&usage);
}

void incfs_options_free(struct incfs_options *options)
{
	free(options->config_text);
	options->config_text = NULL;
}
