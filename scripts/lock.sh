#!/bin/sh
# Writes the lock files: hashed requirements, wheels only, without any registry's address.
# UPGRADE=1 takes newer versions; without it a version stays for as long as pyproject.toml allows it.
set -eu
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
        --only-binary :all: --no-emit-index-url --no-header ${UPGRADE:+--upgrade} "$@"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Wheels must be there for every version of Python that we name, or set-up would fail on one of them.
# pip is asked, not uv: it is what set-up uses, and it obeys upper bounds on Python's version.
installable() {
    for version in 3.11 3.12 3.13; do
        .venv/bin/python -m pip install -qq --dry-run --no-deps --only-binary :all: --require-hashes \
            --python-version "$version" --target "$scratch" -r "$1"
    done
}

compile --extra cameras --group build --group demo --output-file requirements.lock
compile --extra cameras --extra postgres --extra s3 --group build --group demo --group test --group check --group lock \
    --constraint requirements.lock --output-file requirements-dev.lock
compile --extra cameras --extra onnx --extra tflite --extra postgres --extra s3 \
    --constraint requirements-dev.lock --output-file requirements-images.lock
installable requirements.lock
installable requirements-dev.lock
installable requirements-images.lock
