#!/bin/sh
# Builds the stages and the server as container images, from wheels alone, so that the build itself needs no network.
# BASE_IMAGE=name builds on another base (python:3.11-slim by default), STAGES="validate judge" only those;
# ENGINE=podman builds with another engine.
set -eu
cd "$(dirname "$0")/.."
engine=${ENGINE:-docker}
base=${BASE_IMAGE:-python:3.11-slim}
context=dist/images

command -v "$engine" >/dev/null 2>&1 || {
    echo "vedette: no $engine here: install it, or name another engine with ENGINE=" >&2
    exit 1
}
rm -rf "$context"
mkdir -p "$context/wheels"
pip() {
    .venv/bin/python -m pip --disable-pip-version-check -qq "$@"
}
pip wheel --no-deps --no-build-isolation --wheel-dir "$context/wheels" .
pip download --no-deps --only-binary :all: --require-hashes --dest "$context/wheels" -r requirements-images.lock
for file in src/vedette_cameras/pipelines/*.Dockerfile deploy/compose/*.Dockerfile; do
    stage=$(basename "$file" .Dockerfile)
    case " ${STAGES:-$stage} " in *" $stage "*) ;; *) continue ;; esac
    # The classic builder: it takes what is here, and asks no registry for a front end.
    DOCKER_BUILDKIT=0 "$engine" build --build-arg "BASE_IMAGE=$base" --tag "vedette/$stage" --file "$file" "$context"
done
