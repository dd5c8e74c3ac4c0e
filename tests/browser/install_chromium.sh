#!/usr/bin/env bash
# Installs Chromium from the system's packages, unless there is one.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" > /dev/null; then
    echo "browser: $(command -v "$name")"
    exit 0
  fi
done
if ! command -v apt-get > /dev/null; then
  echo "error: install Chromium and put it on the PATH" >&2
  exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends chromium > /dev/null
echo "browser: $(command -v chromium)"
