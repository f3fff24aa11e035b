#!/usr/bin/env bash
# Sends webhooks to a deployed function, with its secret and without, and reports what is wrong. The webhooks are about no repo, so
# no request is reviewed. The script needs curl.
#
#     scripts/smoke.sh URL SECRET    or - for SECRET, to read it from standard input
set -euo pipefail

url=${1-} secret=${2-}
# Every user of a machine can see the arguments of its processes, so the secret can come from standard input instead.
if [ "$secret" = - ]; then IFS= read -r secret || true; fi
if [ $# != 2 ] || [ -z "$url" ] || [ -z "$secret" ]; then
    echo "usage: $0 URL SECRET: the function's URL and its webhook's secret, or - to read the secret from standard input" >&2
    exit 2
fi
# HTTP without TLS is allowed only for a function on this machine.
if ! [[ $url =~ ^(https://|http://127\.0\.0\.1:[0-9]+/) ]]; then
    echo "not ok: the URL does not begin with https://, and the secret is sent over HTTPS only" >&2
    exit 1
fi
case $secret in *[![:print:]]*) echo "not ok: the secret holds a character that is not printable, such as a line break" >&2; exit 1 ;; esac

# send [HEADER]: sets `status` and `body`. The header goes to curl by standard input, because others can see curl's arguments.
# `--disable` ignores curl's configuration file, which could print the header.
send() {
    local answer code=0
    answer=$(printf '%s\n' "$@" | curl --disable --globoff --silent --show-error --max-time 30 \
        --write-out '\n%{http_code}' --header @- --header 'Content-Type: application/json' \
        --data '{"event":{"action":"update","scope":"repo"},"repo":null}' "$url" 2>&1) || code=$?
    case $code in
        0) ;;
        6) fail "there is no such host: check that the URL is complete and that the stack exists" ;;
        7) fail "the host takes no connection: check the network, the proxy, and that this is the URL of a function" ;;
        28) fail "no answer within 30 seconds, the Hub's limit too: the function or something before it hangs" ;;
        35 | 51 | 60) fail "the host has no HTTPS, or no trusted certificate: $(head -n 1 <<<"$answer")" ;;
        *) fail "curl failed with $code: $(head -n 1 <<<"$answer")" ;;
    esac
    status=${answer##*$'\n'} body=${answer%$'\n'*}
    # A server that is not Hub Doorman may send the secret back.
    body=${body//"$secret"/SECRET}
}

fail() {
    printf 'not ok: %s: %s\n' "$what" "$*" >&2
    exit 1
}

# Reports what is wrong, if the response is none of those expected.
diagnose() {
    local seen
    seen=$(head -c 200 <<<"$body" | tr -d '\n')
    seen="$status${seen:+, $seen}"
    case $status in
        403) fail "$seen
The URL is not public, so the function did not receive this. Since October 2025, a public URL needs two permissions:
  aws lambda add-permission --function-name NAME --statement-id PublicUrl --principal '*' \\
    --action lambda:InvokeFunctionUrl --function-url-auth-type NONE
  aws lambda add-permission --function-name NAME --statement-id PublicInvoke --principal '*' \\
    --action lambda:InvokeFunction --invoked-via-function-url
If your AWS CLI does not know the last option, update it. If both permissions exist, check that the URL's auth type is NONE." ;;
        404) fail "$seen: no function is at this URL; the right URL is the stack's output WebhookUrl" ;;
        429) fail "$seen: throttled: the account or the function is at its limit of concurrent executions" ;;
        500 | 502) fail "$seen: the function cannot start or crashed; look for \"cannot start\" in its log group" ;;
        503 | 504) fail "$seen: Lambda is not available, or the function timed out; try again, then look at its log" ;;
        200) fail "$seen: this is not Hub Doorman, whose responses have a \"status\"" ;;
        *) fail "$seen: this is not what Hub Doorman answers" ;;
    esac
}

what="with the secret"
send "X-Webhook-Secret: $secret"
case $status:$body in
    '200:'*'"status"'*) echo "ok: $what: 200, $body" ;;
    401:*) fail "401: the secret is wrong. If it was changed recently, the function may still have the previous one, or only the new
one: compare WebhookSecret and WebhookSecretPrevious with the secret that the Hub has" ;;
    *) diagnose ;;
esac

for what in "without a secret" "with a wrong secret"; do
    if [ "$what" = "without a secret" ]; then send; else send "X-Webhook-Secret: smoke-test-$RANDOM$RANDOM"; fi
    case $status in
        401) echo "ok: $what: 401" ;;
        2*) fail "$status: THE DOOR IS OPEN to everybody who knows the URL. Delete the URL until this is fixed" ;;
        *) diagnose ;;
    esac
done
echo "ok: the function is up, accepts webhooks with the secret, and refuses all others"
