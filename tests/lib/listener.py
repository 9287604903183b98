"""What all the little servers are: a socket that listens, and a thread that takes who comes."""
import socket
import threading


class Listener:
    """A context manager. `took` is called with each connection, in the thread that listens."""

    host = "127.0.0.1"

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *exception):
        self.end_listening()

    def socket_that_listens(self, port):
        return socket.create_server((self.host, port))

    def listen(self, port=0):
        self.listener = self.socket_that_listens(port)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
        self.thread.start()

    def end_listening(self):
        """Refuses who comes now; who is connected stays so."""
        shut(self.listener)  # ends accept()
        self.listener.close()
        self.thread.join(10)

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.took(connection)


def shut(connection):
    """Ends what is read and written there, whatever became of it before."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
