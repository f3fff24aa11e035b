"""Facts about `handle`, `grant` and the items of a list."""

from facts import Section
from sections.settings import add_search

SECTION = Section("access requests")
NO_REQUEST = (404, "No access request found matching your criteria")
STATUSES = ("pending", "accepted", "rejected", "reset")
ITEM_KEYS = {"requestId", "user", "status", "timestamp", "fields", "reviewedAt", "grantedBy"}
USER_KEYS = {"_id", "user", "fullname", "avatarUrl", "isPro", "type", "verifiedOrgNames", "orgs", "serviceAccount"}


# The dataset is not gated yet.


def add_not_gated(what, call, mark="seen", expected=(400, "RepoNotGated")):
    def observe(walk):
        response = call(walk)
        return response.status, response.code

    SECTION.add(f"{what} of a repo that is not gated.", mark, observe, expected)


add_not_gated("400 `RepoNotGated` in `X-Error-Code`: `handle`", lambda walk: walk.dataset.handle("accepted", user=walk.user))
add_not_gated("400 `RepoNotGated`: `grant`", lambda walk: walk.dataset.grant(user=walk.user))
add_not_gated("`batch`", lambda walk: walk.dataset.batch("accepted", [{"user": walk.user}]), "unknown", None)
add_not_gated("The list", lambda walk: walk.dataset.listed("pending"), "unknown", None)


# Nobody has a request for the model yet.


def add_without_request(status):
    def observe(walk):
        return walk.model.handle(status, user=walk.user).error

    is_known = status != "reset"
    SECTION.add(
        f"no request → {status}: {'404' if is_known else 'unknown'}.",
        "seen" if is_known else "unknown",
        observe,
        NO_REQUEST if is_known else None,
    )


for _status in STATUSES:
    add_without_request(_status)


@SECTION.fact("An unknown user is `404 User not found`.", "seen", (404, "User not found"))
def unknown_user(walk):
    return walk.model.handle("accepted", user=walk.nobody).error


@SECTION.fact("An unknown `userId`.", "unknown")
def unknown_user_id(walk):
    return walk.model.handle("accepted", userId="0" * 24).error


@SECTION.fact("An unknown `requestId`.", "unknown")
def unknown_request_id(walk):
    return walk.model.handle("accepted", requestId="0" * 24).error


@SECTION.fact("`grant` of an unknown user: 404 unknown user.", "seen", 404)
def grant_to_nobody(walk):
    return walk.model.grant(user=walk.nobody).status


@SECTION.fact('`grant {"user"}` → `200 {}`; puts the user in `accepted` with no request.', "seen", (200, {}, "accepted"))
def grant(walk):
    response = walk.model.grant(user=walk.user)
    return response.status, response.json(), walk.wait_for_entry(walk.model, "accepted")["status"]


@SECTION.fact("400 `That user already has access to the repo`.", "seen", (400, "That user already has access to the repo"))
def grant_again(walk):
    return walk.model.grant(user=walk.user).error


@SECTION.fact("`email` is missing on users added by grant.", "client", False)
def granted_email(walk):
    return "email" in walk.wait_for_entry(walk.model, "accepted")["user"]


@SECTION.fact(
    "An item: `{requestId, user?, status, timestamp, fields?, reviewedAt?, grantedBy?}`; `requestId`, `status` and "
    "`timestamp` are always there.",
    "client",
    ([], []),
)
def item(walk):
    entry = walk.wait_for_entry(walk.model, "accepted")
    return sorted({"requestId", "status", "timestamp"} - set(entry)), sorted(set(entry) - ITEM_KEYS)


@SECTION.fact('`user`: `{_id, user, fullname, avatarUrl, isPro, type:"user", …}`.', "spec", ([], "user"))
def item_user(walk):
    user = walk.wait_for_entry(walk.model, "accepted")["user"]
    return sorted({"_id", "user", "fullname", "avatarUrl", "isPro"} - set(user)), user.get("type")


@SECTION.fact("Further keys of `user`.", "unknown")
def item_user_keys(walk):
    return sorted(set(walk.wait_for_entry(walk.model, "accepted")["user"]) - USER_KEYS)


@SECTION.fact("`_id` of an item's user is the `id` of `whoami-v2`.", "inf", True)
def item_user_id(walk):
    return walk.wait_for_entry(walk.model, "accepted")["user"]["_id"] == walk.user_id


@SECTION.fact("`fields` is there only when the gate form has extra fields: an item without a form.", "doc", False)
def fields_without_form(walk):
    walk.dataset.gate("manual")
    walk.dataset.commit(deleted=["README.md"])
    walk.bring(walk.dataset, "accepted")
    return "fields" in walk.wait_for_entry(walk.dataset, "accepted")


@SECTION.fact("`fields` of a grant where the form has extra fields.", "unknown")
def fields_of_grant(walk):
    return walk.wait_for_entry(walk.model, "accepted").get("fields")


add_search(SECTION, "dataset", lambda walk: walk.dataset, "`GET /api/datasets?author=<ns>&gated=true&limit=…` likewise.")


# How a request is named.


def add_identity(key, value_of):
    def observe(walk):
        walk.bring(walk.model, "accepted")
        response = walk.model.handle("rejected", **{key: value_of(walk)})
        return response.status, response.json()

    SECTION.add(f"`handle` by `{key}`. Success: `200 {{}}`.", "client" if key == "requestId" else "seen", observe, (200, {}))


add_identity("user", lambda walk: walk.user)
add_identity("userId", lambda walk: walk.user_id)
add_identity("requestId", lambda walk: walk.wait_for_entry(walk.model, "accepted")["requestId"])


@SECTION.fact("The Hub takes the names of users in any case: `handle` by `user`.", "rep", 200)
def user_in_capitals(walk):
    walk.bring(walk.model, "accepted")
    return walk.model.handle("rejected", user=walk.user.upper()).status


@SECTION.fact("Exactly one identity: what do two that agree give?", "unknown")
def two_identities(walk):
    walk.bring(walk.model, "accepted")
    return walk.model.handle("rejected", user=walk.user, userId=walk.user_id).error


@SECTION.fact("400 for neither of user/userId.", "seen", 400)
def no_identity(walk):
    return walk.model.handle("accepted").status


@SECTION.fact("400 for a bad status.", "seen", 400)
def bad_status(walk):
    return walk.model.handle("maybe", user=walk.user).status


# Reasons.

TOO_LONG = "* Too big: expected string to have <=200 characters * at "


def add_reason(key, status):
    def longest(walk):
        walk.bring(walk.model, "accepted")
        return walk.model.handle(status, user=walk.user, **{key: "x" * 200}).status

    def too_long(walk):
        walk.bring(walk.model, "accepted")
        return walk.model.handle(status, user=walk.user, **{key: "x" * 201}).error

    SECTION.add(f"Reasons at most 200 characters: a `{key}` of 200.", "client", longest, 200)
    SECTION.add(f"400 for a reason of 201 characters: `{key}`.", "seen", too_long, (400, TOO_LONG + key))


add_reason("rejectionReason", "rejected")
add_reason("resetReason", "reset")


@SECTION.fact("A reason of 101 characters that are 202 units of UTF-16.", "unknown")
def reason_of_emoji(walk):
    walk.bring(walk.model, "accepted")
    return walk.model.handle("rejected", user=walk.user, rejectionReason="\N{WAVING HAND SIGN}" * 101).error


@SECTION.fact("A `rejectionReason` beside the status `accepted`.", "unknown")
def reason_of_acceptance(walk):
    walk.bring(walk.model, "rejected")
    return walk.model.handle("accepted", user=walk.user, rejectionReason="No.").error


@SECTION.fact("A `userId` in `grant`: `200 {}`.", "seen", 200)
def grant_by_id(walk):
    walk.bring(walk.model, "rejected")
    return walk.model.grant(userId=walk.user_id).status


@SECTION.fact("A `requestId` in `grant`.", "unknown")
def grant_by_request_id(walk):
    walk.bring(walk.model, "rejected")
    return walk.model.grant(requestId=walk.wait_for_entry(walk.model, "rejected")["requestId"]).error
