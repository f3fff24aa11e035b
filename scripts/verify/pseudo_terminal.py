"""`doorman` as a person sees it, on a terminal, and as the next program does, in a pipe."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import unicodedata

import pyte
import tools
from checks import NotOk, require
from running import stop

HEIGHT = 24
QUESTION = b"[y/N] "

COLOUR = re.compile(r"\x1b\[[\d;]*m")
# What tables and a progress bar are made of: colours, clearing the line, and going one up or down.
ORDERS = re.compile(r"\x1b\[(?:[\d;]*m|2?K|1?[AB])")
# Marks that turn the direction of writing, and those that nobody sees.
HIDDEN = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")

# Every command that was run, with all that it wrote.
WRITTEN = []


class Terminal:
    """A command on a terminal, until it ends; if it asks, `typed` is typed, the first time after `meanwhile` was called.

    Its standard streams are the terminal, unless others are given.
    """

    def __init__(self, hub, *arguments, width=80, typed=b"\x03", meanwhile=None, variables=None, **streams):
        self.width, self.has_asked, self.raw = width, False, b""
        # More than any command writes, so that nothing is lost that scrolls away.
        self.screen = pyte.HistoryScreen(width, HEIGHT, history=100_000)
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
        process = subprocess.Popen(
            command(arguments),
            env=environment(hub) | (variables or {}),
            # Its own terminal, so that Ctrl-C reaches it.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0),
            **{"stdin": terminal, "stdout": terminal, "stderr": terminal} | streams,
        )
        os.close(terminal)
        try:
            self.follow(process, master, typed, meanwhile)
        finally:
            stop(process)
            os.close(master)
        self.status, self.text = process.returncode, self.raw.decode()
        WRITTEN.append((arguments, self.text))
        rows = ["".join(row[x].data for x in range(width)).rstrip() for row in self.rows()]
        # Without the empty ones that nothing has been written to yet.
        self.lines = "\n".join(rows).rstrip("\n").split("\n")
        self.expect_no_orders(arguments)

    def follow(self, process, master, typed, meanwhile):
        stream = pyte.ByteStream(self.screen)
        while True:
            if not select.select([master], [], [], 60)[0]:
                raise NotOk(f"{process.args} says nothing for a minute, after {self.raw[-1000:]}")
            try:
                written = os.read(master, 65_536)
            except OSError:
                # Linux's way to say that nobody has the terminal open any more.
                break
            self.raw += written
            stream.feed(written)
            if self.raw.endswith(QUESTION):
                if meanwhile and not self.has_asked:
                    meanwhile()
                self.has_asked = True
                os.write(master, typed)
        process.wait(60)

    def rows(self):
        """What scrolled off the screen, and what is on it, in characters with their colours."""
        return [*self.screen.history.top, *(self.screen.buffer[y] for y in range(HEIGHT))]

    def expect_no_orders(self, arguments):
        """What others wrote moves nothing, hides nothing, clears nothing and renames nothing."""
        rest = ORDERS.sub("", self.text)
        orders = {c for c in rest if unicodedata.category(c) == "Cc" and c not in "\r\n"} | set(HIDDEN.findall(rest))
        seen = (orders, self.screen.title, self.screen.icon_name, self.screen.cursor.hidden)
        require(seen == (set(), "", "", False), f"{arguments} gives the terminal no orders", seen)

    def written_lines(self):
        """As they were written, whatever became of them on the screen; of one that is drawn again the last."""
        return [ORDERS.sub("", line.rpartition("\r")[2]) for line in self.text.split("\r\n")]


def command(arguments):
    return [tools.TARGET / "debug" / "doorman", *arguments]


def environment(hub):
    # Nothing of this machine's, where there may be a token, or no wish for colours.
    return hub.settings | {"TERM": "xterm-256color", "HOME": str(tools.WORK), "NO_PROXY": "127.0.0.1"}


def piped(hub, *arguments):
    """The standard output of a command without a terminal, which must succeed."""
    done = subprocess.run(
        command(arguments), env=environment(hub), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    wrote = done.stdout + done.stderr
    WRITTEN.append((arguments, wrote))
    require(done.returncode == 0 and "\x1b" not in wrote, f"{arguments} in a pipe", f"exit {done.returncode}, {wrote}")
    return done.stdout
