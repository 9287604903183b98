"""What has a folder of its own and processes in it, and leaves nothing behind."""
import shutil
import tempfile
from pathlib import Path


class Throwaway:
    """A context manager: `make` fills `folder` once, `start` and `stop` may come again."""

    prefix = "m"  # short: a socket's path has 107 bytes at most

    def __init__(self):
        self.folder = None
        self.process = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=self.prefix, dir="/tmp"))
        self.folder.chmod(0o755)
        try:
            self.make()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self):
        pass

    def __exit__(self, *exception):
        self.stop()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
