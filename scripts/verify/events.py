"""Checks that the function that SAM built responds correctly to every sample event, under AWS's emulator."""

import tools
from checks import expect
from running import Function, Hub, sample
from template import Stack


def check():
    with Hub() as hub, Function(Stack(**hub.parameters()), hub) as function:
        for path in sorted((tools.ROOT / "events").glob("*.json")):
            _, response = function.invoke(sample(path.stem))
            status = response.get("statusCode", response.get("status"))
            expect(is_expected(path.stem, response), f"events/{path.name}: {status}", response)


def is_expected(name, response):
    """Has the same expectations as scripts/lambda.sh."""
    if name.startswith("sweep"):
        return response.get("status") == "reviewed"
    return response.get("statusCode") == {"wrong-secret": 401, "malformed-body": 400}.get(name, 200)
