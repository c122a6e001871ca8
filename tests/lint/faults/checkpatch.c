// SPDX-License-Identifier: GPL-2.0-only
/*
 * A style of another kind.
 * lint: LEADING_SPACE
 * lint: RETURN_PARENTHESES
 */
int camelCase(void){
    return (1);
}
