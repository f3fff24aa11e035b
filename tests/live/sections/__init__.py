"""The facts by topic, in the order in which they are walked."""

from sections import access_requests, asking, batch, collections, files, limits, lists, names, settings, transitions, webhooks

ALL = [
    names.SECTION,
    settings.SECTION,
    access_requests.SECTION,
    lists.SECTION,
    transitions.SECTION,
    batch.SECTION,
    asking.SECTION,
    collections.SECTION,
    webhooks.SECTION,
    files.SECTION,
    limits.SECTION,
]
