# The commands that a person and CI use. Each creates what it needs, once; `make help` lists them.
# Needed beforehand: make and Python 3.11 or newer with venv. No git, no compiler, no headers.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo sandbox wheel deb quick test test-long soak peers reference test-system crashes powercuts check format coverage bench measure fuzz hunt clean

# Another interpreter has an environment of its own: PYTHON=python3.13 uses .venv-3.13.
PYTHON ?= python3
VENV := .venv$(addprefix -,$(patsubst python%,%,$(filter-out python python3,$(notdir $(PYTHON)))))
BIN := $(VENV)/bin
SOURCES := pdu hardware agent config tests

# Dependencies come as wheels or not at all: a device has no compiler.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
# Compiling all of them takes longer than installing them, and most files are never imported.
WHEELS := $(PIP) --no-compile --only-binary :all:

# For make soak.
SEEDS ?= 50
DAYS ?= 1

# Passed to the command: make demo ARGS=--once, make test ARGS="-k journal -x".
ARGS ?=

help:  ## this list
	@echo "make COMMAND [PYTHON=python3.13] [ARGS=...]"
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name does; do printf '  %-12s %s\n' "$$name" "$$does"; done

demo: $(VENV)/.demo  ## the agent and a simulated module, network and service; ARGS=--once ends after the scenarios
	@$(BIN)/modem-agent demo $(ARGS)

sandbox: $(VENV)/.demo  ## simulated modules, network and REST API; ARGS="--open --link-dir /tmp/modems"
	@$(BIN)/modem-agent sandbox $(ARGS)

wheel: $(VENV)/.build  ## what is installed on a device, and the source archive, into dist/
	@rm -f dist/*.whl dist/*.tar.gz
	@$(BIN)/python tests/packaging/build.py dist

deb: wheel  ## the Debian package, into dist/; ARCH=arm64 or armhf for another machine
	@$(BIN)/python config/debian/build_deb.py --wheel dist/*.whl --architecture $(or $(ARCH),$(shell dpkg --print-architecture)) dist

quick: $(VENV)/.test  ## unit tests only, under a minute on two cores
	@TMPDIR=$$($(BIN)/python tests/scratch_dir.py) $(BIN)/python -m pytest --quiet --numprocesses=auto --dist=worksteal \
		-m "not system and not real_time and not long" $(ARGS) tests/pdu tests/hardware \
		$(addprefix tests/agent/,at common recovery service)

test: $(VENV)/.test  ## all tests of some minutes that need no root
	@echo "Left out: the groups 'long' ('make test-long') and 'system' ('make test-system', needs root)."
	TMPDIR=$$($(BIN)/python tests/scratch_dir.py) $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal \
		-m "not system and not long" $(ARGS)

test-long: $(VENV)/.test  ## the group 'long': faults that last for hours, seeds of the soak, agents killed at each step
	TMPDIR=$$($(BIN)/python tests/scratch_dir.py) $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal \
		-m "long and not system" $(ARGS)

soak: $(VENV)/.test  ## virtual days of the whole agent, checked against its promises; SEEDS=2000, or SEED=17 to repeat one
	@PYTHONPATH=tests/simulation $(BIN)/python -m soak --days $(DAYS) $(if $(SEED),--seed $(SEED) --trace soak-$(SEED).trace,--seeds $(SEEDS)) $(ARGS)

peers: $(VENV)/.peers  ## install other projects' clients and codecs, for the tests that are skipped without them

reference: $(VENV)/.test  ## write config/REFERENCE.md: every command, exit status, key and log line
	@$(BIN)/python tests/config/write_reference.py

# Only files with such tests are looked at: reading all the others takes seconds.
test-system: $(VENV)/.peers  ## the tests that need root and Debian programs
	@$(BIN)/python tests/system/requirements.py
	$(BIN)/python -m pytest -m system $(ARGS) \
		$(if $(filter tests/%,$(ARGS)),,tests/system $(shell grep -rl --include='test_*.py' 'mark\.system' tests))

crashes: $(VENV)/.test  ## kill the agent repeatedly at random moments: KILLS=500 SEED=7
	@$(BIN)/python tests/crashes/run_kills.py --kills $(or $(KILLS),500) $(if $(SEED),--seed $(SEED)) $(ARGS)

powercuts: $(VENV)/.test  ## cut the power under the journal at random writes (needs root): CUTS=200 SEED=7
	@$(BIN)/python tests/crashes/run_power_cuts.py --cuts $(or $(CUTS),200) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: $(VENV)/.check  ## format, lint, types, imports and sources of nondeterminism
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture

format: $(VENV)/.check  ## format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

coverage: $(VENV)/.test  ## report the lines and branches that the tests run
	$(BIN)/python -m coverage run -m pytest -q -m "not system" $(ARGS)
	$(BIN)/python -m coverage report --skip-covered --show-missing

bench:  ## run one benchmark: PART=codec; without PART, list them
	@test -n "$(PART)" || { echo "PART is one of: $(sort $(basename $(notdir $(wildcard tests/benchmarks/[a-z]*.py))))"; exit 2; }
	@$(MAKE) --no-print-directory VENV=$(VENV)-bench measure

# Its rivals have an environment beside ours: some are old, and tests must not meet them by accident.
measure: $(VENV)/.demo $(if $(wildcard tests/benchmarks/requirements-$(PART).txt),$(VENV)/.rivals-$(PART))
	$(BIN)/python tests/benchmarks/$(PART).py $(ARGS)

fuzz:  ## fuzz one part: TARGET=codec RUNS=1000000; without TARGET, list them
	@test -n "$(TARGET)" || { echo "TARGET is one of: $(sort $(patsubst tests/fuzz/fuzz_%.py,%,$(wildcard tests/fuzz/fuzz_*.py)))"; exit 2; }
	@$(MAKE) --no-print-directory VENV=$(VENV)-fuzz hunt

# The coverage-guided fuzzer has an environment beside ours; there is none of it for every machine.
hunt: $(VENV)/.demo
	@test -e $(VENV)/.fuzzer || $(WHEELS) -r tests/fuzz/requirements.txt || echo "atheris cannot be installed here."
	@touch $(VENV)/.fuzzer
	nice -n 10 $(BIN)/python tests/fuzz/run_fuzzer.py $(TARGET) --runs $(or $(RUNS),100000) $(ARGS)

clean:  ## remove environments, caches and builds
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz .coverage
	find agent hardware pdu tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment, in several sizes; each is renewed when what it is made from changes.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than Python 3.11: install it, or name another (make PYTHON=python3.13 ...)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv: install it (on Debian: apt install python3-venv)"; exit 1; }
	@echo "Making the environment $(VENV) (once; later runs use it) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Enough for `make deb` on a device, where there is no wheel of every library of the sandbox.
$(VENV)/.build: requirements.txt | $(VENV)/.made
	@$(WHEELS) --constraint requirements.txt setuptools
	@touch $@

$(VENV)/.demo: pyproject.toml requirements.txt | $(VENV)/.made
	@echo "Installing what the agent and the sandbox need ..."
	@$(WHEELS) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.demo
	@echo "Installing what the tests need ..."
	@$(WHEELS) -r requirements-test.txt
	@touch $@

$(VENV)/.peers: requirements-peers.txt $(VENV)/.test
	@echo "Installing other people's clients and codecs ..."
	@$(WHEELS) -r requirements-peers.txt
	@touch $@

$(VENV)/.check: requirements-check.txt $(VENV)/.test
	@echo "Installing ruff and mypy ..."
	@$(WHEELS) -r requirements-check.txt
	@touch $@

$(VENV)/.rivals-%: tests/benchmarks/requirements-%.txt | $(VENV)/.made
	@echo "Installing what is measured against ..."
	@$(PIP) -r $<
	@touch $@
