"""`doorman` on a terminal, which `cargo test` has none of: when it asks and what comes of the answer, what it draws and
how wide, and what it shows nobody."""

import json
import re
import signal
import subprocess
import tempfile

from checks import expect, require
from pseudo_terminal import COLOUR, HEIGHT, HIDDEN, ORDERS, WRITTEN, Terminal, piped
from running import Hub
from wcwidth import wcswidth

WIDTHS = (60, 80, 120)

# The crowd's repos that are gated and approved by hand. Of the first two the rules move some people.
REPOS = ("acme/gated-model", "datasets/acme/gated-corpus", "acme/vision-model", "acme/discreet-model")

# As long as those that Lambda makes.
URL = "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws/"

# For each command what a person has to find on the first screen, and on the last.
TABLES = {
    ("plan",): (r"^acme/automatic-model$\s+USER +ASKED +VERDICT +RULE +WHY$", r"^datasets/acme/\S+: 34 people wait$"),
    ("plan", REPOS[0]): (
        r"^acme/gated-model$\s+USER ",
        r"50 people wait$.*^Nothing was changed; `doorman review` .*\.$",
    ),
    ("check",): (r"^ passed +APPROVAL_POLICY +4 rules$", r"^\d+ passed, \d+ warnings, 0 failed$"),
    ("webhook", "list"): (r"^0{10}\d+  enabled, secret, https:", r"^    org acme$"),
    ("list", REPOS[0]): (r"^\S+  20\d\d-\d\d-\d\d.*^    Affiliation: ", r"^    Country: .*^50 people pending$"),
}

VERDICTS = ("accept", "reject", "reset", "hold")
SUM = re.compile(rf"^ +([\d,]+)  ({'|'.join(VERDICTS)}) ")
BAR = re.compile(r"([\d,]+) of ([\d,]+) decided")

# What is typed, and how the command ends: `None` if by the signal.
REFUSALS = {
    "n": (b"n\r", 1),
    "an empty line": (b"\r", 1),
    "another word": (b"yet\r", 1),
    "the end of input": (b"\x04", 1),
    "Ctrl-C": (b"\x03", -signal.SIGINT),
}


def check():
    WRITTEN.clear()
    with Hub("--crowd", "300") as hub:
        piped(hub, "webhook", "create", "--url", URL)
        check_pipes(hub)
        check_tables(hub)
        check_colours(hub)
        check_refusals(hub)
        sums = check_consent(hub)
        mails = {one["email"] for repo in REPOS for one in json.loads(piped(hub, "export", repo))} - {None}
    check_without_question(sums)
    check_half_a_terminal(sums)
    check_change_of_mind(sums)
    check_decided_meanwhile()
    check_redirected(sums)
    check_last_words()
    check_bar()
    check_secrets(hub.settings, mails)


def check_pipes(hub):
    plan = piped(hub, "plan")
    rows = [line.split("\t") for line in plan.splitlines()]
    is_well = [len(row) == 6 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[2]) for row in rows]
    expect(rows and all(is_well), f"plan in a pipe: {len(rows)} lines of six columns, and nothing else", plan)
    expect(piped(hub, "plan") == plan, "plan in a pipe: the same lines every time", plan)
    decided = [one for repo in json.loads(piped(hub, "plan", "--json"))["repos"] for one in repo["decisions"]]
    those = sorted((one["user"], one["verdict"], one["rule"] or "") for one in decided)
    expect(sorted((row[1], *row[3:5]) for row in rows) == those, "plan in a pipe: everybody of --json", those)
    people, lines = json.loads(piped(hub, "list", REPOS[0], "--json")), piped(hub, "list", REPOS[0]).split("\n")
    hostile = [line for line in lines if re.search("[\0-\x08\x0b-\x1f\x7f-\x9f]", line) or HIDDEN.search(line)]
    expect(len(lines) == len(people) + 1 and not hostile, "list in a pipe: a line a person, without orders", lines)


def check_tables(hub):
    answers = piped(hub, "list", REPOS[0], "--json")
    require(r"\u001b[2J\u001b]0;owned" in answers, "somebody in the crowd is hostile", answers)
    for arguments, (first, last) in TABLES.items():
        for width in WIDTHS:
            what = f"{' '.join(arguments)} on a terminal of {width} columns"
            shown = Terminal(hub, *arguments, width=width)
            lines = shown.written_lines()
            if "list" in arguments:
                # What is above is as long as somebody's name and address, or the URL of a webhook.
                lines = [line for line in lines if line.startswith("    ")]
            if arguments[0] == "list":
                require("[2J\ufffd]0;owned" in "".join(shown.lines), f"{what}: what was hostile is there", shown.lines)
            wide = [line for line in lines if not 0 <= wcswidth(line) <= width]
            require(lines and not wide, f"{what}: no line is wider", wide)
            for pattern, page in ((first, shown.lines[:HEIGHT]), (last, shown.lines[-HEIGHT:])):
                page = "\n".join(page)
                require(re.search(pattern, page, re.MULTILINE | re.DOTALL), f"{what}: {pattern}", page)
        expect(shown.status == 0, f"{' '.join(arguments)} at {WIDTHS} columns", shown.status)


def check_colours(hub):
    for arguments in TABLES:
        with_colours, without = Terminal(hub, *arguments), Terminal(hub, *arguments, variables={"NO_COLOR": "1"})
        require(COLOUR.search(with_colours.text), f"{arguments} has colours", with_colours.text)
        require(not COLOUR.search(without.text), f"{arguments} has none with NO_COLOR", without.text)
    colours = {verdict: set() for verdict in VERDICTS}
    for row in Terminal(hub, "plan", REPOS[0]).rows():
        text = "".join(row[x].data for x in range(80))
        for found in re.finditer(rf" ({'|'.join(VERDICTS)}) ", text):
            colours[found[1]].add(row[found.start(1)].fg)
    are_well = all(len(one) == 1 for one in colours.values()) and len(set.union(*colours.values())) == 4
    expect(are_well, "a colour for each verdict, none with NO_COLOR, and none in a pipe", colours)


def check_refusals(hub):
    before = pending(hub)
    for what, (typed, status) in REFUSALS.items():
        shown = Terminal(hub, "review", width=120, typed=typed)
        require(shown.has_asked and any(sums(shown)), f"review shows sums and asks before {what}", shown.lines)
        require(pending(hub) == before, f"review answered with {what} changes nothing", shown.lines)
        expect(shown.status == status, f"review answered with {what}: it ends with {status}", shown.status)
    shown = Terminal(hub, "review", variables={"DRY_RUN": "true"})
    is_well = not shown.has_asked and shown.status == 0 and pending(hub) == before
    expect(is_well, "review with DRY_RUN does not ask, and changes nothing", shown.lines)


def check_consent(hub):
    """What it does is what it showed, which is given back."""
    before, in_plan = waiting(hub), [row.split("\t")[3] for row in piped(hub, "plan").splitlines()]
    shown = Terminal(hub, "review", width=120, typed=b"y\r")
    expected = sums(shown)
    require(shown.has_asked and all(expected), "review shows sums and asks", shown.lines)
    seen = (tuple(map(in_plan.count, VERDICTS)), asked(shown), report(shown), shown.status)
    is_well = seen == (expected, expected[:3], expected, 0)
    expect(is_well, f"review answered with y does what plan, sums and question say: {expected}", (expected, *seen))
    expect(before - waiting(hub) == sum(expected[:3]), "and so many wait no more", (before, waiting(hub)))
    shown = Terminal(hub, "review")
    is_well = not shown.has_asked and shown.status == 0 and report(shown) == (0, 0, 0, expected[3])
    expect(is_well, "review does not ask if there is nothing to decide", shown.lines)
    return expected


def check_without_question(sums):
    """With people who wait as they did before, for they are the same every time."""
    with Hub("--crowd", "300") as hub:
        shown = Terminal(hub, "review", "--yes")
        is_well = (shown.has_asked, report(shown), shown.status) == (False, sums, 0)
        expect(is_well, "review with --yes does the same and does not ask", shown.lines)


def check_half_a_terminal(sums):
    """Whoever sees a terminal is asked, wherever the rest of it leads; who cannot answer has not agreed."""
    with Hub("--crowd", "300") as hub, tempfile.TemporaryFile() as other:
        before = pending(hub)
        shown = Terminal(hub, "review", typed=b"", stdin=subprocess.DEVNULL)
        is_well = asked(shown) == sums[:3] and shown.status == 1 and pending(hub) == before
        expect(is_well, "review without a terminal to answer on changes nothing", shown.lines)
        shown = Terminal(hub, "review", stdout=other, stderr=other)
        is_well = shown.status == 2 and b"give --yes" in content(other) and pending(hub) == before
        expect(is_well, "review that cannot be seen to ask changes nothing", shown.lines)
        shown = Terminal(hub, "review", typed=b"y\r", stderr=other)
        is_well = (shown.has_asked, asked(shown), shown.status) == (True, sums[:3], 0)
        expect(is_well, "review with its errors in a file asks all the same", shown.lines)


def check_change_of_mind(sums):
    """A request that comes in while `review` asks is not decided by that run: it is named, and left for the next one."""
    with Hub("--crowd", "300") as hub:
        planned = {line.split("\t")[1] for line in piped(hub, "plan", REPOS[0]).splitlines()}
        # All who are in are asked about again, until somebody of them is let in by a rule.
        accepted = [one["user"] for one in json.loads(piped(hub, "list", REPOS[0], "--status", "accepted", "--json"))]
        shown = Terminal(hub, "review", typed=b"y\r", meanwhile=lambda: piped(hub, "cancel", REPOS[0], *accepted))
        questions = [line for line in shown.lines if line.startswith("In all: ")]
        is_well = accepted and not planned & set(accepted) and len(set(questions)) == 1 and shown.status == 3
        expect(is_well, "review asks once and says that something is left", shown.lines)
        expect(report(shown)[:3] == sums[:3], "and carries out what was agreed to", (sums, report(shown)))
        left = [line for line in shown.lines if re.search(r"\bleft$", line)]
        expect(0 < len(left) <= len(accepted), "and names whom it leaves", shown.lines)


def check_decided_meanwhile():
    """A person rejects somebody while `review` asks whether to let them in. The rejection stands, and `review` shows it."""
    with Hub("--crowd", "300") as hub:
        rows = [line.split("\t") for line in piped(hub, "plan", REPOS[0]).splitlines()]
        who = next(row[1] for row in rows if row[3] == "accept")
        reject = lambda: piped(hub, "reject", REPOS[0], who, "--yes")
        shown = Terminal(hub, "review", typed=b"y\r", meanwhile=reject)
        told = [line for line in shown.lines if who in line and re.search(r"\bgone$", line)]
        rejected = [one["user"] for one in json.loads(piped(hub, "list", REPOS[0], "--status", "rejected", "--json"))]
        expect(told and who in rejected, "a request that was decided while review asked is shown as gone", shown.lines)


def check_redirected(sums):
    """Asked and answered on a terminal, with the report in a file: what is only for a person is not in there."""
    for arguments, holds in ((["--json"], lambda text: bool(json.loads(text))), ([], lambda text: is_rows(text, sums))):
        with Hub("--crowd", "300") as hub, tempfile.TemporaryFile() as other:
            Terminal(hub, "review", *arguments, typed=b"y\r", stdout=other)
            text = content(other).decode()
            try:
                is_well = holds(text)
            except ValueError:
                is_well = False
            expect(is_well, f"review {' '.join(arguments)} > file: the report and nothing else", text)


def is_rows(text, sums):
    rows = [line.split("\t") for line in text.splitlines()]
    return len(rows) == sum(sums) and all(len(row) == 8 for row in rows)


def check_last_words():
    """Who is turned away for good is named, and that takes a yes."""
    with Hub("--crowd", "300") as hub:
        before = pending(hub)
        who = json.loads(piped(hub, "list", REPOS[0], "--json"))[0]["user"]
        for arguments in (["reject", REPOS[0], who], ["revoke", REPOS[0], who, "--final"]):
            shown = Terminal(hub, *arguments, typed=b"n\r")
            is_well = shown.has_asked and who in "".join(shown.lines) and shown.status == 1 and pending(hub) == before
            expect(is_well, f"{arguments[0]} names whom it turns away for good, and asks", shown.lines)
        rejected = {row[1] for row in (line.split("\t") for line in piped(hub, "plan").splitlines()) if row[3] == "reject"}
        shown = Terminal(hub, "review", typed=b"y\r", width=120)
        named = "\n".join(shown.written_lines()).count("turned away for good")
        expect(rejected and named >= 3, "review names whom it turns away, before and after", shown.lines)


def check_bar():
    with Hub("--crowd", "20000") as hub:
        shown = Terminal(hub, "review", typed=b"n\r")
        drawn = [(whole(done), whole(of)) for done, of in BAR.findall(shown.text)]
        grows = len(set(drawn)) > 3 and all(done <= of for done, of in drawn) and drawn == sorted(drawn, key=sum)
        expect(grows, f"a bar is drawn {len(drawn)} times, up to {drawn[-1:]}", drawn)
        bars = [ORDERS.sub("", line) for line in re.split("[\r\n]", shown.text) if BAR.search(line)]
        wide = [line for line in bars if not 0 <= wcswidth(line) <= shown.width]
        require(not wide, "the bar is no wider than the terminal", wide)
        left = [line for line in shown.lines if BAR.search(line) or re.search("[█░⠁]|reading who waits", line)]
        expect(shown.has_asked and not left and not shown.lines[0], "and nothing is left of it", shown.lines)
        with tempfile.TemporaryFile() as other:
            Terminal(hub, "plan", stdout=other)
            expect(b"\x1b" not in content(other), "into a pipe it writes no bar", "one")
        with tempfile.TemporaryFile() as other:
            shown = Terminal(hub, "plan", REPOS[1], stderr=other)
            seen = BAR.findall(shown.text), content(other)
            expect(seen == ([], b""), "without a terminal for errors there is no bar", seen)


def check_secrets(settings, mails):
    """Of all that was written until now."""
    shown = "".join(text for arguments, text in WRITTEN if arguments[0] in ("list", "export"))
    require(sum(mail in shown for mail in mails) > 100, "list and export show addresses", mails)
    # Whatever address it is, it ends as one of these.
    places = {mail[mail.index("@") :] for mail in mails}
    for arguments, text in WRITTEN:
        told = [name for name in ("HF_TOKEN", "WEBHOOK_SECRET") if settings[name] in text]
        if arguments[0] not in ("list", "export"):
            told += [place for place in places if place in text]
        require(not told, f"{arguments} shows no secret, token or address", told)
    expect(
        True, f"no secret and no token in {len(WRITTEN)} outputs, nor {len(mails)} addresses where not asked for", ""
    )


def pending(hub):
    return [piped(hub, "list", repo, "--json") for repo in REPOS]


def waiting(hub):
    return sum(len(json.loads(people)) for people in pending(hub))


def whole(number):
    return int(number.replace(",", ""))


def sums(shown):
    """How many, in the order of `VERDICTS`, as the sums have it that are shown before the question."""
    found = [match.groups() for match in map(SUM.match, shown.lines) if match]
    return tuple(sum(whole(number) for number, of in found if of == verdict) for verdict in VERDICTS)


def asked(shown):
    """The same as the question has it, which leaves out those who are held."""
    return count(shown, r"^In all: ", ("let in", "turned away for good", "turned away until they ask again"))


def report(shown):
    """The same as the report has it of what was done."""
    return count(shown, r"^\S+: [\d,]+ listed", ("accepted", "rejected", "reset", "held"))


def count(shown, line, kinds):
    lines = [line_ for line_ in shown.lines if re.match(line, line_)]
    return tuple(sum(whole(n) for one in lines for n in re.findall(rf"([\d,]+) {kind}", one)) for kind in kinds)


def content(file):
    file.seek(0)
    return file.read()
