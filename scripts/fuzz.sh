#!/usr/bin/env bash
# fuzz.sh [SECONDS [TARGET…]]: lets cargo-fuzz look for events, payloads, answers of the Hub and policies that the doorman does not
# withstand, for so many seconds a target (600 if nothing is said). Ends with the first finding, which is kept in
# fuzz/artifacts. What is found worth trying again is kept in fuzz/corpus, and the next run begins there.
# Needs cargo-fuzz (cargo install cargo-fuzz) and a C++ compiler; the stable compiler will do.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift $(($# > 0))
[ $# -gt 0 ] || set -- event webhook hub_answers policy

command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
command -v "${CXX:-c++}" >/dev/null || { echo "a C++ compiler is missing, of which libFuzzer is made" >&2; exit 1; }

# cargo-fuzz asks for options that only a nightly compiler takes, unless it is told that this is meant.
export RUSTC_BOOTSTRAP=1

# seed TARGET FILE…: puts files into the corpus of a target.
seed() {
    mkdir -p "fuzz/corpus/$1"
    for file in "${@:2}"; do cp "$file" "fuzz/corpus/$1/seed-$(basename "$file")"; done
}
seed event events/*.json
seed webhook events/*.json fuzz/seeds/webhook/*
seed hub_answers fuzz/seeds/hub_answers/*
seed policy examples/policy.json $(ls examples/policies/*.json | grep -v cases) fuzz/seeds/policy/*

# No sanitizer: nothing of ours is unsafe, and without one the stack is that of the function.
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
