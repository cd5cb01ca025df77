# make train   from a fresh clone: set up .venv, train the built-in policy with GD²PO
# make test    from a fresh clone: set up .venv, run the default tests
#
# PYTHON       the interpreter to make .venv with (3.10 or newer)
# VENV         where the environment lies; verl's lies beside it, under the same name with -verl
# TORCH_INDEX  package index to install torch from. Without it pip's own sources decide, which on Linux means a build
#              with CUDA. Without a GPU: make train TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
VENV_VERL := $(VENV)-verl
READY_VERL := $(VENV_VERL)/.ready
VENV_RELEASE := $(VENV)-release
READY_RELEASE := $(VENV_RELEASE)/.ready
VENV_DIST := $(VENV)-dist
ENGINES := axolotl swift skyrl openrlhf trackers
ENGINE ?= $(ENGINES)
# Each test process has a core to itself; threads of torch would only wait for each other. The files go in their order:
# by number of tests, the few that start runs of the trainer would come last, and one process would wait for them.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
FAST := tests/core tests/worlds tests/rewards/tool_calling tests/comparison/test_statistics.py \
  src/gd2po/core src/gd2po/report src/gd2po/worlds
VERL_TESTS := $(wildcard tests/integrations/verl/test_*.py) tests/integrations/test_doctor.py

.PHONY: help train test test-fast test-slow test-verl test-engines test-notebooks check lint types imports docs docs-serve format bench bench-learning mutants mutants-verl audit dist test-dist clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -7
	@echo "make test-fast  the pure tests alone, under a minute"
	@echo "make test-slow  the slower tests: real models, runs of minutes, more examples of every property"
	@echo "make test-verl  the verl plug-in inside the real verl, in an environment of its own"
	@echo "make test-engines  gd2po inside other real engines and trackers, each in an environment of its own: all, or ENGINE=swift"
	@echo "make test-notebooks  the notebooks of examples/notebooks, run from top to bottom"
	@echo "make check      lint, types, import rules and the documentation"
	@echo "make docs       the documentation site, into site/; make docs-serve shows it while you write"
	@echo "make bench      the speed benchmarks"
	@echo "make bench-learning  do the methods learn, and do they differ? For a nightly run"
	@echo "make mutants    do the tests notice when the code is wrong? A sample of small changes; takes hours on two cores"
	@echo "make dist       wheel and source distribution, checked; make test-dist trains with the wheel in a bare environment"
	@echo "make audit      known vulnerabilities of the pinned versions; needs the internet"
	@echo "make format     format the code"

train: $(READY)
	$(BIN)/gd2po train

test: $(READY_DEV)
	$(PYTEST) -m "not slow"

test-fast: $(READY_DEV)
	$(PYTEST) --hypothesis-profile fast -m "not slow" $(FAST)

test-slow: $(READY_DEV)
	$(BIN)/pytest -m slow
	$(PYTEST) --hypothesis-profile thorough -m "not slow" tests/core

# verl brings Ray and much else, so it has an environment of its own. TRL is there too: their numbers are compared.
test-verl: $(READY_VERL)
	$(VENV_VERL)/bin/pytest -m "not slow" $(VERL_TESTS)

# Warnings are the engines' own, and not errors.
test-engines: $(ENGINE:%=$(VENV)-%/.ready)
	for engine in $(ENGINE); do \
	  OMP_NUM_THREADS=1 $(VENV)-$$engine/bin/python -m pytest -W default tests/engines/test_$${engine}_cpu.py || exit 1; \
	done

test-notebooks: $(READY_DEV)
	$(BIN)/pytest tests/docs/test_notebooks.py

check: lint types imports docs

lint: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY_DEV)
	$(BIN)/mypy

imports: $(READY_DEV)
	$(BIN)/lint-imports

# Not with --quiet, under which --strict counts no warnings. The theme's notice about its own future is not about us.
docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs: $(READY_DEV)
	$(BIN)/mkdocs build --strict

docs-serve: $(READY_DEV)
	$(BIN)/mkdocs serve --strict

format: $(READY_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY_DEV)
	$(BIN)/python benchmarks/advantages.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/update.py
	$(BIN)/python benchmarks/diagnose.py
	$(BIN)/python benchmarks/rollout_log.py
	$(BIN)/python benchmarks/replay.py

bench-learning: $(READY_DEV)
	$(BIN)/python benchmarks/learning.py

# MUTANTS of each target are tried; JOBS at a time. The code for verl needs verl's environment.
MUTANTS ?= 100
SEED ?= 0
MUTATED ?= core,zero_advantage,trl,numbers,verdict

mutants: $(READY_DEV)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py --targets $(MUTATED) --sample $(MUTANTS) --seed $(SEED) --jobs $(JOBS) \
	  --out mutants.json

mutants-verl: $(READY_VERL)
	OMP_NUM_THREADS=1 $(VENV_VERL)/bin/python scripts/mutants.py --targets verl_batches --sample $(MUTANTS) --seed $(SEED) \
	  --jobs $(JOBS) --out mutants-verl.json

dist: $(READY_RELEASE)
	rm -rf dist
	$(VENV_RELEASE)/bin/python -m build
	$(VENV_RELEASE)/bin/twine check --strict dist/*
	$(VENV_RELEASE)/bin/python scripts/check_dist.py dist

# Away from the repository, so that nothing but the wheel is found.
test-dist: dist
	rm -rf $(VENV_DIST) && $(PYTHON) -m venv $(VENV_DIST)
	$(if $(TORCH_INDEX),$(VENV_DIST)/bin/python -m pip install -q -c constraints.txt torch --index-url $(TORCH_INDEX))
	$(VENV_DIST)/bin/python -m pip install -q -c constraints.txt "$$(ls dist/*.whl)[trl,report]"
	bin=$(abspath $(VENV_DIST)/bin) && cd "$$(mktemp -d)" && \
	  $$bin/gd2po train --max_steps 1 --eval_prompts 16 --output_dir run && test -s run/report.html && \
	  $$bin/gd2po diagnose run --html again.html && $$bin/gd2po train --config run/config.yaml --dry_run && \
	  $$bin/gd2po compare --world trade-off --methods gdpo,consensus --seeds 0-1 --output_dir worlds && $$bin/gd2po doctor

audit: $(READY_RELEASE)
	$(VENV_RELEASE)/bin/python scripts/audit.py

clean:
	rm -rf $(VENV) $(VENV_VERL) $(VENV_RELEASE) $(VENV_DIST) $(ENGINES:%=$(VENV)-%)

# Stamps, so that a second call installs nothing unless the requirements have changed.
$(READY): pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(call install,$(PIP),.[trl$(,)report])
	@touch $@

$(READY_DEV): pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(call install,$(PIP),.[dev])
	@touch $@ $(READY)

$(READY_VERL): pyproject.toml constraints.txt | $(VENV_VERL)/bin/pip
	$(call install,$(VENV_VERL)/bin/python -m pip --disable-pip-version-check,.[trl$(,)verl$(,)test])
	@touch $@

# Without gd2po and torch: these tools look at files.
$(READY_RELEASE): pyproject.toml constraints.txt | $(VENV_RELEASE)/bin/pip
	$(VENV_RELEASE)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt build twine pip-audit
	@touch $@

$(ENGINES:%=$(VENV)-%/.ready): $(VENV)-%/.ready: pyproject.toml scripts/install_engine.sh | $(VENV)-%/bin/pip
	$(VENV)-$*/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt torch $(TORCH_INDEX:%=--index-url %)
	scripts/install_engine.sh $(VENV)-$*/bin/python $*
	@touch $@

$(VENV)/bin/pip $(VENV_VERL)/bin/pip $(VENV_RELEASE)/bin/pip $(ENGINES:%=$(VENV)-%/bin/pip): %/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "gd2po needs Python 3.10 or newer: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv $* \
	  || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

# A comma that `call` does not take for the end of an argument.
, := ,

# $(1): pip of an environment, $(2): what to install into it.
define install
$(if $(TORCH_INDEX),$(1) install -q -c constraints.txt torch --index-url $(TORCH_INDEX))
$(1) install -q -c constraints.txt -e '$(2)'
endef
