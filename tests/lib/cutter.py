"""A TCP proxy that can cut a connection at every step of the commands that change mail.

    with Cutter(server.imap_port) as cutter:
        cutter.arm()                                # counts
        ... a run ...
        for step in cutter.steps: ...
        cutter.arm(7, "before", how="rst", then="pass")
        ... the same run: its seventh step never passes ...
        cutter.fired                                # that step; None if the run had fewer

It is for plain connections: it reads IMAP just enough to know a step from the next. Steps are
counted while a command that changes mail is the oldest unanswered one of its connection:

    line            a client's line: the command, or what follows a literal
    first, second   halves of a client's literal; between them is its middle
    answer          a server's line with the literals in it: "+", untagged, tagged

A step is cut "before" it passes, or "after" it has. A client's step is then in the server's
kernel, and whether the server still acts on it is the server's affair: to know that it has, cut
before its answer. COMPRESS is never offered through the proxy.
"""
import asyncio
import fcntl
import re
import socket
import struct
import termios
import threading
from dataclasses import dataclass

CHANGING = ("SELECT", "UID MOVE", "UID COPY", "UID STORE", "UID EXPUNGE", "APPEND", "CREATE",
            "RENAME", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE", "MOVE", "COPY", "STORE", "EXPUNGE",
            "CLOSE")
CLIENT_LITERAL = re.compile(rb"\{(\d+)\+?\}\r?\n$")
SERVER_LITERAL = re.compile(rb"\{(\d+)\}\r?\n$")
PIECE, LINE_MAX = 1 << 16, 1 << 24


@dataclass(frozen=True)
class Step:
    number: int      # from 1, in this run
    connection: int
    what: str        # line, first, second, answer
    command: str     # "UID MOVE"
    text: bytes      # the line; of a literal its first octets


class Cutter:
    """`commands`: whose steps are counted."""

    def __init__(self, target, commands=CHANGING, host="127.0.0.1"):
        self.target, self.host, self.commands = target, host, tuple(commands)
        self.happened = threading.Event()
        self.links = []
        self.port = self.listener = None
        self.calm = asyncio.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.set(None, "before", "rst", None, "pass")

    def __enter__(self):
        self.thread.start()
        self.call(self.open())
        return self

    def __exit__(self, *exception):
        self.call(self.finish())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    # -- for tests, from any thread

    def arm(self, at=None, where="before", how="rst", callback=None, then="pass"):
        """Numbers steps anew. Cuts at step `at` (None: only counts; a command's name and n: at its
        nth step): `how` is "rst" or "fin";
        `callback` is called before the connection ends; `then` is whether the other and new
        connections "pass", or the others end too and new ones are refused ("refuse")."""
        assert where in ("before", "after") and how in ("rst", "fin") and then in ("pass", "refuse")

        async def do():
            self.set(at, where, how, callback, then)
        self.call(do())

    def disarm(self):
        """Cuts no more. Returns the step that it has cut at, None: none."""
        async def do():
            self.at = None
            return self.fired
        return self.call(do())

    def count(self):
        """How many steps there were."""
        return len(self.steps)

    def wait_fired(self, seconds=120):
        """Whether the cut has happened, and its callback returned, within so many seconds."""
        return self.happened.wait(seconds)

    def cut_all(self, how="rst"):
        """Ends all connections; new ones are welcome."""
        async def do():
            self.end_all(how)
        self.call(do())

    def go_away(self):
        """Resets all connections and refuses new ones."""
        async def do():
            self.refuse()
            self.end_all("rst")
        self.call(do())

    def come_back(self):
        """Takes connections, on the same port as before."""
        async def do():
            if not self.listener:
                await self.open()
        self.call(do())

    # -- inside, all in one thread

    def set(self, at, where, how, callback, then):
        self.steps, self.fired = [], None
        self.happened.clear()
        self.calm.set()
        self.at, self.where, self.how, self.callback, self.then = at, where, how, callback, then

    async def open(self):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", self.port or 0,
                                                   limit=LINE_MAX)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def finish(self):
        self.refuse()
        self.end_all("rst")
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    def refuse(self):
        if self.listener:
            self.listener.close()
            self.listener = None

    def end_all(self, how):
        for link in list(self.links):
            link.end(how)

    async def serve(self, reader, writer):
        try:
            far = await asyncio.open_connection(self.host, self.target, limit=LINE_MAX)
        except OSError:
            abort(writer)
            return
        link = Link(self, (reader, writer), far, len(self.links) + 1)
        self.links.append(link)
        if not self.listener:
            link.end("rst")
        await link.run()

    def step(self, link, what, command, text):
        """Numbers a step; True if it is the one to cut at."""
        if self.fired:
            return False
        self.steps.append(Step(len(self.steps) + 1, link.number, what, command, text))
        if not self.is_at():
            return False
        self.fired = self.steps[-1]
        self.calm.clear()
        return True

    def is_at(self):
        """Whether the last step is the one to cut at."""
        if isinstance(self.at, tuple):
            command, number = self.at
            return self.steps[-1].command == command and number == sum(
                step.command == command for step in self.steps)
        return len(self.steps) == self.at

    def cut(self, link):
        if self.then == "refuse":
            self.refuse()
        try:
            if self.callback:
                self.callback()
        finally:
            for each in list(self.links) if self.then == "refuse" else [link]:
                each.end(self.how)
            self.calm.set()
            self.happened.set()


class Link:
    """One connection, of the client (near) and to the server (far)."""

    def __init__(self, cutter, near, far, number):
        self.cutter, self.number = cutter, number
        (self.near_in, self.near_out), (self.far_in, self.far_out) = near, far
        self.unanswered = []  # (tag, command or None where it is not counted), oldest first
        self.ended = False    # then what still comes goes nowhere

    async def run(self):
        try:
            await asyncio.gather(self.upward(), self.downward())
        except (ConnectionError, EOFError, ValueError):
            pass
        finally:
            self.end("rst")
            abort(self.near_out)
            abort(self.far_out)

    def end(self, how):
        if self.ended:
            return
        self.ended = True
        for writer in (self.near_out, self.far_out):
            if how == "rst":
                abort(writer)
            else:
                say_end(writer)

    async def pass_on(self, what, command, line, out, rest=0, reader=None):
        """Passes one step on, unless it is the one to be cut at: `line`, and so many octets from
        `reader` that follow it."""
        here = command is not None and not self.ended and (
            self.cutter.step(self, what, command, line[:200]))
        if here and self.cutter.where == "before":
            await self.cut()
        await self.write(out, line, here)
        while rest > 0:
            data = await reader.read(min(rest, PIECE))
            if not data:
                raise EOFError
            rest -= len(data)
            await self.write(out, data, here)
        if here and self.cutter.where == "after":
            await self.cut()

    async def cut(self):
        """What passed before this has passed for good."""
        await all_taken(self.near_out)
        await all_taken(self.far_out)
        self.cutter.cut(self)

    async def write(self, out, data, last=False):
        if not last:  # nothing else passes while a cut is being made
            await self.cutter.calm.wait()
        if not self.ended:
            out.write(data)
            await out.drain()

    # -- the client's side

    async def upward(self):
        while line := await self.near_in.readline():
            tag, command = read_command(line)
            counted = command if command in self.cutter.commands else None
            if tag:
                self.unanswered.append((tag, counted))
            await self.pass_on("line", counted, line, self.far_out)
            while literal := CLIENT_LITERAL.search(line):
                await self.literal(int(literal[1]), counted)
                line = await self.near_in.readline()
                await self.pass_on("line", counted, line, self.far_out)
        if not self.ended:
            say_end(self.far_out)

    async def literal(self, size, counted):
        for what, length in (("first", size // 2), ("second", size - size // 2)):
            if length:
                start = await self.near_in.readexactly(min(length, 80))
                await self.pass_on(what, counted, start, self.far_out, length - len(start),
                                   self.near_in)

    # -- the server's side

    async def downward(self):
        while line := await self.far_in.readline():
            data = line.replace(b"COMPRESS=DEFLATE", b"X-NO-COMPRESSION")
            while literal := SERVER_LITERAL.search(line):
                data += await self.far_in.readexactly(int(literal[1]))
                line = await self.far_in.readline()
                data += line
            counted = self.unanswered[0][1] if self.unanswered else None
            # before it is passed on: the client may speak again at once
            tag = data.split(b" ", 1)[0]
            self.unanswered = [u for u in self.unanswered if u[0] != tag]
            await self.pass_on("answer", counted, data, self.near_out)
        if not self.ended:
            say_end(self.near_out)


def read_command(line):
    """(tag, "UID MOVE"); (None, None) for what is no command: DONE, a SASL answer."""
    words = line.split()
    if len(words) < 2:
        return None, None
    verb = words[1].upper()
    if verb == b"UID" and len(words) > 2:
        verb += b" " + words[2].upper()
    return words[0], verb.decode("latin-1")


async def all_taken(writer):
    """Waits until the other side's kernel has all that was sent: a reset takes back what it has
    not. Gives up after ten seconds, when nobody reads there."""
    descriptor = writer.get_extra_info("socket").fileno()
    for _ in range(10000):
        left = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)) if descriptor >= 0 else bytes(4)
        if not writer.transport.get_write_buffer_size() and not struct.unpack("i", left)[0]:
            return
        await asyncio.sleep(0.001)


def abort(writer):
    """Closes with a reset."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def say_end(writer):
    try:
        writer.write_eof()
    except (OSError, RuntimeError):
        pass
