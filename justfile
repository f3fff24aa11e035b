# Every habit of this project. CI runs `just check` and nothing else.

# What there is.
default:
    @just --list

# Everything that CI checks; the tests come last.
check: format lint docs deny replay lambda verify test

# The code is formatted.
format:
    cargo fmt --check

# No lint has anything to say.
lint:
    cargo clippy --all-targets -- -D warnings

# The documentation builds without warnings.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# Licences, sources, banned crates and crates of two versions.
deny:
    cargo deny check --hide-inclusion-graph bans licenses sources

# Known faults of what it is built of, where their database can be reached; not part of `check`.
advisories:
    cargo deny check --hide-inclusion-graph advisories

# Sample webhooks, through the real handler, to the stand-in Hub.
replay *arguments:
    cargo run --example replay -- {{ arguments }}

# The function as cargo-lambda builds, serves and invokes it.
lambda:
    scripts/lambda.sh

# Template, secrets, metrics, alarms and documents, against AWS's own tools and moto; the command line on a terminal.
verify *parts:
    scripts/verify.sh {{ parts }}

# All tests, and a search of all that they print, log and answer for what must never be seen.
test *arguments:
    python3 scripts/test.py {{ arguments }}

# So many schedules of faults, stops and people, drawn from their numbers; `SCHEDULE=17 just simulate` tells of one alone.
simulate schedules="100000":
    SCHEDULES={{ schedules }} cargo test --profile simulation --test simulation whatever -- --nocapture

# Breaks the code that decides in hundreds of ways, one at a time, each of which a test has to notice; an hour or more.
mutants *arguments:
    CARGO_PROFILE_DEV_DEBUG=0 cargo mutants {{ arguments }}

# Ours, Python's and a bare function's speed side by side; half an hour, or four minutes with --quick.
bench *arguments:
    python3 bench/run.py {{ arguments }}

# Events, payloads, answers and policies made up by a machine, for so many seconds each; needs cargo-fuzz.
fuzz *arguments:
    scripts/fuzz.sh {{ arguments }}
