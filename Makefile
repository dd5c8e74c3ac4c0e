# Everything happens in .venv, made on first use from Python 3.11+ and pip alone.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
CHECK := $(VENV)/.check
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest

.PHONY: help train test check lint types shapes check-benchmarks check-commands \
  check-processes check-notebooks docs coverage test-slow test-torch test-browser \
  test-onnx notebooks settings release format pin clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1|/' | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

train: $(RUN)  ## a first run, two minutes on two cores: a checkpoint, a log, a picture
	$(BIN)/python -m experiments.train --config=configs/sample.py --workdir=runs/sample
	@echo "low | restored | clean: runs/sample/enhanced.png"

test: $(DEV)  ## the test suite; types and shapes of annotations are checked as it runs
	$(PYTEST) -n 2

check: lint types shapes docs check-commands check-processes check-notebooks check-benchmarks  ## everything else that CI wants green

lint: $(DEV)  ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)  ## the type checker over sel_jax, benchmarks and experiments
	$(BIN)/pyrefly check --python-interpreter-path=$(BIN)/python

shapes: $(DEV)  ## public functions say shapes, and a wrong shape is refused
	$(PYTEST) tests/test_api.py tests/test_shapes.py

docs: $(CHECK)  ## the site: docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

check-commands: $(CHECK)  ## every command of the documentation starts
	$(PYTEST) -n 2 -m "not slow" tests/docs

check-processes: $(DEV)  ## runs that are whole, spread, killed or loaded in another process
	$(PYTEST) -n 2 -m fence tests/ablation tests/commands tests/data tests/inference tests/training tests/test_loss_alone.py

check-notebooks: $(CHECK)  ## every notebook runs to its end
	$(PYTEST) -n 2 -m "not slow" tests/notebooks

check-benchmarks: $(CHECK)  ## every benchmark runs at its smallest size
	$(PYTEST) -n 2 -m "not slow" tests/benchmarks

coverage: $(DEV)  ## the test suite, and which lines it never reaches
	$(PYTEST) -n 2 --cov=sel_jax --cov-report=term:skip-covered

test-slow: $(DEV)  ## the tests that take minutes; with LOL-v1 in $$SEL_JAX_DATA/lol_v1 those too that need it
	XLA_FLAGS=--xla_backend_optimization_level=3 $(PYTEST) -n 2 -m slow

test-torch: $(DEV)  ## against PyTorch, which it installs
	$(PIP) -r requirements-torch.txt
	$(PYTEST) -m "slow or fence or not slow" tests/interop tests/evaluation/test_fid.py tests/benchmarks/test_torch_baseline.py tests/docs/test_examples.py

test-browser: $(DEV)  ## the demo's page in a real browser, which it installs
	$(PIP) -r requirements-browser.txt
	tests/browser/install_chromium.sh
	$(PYTEST) -m slow tests/browser

test-onnx: .venv-onnx/.ready  ## the ONNX export, in an environment of its own
	.venv-onnx/bin/python -m pip install --quiet pytest beartype -c constraints.txt
	.venv-onnx/bin/python -m pytest -m slow tests/inference/test_export.py

# The converter asks for an older Orbax than ours, so pip must not resolve it.
.venv-onnx/.ready: requirements-onnx.txt requirements.txt
	$(PYTHON) -m venv .venv-onnx
	.venv-onnx/bin/python -m pip install --quiet -r requirements.txt -r requirements-onnx.txt -c constraints.txt
	.venv-onnx/bin/python -m pip install --quiet --no-deps jax2onnx==0.17.1
	@touch .venv-onnx/.ready

notebooks: $(CHECK)  ## runs the notebooks and writes them with their outputs
	PYTHONPATH=. MPLBACKEND=module://matplotlib_inline.backend_inline $(BIN)/python notebooks/build.py

settings: $(RUN)  ## writes the table of configuration keys, docs/settings.md, and the help of every command anew
	$(BIN)/python -m sel_jax.settings > docs/settings.md
	$(BIN)/python -m sel_jax.commands.stored_help

release: $(DEV)  ## sdist and wheel, tried in an empty environment; prints the tag command
	$(PIP) build
	tests/release/build_and_try.sh $(BIN)/python

format: $(DEV)  ## mends what lint complains about
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pin: $(DEV)  ## writes constraints.txt anew from the ranges
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --upgrade requirements-dev.txt requirements-docs.txt requirements-notebooks.txt -o constraints.txt

clean:  ## removes what was made
	rm -rf $(VENV) .venv-onnx runs docs/_build docs/notebooks dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11; run make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The package itself as it stands here: `import sel_jax` anywhere, `sel-jax`.
$(RUN): requirements.txt constraints.txt pyproject.toml | $(BIN)/python
	$(PIP) -r requirements.txt -c constraints.txt
	$(PIP) --no-deps -e .
	@touch $@

$(DEV): requirements-dev.txt requirements-metrics.txt requirements-heif.txt requirements-raw.txt $(RUN)
	$(PIP) -r requirements-dev.txt -c constraints.txt
	@touch $@

$(CHECK): requirements-docs.txt requirements-notebooks.txt $(DEV)
	$(PIP) -r requirements-docs.txt -r requirements-notebooks.txt -c constraints.txt
	@touch $@
