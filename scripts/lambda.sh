#!/usr/bin/env bash
# Shows the function as cargo-lambda builds, serves and invokes it, against a stand-in for the Hub, and checks each answer.
# Needs cargo-lambda (pip install cargo-lambda), Python and curl; nothing of it leaves this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

# One that nobody listens at: what answered there would be checked in place of the function.
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
work=$(mktemp -d)
finish() {
    status=$?
    kill ${watch:-} ${hub:-} 2>/dev/null || true
    wait 2>/dev/null || true
    if [ "$status" != 0 ]; then
        echo "FAILED. What was logged:" >&2
        tail -n 40 "$work"/*.log >&2
    fi
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }

# until_ready WHAT PID COMMAND…: waits until the command succeeds, but no longer than the process lives, or a minute.
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

# expect WHAT TEXT ANSWER
expect() {
    case $3 in
        *"$2"*) echo "ok: $1: $3" ;;
        *) echo "not ok: $1: expected $2 in: $3" >&2; exit 1 ;;
    esac
}

say "cargo lambda build --release"
# With the compiler of this machine, and so for it; without --compiler cargo it is built with zig for Amazon Linux.
cargo lambda build --release --compiler cargo --bin hub-doorman
artifact="${CARGO_TARGET_DIR:-target}/lambda/hub-doorman/bootstrap"
echo "$artifact: $(wc -c <"$artifact") bytes"

say "cargo lambda watch, before a stand-in Hub"
cargo build --example hub
"${CARGO_TARGET_DIR:-target}/debug/examples/hub" >"$work/local.env" 2>"$work/hub.log" &
hub=$!
until_ready "the stand-in Hub" "$hub" grep -q '^APPROVAL_POLICY' "$work/local.env"
cargo lambda watch --ignore-changes --env-file "$work/local.env" --invoke-port "$port" >"$work/watch.log" 2>&1 &
watch=$!
url="http://127.0.0.1:$port/lambda-url/hub-doorman/"
# Not curl: whatever is asked of it, it waits for a function to answer.
until_ready "cargo lambda watch" "$watch" bash -c "</dev/tcp/127.0.0.1/$port"

say "curl, with a payload as the Hub sends it"
payload='{"event": {"action": "create", "scope": "discussion"}, "repo": {"type": "model", "name": "acme/gated-model"}}'
post() { curl --silent --show-error --max-time 300 --write-out ' %{http_code}' --data "$payload" "$@" "$url"; }
expect "with the secret" '"accepted":2' "$(post --header "X-Webhook-Secret: sample-webhook-secret")"
expect "with another secret" ' 401' "$(post --header "X-Webhook-Secret: guess")"
expect "without a secret" ' 401' "$(post)"

say "scripts/smoke.sh, with the right secret and with a wrong one"
scripts/smoke.sh "$url" - <<<"sample-webhook-secret"
code=0
seen=$(scripts/smoke.sh "$url" - <<<"guess" 2>&1) || code=$?
expect "with a wrong one" "exit 1: not ok: with the secret: 401: the secret is wrong" "exit $code: $seen"

say "cargo lambda invoke, with every sample event"
for event in events/*.json; do
    case $event in
        events/wrong-secret.json) expected='"statusCode":401' ;;
        events/malformed-body.json) expected='"statusCode":400' ;;
        events/sweep*.json) expected='"status":"reviewed"' ;;
        *) expected='"statusCode":200' ;;
    esac
    expect "$event" "$expected" "$(cargo lambda invoke hub-doorman --invoke-port "$port" --data-file "$event")"
done
