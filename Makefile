# Two commands: `make app` and `make test`. Both set everything up first.
#   make app PORT=8000      another port          make app CPU=1     torch's CPU build (no CUDA packages)
#   HUMANSCOPE_REQUIRE_BROWSER=1 make test    browser tests fail, instead of being skipped, without Chromium
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
PORT ?= 7860
HOST ?= 127.0.0.1
VENV := .venv
BIN := $(VENV)/bin
TORCH_CPU := https://download.pytorch.org/whl/cpu
# Large activations are reused instead of being returned to the system after each layer (10 % on the networks).
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184
export GRADIO_ANALYTICS_ENABLED := False
export PYTHONUTF8 := 1

.PHONY: app test setup lint types people clean
app: setup
	$(BIN)/python app.py serve --host $(HOST) --port $(PORT)

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt
	@test -n "$(PYTHON)" || { echo "Humanscope needs Python 3.10, 3.11 or 3.12; install one and run make again."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(CPU),$(BIN)/pip install --disable-pip-version-check -q torch==2.13.0 --index-url $(TORCH_CPU))
	$(BIN)/pip install --disable-pip-version-check -q torch==2.13.0
	$(BIN)/pip install --disable-pip-version-check -q -r requirements.txt
	touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/pip install --disable-pip-version-check -q -r requirements-dev.txt
	touch $@

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -q

# 64 synthetic people as one picture, to be looked at (SEEDS=9000:9064 for those of the tests).
SEEDS ?= 0:64
people: setup
	$(BIN)/python -m training.people --seeds $(SEEDS) --out build/people.png

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
