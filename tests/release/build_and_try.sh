#!/usr/bin/env bash
# Builds sdist and wheel into dist/ and uses the wheel as a stranger would: in an
# empty environment, from an empty folder.
#
#   make release
set -euo pipefail
python="$(realpath -s "$1")"
cd "$(dirname "$0")/../.."

version="$("$python" -c 'import sel_jax; print(sel_jax.__version__)')"
if ! grep -qE "^## $version - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md; then
  echo "error: CHANGELOG.md has no dated section '## $version - YYYY-MM-DD'; write it" >&2
  exit 2
fi
if ! grep -q "^version: $version$" CITATION.cff; then
  echo "error: CITATION.cff names another version than $version; change it" >&2
  exit 2
fi

rm -rf dist
"$python" -m build --outdir dist .
wheel="$(realpath dist/*.whl)"

empty="$(mktemp -d)"
trap 'rm -rf "$empty"' EXIT
"$python" -m venv "$empty/environment"
"$empty/environment/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
mkdir "$empty/folder"
cd "$empty/folder"
sel="$empty/environment/bin/sel-jax"
"$sel" train --config=configs/lol.py:tiny --config.data.source=sample \
  --config.train.steps=4 --workdir=run
"$sel" evaluate --checkpoint=run --data=sample --json=figures.json
"$sel" enhance run/enhanced.png
for file in run/log.jsonl figures.json enhanced/enhanced.png; do
  test -s "$file" || { echo "error: $file was not written" >&2; exit 1; }
done

echo
echo "$(basename "$wheel") works. To publish it:"
echo "  git tag -a v$version -m 'sel_jax $version' && git push origin v$version"
