# make demo | test | check | status | why | push | pull ...  See README.md.
.DEFAULT_GOAL := help

# Nothing of the caller's shell may decide: values come by the command line, paths by the environment and quoted,
# so that the folder may have any name; folders are entered as ./NAME, which no CDPATH turns elsewhere.
TARGET =
DIR = .
CELL =
unexport BASH_ENV CDPATH SNAKEMAKE_PROFILE GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
unexport PYTHONHOME PYTHONSAFEPATH PYTHONINSPECT PYTHONOPTIMIZE PYTHONWARNINGS
export PYTHONUTF8 := 1
export PYTHONPATH := $(CURDIR)/src:$(CURDIR)/runledger/src
# where there is no home folder to write to, caches are here
export XDG_CACHE_HOME := $(shell cache="$${XDG_CACHE_HOME:-$${HOME:-/dev/null}/.cache}"; mkdir -p "$$cache" 2> /dev/null; \
  [ -w "$$cache" ] && echo "$$cache" || echo "$$PWD/.uv/cache")

# The environment comes from lock files with hashes that name no index. TORCH=cpu is without CUDA; make remembers it.
# requirements.lock is what users need. requirements-dev.lock adds what only $(TOOLS) asks for: tests, linters, the site.
TORCH = $(or $(patsubst .venv/.ready-%,%,$(wildcard .venv/.ready-*)),cuda)
READY = .venv/.ready$(patsubst %,-%,$(filter-out cuda,$(TORCH)))
$(READY): export PATH := $(value PATH)
$(READY): requirements.lock $(if $(filter cpu,$(TORCH)),requirements-cpu.txt)
	@for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && break; done; \
	if [ $$? != 0 ]; then echo "error: Python 3.11 or newer is needed, and $$(python3 --version 2>&1) is here" >&2; exit 1; fi; \
	"$$python" -m dash_repro.install $(TORCH) $@
TOOLS = .venv/.tools
$(TOOLS): $(READY) requirements-dev.lock
	@python -m dash_repro.install tools $@
export PATH := $(CURDIR)/.venv/bin:$(value PATH):$(CURDIR)/.uv/bin

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

setup: needed $(READY)  ## set up .venv (TORCH=cpu: without CUDA, for machines without a GPU)

COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra ssh
lock:  ## renew requirements.lock and requirements-dev.lock from pyproject.toml
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --extra test --extra lint --extra docs -c requirements.lock pyproject.toml -o requirements-dev.lock \
	  $$(sed -nE 's/^([a-z0-9.-]+)(\[.*\])?==.*/--no-emit-package \1/p' requirements.lock | sort -u)

KERNEL = /proc/sys/kernel/ostype
# checked in the first second rather than after a download
needed:
	@[ -e $(KERNEL) ] || { echo "error: Linux is needed: use a container (Dockerfile), or WSL 2 on Windows" >&2; exit 1; }
	@case "$$PWD" in *:*) echo "error: this folder's path has a colon, which PATH cannot hold: $$PWD" >&2; exit 1;; esac
	@for name in bash git which; do command -v $$name > /dev/null || { echo "error: the program $$name is needed" >&2; exit 1; }; done
	@git rev-parse --git-dir > /dev/null || { echo "error: this is no git repository: clone it instead of unpacking an archive" >&2; exit 1; }

demo: needed $(READY)  ## the whole paper at demo scale, in demo/ (CPU, minutes)
	@python -m dash_repro.workspace demo config/demo.params.yaml
	@cd ./demo; export PYTHONPATH="$$PWD/src:$$PWD/runledger/src"; trap : INT; \
	  python -m snakemake --profile workflow/profiles/demo $(TARGET); code=$$?; \
	  [ $$code != 0 ] || python -m dash_repro.audit --report results/report.html --no-remote $(if $(TARGET),--unfinished) \
    > /dev/null || code=$$?; \
	  python -m dash_repro.workspace --summary; exit $$code

# one thread each: more of them than cores wait for each other; those of CI mostly wait for Slurm
test check: export OMP_NUM_THREADS ?= 1
# pytest rewrites each test's assertions: the result is kept for the next run
test check: export PYTHONDONTWRITEBYTECODE =

SHORT = not long and not thorough

test: needed $(TOOLS)  ## all tests but the longest and those of a cluster (which CI runs, too)
	@$(MAKE) -s -j lint drift all-tests

all-tests:
	@if [ -n "$$CI" ]; then workers=5; only="$(SHORT)"; else workers=3; only="$(SHORT) and not cluster"; \
	  echo "left out: make test-cluster (apt-get install slurm-wlm; as root)"; fi; \
	env -u MAKEFLAGS -u MAKELEVEL pytest -q -n $$workers --dist loadfile -m "$$only" $(PYTEST)

check: needed $(TOOLS)  ## the fast part of the tests, for every edit
	@$(MAKE) -s -j lint drift fast-tests

fast-tests:
	@env -u MAKEFLAGS -u MAKELEVEL pytest -q -n 3 --dist loadfile -m "$(SHORT) and not slow and not cluster" $(PYTEST)

drift:
	@python -m runledger plan --check
	@python -m dash_repro items --check
	@python -m dash_repro params --page | cmp -s - docs/params.md || { echo "docs/params.md is not what its keys say: make plan"; false; }

ROUNDS ?= 1000
test-long: $(TOOLS)  ## what takes longest: tests marked so, then ROUNDS random kill -9 of jobs, heads and transfers (1000: an hour; repeat to go on)
	OMP_NUM_THREADS=1 pytest -q -n 2 --dist loadfile -m "long or thorough"
	python runledger/tests/kills.py --rounds $(ROUNDS) --folder "$${TMPDIR:-/tmp}/dash-repro-kills"

mutants: $(TOOLS)  ## do the tests find the faults of tests/mutations.toml? (hours; repeat to go on)
	@OMP_NUM_THREADS=1 python tests/mutate.py $(MUTANTS)

docs: $(TOOLS)  ## the pages of docs/ as a site, in site/ (a warning fails)
	@sphinx-build -q -W --keep-going -d .venv/.doctrees docs site
	@echo "site/index.html"

lint: $(TOOLS)  ## ruff, snakefmt, snakemake --lint
	ruff check -q . && ruff format -q --check . && snakefmt --check workflow 2> /dev/null || { snakefmt --diff workflow; false; }
	lints=$$(snakemake --lint 2>&1) || { echo "$$lints"; false; }

plan: $(READY)  ## write dvc.yaml from the rules and params.yaml (a run does it, too), docs/params.md, and what lists the paper's items
	@python -m dash_repro items --renew
	@python -m runledger plan
	@python -m dash_repro params --page -o docs/params.md

status: $(READY)  ## what is valid, stale, present, absent, adopted
why: $(READY)  ## why TARGET (or everything stale) would run
settle: $(READY)  ## write dvc.lock from the records (after a merge, too)
push: $(READY)  ## send the bytes of every record to the DVC remote
pull: $(READY)  ## bring the bytes of what is valid (TARGET: only that and what it rests on)
progress: $(READY)  ## all that runs now, on one screen
logs: $(READY)  ## where the logs of TARGET are (all legs, all cluster jobs)
status why settle push pull progress logs:
	@python -m runledger $@ $(if $(filter why pull logs,$@),$(TARGET))

preflight: $(READY)  ## before submitting to a cluster: what would fail, and the plan (GPU-hours, disk)
	@python -m dash_repro.preflight

test-cluster: $(TOOLS)  ## a real Slurm on this machine, and the profile through what clusters do
	OMP_NUM_THREADS=1 pytest -n 4 --dist loadfile -m cluster tests/cluster $(PYTEST)

# samples that are made again to see whether they come out the same
SAMPLED = digits-dash-w8-s42-cfg4.0-k20-n0
study: needed $(READY)  ## the published study: fetch its bytes, verify, audit, draw and sample again (3 minutes)
	@python -m dash_repro.publication check study --sampled $(SAMPLED)

SET = students.dash.lambda_an=0.3
study-vary: export SET := $(SET)
study-vary: needed $(READY)  ## one student of the study with another setting, and the numbers of both (SET=KEY=VALUE)
	@python -m dash_repro.publication vary study --set "$$SET" --sampled $(SAMPLED)

study-from-nothing: needed $(READY)  ## all of the published study anew, in study/from-nothing (hours; repeat to go on)
	@python -m dash_repro.publication run study --from-nothing --profile workflow/profiles/demo

bench: $(READY)  ## gates and timings against a plain implementation; writes docs/benchmark.md
	@OMP_NUM_THREADS=$${RUNLEDGER_THREADS:-1} python -m bench $(BENCH)

# PYTHON=python3 takes a Python that has torch already, where nothing can be installed
OUT = gpu
DATA =
PYTHON =
gpu: export OUT := $(OUT)
gpu: export DATA := $(DATA)
gpu: $(if $(PYTHON),,$(READY))  ## first contact with a GPU, 9 minutes at a time: gates, timings, a short training (OUT= DATA=)
	@$(or $(PYTHON),python) -m bench.needs
	@$(or $(PYTHON),python) -m bench.contact --output "$$OUT" $${DATA:+--data "$$DATA"} $(GPU)

# the audit of this checkout, or of another workspace: make audit DIR=demo
audit report crate: export DIR := $(DIR)
audit report crate: export CELL := $(CELL)
CHECKOUT = cd "$$DIR" && PYTHONPATH="$$PWD/src:$$PWD/runledger/src"
AUDIT = $(CHECKOUT) python -m dash_repro.audit

audit: $(READY)  ## what a reviewer would object to (CELL=table3/dash/cifar10_fd: all of one number)
	@$(AUDIT) $(if $(CELL),--cell "$$CELL") $(AUDIT_OPTIONS)

report: $(READY)  ## results/report.html: the paper and its audit on one page, every number opens its story
	@$(AUDIT) --report results/report.html $(AUDIT_OPTIONS)

crate: $(READY)  ## results/crate: the run as a Workflow Run RO-Crate, its hashes checked
	@$(AUDIT) --crate results/crate
	@$(CHECKOUT) python -m runledger crate --check results/crate

.PHONY: $(shell grep -oE '^[a-z-]+:' Makefile | tr -d :)
