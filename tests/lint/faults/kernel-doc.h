/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lint: 'here' not described in 'fault'
 * lint: Excess struct member 'gone'
 */
/**
 * struct fault - a member that is not told of, and one that is not there
 * @gone: nowhere
 */
struct fault {
	int here;
};
