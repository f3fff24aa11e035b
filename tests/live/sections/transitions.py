"""Facts about the transitions of an access request: the table of `handle`, and `grant` from each state."""

from facts import Section
from sections.access_requests import NO_REQUEST, STATUSES

SECTION = Section("transitions")
OK = (200, None, "listed")


def add_transition(before, after):
    def observe(walk):
        walk.bring(walk.model, before)
        response = walk.model.handle(after, user=walk.user)
        if response.status == 200:
            return *response.error, "listed" if walk.wait_for_entry(walk.model, after) else "not listed"
        return response.error

    if before != after:
        SECTION.add(f"{before} → {after}: ok.", "seen", observe, OK)
    elif before == "reset":
        SECTION.add("reset → reset: unknown.", "unknown", observe)
    else:
        SECTION.add(f'{before} → {after}: 404, the same for "already in that state".', "seen", observe, NO_REQUEST)


for _before in STATUSES:
    for _after in STATUSES:
        add_transition(_before, _after)


def add_grant(before):
    def observe(walk):
        walk.bring(walk.model, before)
        response = walk.model.grant(user=walk.user)
        walk.wait_for_entry(walk.model, "accepted")
        return response.status, response.json()

    SECTION.add(f"`grant` accepts a {before} one.", "seen", observe, (200, {}))


for _before in ("pending", "rejected", "reset"):
    add_grant(_before)


def add_keys(status):
    def observe(walk):
        walk.bring(walk.model, status)
        entry = walk.wait_for_entry(walk.model, status)
        return {key: key in entry for key in ("reviewedAt", "grantedBy", "rejectionReason", "resetReason")}

    SECTION.add(f"Which keys the item of a request that is {status} has.", "unknown", observe)


for _status in STATUSES:
    add_keys(_status)


SECTION.needs(
    "a second account",
    ("accepted → pending: access lost.", "seen"),
    ("`rejected` (final: the user cannot ask again).", "doc"),
    ("`reset` (access is lost, the user gets an e-mail with the reason and may ask again).", "doc"),
)
