"""Facts about errors and rate limits. Some are about all responses of the walk."""

from statistics import median

from facts import Section

SECTION = Section("errors and limits")
# By plan, in five minutes. Enterprise Plus has 10,000 to 100,000.
QUOTAS = (1000, 2500, 3000, 6000)


def errors(walk):
    return [response for response in walk.hub.responses if response.status >= 400]


def paths(responses):
    """The calls, for a message. An empty list is as expected."""
    return sorted({f"{response.method} {response.path.split('?')[0]}: {response.status}" for response in responses})


@SECTION.fact("Errors carry `X-Request-Id`.", "seen", [])
def request_ids(walk):
    return paths(response for response in errors(walk) if "X-Request-Id" not in response.headers)


@SECTION.fact("Errors carry `X-Error-Code` (often absent), `X-Error-Message`.", "seen", [])
def messages(walk):
    # A path that no call has is answered by another part of the Hub.
    return paths(response for response in errors(walk) if response.message is None and not is_no_call(response))


@SECTION.fact('Under `/api` a JSON body `{"error": "…"}`.', "seen", [])
def error_bodies(walk):
    under_api = [response for response in errors(walk) if response.path.startswith("/api/") and not is_no_call(response)]
    return paths(response for response in under_api if "error" not in response.json())


def is_no_call(response):
    return response.path.endswith("/settings") or response.path.endswith("/user-access-request/waiting")


@SECTION.fact("Which values `X-Error-Code` had.", "unknown")
def codes(walk):
    return sorted({response.code for response in errors(walk) if response.code})


@SECTION.fact("`RateLimit` and `RateLimit-Policy`, with every answer.", "doc", [])
def headers(walk):
    return paths(response for response in walk.hub.responses if response.limit() is None)


@SECTION.fact("A fixed 5-minute window: `w=300`, `t` at most that.", "doc", ({300}, True))
def window(walk):
    limits = [limit for response in walk.hub.responses if (limit := response.limit())]
    return {limit.window for limit in limits}, all(0 <= limit.seconds <= limit.window for limit in limits)


@SECTION.fact("Rate limits are by plan: 1,000 API calls, 2,500, 3,000, 6,000, 10,000 to 100,000.", "doc", True)
def quota(walk):
    limit = walk.hub.get("/api/whoami-v2").limit()
    return limit.bucket == "api" and (limit.quota in QUOTAS or 10_000 <= limit.quota <= 100_000)


@SECTION.fact("The quota of each bucket.", "unknown")
def quotas(walk):
    return {limit.bucket: limit.quota for response in walk.hub.responses if (limit := response.limit())}


@SECTION.fact("`r` is what remains: a call takes one.", "doc", True)
def remaining(walk):
    # Others may use the same account, so several calls take at least as many. The second pair is for a new window.
    for _ in range(2):
        first, last = (walk.hub.get("/api/whoami-v2").limit() for _ in range(2))
        if last.left < first.left:
            return True
    return False


@SECTION.fact("The bucket `resolvers` has 5,000 in 5 minutes for a free account, or more.", "doc", True)
def resolvers(walk):
    limit = walk.dataset.file(".gitattributes", method="HEAD").limit()
    return limit.bucket == "resolvers" and limit.quota >= 5000


@SECTION.fact("One call took about 0.11 s from a European machine: the median here.", "unknown")
def speed(walk):
    return f"{median(response.seconds for response in walk.hub.responses):.3f} s"


SECTION.needs(
    "all calls of the account's window",
    ("Past the limit: 429.", "doc"),
    ('The docs name further, undocumented limits, "moderation actions" among them.', "doc"),
    ("A `Retry-After` may come too.", "client"),
    ("A 429 with `r` above 0 is another limit: then `t` says nothing.", "client"),
)
SECTION.needs(
    "a second token", ("Limits are applied individually to each member, so two tokens of one user share one, it seems.", "doc")
)
