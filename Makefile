# egret: build, run, test. `make help` lists what there is.
SHELL := /bin/bash
BUILD ?= build
# One name for one tree: what a compiler wrote down of headers under another (tests/run names it from the root on) would not be found again.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
PREFIX ?= /usr
DESTDIR ?=
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool /usr/bin/bpftool) bpftool)
CLANG_FORMAT ?= clang-format
VERSION := $(shell cat VERSION)

# A text that is cut at its bound is meant so: snprintf is how bounds are kept.
WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wno-format-truncation -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes
ifneq ($(findstring clang,$(CC)),)
  WARN += -Wno-unknown-warning-option
endif
HARDEN := -fstack-protector-strong -fPIE -fno-strict-aliasing -D_FORTIFY_SOURCE=2
OPT ?= -O2 -g
# Kernel programs are the same in each tree: they are made in one.
KERN := $(BUILD)
ifeq ($(ASAN),1)
  # The sanitizers' own tree, so that both builds can stand side by side. By clang, since the fuzzers are made of it too: what their engine
  # wants to know of an input's way (fuzzer-no-link) is a few counters that nobody else reads.
  override BUILD := build/asan
  override CC := $(CLANG)
  WARN += -Wno-unknown-warning-option
  OPT := -O1 -gline-tables-only -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -DEGRET_ASAN=1
  HARDEN := -fPIE -fno-strict-aliasing
  LDSAN := -fsanitize=address,undefined
endif
CPPFLAGS += -D_GNU_SOURCE -DEGRET_VERSION='"$(VERSION)"' -DEGRET_PREFIX='"$(PREFIX)"' -DOPENSSL_API_COMPAT=30000 -Iuserspace -Ibpf -I$(KERN)/gen -I/usr/share/include/llhttp -I/usr/include/libnl3
CFLAGS += -std=gnu17 $(OPT) $(WARN) $(HARDEN) -MMD -MP
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections $(LDSAN)
LDLIBS := -lnghttp2 -lcurl -lcjose -lbpf -lnl-route-3 -lnl-3 -lcjson -lssl -lcrypto -lcares -lseccomp -lcap-ng -lsystemd -lpsl -lidn2 -lz

# A folder of userspace/ is a library or a program; a program is its main.c and its own archive.
LIBS := fetch http config policy event trust sigv4 base
PROGRAMS := egretd proxy broker audit compile identity provider init mount oci cli
bin-egretd := egretd
bin-proxy := egret-proxy
bin-broker := egret-broker
bin-audit := egret-audit
bin-compile := egret-compile
bin-identity := egret-identity
bin-provider := egret-provider
bin-init := egret-init
bin-oci := egret-runc
bin-mount := egret-mount
bin-cli := egret
BINS := $(foreach p,$(PROGRAMS),$(BUILD)/bin/$(bin-$(p)))

srcs = $(filter-out userspace/$(1)/main.c,$(wildcard userspace/$(1)/*.c))
objs = $(patsubst userspace/%.c,$(BUILD)/obj/%.o,$(call srcs,$(1)))
archive = $(BUILD)/lib/lib$(1).a
# llhttp comes as a library where Debian has one (libllhttp-dev, from 13 on); in Debian 12 as generated C in node-llhttp, built here as
# it is.
ifneq ($(wildcard /usr/share/llhttp/llhttp.c),)
LLHTTP := $(BUILD)/lib/libllhttp.a
else
LDLIBS += -lllhttp
endif
LIBARCH := $(foreach l,$(LIBS),$(call archive,$(l))) $(LLHTTP)

.PHONY: all build programs deps run test check bench soak fuzz install uninstall deb image fmt lint clean help FORCE
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# In two steps: what is there to build with is looked at after the packages are installed.
build all: deps-build ## all programs, into build/bin
	@$(MAKE) --no-print-directory programs
programs: $(BINS)
	@:

$(BUILD)/obj/%.o: userspace/%.c
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  CC      $<")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

# A source that was added or taken away is in no file's time: the archive has a list of what is in it.
differ = $(filter-out $(1),$(2))$(filter-out $(2),$(1))
define folder_rules
$(call archive,$(1)): $(call objs,$(1)) $(if $(call differ,$(file <$(call archive,$(1)).list),$(call objs,$(1))),FORCE)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$(filter %.o,$$^)
	@echo '$(call objs,$(1))' >$$@.list
endef
$(foreach f,$(LIBS) $(PROGRAMS),$(eval $(call folder_rules,$(f))))

define program_rules
$(BUILD)/bin/$(bin-$(1)): $(BUILD)/obj/$(1)/main.o $(call archive,$(1)) $(LIBARCH)
	@mkdir -p $$(@D)
	$(if $(filter 0,$(V)),@echo "  LINK    $$@")
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@.new $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LDLIBS)
	$$(Q)mv $$@.new $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# For the container image: egret-runc runs on the node, whose libraries are not ours.
$(BUILD)/static/egret-runc: $(BUILD)/obj/oci/main.o $(call archive,oci) $(LIBARCH)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  LINK    $@")
	$(Q)$(CC) $(filter-out -pie,$(LDFLAGS)) -static-pie -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group \
		-lcrypto -lseccomp -lcap-ng 2>$@.log || { cat $@.log >&2; exit 1; }

$(BUILD)/obj/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -I/usr/share/include/llhttp $(OPT) -fPIE -w -c $< -o $@
$(BUILD)/lib/libllhttp.a: $(patsubst %,$(BUILD)/obj/llhttp/%.o,llhttp api http)
	@mkdir -p $(@D)
	$(Q)$(AR) rcsD $@ $^

# Kernel programs: one object a file, linked into one, with a skeleton. No kernel BTF is needed to build:
# bpf/kernel.h names the few kernel fields that are read, relocated at load (CO-RE).
# The maps' definitions come first: bpftool 7.1 gets the offsets wrong when an extern is seen before its definition.
BPF_SRC := bpf/maps.bpf.c $(filter-out bpf/maps.bpf.c,$(wildcard bpf/*.bpf.c))
BPF_OBJ := $(patsubst bpf/%.bpf.c,$(KERN)/bpf/%.bpf.o,$(BPF_SRC))
BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
$(KERN)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  BPF     $<")
	$(Q)$(CLANG) -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -I/usr/include/$(shell uname -m)-linux-gnu -O2 -g -Wall -Werror -c $< -o $@
	$(Q)llvm-strip -g $@ 2>/dev/null || true
$(KERN)/bpf/egret.bpf.o: $(BPF_OBJ)
	$(Q)$(BPFTOOL) gen object $@ $^
$(KERN)/gen/egret.skel.h: $(KERN)/bpf/egret.bpf.o
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name egret_bpf > $@
$(call objs,egretd) $(BUILD)/obj/egretd/main.o: | $(KERN)/gen/egret.skel.h

include tests/tests.mk

deps-build:
	@deploy/deps.sh build
deps: ## install what building and testing needs (Debian packages)
	@deploy/deps.sh build test

run: ## the main job on real traffic; JOB='npm ci' POLICY=policies/npm.json runs one's own
	@if [ "$$(id -u)" != 0 ]; then echo 'egret loads kernel programs: run "sudo make run"' >&2; exit 1; fi
	@$(MAKE) --no-print-directory -j"$$(nproc)" build
	@deploy/demo/run.sh $(if $(JOB),--job '$(JOB)') $(if $(POLICY),--policy '$(POLICY)')

FMT_FILES = $(shell git ls-files 'bpf/*.[ch]' 'userspace/*.[ch]' 'tests/*.[ch]')
fmt: ## clang-format everything
	@$(CLANG_FORMAT) -i $(FMT_FILES)

clean: ## remove build/
	rm -rf build

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
