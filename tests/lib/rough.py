"""A network that delays, stalls, resets and half-closes by chance.

    with Rough(server.imap_port, seed=7, longest=6) as network:
        network.start()
        ... network.port ...
        network.make_good()
        print(network.done)
"""
import collections
import random
import threading

from .proxy import Proxy


class Rough(Proxy):
    """`longest`: seconds that a stall lasts at most. `seed`: what it does is drawn from it; when
    that meets a command is not."""

    def __init__(self, target, seed, longest=6.0, pause=1.5):
        super().__init__(target)
        self.chance = random.Random("%s network" % seed)
        self.longest, self.pause = longest, pause
        self.done = collections.Counter()
        self.over = threading.Event()
        self.trouble = threading.Thread(target=self.make_trouble, daemon=True)

    def __exit__(self, *exception):
        self.make_good()
        super().__exit__(*exception)

    def start(self):
        self.trouble.start()

    def make_good(self):
        """No trouble from now on; connections that are half closed end."""
        self.over.set()
        if self.trouble.is_alive():
            self.trouble.join()
        self.rtt = 0
        self.resume()

    def make_trouble(self):
        kinds = [self.delay] * 3 + [self.stall_a_while, self.reset_all, self.reset_one,
                                    self.half_close, self.half_close, self.refuse]
        while not self.over.wait(self.chance.random() * 2 * self.pause):
            kind = self.chance.choice(kinds)
            self.done[kind.__name__.replace("_", " ")] += 1
            kind()

    def delay(self):
        self.rtt = self.chance.choice((0, 0.01, 0.05, 0.2, 0.5))

    def stall_a_while(self):
        self.stall()
        self.over.wait(self.chance.random() * self.longest)
        self.resume()

    def reset_all(self):
        self.cut()

    def refuse(self):
        self.go_away()
        self.over.wait(self.chance.random() * self.longest / 4)
        self.come_back()

    def one_of(self, action):
        """Does it to one side of a connection, drawn by chance."""
        draw = self.chance.random()

        def act():
            writers = sorted(self.writers, key=id)
            if writers:
                action(writers[int(draw * len(writers))])
        self.loop.call_soon_threadsafe(act)

    def reset_one(self):
        self.one_of(lambda writer: writer.transport.abort())

    def half_close(self):
        """One side hears that the other has ended, which goes on to hear."""
        def end(writer):
            try:
                writer.write_eof()
            except (OSError, RuntimeError):
                pass
        self.one_of(end)
