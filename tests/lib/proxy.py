"""A TCP proxy that counts, delays, stalls and cuts, and hides what a server offers.

    with Proxy(server.imap_port, rtt=0.05) as proxy:
        ... proxy.port ...
        before = proxy.traffic()
        ... (proxy.traffic() - before).down ...
"""
import asyncio
import dataclasses
import threading


@dataclasses.dataclass
class Traffic:
    """Bytes each way; round trips: how often the client spoke after the server had."""

    up: int = 0
    down: int = 0
    trips: int = 0
    connections: int = 0

    def __sub__(self, other):
        return Traffic(*(a - b for a, b in zip(dataclasses.astuple(self),
                                               dataclasses.astuple(other))))


class Proxy:
    """`hide`: capabilities that the client is not to see; only in what comes in plain text."""

    def __init__(self, target, rtt=0.0, host="127.0.0.1", hide=()):
        self.target, self.rtt, self.host = target, rtt, host
        self.hide = [word.encode() for word in hide]
        self.port = None
        self.heard = b""  # what the client sent, the last part of it
        self.flights = []  # the same, a piece for each round trip
        self.counts = Traffic()
        self.writers = set()
        self.stall_at = None  # bytes down after which nothing passes any more
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.call(self.open())
        return self

    def __exit__(self, *exception):
        self.call(self.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def open(self):
        self.flow = asyncio.Event()
        self.flow.set()
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", self.port or 0,
                                                   limit=1 << 20)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def close(self):
        self.listener.close()
        self.drop()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    def drop(self):
        for writer in list(self.writers):
            writer.transport.abort()

    async def serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.target,
                                                                   limit=1 << 20)
        except OSError:
            writer.transport.abort()
            return
        self.counts.connections += 1
        self.writers |= {writer, far_writer}
        spoken = {"down": True}
        try:
            await asyncio.gather(self.pass_on(reader, far_writer, True, spoken),
                                 self.pass_on(far_reader, writer, False, spoken))
        finally:
            self.writers -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def pass_on(self, reader, writer, up, spoken):
        queue = asyncio.Queue(maxsize=4096)
        sender = asyncio.create_task(self.send(queue, writer))
        try:
            while data := await reader.read(1 << 16):
                self.count(data, up, spoken)
                if not up and b"CAPABILITY" in data:
                    for word in self.hide:
                        data = data.replace(word, b"X" + word[1:])
                await queue.put((self.loop.time() + self.rtt / 2, data))
        except ConnectionError:
            pass
        await queue.put((0, b""))
        await sender

    def count(self, data, up, spoken):
        if up:
            self.counts.up += len(data)
            self.counts.trips += spoken["down"]
            if spoken["down"]:
                spoken["flight"] = bytearray()
                self.flights.append(spoken["flight"])
            spoken["flight"].extend(data[:1 << 16])
            self.heard = (self.heard + data)[-(1 << 20):]
        else:
            self.counts.down += len(data)
        spoken["down"] = not up
        if not up and self.stall_at is not None and self.counts.down >= self.stall_at:
            self.flow.clear()

    async def send(self, queue, writer):
        while True:
            when, data = await queue.get()
            delay = when - self.loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            await self.flow.wait()
            try:
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
            except (ConnectionError, OSError, RuntimeError):
                return

    # -- for tests, from any thread

    def traffic(self):
        return dataclasses.replace(self.counts)

    def stall(self, after=None):
        """Nothing passes any more, either way, though connections stand; `after`: only once so
        many more bytes came from the server."""
        if after is None:
            self.loop.call_soon_threadsafe(self.flow.clear)
        else:
            self.stall_at = self.counts.down + after

    def resume(self):
        self.stall_at = None
        self.loop.call_soon_threadsafe(self.flow.set)

    def cut(self):
        """Resets all connections; new ones are welcome."""
        self.loop.call_soon_threadsafe(self.drop)

    def go_away(self):
        """Resets all connections and refuses new ones."""
        async def away():
            self.listener.close()
            self.drop()
        self.call(away())

    def come_back(self):
        """On the same port again."""
        self.call(self.open())
