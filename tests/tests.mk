# Tests: built here, run by tests/run (TAP in, one summary line out).
TEST_LIBS = $(foreach l,$(PROGRAMS),$(call archive,$(l))) $(LIBARCH)
UNIT_SRC := $(wildcard tests/unit/*/*.c)
UNIT_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(UNIT_SRC))
KERNEL_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/kernel/*.c))
BENCH_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c))
CHAOS_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/chaos/*.c))
HELPER_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/e2e/*.c))
# All ways round in one program that needs nothing but a kernel: it runs in any container and in the guests of tests/vm.
BYPASS_SRC := $(wildcard tests/bypass/*.c tests/bypass/cases/*.c)
BYPASS_OBJ := $(patsubst tests/bypass/%.c,$(BUILD)/tests/bypass/obj/%.o,$(BYPASS_SRC))
BYPASS_BIN := $(BUILD)/tests/bypass/bypass

# A test is one C file: its own main, cmocka, every archive at hand (only what it names is linked).
$(BUILD)/tests/%: tests/%.c $(TEST_LIBS)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  TEST    $@")
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) $(LDFLAGS) -o $@ $< -Wl,--start-group $(TEST_LIBS) -Wl,--end-group -lcmocka -lm $(LDLIBS)

$(BUILD)/tests/bypass/obj/%.o: tests/bypass/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu17 -O2 -g $(WARN) -MMD -MP -c $< -o $@
$(BYPASS_BIN): $(BYPASS_OBJ)
	$(if $(filter 0,$(V)),@echo "  LINK    $@")
	$(Q)$(CC) -static -pthread -o $@ $^
-include $(BYPASS_OBJ:.o=.d) $(addsuffix .d,$(UNIT_BIN) $(KERNEL_BIN) $(BENCH_BIN) $(CHAOS_BIN) $(HELPER_BIN))

# A proxy that does what no proxy does, for tests/e2e/cage.sh: the real one with two functions wrapped. In a folder of its own; never
# installed.
MISBEHAVE := $(BUILD)/misbehave/egret-proxy
$(MISBEHAVE): tests/misbehave/act.c $(BUILD)/obj/proxy/main.o $(call archive,proxy) $(LIBARCH)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  LINK    $@")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes $(LDFLAGS) -Wl,--wrap=upstream_get -Wl,--wrap=jail_calls -o $@ $(filter %.c %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

# And one whose memory ends, for tests/e2e/alloc.sh.
MISBEHAVE_ALLOC := $(BUILD)/misbehave/alloc/egret-proxy
$(MISBEHAVE_ALLOC): tests/misbehave/alloc.c $(BUILD)/obj/proxy/main.o $(call archive,proxy) $(LIBARCH)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  LINK    $@")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fno-builtin -Wno-missing-prototypes $(LDFLAGS) -Wl,--wrap=conn_start -o $@ $(filter %.c %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

-include $(addsuffix .d,$(MISBEHAVE) $(MISBEHAVE_ALLOC))

# Fuzzers: clang's libFuzzer, in the sanitizers' tree (`make ASAN=1 fuzzers`); tests/fuzz/corpus/NAME is replayed by `make check`.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC))
$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c $(TEST_LIBS)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  FUZZER  $@")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer $(LDFLAGS) -o $@ $< -Wl,--start-group $(TEST_LIBS) -Wl,--end-group $(LDLIBS)
-include $(wildcard $(BUILD)/fuzz/*.d)
fuzzers: $(patsubst %,$(BUILD)/fuzz/%,$(FUZZ_NAMES))
fuzz-build: deps-build
	@$(MAKE) --no-print-directory ASAN=1 fuzzers

# Two more egretds, for tests/chaos/upgrade.sh: one with places where it can be killed (handover_point), and one of the next EGRET_ABI
# whose tables are of another shape. Libraries and the other programs are those of the first build.
POINTS := $(BUILD)/points
POINTS_OBJ := $(patsubst %,$(POINTS)/obj/%.o,main handover handover_new)
POINTS_FLAGS := -DEGRET_TEST_POINTS
ABI3 := $(BUILD)/abi3
ABI3_OBJ := $(patsubst userspace/egretd/%.c,$(ABI3)/obj/%.o,$(wildcard userspace/egretd/*.c))
ABI3_FLAGS := -DEGRET_TEST_POINTS -DEGRET_ABI=3 -DEGRET_TEST_SHAPE
$(POINTS)/obj/%.o: userspace/egretd/%.c $(KERN)/gen/egret.skel.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(POINTS_FLAGS) $(CFLAGS) -c $< -o $@
$(POINTS)/bin/egretd: $(POINTS_OBJ) $(call archive,egretd) $(LIBARCH)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $(POINTS_OBJ) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)
$(ABI3)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -D__TARGET_ARCH_$(BPF_ARCH) $(ABI3_FLAGS) -I/usr/include/$(shell uname -m)-linux-gnu -O2 -g -Wall -Werror -c $< -o $@
	$(Q)llvm-strip -g $@ 2>/dev/null || true
$(ABI3)/bpf/egret.bpf.o: $(BPF_OBJ:$(KERN)/bpf/%=$(ABI3)/bpf/%)
	$(Q)$(BPFTOOL) gen object $@ $^
$(ABI3)/gen/egret.skel.h: $(ABI3)/bpf/egret.bpf.o
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name egret_bpf > $@
$(ABI3)/obj/%.o: userspace/egretd/%.c $(ABI3)/gen/egret.skel.h
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  CC      $@")
	$(Q)$(CC) -I$(ABI3)/gen $(CPPFLAGS) $(ABI3_FLAGS) $(CFLAGS) -c $< -o $@
$(ABI3)/bin/egretd: $(ABI3_OBJ) $(LIBARCH)
	@mkdir -p $(@D)
	$(if $(filter 0,$(V)),@echo "  LINK    $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $(ABI3_OBJ) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)
upgrade-build: $(POINTS)/bin/egretd $(ABI3)/bin/egretd
-include $(wildcard $(POINTS)/obj/*.d $(ABI3)/obj/*.d)

# A registry that no Debian has, for tests/e2e/registries.sh: from npm's, once. Where that is not reached the test says so and leaves it out.
VERDACCIO := build/verdaccio/node_modules/verdaccio/bin/verdaccio
$(VERDACCIO):
	@rm -rf build/verdaccio build/verdaccio.new
	@if timeout 120 npm install --silent --no-audit --no-fund --prefix build/verdaccio.new verdaccio@4.13.2; then mv build/verdaccio.new build/verdaccio; \
	else echo 'verdaccio was not fetched'; rm -rf build/verdaccio.new; fi
# And an authorisation server, for tests/e2e/provider_oauth2.sh.
OIDC := build/oidc/node_modules/oidc-provider/package.json
$(OIDC):
	@rm -rf build/oidc build/oidc.new
	@if timeout 120 npm install --silent --no-audit --no-fund --prefix build/oidc.new oidc-provider@9.13.3; then mv build/oidc.new build/oidc; \
	else echo 'oidc-provider was not fetched'; rm -rf build/oidc.new; fi
# And oras, for tests/e2e/registry.sh.
ORAS := build/oras/usr/bin/oras
$(ORAS):
	@rm -rf build/oras build/oras.new
	@if timeout 120 tests/oras.sh build/oras.new; then mv build/oras.new build/oras; else echo 'oras was not fetched'; rm -rf build/oras.new; fi
client-build: $(VERDACCIO) $(OIDC) $(ORAS)

.PHONY: test-build fuzzers fuzz-build upgrade-build client-build
test-build: $(UNIT_BIN) $(HELPER_BIN) ## compile all tests
ifneq ($(ASAN),1) # whose tree has what its suite runs
test-build: $(MISBEHAVE) $(MISBEHAVE_ALLOC) $(KERNEL_BIN) $(BENCH_BIN) $(CHAOS_BIN) $(BYPASS_BIN)
endif

test: ## everything, test packages included (root)
	@deploy/deps.sh build test
	@tests/run all
check: ## the two-minute part, for every commit (root)
	@tests/run check
bench: build ## measure: ratios and CPU per unit, printed and explained in tests/bench
	@tests/bench/run.sh
soak: build test-build upgrade-build client-build ## 2,000 jobs, 1,000 rounds of chance, 100 upgrades under load, all suites on all kernels (hours, root)
	@JOBS_COUNT=2000 ATONCE=200 CONTAINERS=100 tests/chaos/jobs.sh
	@ROUNDS=10000 $(BUILD)/tests/chaos/links
	@ROUNDS=1000 tests/chaos/rounds.sh
	@UPGRADES=100 tests/chaos/upgrade.sh
	@MEMORY_IDLE=1 tests/chaos/memory.sh
	@ROUNDS=100 tests/chaos/orphans.sh
	@GIB=10 tests/e2e/tunnels.sh
	@FLOOD_NAMES=10000 FLOOD_STALLS=17 WAIT=600 tests/e2e/floods.sh
	@ALLOC_STEP=1 ALLOC_TIMEOUT=3600 tests/e2e/alloc.sh
	@VM_FULL=1 VM_LIMIT=5000 tests/vm/run.sh
	@BLOB_MB=1024 tests/run e2e/registry e2e/registries e2e/rebundle e2e/direct_container
fuzz: fuzz-build ## fuzz each parser for FUZZ_SECONDS (60)
	@for f in $(FUZZ_NAMES); do mkdir -p tests/fuzz/corpus/$$f; build/asan/fuzz/$$f -max_total_time=$${FUZZ_SECONDS:-60} -timeout=10 tests/fuzz/corpus/$$f || exit 1; done
lint: ## clang-format, cppcheck, file sizes, banned calls
	@tests/lint.sh
install: build ## into $(DESTDIR)$(PREFIX)
	@deploy/install.sh install "$(DESTDIR)" "$(PREFIX)" "$(BUILD)" $(notdir $(BINS))
uninstall: ## takes away what install put; keeps configuration and state
	@deploy/install.sh uninstall "$(DESTDIR)" "$(PREFIX)" "$(BUILD)" $(notdir $(BINS))
deb: ## the Debian package, into build/deb
	@deploy/deps.sh build deb
	@deploy/debian/build.sh
image: build $(BUILD)/static/egret-runc ## a container image (OCI layout, also for docker load), into build/image; asks no registry
	@deploy/deps.sh image
	@deploy/image/build.sh "$(BUILD)" "$(PREFIX)" $(notdir $(BINS))
