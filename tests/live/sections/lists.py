"""Facts about the lists of access requests, what the gate does to them, and the report."""

import time
from datetime import datetime, timedelta, timezone

from facts import NotWalked, Section
from hub import until
from sections.names import WRONG_TOKEN

SECTION = Section("lists and the report")


def add_query(sentence, mark, expected, **query):
    SECTION.add(sentence, mark, lambda walk: walk.model.listed("accepted", **query).status, expected)


add_query("`limit=5` answers 400.", "seen", 400, limit=5)
add_query("`limit` 10 to 1000: 9.", "spec", 400, limit=9)
add_query("`limit` 10 to 1000: 10.", "spec", 200, limit=10)
add_query("`limit` 10 to 1000: 1000.", "spec", 200, limit=1000)
add_query("`limit` 10 to 1000: 1001.", "spec", 400, limit=1001)
add_query("`q` up to 250 characters: 250.", "spec", 200, q="x" * 250)
add_query("`q` up to 250 characters: 251.", "spec", 400, q="x" * 251)


@SECTION.fact("A list of an unknown status.", "unknown")
def unknown_list(walk):
    return walk.model.listed("waiting").error


@SECTION.fact("401 `Invalid username or password.` without a valid token: a list.", "seen", (401, "Invalid username or password."))
def list_with_wrong_token(walk):
    return walk.model.listed("pending", token=WRONG_TOKEN).error


@SECTION.fact("`Link`: none on the last page.", "spec", "none")
def last_page(walk):
    return walk.model.listed("accepted", limit=10).headers.get("Link", "none")


@SECTION.fact(
    "Only a prefix of the user name was seen to match `q`.",
    "seen",
    {"prefix": True, "prefix in capitals": True, "rest of the name": False},
)
def search(walk):
    walk.bring(walk.model, "accepted")
    walk.wait_for_entry(walk.model, "accepted")
    name = walk.user.casefold()
    rest = next((name[start:] for start in range(1, len(name)) if not name.startswith(name[start:])), None)
    if rest is None:
        raise NotWalked("each part of the user name is a prefix of it")
    searches = {"prefix": name[:3], "prefix in capitals": name[:3].upper(), "rest of the name": rest}
    return {name: found(walk, q=text) for name, text in searches.items()}


@SECTION.fact("`q` with the full name, which the spec says is searched.", "unknown")
def search_full_name(walk):
    fullname = walk.wait_for_entry(walk.model, "accepted")["user"]["fullname"]
    if fullname.casefold().startswith(walk.user.casefold()):
        return "the full name begins like the user name"
    return "found" if found(walk, q=fullname) else "not found"


def found(walk, **query):
    return any(entry.get("user", {}).get("user") == walk.user for entry in walk.model.listed("accepted", **query).json())


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def written(when):
    return when.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@SECTION.fact(
    "`after`, `before` (RFC 3339, `Z`).",
    "spec",
    {"after a second before": True, "after a second later": False, "before a second before": False, "before a second later": True},
)
def between(walk):
    at, second = moment(walk.wait_for_entry(walk.model, "accepted")["timestamp"]), timedelta(seconds=1)
    return {
        "after a second before": found(walk, after=written(at - second)),
        "after a second later": found(walk, after=written(at + second)),
        "before a second before": found(walk, before=written(at - second)),
        "before a second later": found(walk, before=written(at + second)),
    }


@SECTION.fact("`after` and `before` of exactly the timestamp.", "unknown")
def exactly_between(walk):
    at = walk.wait_for_entry(walk.model, "accepted")["timestamp"]
    shown = {True: "listed", False: "not listed"}
    return f"after: {shown[found(walk, after=at)]}, before: {shown[found(walk, before=at)]}"


@SECTION.fact("`after` that is no time.", "unknown")
def no_time(walk):
    return walk.model.listed("accepted", after="yesterday").error


@SECTION.fact("The lists lag a write by about a second.", "seen", "at most 5 seconds")
def lag(walk):
    seconds = []
    for status in ("rejected", "accepted", "pending"):
        walk.bring(walk.model, status)
        start = time.monotonic()
        walk.wait_for_entry(walk.model, status)
        seconds.append(time.monotonic() - start)
    return "at most 5 seconds" if max(seconds) <= 5 else f"{max(seconds):.1f} seconds"


@SECTION.fact("A request can still be listed after it was handled: how long?", "unknown")
def stale(walk):
    walk.bring(walk.model, "accepted")
    walk.wait_for_entry(walk.model, "accepted")
    walk.bring(walk.model, "rejected")
    start = time.monotonic()
    until(lambda: walk.entry(walk.model, "accepted"), lambda entry: entry is None)
    return f"{time.monotonic() - start:.1f} seconds"


# The gate and the requests.


@SECTION.fact("Going from manual to auto accepts nobody.", "seen", "pending")
def to_auto(walk):
    walk.bring(walk.model, "pending")
    walk.model.gate("auto")
    status = walk.wait_for_entry(walk.model, "pending")["status"]
    walk.model.gate("manual")
    return status


@SECTION.fact("The list of a repo whose gating was switched off still answers 200 with the stored requests.", "seen", (200, True))
def gate_off(walk):
    walk.bring(walk.model, "accepted")
    walk.wait_for_entry(walk.model, "accepted")
    walk.model.gate(False)
    seen = walk.model.listed("accepted").status, found(walk)
    walk.model.gate("manual")
    return seen


# The report.

ROW_KEYS = {"fullname", "user", "email", "time", "reviewedAt", "status", "grantedBy"}


def add_report(repo_of, page):
    def observe(walk):
        repo = repo_of(walk)
        walk.bring(repo, "accepted")

        def row():
            response = walk.hub.get(f"{repo.page}/user-access-report")
            rows = [row for row in response.json() if row.get("user") == walk.user and row["status"] == "accepted"]
            return response.headers.get("Content-Disposition", "").split(";")[0], rows

        kind, rows = until(row, lambda seen: bool(seen[1]))
        if not rows:
            raise NotWalked("the report does not have the own request")
        missing = {"fullname", "user", "time", "status"} - set(rows[0])
        return kind, sorted(missing), sorted(set(rows[0]) - ROW_KEYS), sorted(rows[0].get("grantedBy", ["fullname", "user"]))

    row = "`{fullname, user, email, time, reviewedAt?, status, grantedBy?{fullname,user}}`"
    SECTION.add(
        f"`GET {page}`, not under `/api`: a JSON array of {row} as an attachment.",
        "seen",
        observe,
        ("attachment", [], [], ["fullname", "user"]),
    )


add_report(lambda walk: walk.model, "/{ns}/{repo}/user-access-report")
add_report(lambda walk: walk.dataset, "/datasets/{ns}/{repo}/user-access-report")


SECTION.needs(
    "a second account",
    ("403 `You have read access but not the required permissions for this operation`.", "seen"),
    ("`q` searches user name, full name, e-mail, domain and verified organization.", "spec"),
    (
        'A `Link: <url>; rel="next"` header. A full page without a link is not proof of the end. The spec has no '
        "`cursor`, only `after`/`before`.",
        "spec",
    ),
    ("Pages by timestamp are likely, and two entries of one timestamp at a border may repeat or be skipped.", "inf"),
    ("What happens when entries leave the list between two pages.", "unknown"),
    ("The order of a list.", "unknown"),
    ("`user` is left out, or has no name or e-mail, where a repo is set not to share them.", "client"),
    ("An item without `user`, or with an empty one.", "client"),
    ("A requester may be an organization's service account: `serviceAccount?:{id,org,orgAvatarUrl,description?}`.", "spec"),
    ("`verifiedOrgNames`, `orgs`, `email` of a requester.", "spec"),
)
