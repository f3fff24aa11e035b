# The recipes of this project. CI runs `just check` and nothing else.

# List the recipes.
default:
    @just --list

# Run everything that CI checks, the tests last.
check: format lint docs deny replay lambda verify test

# Check the format of the code.
format:
    cargo fmt --check

# Check the code with clippy. A warning is an error.
lint:
    cargo clippy --all-targets -- -D warnings

# Build the documentation. A warning is an error.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# Check the dependencies: licences, sources, banned crates, and crates in two versions.
deny:
    cargo deny --workspace check --hide-inclusion-graph bans licenses sources

# Check the dependencies for known vulnerabilities. Not part of `check`, because it downloads their database.
advisories:
    cargo deny --workspace check --hide-inclusion-graph advisories

# Send sample webhooks through the real handler to the stand-in Hub.
replay *arguments:
    cargo run --example replay -- {{ arguments }}

# Build, serve and invoke the function with cargo-lambda.
lambda:
    scripts/lambda.sh

# Check template, secrets, metrics, alarms, documents and the policy schema with AWS's tools and moto, the command line, and the stand-in.
verify *parts:
    scripts/verify.sh {{ parts }}

# Build the files of a release for Linux, on x86_64 and arm64, and check them. Needs the Rust targets, qemu-user-static and libc6-arm64-cross.
release:
    scripts/release.py lambda
    scripts/release.py program
    scripts/release.py sums
    scripts/verify.sh release

# Do the same, and then build everything again in another folder, and compare the bytes.
release-check: release
    scripts/release.py again

# Walk the facts about the Hub on the real Hub, with throw-away repos in HF_LIVE_NAMESPACE. Needs HF_TOKEN.
live *arguments:
    python3 tests/live/walk.py {{ arguments }}

# Run all tests, and search their output for tokens, secrets and e-mail addresses.
test *arguments:
    python3 scripts/test.py {{ arguments }}

# Simulate this many random schedules of faults, stops and requests. `SCHEDULE=17 just simulate` replays schedule 17 in detail.
simulate schedules="100000":
    SCHEDULES={{ schedules }} cargo test --profile simulation --test simulation whatever -- --nocapture

# Simulate this many days with mails and without, for the table in docs/performance.md. A day takes about a minute.
days number="1":
    DAYS={{ number }} cargo test --profile simulation --test simulation mail -- --nocapture

# Run mutation tests: each of hundreds of changes to the deciding code must fail a test. Takes an hour or more.
mutants *arguments:
    CARGO_PROFILE_DEV_DEBUG=0 cargo mutants {{ arguments }}

# Compare the speed with a Python function and with an empty one. Takes half an hour, or four minutes with --quick.
bench *arguments:
    python3 bench/run.py {{ arguments }}

# Fuzz the parsers of events, payloads, responses and policies: `just fuzz [SECONDS [TARGET…]]`. Needs cargo-fuzz.
fuzz *arguments:
    scripts/fuzz.sh {{ arguments }}
