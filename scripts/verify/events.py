"""The function that SAM built, under AWS's emulator, answers every sample event as it should."""

import tools
from checks import expect
from running import Function, Hub, sample
from template import Stack


def check():
    with Hub() as hub, Function(Stack(**hub.parameters()), hub) as function:
        for path in sorted((tools.ROOT / "events").glob("*.json")):
            _, answer = function.invoke(sample(path.stem))
            said = answer.get("statusCode", answer.get("status"))
            expect(is_expected(path.stem, answer), f"events/{path.name}: {said}", answer)


def is_expected(name, answer):
    """The same as in scripts/lambda.sh."""
    if name.startswith("sweep"):
        return answer.get("status") == "reviewed"
    return answer.get("statusCode") == {"wrong-secret": 401, "malformed-body": 400}.get(name, 200)
