// SPDX-License-Identifier: MIT
/* The policy that a loader brings along, and the maps that it needs. */
#include "policy.h"

#include <errno.h>
#include <incfs/policy.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "policy_maps.h"
#include "policy_variables.h"

/* The policy that the maps are taken from if they are not there. */
#define MAPS_CARRIER "sequential"

static int load(struct incfs_policy *policy)
{
	const char *const *setting;

	if (incfs_policy_object_open(&policy->object, policy->choice))
		return -1;
	for (setting = policy->settings; *setting; setting++) {
		if (incfs_policy_object_set(&policy->object, *setting))
			goto err;
	}
	if (!incfs_policy_object_load(&policy->object))
		return 0;
err:
	incfs_policy_object_close(&policy->object);
	return -1;
}

/* Returns 0 also when somebody else has registered a policy of this name. */
static int attach(struct incfs_policy *policy)
{
	int err;

	policy->link = incfs_policy_object_attach(&policy->object);
	if (policy->link)
		return 0;
	err = errno;
	incfs_policy_object_close(&policy->object);
	if (err != EEXIST) {
		incfs_error("can't register the policy '%s': %s", policy->choice, strerror(err));
		return -1;
	}
	incfs_info("a policy '%s' is registered already: using that%s", policy->choice,
		   *policy->settings ? ", and --set does not change it" : "");
	return 0;
}

static int open_maps(struct incfs_policy *policy)
{
	policy->rings_fd = incfs_policy_map_make(INCFS_RINGS_NAME, MAPS_CARRIER);
	if (policy->rings_fd >= 0)
		policy->lost_fd = incfs_policy_map_make(INCFS_LOST_NAME, MAPS_CARRIER);
	return policy->lost_fd < 0 ? -1 : 0;
}

static int check_settings(const struct incfs_policy *policy)
{
	if (policy->ours || !*policy->settings)
		return 0;
	incfs_error("--set %s: that is for a policy that comes with the loader, and '%s' is none",
		    *policy->settings, policy->choice ?: "none");
	return -1;
}

int incfs_policy_open(struct incfs_policy *policy, const char *choice,
		      const char *const *settings)
{
	const char *obstacle = incfs_policy_obstacle();

	*policy = (struct incfs_policy){
		.choice = choice, .settings = settings,
		.ours = choice && incfs_policy_builtin_find(choice),
		.rings_fd = -1, .lost_fd = -1,
	};
	if (check_settings(policy))
		return -1;
	if (obstacle) {
		incfs_log(choice ? INCFS_LOG_ERROR : INCFS_LOG_INFO,
			  "no policy can be used: %s%s", obstacle,
			  choice ? "; without one: --policy none" : "");
		return choice ? -1 : 0;
	}
	if (policy->ours && (load(policy) || attach(policy)))
		return -1;
	if (open_maps(policy) && choice) {
		incfs_policy_close(policy);
		return -1;
	}
	return 0;
}

void incfs_policy_keep(struct incfs_policy *policy, const char *name)
{
	if (policy->link || !policy->ours || *name || load(policy))
		return;
	policy->link = incfs_policy_object_attach(&policy->object);
	if (policy->link)
		incfs_info("the policy '%s' had gone: registered it again", policy->choice);
	else
		incfs_policy_object_close(&policy->object);
}

void incfs_policy_close(struct incfs_policy *policy)
{
	bpf_link__destroy(policy->link);
	policy->link = NULL;
	incfs_policy_object_close(&policy->object);
	if (policy->rings_fd >= 0)
		close(policy->rings_fd);
	if (policy->lost_fd >= 0)
		close(policy->lost_fd);
	policy->rings_fd = -1;
	policy->lost_fd = -1;
}
