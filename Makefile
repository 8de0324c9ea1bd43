# Two commands are all that is needed, on a machine with Python 3.11, git and make:
#   make demo   the whole chain on a small synthetic dataset, ending with a report page
#   make test   the whole test suite
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# One more than there are processors: many tests wait for a server, a browser or a child of their own.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')

.PHONY: demo test test-bare lint format schemas bench label-studio clean

demo: $(VENV)/.installed
	$(BIN)/avis-data demo --out demo-workspace

test: $(VENV)/.label-studio $(VENV)/.format-readers
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations 20

# What touches media again, as on a machine that has neither ffmpeg nor a browser: the wheel's ffmpeg does it all.
test-bare: $(VENV)/.label-studio $(VENV)/.format-readers
	.ci/without ffmpeg,ffprobe,chromium,chromium-browser,google-chrome \
		$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m media

lint: $(VENV)/.installed
	@test -d avis_data/training/ || { echo "avis_data/training is no link: git was not allowed to make links (see CONTRIBUTING.md)"; exit 1; }
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32  # what Windows lacks is guarded; macOS lacks less

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/.installed
	$(BIN)/python -m avis_data.schemas.generate

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

label-studio: $(VENV)/.label-studio

clean:
	rm -rf $(VENV) demo-workspace build *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "avis-data needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[annotate,buckets,dev,scale,train]'
	touch $@

# Label Studio, in an environment of its own (tests of annotation need it; nothing else does).
$(VENV)/.label-studio: $(VENV)/.installed annotation/serve/label_studio_packages.txt annotation/serve/label_studio_install.py
	$(BIN)/avis-data annotate install
	touch $@

# The readers of formats that do not install beside our pins, in an environment of their own (tests of formats run them;
# nothing else does). The list is complete, so nothing is resolved, and nothing else can come in.
$(VENV)/.format-readers: $(VENV)/.installed tests/formats/readers/packages.txt
	rm -rf $(VENV)/format-readers
	$(PYTHON) -m venv $(VENV)/format-readers
	$(VENV)/format-readers/bin/python -m pip install --quiet --no-deps --requirement tests/formats/readers/packages.txt
	touch $@
