# Everything from one command, on a machine with nothing but this source and make: see `make help`.

PYTHON ?= python3
JOBS ?= $(shell nproc)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# What goes into the Python package; folders too, so that a removed file counts as a change.
PACKAGE_SOURCES := CMakeLists.txt $(wildcard README.md LICENSE) \
                   $(shell find codegen jit train runtime python -not -path '*/__pycache__*')
CPP_SOURCES := $(shell find codegen jit train runtime python tests bench -name '*.h' -o -name '*.cpp')
# The C++ sources that build/release compiles.
TIDY_SOURCES := $(filter-out bench/% tests/consumer/%,$(filter %.cpp,$(CPP_SOURCES)))
# What the last run of ctest printed, test by test.
CTEST_LOG := build/release/Testing/Temporary/LastTest.log

export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test test-emulated bench static-cost setup format lint clean \
        packages-build packages-test packages-emulator packages-bench packages-cost packages-lint

help:  ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-19s %s\n", $$1, $$2}'

demo: setup  ## Train on real data, compile, call, compare with NumPy: one table and a plot
	@$(BIN)/python -m mithral demo

setup: packages-build $(BIN)/.package  ## Install what is missing, then build the Python package into .venv

test: setup packages-test packages-emulator $(BIN)/.test-tools  ## Run all tests, C++ then Python
	cmake --preset release
	cmake --build --preset release
	@cpp=passed; isas=passed; python=passed; \
	ctest --preset release -j $(JOBS) || cpp=FAILED; \
	executed=$$($(BIN)/python tests/isas_executed.py $(CTEST_LOG)) || isas=FAILED; \
	$(BIN)/python -m pytest || python=FAILED; \
	echo; \
	echo "C++ tests:    $$cpp"; \
	echo "$$executed"; \
	echo "Python tests: $$python"; \
	[ "$$cpp $$isas $$python" = "passed passed passed" ]

test-emulated: packages-build packages-test packages-emulator  ## Run the tests on emulated CPUs alone (tests/emulator)
	cmake --preset release
	cmake --build --preset release
	ctest --preset release -j $(JOBS) -L emulated

bench: setup packages-bench  ## Measure kernels, other libraries and the core's limits, and report: QUICK=1 for a short run
	cmake --preset bench
	cmake --build --preset bench
	@$(BIN)/python bench/report.py $(if $(QUICK),--quick)

static-cost: setup packages-cost  ## Simulate kernels on CPUs that are not at hand, with llvm-mca
	@$(BIN)/python bench/static_cost.py

format: packages-lint  ## Lay out the C++ code with clang-format
	clang-format -i $(CPP_SOURCES)

lint: setup packages-test packages-lint  ## Check the C++ code with clang-format and clang-tidy
	clang-format --dry-run -Werror $(CPP_SOURCES)
	cmake --preset release
	printf '%s\n' $(TIDY_SOURCES) | xargs -n 1 -P $(JOBS) clang-tidy -p build/release --quiet

clean:  ## Remove build/ and .venv
	rm -rf build $(VENV)

packages-build packages-test packages-emulator packages-bench packages-cost packages-lint: packages-%:
	@PYTHON=$(PYTHON) .ci/packages $*

$(BIN)/python: | packages-build
	@echo "mithral: making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)

# The package is built with the tools of .venv instead of in pip's isolated environment, so that a rebuild needs no network
# and compiles only what changed; and in the tests' build tree, so that the libraries are compiled once for both. pip reaches
# for the network only while a requirement is missing.
$(BIN)/.build-tools: pyproject.toml | $(BIN)/python
	@echo "mithral: downloading the Python build tools into $(VENV)"
	@$(PIP) install --quiet $$(sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')
	@touch $@

$(BIN)/.package: $(PACKAGE_SOURCES) $(BIN)/.build-tools
	@echo "mithral: building the Python package into $(VENV) (the first time takes a few minutes)"
	@SKBUILD_BUILD_DIR=build/release $(PIP) install --quiet --no-build-isolation '.[demo]'
	@echo "mithral: installed; $(BIN)/python has it"
	@touch $@

$(BIN)/.test-tools: pyproject.toml | $(BIN)/.package
	@echo "mithral: downloading the Python test tools into $(VENV)"
	@$(PIP) install --quiet 'mithral[test]'
	@touch $@
