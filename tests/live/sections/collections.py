"""Facts about collections."""

from urllib.parse import urlencode

from facts import NotWalked, Section
from hub import until

SECTION = Section("collections")


def slug(walk):
    """The collection of the walk, made at the first time."""
    if "collection" not in walk.memory:
        made = walk.hub.post("/api/collections", {"title": walk.title, "namespace": walk.namespace, "private": True})
        if made.status != 200:
            raise NotWalked(f"the collection was not made: {made.status} {made.message}")
        walk.memory["collection"] = made.json()["slug"]
        walk.hub.made.append(walk.memory["collection"])
        walk.hub.post(f"/api/collections/{walk.memory['collection']}/items", {"item": {"type": "model", "id": walk.model.name}})
    return walk.memory["collection"]


@SECTION.fact("A collection has its items: `GET /api/collections/{slug}`.", "client", ["model"])
def read(walk):
    path = f"/api/collections/{slug(walk)}"
    items = until(lambda: walk.hub.get(path).json()["items"], bool)
    return [item["type"] for item in items if item["id"] == walk.model.name]


@SECTION.fact("`GET /api/collections?item=models/{id}` answers a list.", "spec", (200, "list"))
def by_item(walk):
    slug(walk)
    response = walk.hub.get(f"/api/collections?{urlencode({'item': f'models/{walk.model.name}'})}")
    return response.status, type(response.json()).__name__


@SECTION.fact("Whether `?item=` finds a private collection, and whether it has `gating` without a gate.", "unknown")
def own_by_item(walk):
    path = f"/api/collections?{urlencode({'item': f'models/{walk.model.name}'})}"
    own = slug(walk)

    def found():
        return [item for item in walk.hub.get(path).json() if item["slug"] == own]

    items = until(found, bool, seconds=5)
    return f"found, gating: {items[0].get('gating', 'no such key')}" if items else "not found"


SECTION.needs(
    "an organization with the Team or Enterprise plan",
    ("Accepting somebody in one repo of a gating group opens every repo of it, future ones too.", "doc"),
    (
        "`GET /api/collections?item=models/{id}` shows `gating`; gating groups are readable: `gating.notifications{mode, email?}`.",
        "spec",
    ),
    ("Whether a request is listed under each repo of the group.", "unknown"),
)
