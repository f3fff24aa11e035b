"""Facts about the gate of a repo and its form."""

from urllib.parse import urlencode

from facts import Section
from hub import until

SECTION = Section("settings and the form")

# One value of each kind. Each line is YAML, and its value is JSON, too.
CARD = """---
extra_gated_heading: "A throw-away repo"
extra_gated_prompt: "Nobody should request access."
extra_gated_description: "It is deleted soon."
extra_gated_fields: {fields}
---
"""
KINDS = (
    '{"Affiliation": "text", "Consent": "checkbox", "Birthday": "date_picker", "Country": "country", '
    '"Use": {"type": "select", "options": ["research", 7, {"label": "Other use", "value": "other"}]}, '
    '"News": {"type": "checkbox", "optional": true}}'
)
LIST = '[{"Affiliation": "text"}, {"Consent": "checkbox"}]'


@SECTION.fact(
    '`PUT /settings {"gated": false|"auto"|"manual"}` sets the mode; `GET /api/models/{id}` shows `gated`.',
    "doc",
    ["manual", "auto", False, "manual"],
)
def modes(walk):
    def shown(mode):
        walk.model.settings(gated=mode)
        return until(lambda: walk.model.info().json()["gated"], lambda shown: shown == mode)

    return [shown(mode) for mode in ("manual", "auto", False, "manual")]


@SECTION.fact("It echoes what was sent.", "rep", {"gated": "manual", "gatedNotificationsMode": "bulk"})
def echo(walk):
    return walk.model.settings(gated="manual", gatedNotificationsMode="bulk").json()


@SECTION.fact("`PUT …/settings` also sets `orgMembersGated`. What does a repo of a user answer?", "unknown")
def members(walk):
    response = walk.model.settings(orgMembersGated=False)
    return response.status, response.message


@SECTION.fact("Nothing reads them back: `GET …/settings` is 404, the model's info omits both.", "rep", (404, []))
def read_back(walk):
    keys = [key for key in walk.model.info().json() if key.startswith("gatedNotifications")]
    return walk.hub.get(f"{walk.model.api}/settings").status, keys


@SECTION.fact("A mode that the Hub does not know.", "unknown")
def unknown_mode(walk):
    response = walk.model.settings(gated="sometimes")
    return response.status, response.message


def shown_form(repo, fields):
    """Commits a card with this form, and returns the `extra_gated_*` keys that the Hub shows."""
    response = repo.commit({"README.md": CARD.replace("{fields}", fields)})
    response.json()["commitOid"]

    def shown():
        card = repo.info().json().get("cardData") or {}
        return {key: value for key, value in card.items() if key.startswith("extra_gated_")}

    return until(shown, bool)


@SECTION.fact(
    "`GET /api/models/{id}` shows `cardData.extra_gated_*`: `_heading`, `_prompt`, `_description`; label → `text`, "
    "`checkbox`, `date_picker`, `country`, or `{type: select, options: [...]}` "
    "(options: texts, numbers, or `{label, value}`), `{type: checkbox, optional: true}`.",
    "doc",
    {
        "extra_gated_heading": "A throw-away repo",
        "extra_gated_prompt": "Nobody should request access.",
        "extra_gated_description": "It is deleted soon.",
        "extra_gated_fields": {
            "Affiliation": "text",
            "Consent": "checkbox",
            "Birthday": "date_picker",
            "Country": "country",
            "Use": {"type": "select", "options": ["research", 7, {"label": "Other use", "value": "other"}]},
            "News": {"type": "checkbox", "optional": True},
        },
    },
)
def form(walk):
    return shown_form(walk.model, KINDS)


@SECTION.fact(
    "The official template of a dataset card writes the fields as a list of one-key maps.",
    "doc",
    [{"Affiliation": "text"}, {"Consent": "checkbox"}],
)
def list_form(walk):
    return shown_form(walk.dataset, LIST).get("extra_gated_fields")


def add_search(section, kind, repo_of, sentence):
    def search(walk):
        repo = repo_of(walk)
        query = urlencode({"author": walk.namespace, "gated": "true", "limit": 100})

        def found():
            items = walk.hub.get(f"/api/{kind}s?{query}").json()
            return [item.get("gated") for item in items if item["id"] == repo.name]

        repo.gate("manual")
        return until(found, bool)

    section.add(sentence, "doc", search, ["manual"])


add_search(
    SECTION, "model", lambda walk: walk.model, "`GET /api/models?author=<ns>&gated=true&limit=…` lists a namespace's gated repos."
)


SECTION.needs(
    "a second account",
    ("Where the organization gates its own members (`orgMembersGated`), they are in the list like anybody.", "doc"),
    ("Enterprise Plus can reject by country before any list is written.", "doc"),
    (
        "The Hub's own form posts `on` for a ticked checkbox, ISO 3166-1 alpha-2 for a country, `YYYY-MM-DD` for a "
        "date, the label for an option given as text, and makes every field required.",
        "seen",
    ),
    ("`ip_location` (in Meta's forms; no input is shown); `extra_gated_button_content`, `extra_gated_eu_disallowed`.", "doc"),
)
SECTION.needs(
    "a mailbox",
    (
        "The schema has no way to unset the address `gatedNotificationsEmail`. Default mode: `bulk`. Mails are sent "
        "only where approval is manual.",
        "rep",
    ),
)
SECTION.needs("more than a page of repos", ("`GET /api/models?author=…` has `Link` paging.", "doc"))
