#!/usr/bin/env bash
# Fuzzes the parsers of events, payloads, responses of the Hub, and policies with cargo-fuzz.
#
#     scripts/fuzz.sh [SECONDS [TARGET…]]
#
# Each target runs for SECONDS (600 by default). The run ends at the first crash, whose input is kept in fuzz/artifacts. Inputs that
# reach new code are kept in fuzz/corpus, where the next run begins.
# The script needs cargo-fuzz (cargo install cargo-fuzz), a C++ compiler and a Rust compiler. A stable compiler is enough.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift $(($# > 0))
[ $# -gt 0 ] || set -- event webhook hub_answers policy

command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
command -v "${CXX:-c++}" >/dev/null || { echo "a C++ compiler is missing, and libFuzzer needs one: install one, such as g++, or set CXX" >&2; exit 1; }

# cargo-fuzz uses options that a stable compiler refuses without this variable.
export RUSTC_BOOTSTRAP=1

# seed TARGET FILE…: copies files into the corpus of a target.
seed() {
    mkdir -p "fuzz/corpus/$1"
    for file in "${@:2}"; do cp "$file" "fuzz/corpus/$1/seed-$(basename "$file")"; done
}
seed event events/*.json
seed webhook events/*.json fuzz/seeds/webhook/*
seed hub_answers fuzz/seeds/hub_answers/*
seed policy examples/policy.json examples/policies/*.toml fuzz/seeds/policy/*

# The targets are built without a sanitizer, because the project has no unsafe code. The stack is then as large as in the function.
for target in "$@"; do
    cargo fuzz build --sanitizer none "$target"
done
for target in "$@"; do
    echo "== $target"
    dictionary=()
    [ ! -f "fuzz/$target.dict" ] || dictionary=("-dict=fuzz/$target.dict")
    cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -max_len=20000 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 "${dictionary[@]}"
done
