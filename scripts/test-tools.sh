#!/usr/bin/env bash
# Installs what the tests use beside npm packages, where this is a Debian machine and we are root; says what is missing otherwise.
# Nothing of it is needed to run Tulle; tests that lack a tool are skipped with its name.
set -euo pipefail

missing=()
command -v iptables > /dev/null || missing+=(iptables)
command -v ip > /dev/null || missing+=(iproute2)
command -v unshare > /dev/null || missing+=(util-linux)
command -v curl > /dev/null || missing+=(curl)
command -v chromium > /dev/null || missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
  if command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]; then
    echo "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  else
    echo "not installed, so the tests that use them are skipped: ${missing[*]}"
  fi
fi
