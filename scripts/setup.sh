#!/bin/sh
# Makes .venv in the checkout and installs what LOCK lists, by hash, and the project itself, editable.
# Usage: scripts/setup.sh LOCK       PYTHON=python3.12 chooses the interpreter.
# A stamp in .venv says what was installed, so that a second call costs one start of the interpreter;
# a .venv that is broken, half made, moved or of another interpreter is made anew.
set -eu
cd "$(dirname "$0")/.."
lock=$1
venv=.venv

fail() {
    echo "vedette: $1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || fail "PYTHON=$PYTHON is no program here: name one, such as PYTHON=python3.12"
        new_enough "$PYTHON" || fail "PYTHON=$PYTHON is Python $(version_of "$PYTHON" || echo unknown), and 3.11 or later is needed: name a later one"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or later is on the PATH: install one, or name it as in 'make demo PYTHON=/opt/python3.12/bin/python3'"
}

# What the environment is made from: a change of any of these installs again.
wanted() {
    pwd
    cat requirements.lock requirements-dev.lock pyproject.toml
}

python=$(find_python)
stamp=$venv/.installed-$lock
digest=$(wanted | cksum)
installed() {
    # requirements-dev.lock holds all that requirements.lock holds.
    [ "$(cat "$stamp" 2>/dev/null)" = "$digest" ] ||
        [ "$(cat "$venv/.installed-requirements-dev.lock" 2>/dev/null)" = "$digest" ]
}
works() {
    [ -x "$venv/bin/python" ] && [ "$("$venv/bin/python" -c 'import sys; print(sys.prefix)' 2>/dev/null)" = "$(pwd -P)/$venv" ]
}
if works && installed && [ -x "$venv/bin/vedette" ]; then
    if [ -z "${PYTHON:-}" ] || [ "$(version_of "$python")" = "$(version_of "$venv/bin/python")" ]; then
        exit 0
    fi
fi

if ! works || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    { [ -n "${PYTHON:-}" ] && [ "$(version_of "$python")" != "$(version_of "$venv/bin/python")" ]; }; then
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python has no venv module: install it (on Debian: apt-get install python3-venv), or name another interpreter with PYTHON="
    echo "vedette: making $venv with $(version_of "$python") of $python"
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "$python could not make $venv: see the lines above"
fi
rm -f "$venv"/.installed-*
echo "vedette: installing what $lock lists (the first time takes a minute or two)"
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check -qq "$@"
}
pip install --no-deps --only-binary :all: --require-hashes -r "$lock" ||
    fail "what $lock lists could not be installed: see pip's lines above; the package registry must be reachable; 'make' again goes on from here"
pip install --no-deps --no-build-isolation --editable . ||
    fail "the project itself could not be installed: see pip's lines above"
echo "$digest" >"$stamp"
