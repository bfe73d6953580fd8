# Two commands: `make demo` and `make test`. Each prepares .venv by itself when it isn't there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The index that torch comes from, when not pip's own: see "Installing" in README.md.
TORCH_INDEX ?=

# Packages of their own, each with its environment; that of the example is made by `make test`, from wheels.
PACKAGES := $(filter-out weft-example,$(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/pyproject.toml)))))

.PHONY: demo primer test test-plugins $(PACKAGES) accept check coverage bench soak clean

demo: $(READY)
	$(BIN)/weft run -m model=mlp,cnn optimizer=muon,adamw "regularizer=none,[dropout,l2]" optimizer.lr=3e-3 epochs=15

# Every system of a primer, each held against its reference: one table, in some minutes.
primer: $(READY)
	$(BIN)/weft run -m "+experiment=glob(*)"

# Three processes, each with whole files of tests: what a file shares, a store or a trained model, is made once. Three fill two
# cores, for many tests wait for a store or a signal; four are no faster. In their own order: by their number of tests the longest,
# which are of sweeps, would come last, and leave the others without work. weft is compiled before: with PYTHONDONTWRITEBYTECODE,
# as in many images, each of the hundreds of processes would do it for itself.
test: check
	@$(BIN)/python -m compileall -q core plugins/weft_basics
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# The packages in plugins/, or one: make weft-keras. With -j as many at a time.
test-plugins: $(PACKAGES)

$(PACKAGES): %: plugins/%/.venv/.ready
	cd plugins/$@ && .venv/bin/python -m pytest

# What takes long: all systems and their variants on real data, over several seeds; more ways of being killed.
accept: $(READY)
	$(BIN)/python -m pytest -m accept

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Every branch of what may lose nothing has a test: the journal, and who ships it.
coverage: $(READY)
	$(BIN)/python -m pytest tests/core/telemetry --ignore tests/core/telemetry/faults -k "journal or lease or recording or shipper" --cov

bench: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python -m tests.benchmarks

# Faults without end in all that reports runs: make soak, make soak FAULTS=300 SEED=1
soak: $(READY)
	$(BIN)/python -m tests.core.telemetry.faults $(or $(FAULTS),10000) $(SEED)

clean:
	rm -rf $(VENV) plugins/*/.venv .mypy_cache .pytest_cache .ruff_cache

# $(call environment,FOLDER,WHAT): a new environment, and what is installed into it.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "weft needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(1)
	$(if $(TORCH_INDEX),$(1)/bin/python -m pip install --quiet -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(1)/bin/python -m pip install --quiet -c constraints.txt $(2)
	@touch $@
endef

$(READY): pyproject.toml constraints.txt
	$(call environment,$(VENV),-e '.[dev]')

plugins/%/.venv/.ready: plugins/%/pyproject.toml pyproject.toml constraints.txt
	$(call environment,plugins/$*/.venv,-e . $(BESIDE) -e 'plugins/$*[test]')

# For the experiment `frameworks`.
plugins/weft-tensorflow/.venv/.ready: BESIDE := -e plugins/weft-keras
