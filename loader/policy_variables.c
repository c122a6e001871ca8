// SPDX-License-Identifier: MIT
/* The variables of a policy that are set before it is loaded: its "const volatile" ones. */
#include "policy_variables.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "policy_object.h"

bool incfs_policy_is_variables(const char *name)
{
	static const char end[] = ".rodata";
	size_t len = strlen(name);

	return len >= strlen(end) && !strcmp(name + len - strlen(end), end);
}

static bool describe(const struct btf *btf, const struct btf_var_secinfo *info, char *data,
		     size_t size, struct incfs_policy_variable *var)
{
	const struct btf_type *type = btf__type_by_id(btf, info->type);
	int id = btf__resolve_type(btf, info->type);

	if (id < 0 || !btf_is_var(type))
		return false;
	*var = (struct incfs_policy_variable){
		.name = btf__name_by_offset(btf, type->name_off),
		.at = data + info->offset,
	};
	type = btf__type_by_id(btf, id);
	if (btf_is_int(type)) {
		var->is_signed = btf_int_encoding(type) & BTF_INT_SIGNED;
		var->is_bool = btf_int_encoding(type) & BTF_INT_BOOL;
	} else if (btf_is_any_enum(type)) {
		var->is_signed = btf_kflag(type);
	} else {
		return false;
	}
	var->size = type->size;
	return (var->size == 1 || var->size == 2 || var->size == 4 || var->size == 8) &&
	       info->offset + var->size <= size;
}

bool incfs_policy_variables_each(const struct btf *btf, __u32 type_id, void *data, size_t size,
				 bool (*each)(void *arg, const struct incfs_policy_variable *var),
				 void *arg)
{
	const struct btf_type *section = btf__type_by_id(btf, type_id);
	const struct btf_var_secinfo *info;
	struct incfs_policy_variable var;

	if (!section || !btf_is_datasec(section))
		return false;
	info = btf_var_secinfos(section);
	for (int i = 0; i < btf_vlen(section); i++, info++) {
		if (describe(btf, info, data, size, &var) && each(arg, &var))
			return true;
	}
	return false;
}

bool incfs_policy_object_variables(const struct incfs_policy_object *policy,
				   bool (*each)(void *arg,
						const struct incfs_policy_variable *var),
				   void *arg)
{
	const struct btf *btf = bpf_object__btf(policy->obj);
	struct bpf_map *map;
	size_t size;
	void *data;

	bpf_object__for_each_map(map, policy->obj) {
		data = bpf_map__initial_value(map, &size);
		if (data && incfs_policy_is_variables(bpf_map__name(map)))
			return incfs_policy_variables_each(btf, bpf_map__btf_value_type_id(map),
							   data, size, each, arg);
	}
	return false;
}

static __s64 get(const struct incfs_policy_variable *var)
{
	__u64 value = 0;
	int shift = 64 - 8 * var->size;

	/* Sizes and byte order are the machine's own. */
	switch (var->size) {
	case 1:
		value = *(__u8 *)var->at;
		break;
	case 2:
		value = *(__u16 *)var->at;
		break;
	case 4:
		value = *(__u32 *)var->at;
		break;
	case 8:
		value = *(__u64 *)var->at;
		break;
	}
	return var->is_signed ? (__s64)(value << shift) >> shift : (__s64)value;
}

void incfs_policy_variable_print(const struct incfs_policy_variable *var,
				 char text[INCFS_VARIABLE_TEXT])
{
	__s64 value = get(var);

	if (var->is_bool)
		snprintf(text, INCFS_VARIABLE_TEXT, "%s", value ? "true" : "false");
	else if (var->is_signed)
		snprintf(text, INCFS_VARIABLE_TEXT, "%lld", value);
	else
		snprintf(text, INCFS_VARIABLE_TEXT, "%llu", (__u64)value);
}

static bool parse_bool(const char *text, __u64 *value)
{
	*value = !strcmp(text, "true") || !strcmp(text, "1");
	return *value || !strcmp(text, "false") || !strcmp(text, "0");
}

/* Decimal, or hexadecimal after 0x. */
static bool parse_value(const struct incfs_policy_variable *var, const char *text, __u64 *value)
{
	bool minus = *text == '-', hex = !strncasecmp(text + minus, "0x", 2);
	__u64 most = ~0ull >> (64 - 8 * var->size);
	const char *digits = text + minus + 2 * hex;
	char *end;

	if (var->is_bool)
		return parse_bool(text, value);
	if (minus && !var->is_signed)
		return false;
	if (var->is_signed)
		most = (most >> 1) + minus;
	errno = 0;
	*value = strtoull(digits, &end, hex ? 16 : 10);
	if (!*digits || !strchr(hex ? "0123456789abcdefABCDEF" : "0123456789", *digits) || *end ||
	    errno || *value > most)
		return false;
	if (minus)
		*value = -*value;
	return true;
}

static void put(const struct incfs_policy_variable *var, __u64 value)
{
	switch (var->size) {
	case 1:
		*(__u8 *)var->at = value;
		break;
	case 2:
		*(__u16 *)var->at = value;
		break;
	case 4:
		*(__u32 *)var->at = value;
		break;
	case 8:
		*(__u64 *)var->at = value;
		break;
	}
}

struct wanted {
	const char *name;
	size_t len;
	struct incfs_policy_variable var;
	char known[256];
};

static bool find_variable(void *arg, const struct incfs_policy_variable *var)
{
	struct wanted *wanted = arg;
	size_t used = strlen(wanted->known);

	wanted->var = *var;
	snprintf(wanted->known + used, sizeof(wanted->known) - used, "%s%s", used ? ", " : "",
		 var->name);
	return strlen(var->name) == wanted->len && !strncmp(var->name, wanted->name, wanted->len);
}

static void complain(const struct incfs_policy_object *policy,
		     const struct incfs_policy_variable *var, const char *text)
{
	__u64 most = ~0ull >> (64 - 8 * var->size);

	if (var->is_bool)
		incfs_error("'%s' of the policy '%s' is true or false, not '%s'", var->name,
			    policy->what, text);
	else if (var->is_signed)
		incfs_error("'%s' of the policy '%s' is a number from %lld to %lld, not '%s'",
			    var->name, policy->what, -(__s64)(most >> 1) - 1,
			    (__s64)(most >> 1), text);
	else
		incfs_error("'%s' of the policy '%s' is a number from 0 to %llu, not '%s'",
			    var->name, policy->what, most, text);
}

int incfs_policy_object_set(struct incfs_policy_object *policy, const char *setting)
{
	struct wanted wanted = { .name = setting, .len = strcspn(setting, "=") };
	const char *text = setting + wanted.len;
	__u64 value;

	if (!wanted.len || !*text) {
		incfs_error("'%s' is not VARIABLE=VALUE", setting);
		return -1;
	}
	text++;
	if (!incfs_policy_object_variables(policy, find_variable, &wanted)) {
		incfs_error("the policy '%s' has no variable '%.*s'; it has %s", policy->what,
			    (int)wanted.len, setting, wanted.known[0] ? wanted.known : "none");
		return -1;
	}
	if (!parse_value(&wanted.var, text, &value)) {
		complain(policy, &wanted.var, text);
		return -1;
	}
	put(&wanted.var, value);
	return 0;
}
