# Everything sets itself up: `make demo` and `make test` need python3 (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= auto

.PHONY: demo test docs notebook lint typecheck nightly floors light clean
demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo --out demo

test: lint typecheck
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# The site, in build/site: a link or an anchor that leads nowhere is an error. Sphinx warns of a page
# when it reads it, so all are read anew. A test builds the site too.
docs: $(STAMP)
	$(BIN)/python -m sphinx -EaqW --keep-going -c docs . build/site

# Run the notebook and keep what it shows; a test runs it too and compares.
notebook: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/jupyter-execute --inplace --NotebookClient.record_timing=False \
		docs/notebook.ipynb

nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly BNFUSE_FUZZ=2000 $(BIN)/python -m pytest -n $(WORKERS)

# Of torch, not the oldest but what constraints.txt has, unless TORCH=2.10.0 or the like is given.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)
floors:
	rm -rf build/floors && $(PYTHON) -m venv build/floors
	grep -oE '"[A-Za-z0-9_-]+>=[0-9.]+"' pyproject.toml | tr -d '"' | sed 's/>=/==/' \
		| grep -v '^torch=' > build/floors.txt
	echo "torch==$(TORCH)" >> build/floors.txt
	build/floors/bin/python -m pip install -q -c build/floors.txt -e '.[train,test]'
	build/floors/bin/python -m pytest -n $(WORKERS) --dist worksteal

# The README's installation without PyTorch, and the tests that need none: `make light PYTHON=python3.14`.
HEAVY := torch|transformers|preactivation
LIGHT = $(shell sed -n 's/^$$ pip install \(click .*\)/\1/p' README.md)
light:
	rm -rf build/light && $(PYTHON) -m venv build/light
	build/light/bin/python -m pip install -q --no-deps .
	build/light/bin/python -m pip install -q $(LIGHT) hypothesis pytest pytest-xdist
	build/light/bin/pytest -n $(WORKERS) --dist worksteal $$(grep -rLE '$(HEAVY)' --include='test_*.py' \
		tests/bench tests/checker tests/cli tests/conformance tests/engine tests/inspecting \
		tests/verify tests/writing)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# cli/ and models/ install as bnfuse.cli and bnfuse.models: mypy sees them in their places here.
typecheck: $(STAMP)
	rm -rf build/types && mkdir -p build/types/bnfuse
	for part in bnfuse/* cli models; do ln -s "$(CURDIR)/$$part" build/types/bnfuse/; done
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p bnfuse

# A new environment whenever what it is made of changes.
$(STAMP): pyproject.toml setup.py constraints.txt
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,test,lint,docs,recipes]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build demo .hypothesis .mypy_cache .pytest_cache .ruff_cache
