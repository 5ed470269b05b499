# Everything sets itself up: `make demo` and `make test` need python3 (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= auto

.PHONY: demo test lint typecheck nightly clean
demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo --out demo

test: lint typecheck
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

nightly: $(STAMP)
	HYPOTHESIS_PROFILE=nightly BNFUSE_FUZZ=2000 $(BIN)/python -m pytest -n $(WORKERS)

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
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,test,lint]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build demo .hypothesis .mypy_cache .pytest_cache .ruff_cache
