"""Facts about files on the Hub, walked in the dataset."""

import base64
import hashlib

from facts import NotAllowed, NotWalked, Section

SECTION = Section("files")
PATH = "lists/signed.txt"
SMALL, REGULAR_BYTES = "ada\n", 10 << 20


def blob(text):
    """The id of a text in git."""
    return hashlib.sha1(f"blob {len(text.encode())}\0{text}".encode()).hexdigest()


def change(walk, files=None, **options):
    """Commits changes to `main`, and returns the response."""
    response = walk.dataset.commit(files, **options)
    if response.status == 200:
        walk.memory["commit"] = response.json()["commitOid"]
        walk.memory |= {"text": files[PATH]} if PATH in (files or {}) else {}
    return response


def committed(walk, text=SMALL):
    """Commits a text unless it is there already, and returns the id of the newest commit."""
    if walk.memory.get("text") != text:
        response = change(walk, {PATH: text})
        if response.status != 200:
            raise NotWalked(f"the commit failed: {response.status} {response.message}")
    return walk.memory["commit"]


@SECTION.fact("A new repo is made private, and its first commit has a `.gitattributes`.", "seen", (True, True))
def new_repo(walk):
    info = walk.dataset.info().json()
    return info["private"], ".gitattributes" in [file["rfilename"] for file in info["siblings"]]


@SECTION.fact("A repo that is there already: 409 with its `url`.", "client", (409, True))
def existing_repo(walk):
    response = walk.hub.post("/api/repos/create", walk.dataset.body(visibility="private"))
    return response.status, response.json()["url"].endswith(walk.dataset.name)


# Commits.


@SECTION.fact(
    "Commits: NDJSON with `header{summary, parentCommit}`, `file{path, content, encoding}`.",
    "spec",
    (200, ["commitOid", "commitUrl", "hookOutput", "success"], True),
)
def commit(walk):
    response = change(walk, {PATH: "first\n"}, parent=walk.dataset.info().json()["sha"])
    return response.status, sorted(response.json()), walk.dataset.info().json()["sha"] == walk.memory["commit"]


@SECTION.fact('A `parentCommit` that is not the newest: 412 "A commit has happened since".', "client", (412, True))
def stale_parent(walk):
    parent = committed(walk, "parent\n")
    committed(walk, "child\n")
    response = change(walk, {PATH: "too late\n"}, parent=parent)
    return response.status, "A commit has happened since" in (response.message or "")


@SECTION.fact("A `parentCommit` that does not exist.", "unknown")
def missing_parent(walk):
    return change(walk, {PATH: "orphan\n"}, parent="0" * 40).error


@SECTION.fact("A commit that changes nothing.", "unknown")
def no_change(walk):
    before = committed(walk)
    response = change(walk, {PATH: SMALL})
    if response.status != 200:
        return response.error
    return "the same commit" if walk.memory["commit"] == before else "another commit"


@SECTION.fact("`deletedFile`.", "client", (200, 404))
def delete(walk):
    change(walk, {"gone.txt": "soon\n"})
    return change(walk, deleted=["gone.txt"]).status, walk.dataset.file("gone.txt").status


@SECTION.fact("`deletedFile` of a file that does not exist: 404 `EntryNotFound`.", "client", (404, "EntryNotFound"))
def delete_missing(walk):
    response = walk.dataset.commit(deleted=["never.txt"])
    return response.status, response.code


@SECTION.fact("A commit to a revision that does not exist: 404 `RevisionNotFound`.", "client", (404, "RevisionNotFound"))
def commit_to_nowhere(walk):
    response = walk.dataset.commit({PATH: SMALL}, revision="nowhere")
    return response.status, response.code


@SECTION.fact(
    "A pull request by a commit: `pullRequestUrl`, and the revision `refs/pr/1`; `main` stays.",
    "client",
    (200, True, "proposed\n", SMALL),
)
def pull_request(walk):
    committed(walk)
    response = walk.dataset.commit({PATH: "proposed\n"}, query="?create_pr=1")
    proposed = walk.dataset.file(PATH, revision="refs/pr/1").body.decode()
    return response.status, "pullRequestUrl" in response.json(), proposed, walk.dataset.file(PATH).body.decode()


def preupload(walk, path, size):
    sample = base64.b64encode(SMALL.encode()).decode()
    response = walk.hub.post(f"{walk.dataset.api}/preupload/main", {"files": [{"path": path, "sample": sample, "size": size}]})
    return response.json()["files"][0]


@SECTION.fact("Ask `preupload` first: `uploadMode`, `shouldIgnore`.", "client", ("regular", False))
def preupload_small(walk):
    file = preupload(walk, "new.txt", len(SMALL))
    return file["uploadMode"], file["shouldIgnore"]


@SECTION.fact("`preupload` tells the `oid` of a file that is there.", "client", True)
def preupload_known(walk):
    committed(walk)
    return preupload(walk, PATH, len(SMALL)).get("oid") == blob(SMALL)


@SECTION.fact("Regular files end at 10 MiB; above that a file is LFS or Xet.", "rep", ("regular", "lfs"))
def regular_limit(walk):
    return tuple(preupload(walk, "new.txt", size)["uploadMode"] for size in (REGULAR_BYTES, REGULAR_BYTES + 1))


# Reading.


def add_read(method):
    def observe(walk):
        commit = committed(walk)
        response = walk.dataset.file(PATH, method=method)
        etag = response.headers["ETag"]
        return response.status, etag == f'"{blob(SMALL)}"', response.headers["X-Repo-Commit"] == commit

    headers = "a strong `ETag` (the blob's id) and `X-Repo-Commit`"
    sentence = f"With the owner's token a private repo's small file is answered at once, with {headers}, on {method}."
    SECTION.add(sentence, "rep", observe, (200, True, True))


add_read("GET")
add_read("HEAD")


@SECTION.fact("With the owner's token a gated repo's small file is answered at once.", "rep", (200, True))
def read_gated(walk):
    gated = walk.dataset.info().json()["gated"]
    committed(walk)
    return walk.dataset.file(PATH).status, gated == "manual"


@SECTION.fact("A file by the id of its commit.", "client", (200, "parent\n"))
def read_commit(walk):
    commit = committed(walk, "parent\n")
    committed(walk)
    response = walk.dataset.file(PATH, revision=commit)
    return response.status, response.body.decode()


def unchanged(walk, path=None):
    committed(walk)
    known = walk.dataset.file(PATH).headers["ETag"]
    headers = {"If-None-Match": known}
    return walk.hub.get(path, headers=headers) if path else walk.dataset.file(PATH, headers=headers)


@SECTION.fact("`/resolve/REVISION/PATH` answers `If-None-Match` with 304.", "rep", (304, b""))
def not_modified(walk):
    response = unchanged(walk)
    return response.status, response.body


@SECTION.fact("Whether a 304 has `X-Repo-Commit`.", "unknown")
def not_modified_commit(walk):
    named = unchanged(walk).headers["X-Repo-Commit"]
    return {None: "no", committed(walk): "yes, the newest"}.get(named, f"another: {named}")


@SECTION.fact("Which headers a 304 has.", "unknown")
def not_modified_headers(walk):
    return sorted(
        {name.lower() for name in unchanged(walk).headers}
        & {"etag", "x-repo-commit", "ratelimit", "x-linked-size", "content-length"}
    )


@SECTION.fact("A 304 after a commit that did not change the file: which commit does it name?", "unknown")
def not_modified_after_commit(walk):
    before = committed(walk)
    change(walk, {"other.txt": "other\n"})
    response = unchanged(walk)
    names = {before: "the one that changed the file", committed(walk): "the newest", None: "none"}
    return response.status, names.get(response.headers["X-Repo-Commit"])


@SECTION.fact("A changed file is no 304.", "rep", (200, b"changed\n"))
def modified(walk):
    known = f'"{blob(SMALL)}"'
    committed(walk, "changed\n")
    response = walk.dataset.file(PATH, headers={"If-None-Match": known})
    return response.status, response.body


@SECTION.fact("Whether a 304 counts against the limit.", "unknown")
def not_modified_counts(walk):
    committed(walk)
    first = walk.dataset.file(PATH)
    for _ in range(5):
        last = walk.dataset.file(PATH, headers={"If-None-Match": first.headers["ETag"]})
    before, after = first.limit(), last.limit()
    if not before or not after:
        return "the responses have no RateLimit"
    return f"five of them cost {before.left - after.left} calls of the bucket {after.bucket}"


@SECTION.fact("`/raw/` does not answer with 304.", "rep", 200)
def raw(walk):
    return unchanged(walk, f"{walk.dataset.page}/raw/main/{PATH}").status


@SECTION.fact("The ETag is weakened when the answer is compressed.", "unknown")
def compressed(walk):
    committed(walk, "a line that compresses well\n" * 400)
    response = walk.dataset.file(PATH, headers={"Accept-Encoding": "gzip"})
    return response.headers["Content-Encoding"] or "not compressed", "weak" if response.headers["ETag"].startswith(
        "W/"
    ) else "strong"


def add_missing(sentence, expected, **wanted):
    def observe(walk):
        response = walk.dataset.file(wanted.get("path", PATH), wanted.get("revision", "main"))
        return response.status, response.code

    SECTION.add(sentence, "client", observe, expected)


add_missing("A file that does not exist: 404 `EntryNotFound`.", (404, "EntryNotFound"), path="never.txt")
add_missing("A revision that does not exist: 404 `RevisionNotFound`.", (404, "RevisionNotFound"), revision="0" * 40)


@SECTION.fact("A file of a private repo without a token: 401.", "seen", 401)
def read_without_token(walk):
    return walk.dataset.file(PATH, token=False).status


# A public repo.


def public(walk):
    """Makes the dataset public and ungated, and commits a text to it."""
    if not walk.is_public:
        raise NotAllowed("it needs --public")
    if "public" not in walk.memory:
        walk.dataset.gate(False)
        walk.dataset.settings(visibility="public")
        walk.memory["public"] = True
    committed(walk)


@SECTION.fact("A public repo's file: 307 to `/api/resolve-cache/…` on the same origin.", "rep", (307, True))
def redirected(walk):
    public(walk)
    response = walk.dataset.file(PATH)
    target = response.headers.get("Location", "").removeprefix(walk.hub.endpoint)
    walk.memory["cached"] = target
    return response.status, target.startswith("/api/resolve-cache/")


@SECTION.fact("Where the redirect of a public file leads, it has the content.", "rep", (200, SMALL.encode()))
def cached(walk):
    public(walk)
    response = walk.hub.get(walk.memory["cached"])
    return response.status, response.body


@SECTION.fact("Which bucket `/api/resolve-cache/` counts in, and its `ETag` and `X-Repo-Commit`.", "unknown")
def cached_headers(walk):
    public(walk)
    response = walk.hub.get(walk.memory["cached"])
    limit, etag = response.limit(), response.headers.get("ETag", "").replace(blob(SMALL), "the blob's id")
    return limit and limit.bucket, etag, response.headers["X-Repo-Commit"] == committed(walk)


@SECTION.fact("A 304 is sent on a `/resolve/` call, to a public repo without a redirect.", "rep", 304)
def public_not_modified(walk):
    public(walk)
    return walk.dataset.file(PATH, headers={"If-None-Match": f'"{blob(SMALL)}"'}).status


SECTION.needs("a large file", ("LFS and Xet: a redirect to another origin.", "rep"))
