.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The newest Python that can make virtual environments.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)
STAMP := $(VENV)/.installed
# The versions of everything that development needs, for every Python.
LOCK := requirements-dev.txt

# Tests that need nothing but Python.
UNIT := not cluster and not router and not browser and not node and not processes and not fresh \
	and not databases and not apps

# Some machines keep Python from writing its bytecode: each of the hundreds of programs that tests
# start would compile all that it imports anew, which is a third of the time that some take.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv lock check test e2e fuzz sequences fresh cluster bench matrix clients tools demo \
	clean messages screenshots

help:  ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | column -ts $$'\t'

venv: $(STAMP)  ## The virtual environment with everything that development needs

$(STAMP): pyproject.toml $(LOCK)
	@test -n "$(PYTHON)" || tools/apt-install bare
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(or $(PYTHON),python3) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement $(LOCK)
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

lock: venv  ## Write requirements-dev.txt anew for pyproject.toml (UPGRADE=1: with the newest of everything)
	$(BIN)/pip install --quiet --group lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev pyproject.toml \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file $(LOCK)

check: venv  ## Lint, types, contracts, known vulnerabilities, unit tests: under a minute, no cluster
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	@if command -v luacheck >/dev/null; then luacheck --quiet manifests/router tests/router/lua; else echo "Without luacheck (make tools) the router's Lua is not linted"; fi
	$(BIN)/python tools/audit.py
	@# A file's tests in one process: their fixtures are made once.
	$(BIN)/pytest -q -n auto --dist loadfile -m "$(UNIT)"

test: tools  ## All tests but the node's and a bare machine's: real API server, real router, browser (TESTS=expression of markers, JOBS=number side by side)
	@# Minutes where it is not cached yet, so not within a test's time.
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.prepare $(or $(PREPARE),router test apps)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest $(if $(JOBS),-n $(JOBS) --dist loadfile --no-loadscope-reorder) -m "$(or $(TESTS),not node and not fresh)"

e2e: tools  ## End to end on a real node, from the shipped manifests (root)
	@tools/apt-install node
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.prepare test e2e
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -m node

fresh: venv  ## The README's commands on a bare machine, made for it in a folder (root)
	@tools/apt-install fresh
	$(BIN)/pytest -m fresh tests/fresh

cluster: tools  ## A cluster to try things on, until Ctrl-C (NODE=1: with a node that runs pods; root)
	@if [ -n "$(NODE)" ]; then tools/apt-install node; fi
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec $(BIN)/python -m tests.testcluster $(if $(NODE),--node)

fuzz: tools  ## Fuzz the router for FUZZ_SECONDS (600; FUZZ_SEED=n to run one again); docs/fuzzing.md
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.router.fuzz --seconds $(or $(FUZZ_SECONDS),600) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

sequences: venv  ## SEQUENCES (1000) random sequences of operations on the memory cluster (SEED=n to run some again)
	USERPODS_SEQUENCES=$(or $(SEQUENCES),1000) $(BIN)/pytest -q tests/django/test_any_sequence.py $(if $(SEED),--hypothesis-seed=$(SEED))

screenshots: tools  ## Pictures of each page, in both languages and themes, wide and narrow, into SHOTS (screenshots/), a few into docs/pictures
	@tools/apt-install shots
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.browser.screenshots --output $(or $(SHOTS),screenshots) --docs docs/pictures

messages: venv  ## Gather the texts to translate into src/django_userpods/locale, and compile them
	$(BIN)/python tools/messages.py

bench: tools  ## The benchmarks, into docs/benchmarks (several minutes; wants a quiet machine)
	@tools/apt-install bench
	@for name in start sync save whoami controller rollouts router; do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/$$name.py || exit 1; done

matrix: venv  ## The unit tests on every Python and Django that is at hand (ENVS=py312-django60,... for some)
	$(BIN)/tox $(if $(ENVS),-e $(ENVS))

# (A comma would end the first of the two that $(or) chooses from.)
CLIENTS := client-19,client-35,client-36

clients: tools  ## The tests of clusters with older versions of the kubernetes client (ENVS=client-19,... for some)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.prepare test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/tox -e $(or $(ENVS),$(CLIENTS))

# What the tests need of the machine: Debian packages, and a Go to build the test cluster with.
tools: venv
	@tools/apt-install router test compile
	@tools/go-install $(BIN)

# A virtual environment of its own: what a site needs, without the tools of development.
DEMO_VENV := .demo/venv

$(DEMO_VENV)/.installed: pyproject.toml example_project/requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Installing the example project's packages ..."
	@$(PYTHON) -m venv $(DEMO_VENV)
	@$(DEMO_VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --editable . --requirement example_project/requirements.txt
	@touch $@

# As it was written: make itself would take "$PORT" for a variable of its own.
unexport DEMO_COMMAND

demo: $(DEMO_VENV)/.installed  ## The site, the router and users' pods on this machine, until Ctrl-C (APP=jupyterlab: docs/applications.md)
	@DEMO_COMMAND='$(subst ','\'',$(value DEMO_COMMAND))' exec $(DEMO_VENV)/bin/python example_project/demo.py

clean:  ## Remove what the other targets made in this folder
	rm -rf $(VENV) .demo .tox dist build .mypy_cache .ruff_cache .pytest_cache
