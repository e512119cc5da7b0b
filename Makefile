# make demo | test | check | status | why | push | pull ...  See README.md.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/src
READY := .venv/.ready
TARGET ?=

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# the environment: uv (installed beside, if absent) and a lock file with hashes that names no index
$(READY): requirements.lock
	@command -v uv >/dev/null || [ -d .uv ] || python3 -m pip install -q --disable-pip-version-check --target .uv uv
	@uv=$$(command -v uv || echo "$(CURDIR)/.uv/bin/uv"); \
	  echo "setting up .venv (about 6 GB: torch with CUDA)"; \
	  [ -x .venv/bin/python ] || $$uv venv -q --python "$$(command -v python3)" .venv; \
	  $$uv pip sync -q --python .venv/bin/python --require-hashes requirements.lock
	@echo "$(CURDIR)/src" > "$$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/dash-repro.pth"
	@touch $@

setup: $(READY)  ## set up .venv

lock:  ## renew requirements.lock from requirements.in
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header requirements.in -o requirements.lock

demo: $(READY)  ## the whole paper at demo scale, in demo/ (CPU, minutes)
	@python -m dash_repro.workspace demo config/demo.params.yaml
	@cd demo && PYTHONPATH=$(CURDIR)/demo/src snakemake --profile workflow/profiles/demo $(TARGET)
	@cd demo && PYTHONPATH=$(CURDIR)/demo/src python -m dash_repro.workspace --summary

# two workers on two cores: more threads than that wait for each other
test check: export OMP_NUM_THREADS ?= 1

test: $(READY)  ## all tests; those of the cluster where Slurm is installed and not in use
	@python -m dash_repro.project --check
	@$(MAKE) -s lint
	pytest -n 2 --dist loadfile -m "not cluster" $(PYTEST)
	@if [ -n "$(PYTEST)" ]; then :; elif [ -n "$$CI" ] || { [ -x /usr/sbin/slurmctld ] && [ -w /etc ] && [ ! -e /etc/slurm/slurm.conf ]; }; \
	  then $(MAKE) test-cluster; \
	  else echo "left out: make test-cluster (apt-get install slurm-wlm; as root; no cluster's own node)"; fi

check: $(READY)  ## the fast part of the tests (under 5 minutes)
	@python -m dash_repro.project --check
	@$(MAKE) -s lint
	pytest -n 2 --dist loadfile -m "not slow and not cluster" $(PYTEST)

lint: $(READY)  ## ruff, snakefmt, snakemake --lint
	ruff check -q . && ruff format -q --check . && snakefmt --check workflow 2> /dev/null || { snakefmt --diff workflow; false; }
	lints=$$(snakemake --lint 2>&1) || { echo "$$lints"; false; }

kill-loop: $(READY)  ## a hundred random kill -9 of jobs and heads (about 20 minutes)
	KILL_ROUNDS=100 pytest -q tests/workflow/test_interruption.py -k random_kills

plan: $(READY)  ## write workflow/plan.yaml and the generated part of dvc.yaml
	python -m dash_repro.project

status: $(READY)  ## what is valid, stale, present, absent, adopted
	@python -m runledger status

why: $(READY)  ## why TARGET (or everything stale) would run
	@python -m runledger why $(TARGET)

settle: $(READY)  ## write dvc.lock from the records (after a merge, too)
	@python -m runledger settle

push: $(READY)  ## send the bytes of every record to the DVC remote
	@python -m runledger push

pull: $(READY)  ## bring the bytes of what is valid (TARGET: only that and what it rests on)
	@python -m runledger pull $(TARGET)

preflight: $(READY)  ## before submitting to a cluster: what would fail, and the plan (GPU-hours, disk)
	@python -m dash_repro.preflight

progress: $(READY)  ## all that runs now, on one screen
	@python -m runledger progress

logs: $(READY)  ## where the logs of TARGET are (all legs, all cluster jobs)
	@python -m runledger logs $(TARGET)

test-cluster: $(READY)  ## a real Slurm on this machine, and the profile through what clusters do
	pytest -m cluster tests/cluster $(PYTEST)

bench: $(READY)  ## gates and timings against a plain implementation; writes docs/benchmark.md
	@OMP_NUM_THREADS=$${RUNLEDGER_THREADS:-1} python -m bench $(BENCH)

# the audit of this checkout, or of another workspace: make audit DIR=demo
DIR ?= .
CELL ?=
AUDIT = cd $(DIR) && PYTHONPATH=$(abspath $(DIR))/src python -m dash_repro.audit

audit: $(READY)  ## what a reviewer would object to (CELL=table3/dash/cifar10_fid: all of one number)
	@$(AUDIT) $(if $(CELL),--cell "$(CELL)") $(AUDIT_OPTIONS)

report: $(READY)  ## results/report.html: the audit as a page, every cell opens its account
	@$(AUDIT) --report results/report.html $(AUDIT_OPTIONS)

crate: $(READY)  ## results/crate: the run as a Workflow Run RO-Crate, its hashes checked
	@$(AUDIT) --crate results/crate
	@$(AUDIT).crate results/crate

.PHONY: $(shell grep -oE '^[a-z-]+:' $(MAKEFILE_LIST) | tr -d :)
