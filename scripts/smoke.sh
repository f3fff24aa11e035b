#!/usr/bin/env bash
# Sends webhooks to a deployed function, with its secret and without, and says what is wrong, if anything. They are about no
# repo, so nothing is looked at and nobody is let in. Needs curl.
set -euo pipefail

url=${1-} secret=${2-}
# Everybody on this machine may list the arguments of a process, this one's too.
if [ "$secret" = - ]; then IFS= read -r secret || true; fi
if [ $# != 2 ] || [ -z "$url" ] || [ -z "$secret" ]; then
    echo "usage: $0 URL SECRET, of the function and of its webhook; or - for SECRET, to read it from standard input" >&2
    exit 2
fi
# Or to one that runs on this machine.
if ! [[ $url =~ ^(https://|http://127\.0\.0\.1:[0-9]+/) ]]; then
    echo "not ok: the URL does not begin with https://, and the secret is sent over nothing else" >&2
    exit 1
fi
case $secret in *[![:print:]]*) echo "not ok: the secret holds what is not printable, such as a line break" >&2; exit 1 ;; esac

# send [HEADER]: sets `status` and `body`. The header is no argument of curl's, and no settings of curl's make it say more.
send() {
    local answer code=0
    answer=$(printf '%s\n' "$@" | curl --disable --globoff --silent --show-error --max-time 30 \
        --write-out '\n%{http_code}' --header @- --header 'Content-Type: application/json' \
        --data '{"event":{"action":"update","scope":"repo"},"repo":null}' "$url" 2>&1) || code=$?
    case $code in
        0) ;;
        6) fail "there is no such host: is the URL whole, and is the stack still there?" ;;
        7) fail "the host takes no connection: a network or proxy in between, or not the URL of a function" ;;
        28) fail "no answer within 30 seconds, after which the Hub gives up too: the function hangs, or something in between" ;;
        35 | 51 | 60) fail "the host has no HTTPS, or no certificate to be trusted: $(head -n 1 <<<"$answer")" ;;
        *) fail "curl failed with $code: $(head -n 1 <<<"$answer")" ;;
    esac
    status=${answer##*$'\n'} body=${answer%$'\n'*}
    # What is not Hub Doorman may send back what it was sent.
    body=${body//"$secret"/SECRET}
}

fail() {
    printf 'not ok: %s: %s\n' "$what" "$*" >&2
    exit 1
}

# What is wrong with an answer that is neither of those expected, whatever was shown.
diagnose() {
    local seen
    seen=$(head -c 200 <<<"$body" | tr -d '\n')
    seen="$status${seen:+, $seen}"
    case $status in
        403) fail "$seen
The URL is not open, and the function never saw this. Since October 2025 everybody needs two permissions for it:
  aws lambda add-permission --function-name NAME --statement-id PublicUrl --principal '*' \\
    --action lambda:InvokeFunctionUrl --function-url-auth-type NONE
  aws lambda add-permission --function-name NAME --statement-id PublicInvoke --principal '*' \\
    --action lambda:InvokeFunction --invoked-via-function-url
An AWS CLI that does not know the last of these is too old. If everybody has both: is the URL's auth type NONE?" ;;
        404) fail "$seen: the host is there and no function is at this URL; the stack's output WebhookUrl has it" ;;
        429) fail "$seen: throttled: the account is at its limit of concurrent executions, or the function's is reserved" ;;
        500 | 502) fail "$seen: the function cannot start or broke down; its log group says \"cannot start\" and why" ;;
        503 | 504) fail "$seen: Lambda is not available, or the function ran out of time; try again, then see its log" ;;
        200) fail "$seen: this is not Hub Doorman, whose answers have a \"status\"" ;;
        *) fail "$seen: this is not what Hub Doorman answers" ;;
    esac
}

what="with the secret"
send "X-Webhook-Secret: $secret"
case $status:$body in
    '200:'*'"status"'*) echo "ok: $what: 200, $body" ;;
    401:*) fail "401: the secret is wrong. If it was changed lately, the function still has the one before, or the other way
round: compare WebhookSecret and WebhookSecretPrevious with what the Hub was given" ;;
    *) diagnose ;;
esac

for what in "without a secret" "with a wrong secret"; do
    if [ "$what" = "without a secret" ]; then send; else send "X-Webhook-Secret: smoke-test-$RANDOM$RANDOM"; fi
    case $status in
        401) echo "ok: $what: 401" ;;
        2*) fail "$status: THE DOOR IS OPEN to whoever knows the URL. Take the URL away until this is mended" ;;
        *) diagnose ;;
    esac
done
echo "ok: the function is up, lets its webhook in, and nobody else"
