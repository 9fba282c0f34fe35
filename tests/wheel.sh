#!/bin/sh
# Builds the wheel, installs it alone, and runs the tests against it where the sources cannot be imported.
set -eu

cd "$(dirname "$0")/.."
: "${PYTHON:=python3}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$PYTHON" -m venv "$work/venv"
bin="$work/venv/bin"
"$bin/python" -m pip install --quiet --upgrade pip
"$bin/python" -m pip install --quiet --group test
"$bin/python" -m build --wheel --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
"$bin/python" -m pip install --quiet "$work"/dist/penstock-*.whl

# What is tested is the wheel: only the tests and their settings lie beside it.
mkdir "$work/tree"
cp -R tests configs docs pyproject.toml docker-compose.yml Dockerfile "$work/tree/"
cd "$work/tree"
"$bin/python" -c 'import domain, sys; sys.exit("site-packages" not in domain.__file__)'
"$bin/penstock" --version
"$bin/python" -m pytest -p no:cacheprovider --numprocesses 3 --dist worksteal --durations 25 "$@"
