#!/usr/bin/env bash
# Verifies the function against real parts: SAM and cfn-lint, AWS's own emulator of Lambda's runtime, moto for what keeps
# secrets, CloudWatch's rules for metrics and alarms; and the command line on a terminal. Needs cargo, curl and Python with
# pip, on Linux and x86_64; apart from installing those tools, nothing of it leaves this machine.
#
#     scripts/verify.sh              all of it
#     scripts/verify.sh alarms …     some of it; the names are in scripts/verify/__main__.py
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools="$target/verify-tools"
versions="aws-sam-cli==1.170.0 cfn-lint==1.58.0 moto[server]==5.2.5 cargo-lambda==1.9.2 jsonschema==4.26.0 awscli==1.46.3"
# A terminal, and how wide letters are on one.
versions="$versions pyte==0.8.2 wcwidth==0.7.0"
# Only for the JSON schema that it brings along, so without what it is made of.
schema="aws-lambda-powertools==1.10.5"
if [ "$(cat "$tools/versions" 2>/dev/null)" != "$versions $schema" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    # Of the versions and of nothing else that they consist of, so unquoted.
    # shellcheck disable=SC2086
    "$tools/bin/pip" install --quiet --disable-pip-version-check $versions
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps "$schema"
    echo "$versions $schema" >"$tools/versions"
fi

export PATH="$tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 CARGO_TARGET_DIR="$target"
# The stand-in Hub, and the command line.
cargo build --quiet --example hub --bin doorman
exec "$tools/bin/python" scripts/verify "$@"
