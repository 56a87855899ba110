# Everything a person does with this repository; `make` lists it.

.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
WORKERS ?= logical
STAMP := $(VENV)/.made-from-lock
# One thread per process: the same bytes every time, and processes do not fight for cores.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
QUIET := DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true

.PHONY: help setup repro test test-slow check bench bench-align bench-beats bench-joins bench-learn bench-preferences mlflow-ui clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(STAMP)  ## Make the environment in .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@python=; for name in python3.11 python3.12 python3.13 python3 python; do \
	  if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed, and none is on the PATH" >&2; exit 1; fi; \
	if [ ! -x $(PY) ]; then $$python -m venv $(VENV); fi
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	@# compat: by path. The import hook of other editable installs loses to a folder ./rl_editor, which the cache makes.
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --config-settings editable_mode=compat --editable .
	@# librosa compiles some functions when it is first imported. Two processes that do so at once can leave a cache of
	@# numba's that crashes every process after them, so one does it here.
	$(PY) -c "import librosa, librosa.core, librosa.util, librosa.feature, librosa.onset, librosa.beat, librosa.effects"
	@touch $@

repro: setup  ## Run the pipeline: corpus or your recordings in, a registered policy out
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(THREADS) $(QUIET) dvc repro
	@echo
	@echo "Report:   reports/evaluation/index.html"
	@echo "Policy:   models/export (safetensors, ONNX, model card)"
	@echo "Compare:  make mlflow-ui, dvc metrics show, dvc plots show"
	@echo "Edit:     $(VENV)/bin/rl-editor edit SONG.wav -o EDITED.wav"

# WORKERS share the tests, a process each; some 1 GB of memory for each
PYTEST := $(THREADS) $(QUIET) $(PY) -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

test: setup  ## Run the tests, but for the slow ones
	$(PYTEST) -m "not slow"

test-slow: setup  ## Run the slow tests
	$(PYTEST) -m slow

check: setup  ## Lint, format, types, layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# ROWS (as benchmarks.bench --help names them; all without it), OPTIONS such as --rounds 5 or --device cuda
bench: setup  ## Measure against what a user would run instead: one row per kind of work
	@$(PY) -c "import sb3_contrib" 2>/dev/null || $(VENV)/bin/pip install --quiet --disable-pip-version-check \
	  --config-settings editable_mode=compat --editable ".[bench]"
	@$(PY) -m benchmarks.bench $(ROWS) $(OPTIONS)

# FOLDER of recordings (songs are composed without it), KINDS (copies,speed,foreign,repeats,unrelated,long or single
# ones), TRACKS, OPTIONS such as --edits 2 --seconds 60 --seed 1
bench-align: setup  ## Measure alignment on known edits: tables per kind; FOLDER= KINDS= TRACKS= narrow it
	@$(PY) -m benchmarks.align $(if $(FOLDER),"$(FOLDER)") $(if $(KINDS),--kinds $(KINDS)) $(if $(TRACKS),--tracks $(TRACKS)) $(OPTIONS)

# FOLDER of .mid files whose tempo maps are right (needs fluidsynth) or of recordings and their .beats; OPTIONS such as
# --songs NAME,NAME
bench-beats: setup  ## Measure beat trackers on songs of known beats: FOLDER= of .mid files or .beats annotations
	@test -n "$(FOLDER)" || { echo "bench-beats: FOLDER= of .mid files or .beats annotations is needed"; exit 2; }
	@$(PY) -c "import pretty_midi" 2>/dev/null || $(VENV)/bin/pip install --quiet --disable-pip-version-check \
	  --config-settings editable_mode=compat --editable ".[bench]"
	@$(THREADS) $(PY) -m benchmarks.beats "$(FOLDER)" $(OPTIONS)

# FOLDER of recordings, OPTIONS such as --share 0.6 --songs NAME,NAME; needs models/ppo/best.pt of make repro
bench-joins: setup  ## Measure the joins of edits of all recordings below FOLDER=, by several ways of choosing them
	@test -n "$(FOLDER)" || { echo "bench-joins: FOLDER= of recordings is needed"; exit 2; }
	@$(THREADS) $(PY) -m benchmarks.joins "$(FOLDER)" $(OPTIONS)

# FOLDER of recordings (songs are composed without it), OPTIONS such as --seeds 3, --no-ppo, --nats 0,10, --ablate, --ablate-ppo
bench-learn: setup  ## Measure what is learned of several editors on held-out songs; FOLDER= narrows it
	@$(THREADS) $(PY) -m benchmarks.learn $(if $(FOLDER),"$(FOLDER)") $(OPTIONS)

# SET of many pairs, as `rl-editor candidates data/corpus/input -o SET --pairs 616` makes it; OPTIONS such as --seeds 3
# or --only ppo --held FOLDER of pairs
bench-preferences: setup  ## Measure what is learned of simulated listeners; SET= is a listening set
	@test -n "$(SET)" || { echo "bench-preferences: SET= is needed, a listening set of rl-editor candidates"; exit 2; }
	@$(THREADS) $(PY) -m benchmarks.preferences "$(SET)" $(OPTIONS)

mlflow-ui: setup  ## Compare runs in the browser, at http://127.0.0.1:5000
	$(QUIET) $(VENV)/bin/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}" --host 127.0.0.1

clean:  ## Remove caches; outputs, the environment and the tracking store stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build
	find rl_editor stages benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
