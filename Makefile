# SPDX-License-Identifier: GPL-2.0-only
# The table of contents: what can be made. The scripts under tests/vm do the work
# of the test bed; each directory's Makefile.inc says what is built from it.
#
# Natively, products stand in build/native; what the test bed builds in the guest
# root stands in build (tests/vm/build sets O, in the environment: as an argument
# it would reach kbuild as well).

O       ?= build/native
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
BPFTOOL ?= $(or $(shell PATH=$$PATH:/usr/sbin command -v bpftool),bpftool)
CFLAGS  ?= -O2 -g
INSTALL ?= install

# KERNELS: releases, or beginnings of them; the module is built for these of the
# installed ones. None named: the running kernel.
releases := $(foreach k,$(KERNELS),$(filter $(k)%,$(notdir $(wildcard /lib/modules/*))))
releases := $(or $(sort $(releases)),$(KERNELS),$(shell uname -r))
KDIR    ?= /lib/modules/$*/build

# Where the types of a kernel can be read: of the running one, or of the oldest
# that we build for.
BTF_VMLINUX ?= $(if $(filter $(shell uname -r),$(releases)),/sys/kernel/btf/vmlinux,$\
		/lib/modules/$(firstword $(releases))/build/vmlinux)

# The fragments add to these, and prerequisites to the targets of the same name:
BINARIES :=	# programs of user space, to be installed
LIBRARIES :=	# libraries of user space, to be installed
POLICIES :=	# BPF objects, to be installed
HEADERS  :=	# what a policy of one's own includes, to be installed
SCRIPTS  :=	# scripts for bpftrace, to be installed

export TESTS KERNELS

.PHONY: all native modules user policies testprogs install install-user uninstall
.PHONY: check check-native check-debug check-races check-long check-cross check-arm64 check-fstests
.PHONY: lint demo shell clean help FORCE bench bench-quick bench-native
.DELETE_ON_ERROR:

all: native		## build for the running kernel, here
	+@$(MAKE) --no-print-directory modules user policies

native:
	@tests/vm/native

-include loader/Makefile.inc
-include bpf/Makefile.inc
-include tests/Makefile.inc
-include tests/bench/Makefile.inc
-include tests/lint/Makefile.inc

BINARIES := $(strip $(BINARIES))
LIBRARIES := $(strip $(LIBRARIES))
POLICIES := $(strip $(POLICIES))
HEADERS  := $(strip $(HEADERS))
SCRIPTS  := $(strip $(SCRIPTS))

modules: $(releases:%=$(O)/%/incfs.ko)	## the kernel module
user: $(BINARIES) $(LIBRARIES)	## loader, tools and library
policies: $(POLICIES)			## BPF objects
testprogs:				## test programs

# kbuild of 6.12 puts its products beside the sources: each release has a
# directory of links to them. Without BTF the policy type would silently be
# missing at run time.
$(O)/%/incfs.ko: FORCE
	@mkdir -p $(@D)
	@ln -sfn $(CURDIR)/include $(O)/include
	@find -L $(@D) -maxdepth 1 -type l -delete
	@ln -sf $(CURDIR)/kmod/* $(@D)/
	+$(MAKE) -C $(KDIR) M=$(abspath $(@D)) W=1 modules
	@readelf -SW $@ | grep -q ' \.BTF ' || { \
		echo "error: $@ has no .BTF section: $(KDIR) needs a vmlinux with BTF," \
		"and pahole must be installed" >&2; rm -f $@; exit 1; }

install: headers = /lib/modules/$(firstword $(releases))/build
install: native		## module, library, programs, manual, policies and scripts of `make` (root)
	@test -e $(O)/$(firstword $(releases))/incfs.ko || \
		{ echo "nothing to install: run 'make' first" >&2; exit 1; }
	$(MAKE) -C $(headers) M=$(abspath $(O)/$(firstword $(releases))) \
		$(if $(wildcard $(headers)/certs/signing_key.pem),,CONFIG_MODULE_SIG_ALL=) \
		$(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(if $(DESTDIR),,depmod $(firstword $(releases)))
	+@$(MAKE) --no-print-directory install-user

install-user:		## all of that but the module
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/incfs/trace \
		$(DESTDIR)$(PREFIX)/include/incfs $(DESTDIR)$(PREFIX)/share/man/man1
	$(if $(BINARIES),$(INSTALL) $(BINARIES) $(DESTDIR)$(PREFIX)/bin)
	$(if $(POLICIES),$(INSTALL) -m 644 $(POLICIES) $(DESTDIR)$(PREFIX)/lib/incfs)
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig
	$(if $(LIBRARIES),$(INSTALL) -m 644 $(LIBRARIES) $(DESTDIR)$(LIBDIR))
	ln -sf libincfs.so.$(lib_version) $(DESTDIR)$(LIBDIR)/libincfs.so.0
	ln -sf libincfs.so.0 $(DESTDIR)$(LIBDIR)/libincfs.so
	sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),; s,@VERSION@,$(lib_version),' \
		loader/libincfs.pc > $(DESTDIR)$(LIBDIR)/pkgconfig/libincfs.pc
	$(if $(DESTDIR),,ldconfig)
	$(if $(HEADERS),$(INSTALL) -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/incfs)
	$(if $(SCRIPTS),$(INSTALL) $(SCRIPTS) $(DESTDIR)$(PREFIX)/lib/incfs/trace)
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/share/man/man8
	$(INSTALL) -m 644 docs/incfs.1 $(DESTDIR)$(PREFIX)/share/man/man1
	$(INSTALL) -m 644 docs/incfs-bpf-loader.8 $(DESTDIR)$(PREFIX)/share/man/man8
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,@BINDIR@,$(PREFIX)/bin,' loader/incfs@.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/incfs@.service
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(INSTALL) -m 644 loader/completion.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/incfs
	ln -sf incfs $(DESTDIR)$(PREFIX)/share/bash-completion/completions/incfs-bpf-loader

uninstall:		## what install put there, for the running kernel (root)
	rm -f $(DESTDIR)/lib/modules/$(firstword $(releases))/updates/incfs.ko*
	$(if $(DESTDIR),,depmod $(firstword $(releases)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(notdir $(BINARIES))) \
		$(DESTDIR)$(PREFIX)/share/man/man1/incfs.1 \
		$(DESTDIR)$(PREFIX)/share/man/man8/incfs-bpf-loader.8 \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/incfs@.service \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/incfs \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/incfs-bpf-loader \
		$(DESTDIR)$(LIBDIR)/pkgconfig/libincfs.pc $(addprefix $(DESTDIR)$(LIBDIR)/,\
		libincfs.so libincfs.so.0 $(notdir $(LIBRARIES)))
	rm -rf $(DESTDIR)$(PREFIX)/lib/incfs $(DESTDIR)$(PREFIX)/include/incfs

check:			## all tests, in guests with each kernel (TESTS='glob', KERNELS='6.12')
	@tests/vm/check

check-debug:		## all tests on a debug kernel (KASAN, lockdep, kmemleak)
	@tests/vm/check --debug

check-races:		## all tests on a kernel that looks for data races (KCSAN)
	@tests/vm/check --races

check-long:		## check with crash tests that try much more, check-debug and check-races
	@INCFS_LONG=1 tests/vm/check --all

check-cross:		## build for arm64 and s390x, and run there what needs no kernel of ours
	@tests/cross/check

check-arm64:		## the tests in an emulated arm64 guest, most of an hour (TESTS='glob')
	@tests/arm64/check

check-fstests:		## what applies of fstests and LTP (FSTESTS=DIR, LTP=DIR: clones of them)
	@FSTESTS='$(FSTESTS)' LTP='$(LTP)' tests/fstests/check

lint:			## sparse, compilers' analyzers, checkpatch, kernel-doc, shellcheck
	@tests/lint/lint

check-native: native	## all tests on the running kernel (root)
	+@$(MAKE) --no-print-directory modules user policies testprogs
	@tests/run --module $(O)/$(firstword $(releases))/incfs.ko $(O)

demo:			## a compiler that runs while it is being downloaded, in a guest
	@tests/vm/demo

bench:			## the benchmark, in guests, half an hour; writes docs/benchmarks.md
	@tests/vm/bench

bench-quick:		## the read path and its peers alone, in less than five minutes
	@tests/vm/bench --quick

bench-native: native	## the same on the running kernel, with wall time (root; DIR=/var/tmp)
	+@$(MAKE) --no-print-directory modules user policies benchprogs
	@O=$(O) tests/bench/native "$(DIR)"

shell:			## a shell in a guest (KERNEL=7)
	@tests/vm/boot $(if $(KERNEL),-k $(KERNEL))

clean:			## remove build/; caches stay (docs/testing.md)
	rm -rf build

help:			## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		column -ts '|'
