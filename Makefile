# Every target sets up what it needs by itself: a virtual environment from the lock file, and, where a control plane is
# needed, its binaries (built once with Go, or taken from KUBEBUILDER_ASSETS; CLUSTER=current uses your own cluster).
# PYTHON=python3.13 does the same with another Python, in an environment of its own.
PYTHON ?= python3
VENV := .venv$(patsubst python%,-%,$(filter-out python3,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONPATH := operator
# Tests start hundreds of processes, each of which would compile the sources anew where the machine says so.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint format generate docs picture e2e bench soak faults attacks transitions simulate lock clean

help: ## show the targets
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements/dev.txt pyproject.toml
	@echo "setting up $(VENV) from requirements/dev.txt"
	@test -x $(BIN)/python || { found=$$(.ci/python $(PYTHON)) && "$$found" -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## watch Setpoint do its job on a real API server; ends by itself
	@$(BIN)/python -m tests.demo

test: $(READY) ## run all tests
	@$(BIN)/python -m tests.controlplane build >/dev/null
	@$(BIN)/python -m tests.tools >/dev/null
	@$(BIN)/python -m pytest --numprocesses=$(or $(WORKERS),3) --dist=loadscope --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(READY) ## ruff, mypy --strict, import-linter, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.generated

format: $(READY) ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: $(READY) ## write what follows from other files: crds/, copies in the chart, versions
	@$(BIN)/python -m tests.generated --write

docs: $(READY) ## build the documentation into dist/docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs dist/docs

bench: $(READY) ## measure speed and memory, and hold them against their bounds
	@$(BIN)/python -m tests.bench

soak: $(READY) ## shake RESOURCES for MINUTES, hold memory and order against their bounds, and write docs/soak.md
	@$(BIN)/python -m tests.bench.soak --minutes $(or $(MINUTES),20) --resources $(or $(RESOURCES),2000) --page docs/soak.md

picture: $(READY) ## play the demo and MINUTES more, and draw the dashboard of it into docs/dashboard.png
	@$(BIN)/python -m tests.picture $(or $(MINUTES),10)

e2e: $(READY) ## run the end-to-end tests; INSTALL=namespaced with an operator for named namespaces only
	@$(BIN)/python -m tests.controlplane build >/dev/null
	@$(BIN)/python -m tests.tools >/dev/null
	@E2E_INSTALL=$(or $(INSTALL),cluster-wide) $(BIN)/python -m pytest --numprocesses=$(or $(WORKERS),3) \
	  --dist=loadscope --no-loadscope-reorder tests/e2e $(PYTEST_ARGS)

faults: $(READY) ## put every kind through every fault, several times, and write docs/faults.md
	@$(BIN)/python -m tests.controlplane build >/dev/null
	@FAULTS=$(or $(ROUNDS),3) FAULTS_TABLE=docs/faults.md $(BIN)/python -m pytest tests/e2e/faults

attacks: $(READY) ## try every attack while a neighbour is at work, hold what it costs him against bounds, and write docs/attacks.md
	@$(BIN)/python -m tests.security --page docs/attacks.md

transitions: $(READY) ## take every field of every kind through its transitions, and write docs/transitions.md
	@$(BIN)/python -m tests.controlplane build >/dev/null
	@TRANSITIONS_TABLE=docs/transitions.md $(BIN)/python -m pytest tests/e2e/transitions

simulate: $(READY) ## play SEEDS hours of edits, faults and deaths, from seed FIRST on, under virtual time
	@$(BIN)/python -m tests.simulation $(or $(FIRST),0) $(or $(SEEDS),1000)

lock: $(READY) ## pin the dependencies anew, with hashes
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --python-version 3.11 requirements/build.in -o requirements/build.txt
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" --python-version 3.11 --extra test --extra tools \
	  requirements/build.in pyproject.toml -o requirements/dev.txt

clean: ## remove what the targets made in this folder
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
