"""The script that an owner would write with huggingface_hub: list the pending requests, then one call for each.

The argument is the number of threads.
"""

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
    """Decides all pending requests; also the handler of a Lambda function."""
    threads = int(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else 1
    pending = api.list_pending_access_requests(REPO)
    if threads == 1:
        decided = [decide(request) for request in pending]
    else:
        with ThreadPoolExecutor(threads) as pool:
            decided = list(pool.map(decide, pending))
    return {"statusCode": 200, "body": str(len(decided))}


if __name__ == "__main__":
    begun = time.perf_counter()
    handler()
    print(json.dumps({"seconds": time.perf_counter() - begun}), file=sys.stderr)
