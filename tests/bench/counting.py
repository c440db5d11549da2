"""A disk that counts what it is asked to do: bytes written, syncs, operations."""

from pathlib import Path

from keys.durable import Buffer, RealDisk


class CountingDisk(RealDisk):
    """The real disk, with a tally."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts the tally anew."""
        self.written, self.syncs, self.writes = 0, 0, 0

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        self.written += memoryview(data).nbytes
        self.writes += 1
        super().write(path, offset, data)

    def sync(self, path: Path) -> None:
        self.syncs += 1
        super().sync(path)

    def sync_dir(self, directory: Path) -> None:
        self.syncs += 1
        super().sync_dir(directory)
