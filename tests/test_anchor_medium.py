"""What overwriting in place destroys, measured on raw images: the levels of the file anchor.

Twenty rotations on a mounted image, unmounted and read byte by byte. Where the level is C no old
share may be left. Where it is E they are all there, which is why it is E: the documented failures.
The control, a file written anew and renamed, leaves them everywhere, so a scan can find them.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keys.anchor.file import PLACE_SIZE, FileAnchor
from keys.anchor.medium import Medium, level_of, medium_of
from keys.durable import RealDisk, replace_file
from keys.model import Epoch, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.secret import random_secret
from tests.anchors.images import KINDS, Image, cut_power, why_not

VAULT = VaultId(b"m" * 16)
ROTATIONS = 20
OVERWRITTEN = ["ext4", "xfs"]
KEPT = ["ext4-journal", "btrfs"]


def kinds(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("image", names, indirect=True)


@pytest.fixture
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Image:
    if reason := why_not(request.param):
        pytest.skip(reason)
    return Image(tmp_path, request.param)


def rotated_in_place(directory: Path) -> list[bytes]:
    """Rotates the share of a file anchor; returns the old ones."""
    anchor, shares = FileAnchor(RealDisk(), directory / "anchors" / "share", VAULT), []
    for epoch in range(1, ROTATIONS + 2):
        share = random_secret()
        shares.append(bytes(share))
        anchor.write(Epoch(epoch), share)
        anchor.wipe(Epoch(epoch))
    assert set(anchor.shares()) == {ROTATIONS + 1}
    return shares[:-1]


def rotated_by_rename(directory: Path) -> list[bytes]:
    """The control: the same, but each share in a new file that takes the old one's name."""
    shares = [bytes(random_secret()) for _ in range(ROTATIONS + 1)]
    (directory / "anchors").mkdir()
    for share in shares:
        replace_file(RealDisk(), directory / "anchors" / "share", share.ljust(PLACE_SIZE, b"\0"))
    return shares[:-1]


def left_on(image: Image, rotated: Callable[[Path], list[bytes]]) -> int:
    with image.mounted() as point:
        old = rotated(point)
        os.sync()
    left = len(image.found(old))
    print(f"{rotated.__name__}: {left} of {len(old)} old shares left")
    return left


@pytest.mark.anchors
class TestOldSharesOnTheMedium:
    @kinds(*OVERWRITTEN)
    def test_none_is_left_where_the_level_is_c(self, image: Image) -> None:
        assert left_on(image, rotated_in_place) == 0

    @kinds(*KEPT)
    def test_documented_failure_they_are_left_where_the_level_is_e(self, image: Image) -> None:
        assert left_on(image, rotated_in_place) > 0

    @kinds(*KINDS)
    def test_control_a_renamed_file_leaves_them_everywhere(self, image: Image) -> None:
        assert left_on(image, rotated_by_rename) > 0  # not all: freed space is used again

    @kinds(*KINDS)
    def test_the_level_is_what_was_measured(
        self, image: Image, request: pytest.FixtureRequest
    ) -> None:
        with image.mounted() as point:
            path = point / "anchors" / "share"
            expected = "C" if request.node.callspec.params["image"] in OVERWRITTEN else "E"
            assert level_of(medium_of(path)).letter == expected
            assert FileAnchor(RealDisk(), path, VAULT).level() == level_of(medium_of(path))


@pytest.mark.anchors
class TestPowerCut:
    @kinds("ext4", "ext4-journal", "xfs")
    def test_an_acknowledged_erasure_and_a_live_key_outlast_it(self, image: Image) -> None:
        def ring_on(point: Path) -> Ring:
            anchor = FileAnchor(RealDisk(), point / "anchors" / "share", VAULT)
            return Ring(RealDisk(), point / "ring", Roots(VAULT, [[anchor]]))

        with image.mounted() as point:
            ring = ring_on(point)
            ring.create()
            slots = ring.allocate(3)
            keys = [bytes(ring.key(slot)) for slot in slots]
            ring.destroy([slots[1]], b"")
            (point / "unsynced").write_bytes(b"lost")
            cut_power(point)
        with image.mounted() as point:
            assert not (point / "unsynced").exists(), "the control: the power did go"
            ring = ring_on(point)
            ring.open()
            assert [ring.is_live(slot) for slot in slots] == [True, False, True]
            assert [bytes(ring.key(slots[n])) for n in (0, 2)] == [keys[0], keys[2]]


class TestOtherMedia:
    @pytest.mark.anchors
    def test_an_overlay_is_e(self, tmp_path: Path) -> None:
        with mounted("overlay", tmp_path) as point:
            (point / "share").write_bytes(b"x")
            assert level_of(medium_of(point / "share")).letter == "E"
            assert level_of(medium_of(point / "lower")).letter == "E"  # seen through, not copied

    @pytest.mark.anchors
    def test_memory_is_e(self, tmp_path: Path) -> None:
        with mounted("tmpfs", tmp_path) as point:
            assert medium_of(point / "not yet" / "there").filesystem == "tmpfs"
            assert level_of(medium_of(point)).letter == "E"

    @pytest.mark.parametrize("filesystem", ["btrfs", "zfs", "apfs", "overlay", "nfs4", "unknown"])
    def test_what_nobody_measured_is_e(self, filesystem: str) -> None:
        assert level_of(Medium(filesystem, frozenset({"rw"}))).letter == "E"


@contextmanager
def mounted(filesystem: str, base: Path) -> Iterator[Path]:
    """Mounts an overlay or a memory file system, or skips the test where that is not permitted."""
    layers = {name: base / name for name in ("lower", "upper", "work", "point")}
    for path in layers.values():
        path.mkdir()
    (layers["lower"] / "lower").write_bytes(b"x")
    names = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work"}
    options = ",".join(f"{option}={layers[name]}" for option, name in names.items())
    more = ["-o", options] if filesystem == "overlay" else []
    point = str(layers["point"])
    command = ["mount", "-t", filesystem, filesystem, *more, point]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("mount is missing (Debian: mount)")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no {filesystem} can be mounted: {error.stderr.strip()}")
    try:
        yield layers["point"]
    finally:
        subprocess.run(["umount", point], check=True)
