"""A disk that syncs nothing, for filling a vault in bulk; measure with the real one after that."""

from pathlib import Path

from keys.durable import RealDisk


class HastyDisk(RealDisk):
    """The real disk without its promise: a power cut may take anything."""

    def sync(self, path: Path) -> None:  # noqa: ARG002
        return

    def sync_dir(self, directory: Path) -> None:  # noqa: ARG002
        return
