"""What an owner writes with huggingface_hub: list who waits, then one call each. Argument: how many threads."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from huggingface_hub import HfApi

REPO = "acme/model"
api = HfApi()


def decide(request):
    if request.fields["Country"] in ("KP", "SY"):
        api.reject_access_request(REPO, request.username, rejection_reason="We cannot ship there.")
    elif request.email.split("@")[-1].endswith("acme.com"):
        api.accept_access_request(REPO, request.username)


def handler(event=None, context=None):
    """The same as a Lambda function."""
    threads = int(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else 1
    waiting = api.list_pending_access_requests(REPO)
    if threads == 1:
        decided = [decide(request) for request in waiting]
    else:
        with ThreadPoolExecutor(threads) as pool:
            decided = list(pool.map(decide, waiting))
    return {"statusCode": 200, "body": str(len(decided))}


if __name__ == "__main__":
    begun = time.perf_counter()
    handler()
    print(json.dumps({"seconds": time.perf_counter() - begun}), file=sys.stderr)
