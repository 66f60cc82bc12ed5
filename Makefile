# The shop's verbs. A fresh machine needs Python 3.11 or newer and make; the rest is fetched here.
#
# The environment is .venv. What goes into it is pinned with hashes by two locks: deploy/requirements.txt is what
# the service needs to be built and to run, tests/requirements.txt is that and the tools. `make lock` writes both
# from pyproject.toml. A stamp per lock lies in .venv, so that nothing is installed twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Debian's names. Chromium is driven over its own protocol by Playwright and needs no driver package.
SERVERS := rabbitmq-server redis-server nginx chromium

# --require-hashes also refuses whatever a lock forgot to name.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
LOCK_TOOL := uv==0.13.9

CREATED := $(VENV)/.created
RUNNABLE := $(VENV)/.runnable
TESTABLE := $(VENV)/.testable

# flake8-async takes files, and its --disable replaces the default list, which is what keeps the optional 9xx off.
# ASYNC128 does not see a task_status that is handed on, and tests/architecture.py does. Not in web/: ASYNC124, for
# Quart runs a handler that is not async in a thread. ASYNC113 wants the startable functions by name.
STARTABLE = $$(grep -rhPzo --include='*.py' 'async def \K\w+(?=\((?:(?!def )[\s\S])*?task_status:)' storefront \
  | tr '\0' '\n' | sort -u | paste -sd ,)
ASYNC_RULES = $(BIN)/flake8-async --startable-in-context-manager=$(STARTABLE) --disable

# Real sockets, real files, whole services and runs of pytest itself: minutes together, and in `make test`.
SLOW_TESTS := tests/bench tests/downstream tests/service tests/serving tests/store tests/test_conftest.py \
  tests/web/test_openapi_schemathesis.py

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run serve test check ledger outage bench lock clean install-servers

help: ## list the verbs
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1	\2/p' Makefile

run: $(RUNNABLE) ## a working shop in the browser, no other server needed
	$(BIN)/storefront demo

serve: $(RUNNABLE) ## production: RabbitMQ and a key are set by STOREFRONT_* variables
	$(BIN)/storefront serve

# Two halves side by side (tests/conftest.py). pytest's closing line is the last thing said: nothing may follow it here.
test: $(TESTABLE) install-servers ## every test, against real RabbitMQ, Redis, nginx and Chromium
	$(BIN)/python -m pytest -n 2

# -s shows how far it is. Of the last test a dump of stacks after two minutes would say nothing.
ledger: $(TESTABLE) install-servers ## nothing lost, nothing twice: 20,000 messages through every fault, on Redis and on SQLite
	STOREFRONT_TEST_LEDGER=whole STOREFRONT_TEST_KILLS=200 $(BIN)/python -m pytest -s -v -o faulthandler_timeout=900 \
	  tests/ledger tests/system/ledger \
	  tests/store/test_sqlite_processes.py::test_what_was_acknowledged_before_a_sigkill_is_in_the_log

outage: $(TESTABLE) ## each service away for a minute and back, seen from the views: no server needed
	STOREFRONT_TEST_OUTAGE=60 $(BIN)/python -m pytest -s -v -o faulthandler_timeout=900 tests/service/test_view_outages.py

check: $(TESTABLE) ## linters, types, the building's rules and the fast tests: no server needed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	@echo flake8-async and mypy, and beside them the tests on virtual time
	@( $(ASYNC_RULES)=ASYNC127,ASYNC128,ASYNC9 $$(find storefront -name '*.py' -not -path 'storefront/web/*') && \
	   $(ASYNC_RULES)=ASYNC124,ASYNC127,ASYNC128,ASYNC9 $$(find storefront/web -name '*.py') && $(BIN)/mypy ) & \
	  lint=$$!; $(BIN)/python -m pytest -q -m 'not system' $(SLOW_TESTS:%=--ignore=%); tests=$$?; wait $$lint && exit $$tests

bench: $(TESTABLE) ## the load test: a report and a picture
	$(BIN)/python -m bench

clean: ## remove what can be made again; .data, the demo's log, stays
	rm -rf $(VENV) .artefacts build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find storefront tests bench -name __pycache__ -prune -exec rm -rf {} +

install-servers:
	@tests/install-debian.sh $(SERVERS)

# A venv that lacks pip is one whose making was interrupted; venv completes it.
$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Storefront needs Python 3.11 or newer, which $(PYTHON) is not. Name another:" \
	       "make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/install-debian.sh python3-venv
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The package itself is built without isolation: an isolated build fetches its own setuptools, of any version and
# without a hash. Here the one from the lock builds it.
$(RUNNABLE): $(CREATED) deploy/requirements.txt pyproject.toml
	$(PIP_INSTALL) --require-hashes --requirement deploy/requirements.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(TESTABLE): $(RUNNABLE) tests/requirements.txt
	$(PIP_INSTALL) --require-hashes --requirement tests/requirements.txt
	@touch $@

# uv, because its locks hold for every Python from 3.11 and every system: pip-compile writes what the machine at hand
# needs, and left out async-timeout (3.11.0 to 3.11.2, Debian 12 among them) and pyyaml-ft (3.13). uv reads none of
# pip's settings, so no hash comes from an extra index of this machine. It has a place of its own: nobody else needs it.
LOCK := .artefacts/lock
COMPILE := $(LOCK)/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command 'make lock'
READ_BUILD := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

lock: $(CREATED) ## write the lock files anew from pyproject.toml
	$(BIN)/python -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install -qq --disable-pip-version-check $(LOCK_TOOL)
	$(BIN)/python -c '$(READ_BUILD)' | $(COMPILE) --output-file deploy/requirements.txt pyproject.toml -
	$(BIN)/python -c '$(READ_BUILD)' | $(COMPILE) --constraint deploy/requirements.txt \
	  --group test --group bench --group lint --output-file tests/requirements.txt pyproject.toml -
