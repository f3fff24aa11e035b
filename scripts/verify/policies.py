"""Checks the JSON Schema of policies: it accepts what `doorman` reads, and refuses what `doorman` refuses.

A schema cannot see everything. Faults in expressions and names that are there twice are left to `doorman`.
"""

import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

import jsonschema
from checks import NotOk, expect
from tools import ROOT, TARGET

SCHEMA = ROOT / "doorman" / "src" / "policy.schema.json"
DOORMAN = TARGET / "debug" / "doorman"
CASES = '{"repo": "acme/model", "cases": [{"name": "a", "verdict": "hold"}]}'
RULE = {"name": "staff", "then": "accept", "if": "user.domain == 'acme.com'"}


def rule(**keys):
    """A policy of one rule with these keys. A key that is None is left out."""
    keys = RULE | {key.removesuffix("_"): value for key, value in keys.items()}
    return {"rules": [{key: value for key, value in keys.items() if value is not None}]}


def with_key(**keys):
    return {"rules": [RULE]} | keys


GOOD = [
    {"rules": []},
    with_key(**{"$schema": "policy.schema.json"}),
    with_key(default="reject"),
    with_key(default={"then": "hold"}),
    with_key(default={"then": "reset", "reason": "Please ask again."}),
    with_key(paused=False, limits={}),
    with_key(paused=True, limits={"accept": 0, "reject": 50}),
    with_key(lists={"_a1": [], "b": ["x", " "], "c": {"file": "lists/c.txt"}, "d": {"file": "d.csv", "column": "E-mail"}}),
    with_key(let={"ours": "user.pro", "_": "1"}),
    rule(repos=["acme/model", "datasets/acme/corpus", "acme/*", "datasets/acme/*", "!acme/open"]),
    rule(unless="user.pro"),
    rule(then="reset", reason="x" * 200),
    rule(then="reject", reason="No."),
]

BAD = [
    {},
    {"rules": {}},
    {"rules": ["accept"]},
    {"rule": [RULE], "rules": []},
    with_key(**{"$schema": 7}),
    with_key(default="allow"),
    with_key(default="Hold"),
    with_key(default=["hold"]),
    with_key(default={}),
    with_key(default={"then": "stay"}),
    with_key(default={"then": "hold", "reason": "x"}),
    with_key(default={"then": "reset", "reason": " "}),
    with_key(default={"then": "reset", "why": "x"}),
    with_key(paused="yes"),
    with_key(paused=1),
    with_key(limits=200),
    with_key(limits={"accept": "200"}),
    with_key(limits={"accept": -1}),
    with_key(limits={"accept": 1.5}),
    with_key(limits={"hold": 1}),
    with_key(limits={"reject": "x"}),
    with_key(limits={"reject": -1}),
    with_key(lists=["a"]),
    with_key(lists={"a": "b.txt"}),
    with_key(lists={"a": [1]}),
    with_key(lists={"a": {}}),
    with_key(lists={"a": {"file": 1}}),
    with_key(lists={"a": {"file": " "}}),
    with_key(lists={"a": {"file": "a.csv", "colum": "x"}}),
    with_key(lists={"a": {"file": "a.csv", "column": 3}}),
    with_key(lists={"a": {"file": "/etc/passwd"}}),
    with_key(lists={"a": {"file": "../a.txt"}}),
    with_key(lists={"a": {"file": "b/../../a.txt"}}),
    with_key(lists={"a": {"file": "C:\\a.txt"}}),
    with_key(lists={"free-mail": []}),
    with_key(lists={"1a": []}),
    with_key(lists={"": []}),
    with_key(let="user.pro"),
    with_key(let={"ours": True}),
    with_key(let={"ours": ""}),
    with_key(let={"free-mail": "true"}),
    with_key(let={"user": "true"}),
    with_key(let={"in": "true"}),
    rule(name=None),
    rule(name=" "),
    rule(name=7),
    rule(then=None),
    rule(then="Accept"),
    rule(then="deny"),
    rule(if_=None),
    rule(if_=True),
    rule(if_=""),
    rule(if_="true" + " " * 4096),
    rule(unless=["user.pro"]),
    rule(unles="user.pro"),
    rule(reason="x"),
    rule(then="hold", reason="x"),
    rule(then="reset", reason=""),
    rule(then="reject", reason="x" * 201),
    rule(then="reject", reason=7),
    rule(repos=[]),
    rule(repos="acme/*"),
    rule(repos=[7]),
    rule(repos=["a b"]),
    rule(repos=["spaces/acme/app"]),
    rule(repos=["acme/model/tree/main"]),
    rule(repos=["!acme/*", "*/*"]),
]


def check():
    printed = subprocess.run([DOORMAN, "policy", "schema"], capture_output=True, text=True, check=True).stdout
    schema = json.loads(printed)
    expect(printed == SCHEMA.read_text(), "`doorman policy schema` prints the schema", printed)
    jsonschema.Draft202012Validator.check_schema(schema)
    check_descriptions(schema)
    validator = jsonschema.Draft202012Validator(schema)
    with tempfile.TemporaryDirectory() as directory:
        reads = lambda text: is_read(text, Path(directory))
        check_examples(validator)
        for document in GOOD:
            agree(validator, reads, document, True)
        for document in BAD:
            agree(validator, reads, document, False)
    expect(True, f"schema and reader accept {len(GOOD)} policies, and refuse {len(BAD)}", None)


def check_descriptions(schema):
    """Each key that an editor completes has a description and an example, and the examples are valid."""
    count = 0
    for path, part in parts(schema):
        if "properties" in path[-2:-1] and isinstance(part, dict) and part:
            part = resolve(schema, part) | part
            if not {"description", "examples"} <= set(part):
                raise NotOk(f"{'.'.join(path)} has no description or no example")
            validator = jsonschema.Draft202012Validator(part | {"$defs": schema["$defs"]})
            for example in part["examples"]:
                validator.validate(example)
            count += 1
    expect(count > 15, f"all {count} keys have a description and a valid example", count)


def parts(schema, path=()):
    """All tables of a schema, each with its path, but not those below `if` and `then`, which complete nothing."""
    yield path, schema
    for key, value in schema.items():
        if isinstance(value, dict) and not (path and path[-1] == "reasonOnlyIfShown"):
            yield from parts(value, (*path, key))
        for index, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, dict) and key != "examples":
                yield from parts(item, (*path, key, str(index)))


def resolve(schema, part):
    name = part.get("$ref", "").removeprefix("#/$defs/")
    return schema["$defs"][name] if name else {}


def check_examples(validator):
    files = sorted(path for kind in ("json", "toml") for path in (ROOT / "examples").rglob(f"*.{kind}"))
    files = [path for path in files if not path.name.endswith(".cases.json")]
    for path in files:
        text = path.read_text()
        document = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        if error := jsonschema.exceptions.best_match(validator.iter_errors(document)):
            raise NotOk(f"{path.relative_to(ROOT)}: {error.message}")
        if path.suffix == ".toml":
            first, _, named = text.splitlines()[0].partition(" ")
            if first != "#:schema" or (path.parent / named).resolve() != SCHEMA:
                raise NotOk(f"{path.relative_to(ROOT)}: its first line does not name {SCHEMA.relative_to(ROOT)} as `#:schema`")
    expect(len(files) > 5, f"the schema accepts all {len(files)} example policies", files)


def agree(validator, reads, document, is_good):
    text = json.dumps(document)
    if validator.is_valid(document) != is_good:
        raise NotOk(f"the schema {'refuses' if is_good else 'accepts'} {text}")
    if reads(text) != is_good:
        raise NotOk(f"`doorman` {'refuses' if is_good else 'accepts'} {text}")


def is_read(text, directory):
    """Whether `doorman` reads a policy without a fault."""
    policy, cases = directory / "policy.json", directory / "cases.json"
    policy.write_text(text)
    cases.write_text(CASES)
    done = subprocess.run([DOORMAN, "test", policy, cases], capture_output=True, text=True)
    if done.returncode not in (0, 1, 2) or (done.returncode == 2) != ("policy.json: " in done.stderr):
        raise NotOk(f"{text}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.returncode != 2
