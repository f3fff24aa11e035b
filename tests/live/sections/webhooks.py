"""Facts about the webhooks of the account. The webhook watches the dataset that the walk made, and nothing else."""

from facts import NotWalked, Section

SECTION = Section("webhooks")
PATH = "/api/settings/webhooks"
KEYS = {"id", "url", "jobSourceId", "watched", "domains", "hasSecret", "disabled", "lastTriggerAt"}


def body(walk, **others):
    about = {"url": walk.webhook_url, "watched": [{"type": "dataset", "name": walk.dataset.name}], "domains": ["repo"]}
    about |= {"secret": walk.secret} | others
    return {key: value for key, value in about.items() if value is not None}


def own(walk):
    """The path of the webhook of the walk, made at the first time."""
    if "webhook" not in walk.memory:
        made = walk.hub.post(PATH, body(walk))
        if made.status != 200:
            raise NotWalked(f"the webhook was not made: {made.status} {made.message}")
        walk.memory["webhook made"] = made
        walk.memory["webhook"] = made.json()["webhook"]["id"]
        walk.hub.made.append(walk.memory["webhook"])
    return f"{PATH}/{walk.memory['webhook']}"


@SECTION.fact('`POST /api/settings/webhooks`: one webhook is `{"webhook": …}`.', "spec", (200, ["webhook"]))
def make(walk):
    own(walk)
    made = walk.memory["webhook made"]
    return made.status, sorted(made.json())


@SECTION.fact(
    "An item is `{id, url?, jobSourceId?, watched:[{type,name,…}], domains, hasSecret: bool, disabled, lastTriggerAt?}`.",
    "spec",
    ([], []),
)
def keys(walk):
    item = walk.hub.get(own(walk)).json()["webhook"]
    return sorted({"id", "watched", "domains", "hasSecret", "disabled"} - set(item)), sorted(set(item) - KEYS)


@SECTION.fact("`watched:[{type,name,…}]`, `domains`.", "spec", (True, ["repo"], True, False))
def values(walk):
    item = walk.hub.get(own(walk)).json()["webhook"]
    watched = [(it["type"], it["name"]) for it in item["watched"]] == [("dataset", walk.dataset.name)]
    return watched, item["domains"], item["hasSecret"], item["disabled"]


@SECTION.fact("`GET …/webhooks` is a bare list.", "spec", ("list", 1))
def bare_list(walk):
    own(walk)
    items = walk.hub.get(PATH).json()
    return type(items).__name__, sum(item["id"] == walk.memory["webhook"] for item in items)


@SECTION.fact("The secret itself is never returned.", "spec", False)
def secret(walk):
    shown = walk.memory["webhook made"].body + walk.hub.get(own(walk)).body + walk.hub.get(PATH).body
    return walk.secret.encode() in shown


def add_switch(action, expected):
    def observe(walk):
        switched = walk.hub.post(f"{own(walk)}/{action}").json()["webhook"]["disabled"]
        return switched, walk.hub.get(own(walk)).json()["webhook"]["disabled"]

    SECTION.add(f"`POST …/{{id}}/{action}`.", "spec", observe, expected)


add_switch("disable", (True, True))
add_switch("enable", (False, False))


@SECTION.fact("`POST …/webhooks/{id}` changes a webhook.", "spec", ["discussion"])
def change(walk):
    walk.hub.post(own(walk), body(walk, domains=["discussion"]))
    return walk.hub.get(own(walk)).json()["webhook"]["domains"]


@SECTION.fact("Whether a change without `secret` keeps the secret.", "unknown")
def change_without_secret(walk):
    walk.hub.post(own(walk), body(walk, secret=None))
    return "kept" if walk.hub.get(own(walk)).json()["webhook"]["hasSecret"] else "removed"


def add_refused(sentence, mark, expected=None, **others):
    def observe(walk):
        response = walk.hub.post(PATH, body(walk, **others))
        if response.status == 200:
            id = response.json()["webhook"]["id"]
            walk.hub.made.append(id)
            walk.hub.call("DELETE", f"{PATH}/{id}")
        return response.error if mark == "unknown" else response.status

    SECTION.add(sentence, mark, observe, expected)


add_refused("The spec requires `watched`.", "spec", 400, watched=None)
add_refused("`watched` that is empty.", "unknown", watched=[])
add_refused("The spec requires `domains`, but its client may leave them out.", "unknown", domains=None)
add_refused("The spec holds the secret to `[\\x20-\\x7F]*`.", "spec", 400, secret="Schlüssel")
add_refused("Older clients wrote the domain as `discussions`.", "unknown", domains=["discussions"])


@SECTION.fact("A webhook that does not exist.", "unknown")
def missing(walk):
    return walk.hub.get(f"{PATH}/{'0' * 24}").error


@SECTION.fact("`DELETE …/webhooks/{id}`.", "client", (200, 404))
def delete(walk):
    path = own(walk)
    return walk.hub.call("DELETE", path).status, walk.hub.get(path).status


SECTION.needs("more than the own repos", ("Webhooks belong to users, and may watch users, orgs or repos.", "doc"))
SECTION.needs(
    "an address that the Hub reaches",
    (
        "No webhook fires when somebody requests access. The scopes are `repo`, `repo.content`, `repo.config`, "
        "`discussion`, `discussion.comment`.",
        "doc",
    ),
    ("More scopes may come; an unknown scope is to be read as an `update` on the nearest known parent.", "doc"),
    (
        "Actions: `repo`: create, delete, update, move; `repo.content`, `repo.config`: update; `discussion`: create, "
        "delete, update; `discussion.comment`: create, update.",
        "doc",
    ),
    (
        "Payload version 3. Always there: `event{action,scope}`, `repo{type,name,id,private,url{web,api},owner{id}}`, "
        "`webhook{id,version}`.",
        "client",
    ),
    (
        "Sometimes: `repo.headSha`, `repo.subdomain`, `repo.tags`, "
        "`discussion{id,num,title,url,status,author,isPullRequest,changes{base}}`.",
        "doc",
    ),
    (
        "Sometimes: `comment{id,author,content?,hidden,url}` (no `content` when hidden), `updatedRefs[{ref,oldSha?,newSha?}]`.",
        "doc",
    ),
    ("Sometimes: `updatedConfig{}` (only `private` is ever reported, else empty), `movedTo{name,owner}`.", "doc"),
    (
        "A bucket: `repo.content` has `updatedFiles[{path, action: add|delete, xetHash?, size?}]` and, above 10,000, "
        "`updatedFilesTruncated`.",
        "doc",
    ),
    ("The docs also allow the secret in the URL's query string.", "doc"),
    (
        "`repo.type` is `model`, `dataset`, `space`, or `bucket`; `kernel` can be watched too. Only models and "
        "datasets can be gated.",
        "doc",
    ),
    ("A push webhook carries `repo.headSha` and `updatedRefs`.", "doc"),
    (
        "The secret is sent verbatim in the header `X-Webhook-Secret`, ASCII only. There is no HMAC over the body and "
        "no timestamp.",
        "doc",
    ),
    ("`Webhook-Id` header: one id per delivery, the same on its retries and on a manual replay.", "doc"),
    (
        "Delivery: the handler must answer 2xx, within 30 s; anything else is retried with backoff, and counts "
        "towards automatic suspension.",
        "doc",
    ),
    ("`POST …/replay/{logId}`; `lastTriggerAt`.", "spec"),
    (
        "`disabled` is `suspended-after-failure` when the Hub has suspended the webhook; a suspension is mailed to the owner.",
        "spec",
    ),
    ("The order of deliveries is not guaranteed.", "doc"),
    ("1,000 triggers per webhook per 24 h.", "doc"),
)
