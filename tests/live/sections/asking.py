"""Facts about requesting access, walked with the account's own request."""

from facts import NotWalked, Section
from hub import until

SECTION = Section("requesting access")
# An answer for each question of the form that `settings` commits. The form does not have the last two.
ANSWERS = {"Affiliation": "Nowhere", "Country": "Atlantis", "Birthday": "soon", "Extra": "not in the form"}


def pending(walk, since=None):
    """The own request in `pending`, with another timestamp than `since`."""
    entry = until(lambda: walk.entry(walk.model, "pending"), lambda entry: entry is not None and entry["timestamp"] != since)
    if entry is None:
        raise NotWalked("the own request is not in the list `pending`")
    return entry


def asked(walk, **answers):
    """Asks without a request, and returns the new one."""
    walk.bring(walk.model, None)
    until(lambda: walk.entry(walk.model, "pending"), lambda entry: entry is None)
    response = walk.model.ask(**(answers or ANSWERS))
    if response.status >= 400:
        raise NotWalked(f"ask-access: {response.status} {response.message}")
    return pending(walk)


@SECTION.fact("`ask-access` also takes JSON with a token.", "seen", ("pending", 303))
def ask(walk):
    walk.bring(walk.model, None)
    status = walk.model.ask(**ANSWERS).status
    return pending(walk)["status"], status


@SECTION.fact("So an answer may be outside the form's options: a form limits nobody.", "inf", "Atlantis")
def outside_the_form(walk):
    return asked(walk)["fields"]["Country"]


@SECTION.fact("`fields`: label → string.", "seen", {"str"})
def field_types(walk):
    return {type(value).__name__ for value in asked(walk)["fields"].values()}


@SECTION.fact("What is stored for a label that the form does not have.", "unknown")
def extra_label(walk):
    return asked(walk)["fields"].get("Extra", "nothing")


@SECTION.fact("How the Hub stores answers: `on`, a country, a date, an option.", "unknown")
def stored_texts(walk):
    return asked(walk, Affiliation="Nowhere", Consent="on", Birthday="2000-02-29", Country="CH", Use="Other use")["fields"]


@SECTION.fact("How the Hub stores answers that are no texts.", "unknown")
def stored_values(walk):
    return asked(walk, Affiliation=7, Consent=True, Use=["research"], Country=None).get("fields")


@SECTION.fact("`email` of a requester, on the item of an own request.", "unknown")
def email(walk):
    return "there" if "email" in asked(walk)["user"] else "not there"


@SECTION.fact("Asking again while pending keeps the `timestamp`.", "seen", True)
def again_while_pending(walk):
    before = asked(walk)
    walk.model.ask(**ANSWERS)
    # A change would be seen within the lag of the lists.
    after = until(lambda: walk.entry(walk.model, "pending"), lambda entry: entry["timestamp"] != before["timestamp"], seconds=3)
    return after["timestamp"] == before["timestamp"]


@SECTION.fact("Whether asking again while pending replaces the answers.", "unknown")
def answers_while_pending(walk):
    asked(walk)
    walk.model.ask(Affiliation="Elsewhere")
    fields = until(
        lambda: walk.entry(walk.model, "pending")["fields"], lambda fields: fields.get("Affiliation") == "Elsewhere", seconds=3
    )
    return fields.get("Affiliation")


def again(walk, status):
    """Asks again in this state, and returns whether the entry is the same within the lag of the lists."""
    walk.bring(walk.model, status)
    before = walk.wait_for_entry(walk.model, status)
    walk.model.ask(**ANSWERS)
    return until(lambda: walk.entry(walk.model, status), lambda entry: entry != before, seconds=3) == before


@SECTION.fact("While accepted nothing changes.", "seen", True)
def again_while_accepted(walk):
    return again(walk, "accepted")


@SECTION.fact("Rejection is final for the user: asking again is silently ignored.", "seen", True)
def again_while_rejected(walk):
    return again(walk, "rejected")


@SECTION.fact("`reset`: may ask again.", "doc", ("pending", True))
def again_after_reset(walk):
    before = asked(walk)["timestamp"]
    walk.bring(walk.model, "reset")
    walk.model.ask(**ANSWERS)
    entry = pending(walk, since=before)
    return entry["status"], entry["timestamp"] > before


@SECTION.fact("Whether asking again after a reset gives a new `requestId`.", "unknown")
def id_after_reset(walk):
    before = asked(walk)
    walk.bring(walk.model, "reset")
    walk.model.ask(**ANSWERS)
    return "another" if pending(walk, since=before["timestamp"])["requestId"] != before["requestId"] else "the same"


@SECTION.fact(
    "A requester may withdraw a pending request (`…/cancel`): it is gone from the lists; asking again gives a new `timestamp`.",
    "seen",
    (200, [], True),
)
def withdraw(walk):
    before = asked(walk)
    status = walk.model.withdraw().status
    until(lambda: walk.entry(walk.model, "pending"), lambda entry: entry is None)
    left = [status for status in ("pending", "accepted", "rejected", "reset") if walk.entry(walk.model, status)]
    walk.model.ask(**ANSWERS)
    return status, left, pending(walk, since=before["timestamp"])["timestamp"] > before["timestamp"]


@SECTION.fact("Whether asking again after `…/cancel` gives a new `requestId`.", "unknown")
def id_after_withdrawal(walk):
    before, after = asked(walk), asked(walk)
    return "another" if after["requestId"] != before["requestId"] else "the same"


@SECTION.fact("`…/cancel` of an accepted request.", "unknown")
def withdraw_accepted(walk):
    walk.bring(walk.model, "accepted")
    return walk.model.withdraw().error


@SECTION.fact("Only `manual` leaves requests pending.", "doc", "accepted")
def ask_automatic_gate(walk):
    walk.bring(walk.model, None)
    walk.model.gate("auto")
    walk.model.ask(**ANSWERS)
    try:
        return walk.wait_for_entry(walk.model, "accepted")["status"]
    finally:
        walk.model.gate("manual")
