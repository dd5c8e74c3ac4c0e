# Everything happens in .venv, made on first use from Python 3.11+ and pip alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: train test test-slow test-torch test-browser test-onnx .venv-onnx notebooks lint format pin clean

train: $(RUN)  ## two minutes on two cores: a checkpoint, a log, a picture
	$(BIN)/python -m experiments.train --config=configs/sample.py --workdir=runs/sample
	@echo "low | restored | clean: runs/sample/enhanced.png"

test: $(DEV)
	$(BIN)/python -m pytest -n 2

test-slow: $(DEV)
	XLA_FLAGS=--xla_backend_optimization_level=3 $(BIN)/python -m pytest -n 2 -m slow

test-torch: $(DEV)  ## reading and writing PyTorch's files; installs PyTorch
	$(PIP) -r requirements-torch.txt
	$(BIN)/python -m pytest -m "slow or not slow" tests/interop tests/evaluation/test_fid.py

test-browser: $(DEV)  ## the page of the demo in a real browser
	$(PIP) -r requirements-browser.txt
	tests/browser/install_chromium.sh
	$(BIN)/python -m pytest -m slow tests/browser

settings: $(RUN)  ## writes the table of keys, docs/settings.md, anew
	$(BIN)/python -m sel_jax.settings > docs/settings.md

notebooks: $(DEV)  ## runs notebooks/*.py and writes them with outputs
	$(PIP) -r requirements-notebooks.txt
	PYTHONPATH=. MPLBACKEND=module://matplotlib_inline.backend_inline $(BIN)/python notebooks/build.py

test-onnx: .venv-onnx/.ready  ## the ONNX export, in its own environment
	.venv-onnx/bin/python -m pip install --quiet pytest -c constraints.txt
	.venv-onnx/bin/python -m pytest -m slow tests/inference/test_export.py

.venv-onnx: .venv-onnx/.ready

# The converter asks for an older Orbax than ours, so pip must not resolve it.
.venv-onnx/.ready: requirements-onnx.txt requirements.txt
	$(PYTHON) -m venv .venv-onnx
	.venv-onnx/bin/python -m pip install --quiet -r requirements.txt -r requirements-onnx.txt -c constraints.txt
	.venv-onnx/bin/python -m pip install --quiet --no-deps jax2onnx==0.17.1
	@touch .venv-onnx/.ready

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pin: $(DEV)  ## writes constraints.txt anew from the ranges
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --upgrade requirements-dev.txt -o constraints.txt

clean:
	rm -rf $(VENV) runs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; run make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUN): requirements.txt constraints.txt | $(BIN)/python
	$(PIP) -r requirements.txt -c constraints.txt
	@touch $@

$(DEV): requirements-dev.txt requirements-metrics.txt requirements.txt constraints.txt | $(BIN)/python
	$(PIP) -r requirements-dev.txt -c constraints.txt
	@touch $@ $(RUN)
