"""Facts about `batch`."""

from facts import Section

SECTION = Section("batch")


def failed(name, error):
    return {"user": name, "ok": False, "error": error}


def with_placeholders(walk, results):
    """Replaces the names of this walk by the same words in every walk, so that they can be compared."""
    words = {walk.user: "user", walk.nobody: "nobody", walk.user_id: "id"}
    return [
        {key: words.get(value, value) if isinstance(value, str) else value for key, value in result.items()} for result in results
    ]


def sent(walk, status, *requests, **body):
    response = walk.dataset.batch(status, list(requests), **body)
    return with_placeholders(walk, response.json()) if response.status == 200 else response.error


USER_OK, ID_OK, NOBODY = {"user": "user", "ok": True}, {"userId": "id", "ok": True}, failed("nobody", "user_not_found")


@SECTION.fact(
    '`200 [{"user", "ok": bool, "error"?: "user_not_found"|"request_not_found"}]`.',
    "seen",
    [failed("user", "request_not_found"), NOBODY],
)
def without_request(walk):
    walk.bring(walk.dataset, None)
    return sent(walk, "accepted", {"user": walk.user}, {"user": walk.nobody})


@SECTION.fact("In the order of the input.", "seen", ([USER_OK, NOBODY], [NOBODY, USER_OK]))
def order(walk):
    requests = {"user": walk.user}, {"user": walk.nobody}
    walk.bring(walk.dataset, "pending")
    first = sent(walk, "accepted", *requests)
    walk.bring(walk.dataset, "pending")
    return first, sent(walk, "accepted", *reversed(requests))


@SECTION.fact("`batch` writes what it answers: the list follows.", "seen", "rejected")
def writes(walk):
    walk.bring(walk.dataset, "accepted")
    sent(walk, "rejected", {"user": walk.user})
    return walk.wait_for_entry(walk.dataset, "rejected")["status"]


@SECTION.fact("Unlike `handle`, an item already in the wanted status is `ok: true`.", "seen", [USER_OK])
def already(walk):
    walk.bring(walk.dataset, "rejected")
    return sent(walk, "rejected", {"user": walk.user})


def add_status(status):
    def observe(walk):
        walk.bring(walk.dataset, "accepted" if status != "accepted" else "reset")
        return sent(walk, status, {"user": walk.user})

    SECTION.add(f"`batch` to {status}.", "spec", observe, [USER_OK])


for _status in ("pending", "accepted", "rejected", "reset"):
    add_status(_status)


@SECTION.fact('`"requests": [{"user"|"userId"}, …]`: by `userId`.', "spec", [ID_OK])
def by_user_id(walk):
    walk.bring(walk.dataset, "accepted")
    return sent(walk, "rejected", {"userId": walk.user_id})


@SECTION.fact("Whether an item may be a `requestId`.", "unknown")
def by_request_id(walk):
    walk.bring(walk.dataset, "accepted")
    request_id = walk.wait_for_entry(walk.dataset, "accepted").get("requestId")
    results = sent(walk, "rejected", {"requestId": request_id})
    return [result | {"requestId": "…"} for result in results] if isinstance(results, list) else results


@SECTION.fact("One request twice, by `user` and by `userId`.", "unknown")
def twice(walk):
    walk.bring(walk.dataset, "accepted")
    return sent(walk, "rejected", {"user": walk.user}, {"userId": walk.user_id})


@SECTION.fact("1 to 100 requests: none.", "spec", 400)
def no_requests(walk):
    return walk.dataset.batch("accepted", []).status


def nobodies(walk, number):
    return [{"user": f"{walk.nobody}-{place}"} for place in range(number)]


@SECTION.fact("1 to 100 requests: 100.", "spec", (200, 100))
def most_requests(walk):
    response = walk.dataset.batch("accepted", nobodies(walk, 100))
    return response.status, len(response.json())


@SECTION.fact("1 to 100 requests: 101.", "spec", 400)
def too_many_requests(walk):
    return walk.dataset.batch("accepted", nobodies(walk, 101)).status


@SECTION.fact("One status and one reason for all: a `resetReason` of 200 characters.", "spec", [USER_OK])
def reason(walk):
    walk.bring(walk.dataset, "accepted")
    return sent(walk, "reset", {"user": walk.user}, resetReason="x" * 200)


@SECTION.fact("A `resetReason` of 201 characters in `batch`.", "unknown")
def long_reason(walk):
    walk.bring(walk.dataset, "accepted")
    return sent(walk, "reset", {"user": walk.user}, resetReason="x" * 201)


@SECTION.fact("A bad status in `batch`.", "unknown")
def bad_status(walk):
    return sent(walk, "maybe", {"user": walk.user})
