#!/usr/bin/env bash
# Builds, serves and invokes the function with cargo-lambda, against the stand-in Hub, and checks each response.
# The script needs cargo-lambda (pip install cargo-lambda), Python and curl. It makes no calls to other machines.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

# The port has to be free: if another server listened there, its responses would be checked instead of the function's.
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
work=$(mktemp -d)
finish() {
    status=$?
    kill ${watch:-} ${hub:-} 2>/dev/null || true
    wait 2>/dev/null || true
    if [ "$status" != 0 ]; then
        echo "FAILED. The end of the logs:" >&2
        tail -n 40 "$work"/*.log >&2
    fi
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }

# until_ready WHAT PID COMMAND…: waits until the command succeeds. Fails if the process ends, or after a minute.
until_ready() {
    what=$1 pid=$2
    shift 2
    for _ in $(seq 120); do
        if "$@" >/dev/null 2>&1; then return; fi
        kill -0 "$pid" 2>/dev/null || { echo "$what ended early" >&2; exit 1; }
        sleep 0.5
    done
    echo "$what is not ready after a minute" >&2
    exit 1
}

# expect WHAT TEXT RESPONSE: checks that the response contains the text.
expect() {
    case $3 in
        *"$2"*) echo "ok: $1: $3" ;;
        *) echo "not ok: $1: expected $2 in: $3" >&2; exit 1 ;;
    esac
}

say "cargo lambda build --release"
# `--compiler cargo` builds for this machine, with its own compiler. By default, cargo-lambda builds with zig for Amazon Linux.
cargo lambda build --release --compiler cargo --bin hub-doorman
artifact="$target/lambda/hub-doorman/bootstrap"
echo "$artifact: $(wc -c <"$artifact") bytes"

say "cargo lambda watch, with the stand-in Hub"
cargo build --example hub
"$target/debug/examples/hub" >"$work/local.env" 2>"$work/hub.log" &
hub=$!
until_ready "the stand-in Hub" "$hub" grep -q '^APPROVAL_POLICY' "$work/local.env"
cargo lambda watch --ignore-changes --env-file "$work/local.env" --invoke-port "$port" >"$work/watch.log" 2>&1 &
watch=$!
url="http://127.0.0.1:$port/lambda-url/hub-doorman/"
# This only connects, because a request would wait until a function responds.
until_ready "cargo lambda watch" "$watch" bash -c "</dev/tcp/127.0.0.1/$port"

say "curl, with a payload in the Hub's format"
payload='{"event": {"action": "create", "scope": "discussion"}, "repo": {"type": "model", "name": "acme/gated-model"}}'
response=$(curl --silent --show-error --max-time 300 --header "X-Webhook-Secret: sample-webhook-secret" --data "$payload" "$url")
expect "with the secret" '"accepted":2' "$response"

say "scripts/smoke.sh, with the right secret and with a wrong one"
scripts/smoke.sh "$url" - <<<"sample-webhook-secret"
code=0
output=$(scripts/smoke.sh "$url" - <<<"guess" 2>&1) || code=$?
expect "with a wrong secret" "exit 1: not ok: with the secret: 401: the secret is wrong" "exit $code: $output"

say "cargo lambda invoke, with every sample event"
for event in events/*.json; do
    case $event in
        events/wrong-secret.json) expected='"statusCode":401' ;;
        events/malformed-body.json) expected='"statusCode":400' ;;
        # If the repos were read since the mail arrived, it is ignored.
        events/mail*.json) expected='"status":"' ;;
        events/digest.json) expected='"status":"ignored"' ;;
        events/sweep*.json) expected='"status":"reviewed"' ;;
        *) expected='"statusCode":200' ;;
    esac
    expect "$event" "$expected" "$(cargo lambda invoke hub-doorman --invoke-port "$port" --data-file "$event")"
done
