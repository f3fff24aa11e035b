"""Facts about names, the account and the token."""

from urllib.parse import urlencode

from facts import Section
from hub import until

SECTION = Section("names and the account")
WRONG_TOKEN = "hf_ThisTokenIsWrong"


@SECTION.fact("`GET /api/whoami-v2` tells whose token it is and its role.", "client", (True, True, True))
def whose_token(walk):
    who = walk.hub.get("/api/whoami-v2").json()
    return bool(who["name"]), bool(who["id"]), who["auth"]["accessToken"]["role"] in ("write", "fineGrained")


@SECTION.fact("401 `Invalid username or password.` without a valid token.", "seen", (401, "Invalid username or password."))
def wrong_token(walk):
    return walk.hub.get("/api/whoami-v2", token=WRONG_TOKEN).error


@SECTION.fact('The Hub takes the names of repos in any case: "three spellings give the same repo".', "rep", {"same"})
def three_spellings(walk):
    name, seen = walk.model.name, set()
    for spelling in (name, name.upper(), name.lower()):
        response = walk.hub.follow(f"/api/models/{spelling}")
        is_same = response.status == 200 and response.json()["id"] == name
        seen.add("same" if is_same else f"{spelling}: {response.status}")
    return seen


@SECTION.fact("The Hub takes the names of users and organizations in any case: the author in a search.", "rep", True)
def author_in_capitals(walk):
    query = urlencode({"author": walk.namespace.upper(), "limit": 100})

    def found():
        return walk.model.name in [item["id"] for item in walk.hub.get(f"/api/models?{query}").json()]

    return until(found, bool)


@SECTION.fact("A repo that does not exist: 404 `RepoNotFound` with a token, 401 without.", "seen", ((404, "RepoNotFound"), 401))
def missing_repo(walk):
    path = f"/api/models/{walk.namespace}/{walk.nobody}"
    response = walk.hub.get(path)
    return (response.status, response.code), walk.hub.get(path, token=False).status


@SECTION.fact("A private repo is a missing one without a token.", "unknown")
def private_repo(walk):
    response = walk.hub.get(walk.model.api, token=False)
    return response.status, response.code, response.message


SECTION.needs("a repo of somebody else", ("`repo.name` is one bare name for a few old models (`gpt2`).", "doc"))
SECTION.needs(
    "an organization with a policy on tokens",
    ("A token that was revoked, or that an organization's policy on tokens refuses: 403 with a message of its own.", "doc"),
)
