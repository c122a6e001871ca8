#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Words that split where nobody meant them to; a directory that may not be there.
# lint: [SC2068]
# lint: [SC2164]
cd /nowhere
rm -r $@
