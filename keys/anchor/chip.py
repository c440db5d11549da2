"""The few TPM 2.0 commands of the TPM anchor, each share under `PolicyNV(counter <= limit)`.

Promises that nothing stays loaded in the TPM after the `with`, that a share crosses to and from it
only under a salted session, and that no `bytes` of it is made here. Refuses an index that is not a
counter. The templates below decide which blobs open: a change of one of them loses every vault.
Part and section numbers are those of the TCG TPM 2.0 Library Specification.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Self

from keys.errors import AnchorFailure, StateUnknown
from keys.secret import Secret

try:
    import tpm2_pytss as tss
    from tpm2_pytss import constants as tpm
    from tpm2_pytss import types as t
except ImportError:  # the extra `tpm` is not installed, or the system has no libtss2
    tss = None
else:
    os.environ.setdefault("TSS2_LOG", "all+none")  # it would write its errors to our stderr as well

DEVICE = "device:/dev/tpmrm0"
INDICES = range(0x01800000, 0x01C00000)
"""Handles of NV indices that belong to the owner (TCG registry of reserved handles, 2.2.2)."""
_COUNTER_SIZE = 8


class Chip:
    """One conversation with the TPM behind a TCTI such as `device:/dev/tpmrm0`, by `with`."""

    def __init__(self, tcti: str = DEVICE) -> None:
        self._name = tcti

    def __enter__(self) -> Self:
        if tss is None:
            raise AnchorFailure(
                "the TPM anchor needs the library libtss2 (Debian: libtss2-dev) and the extra "
                "anechoic[tpm]: install both, then try again"
            )
        self._open, self._loaded_parent = contextlib.ExitStack(), None
        try:
            with _refusals(f"open {self._name}; is it there, and are you in the group tss?"):
                self._esys = self._open.enter_context(
                    tss.ESAPI(self._open.enter_context(tss.TCTILdr.parse(self._name)))
                )
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with _refusals("let go of what was loaded"):
            self._open.close()

    def maker(self) -> tuple[str, str]:
        """Returns manufacturer and vendor string, such as `("IBM", "SW   TPM")` (part 2, 6.13)."""
        with _refusals("tell who made it"):
            _, found = self._esys.get_capability(
                tpm.TPM2_CAP.TPM_PROPERTIES, tpm.TPM2_PT.MANUFACTURER, 5
            )
        words = [int(each.value).to_bytes(4, "big") for each in found.data.tpmProperties]
        texts = [word.rstrip(b"\0").decode("ascii", "replace") for word in words]
        return texts[0].strip(), "".join(texts[1:]).strip()

    def defined(self, index: int) -> bool:
        """Tells whether anything is defined at `index`."""
        with _refusals("list its indices"):
            _, found = self._esys.get_capability(tpm.TPM2_CAP.HANDLES, index)
            return index in {int(handle) for handle in found.data.handles}

    def counter(self, index: int) -> int | None:
        """Returns the count at `index`, None while it has none; raises for what is no counter."""
        if not self.defined(index):
            return None
        with _refusals(f"read the counter {index:#x}"):
            handle = self._esys.tr_from_tpmpublic(index)
            public, _ = self._esys.nv_read_public(handle)  # kept: a part does not keep the whole
            attributes = int(public.nvPublic.attributes)
            if attributes & ~tpm.TPMA_NV.WRITTEN != _counter_attributes():
                raise AnchorFailure(f"the TPM's index {index:#x} is not a counter of this program")
            if not attributes & tpm.TPMA_NV.WRITTEN:
                return None
            return int.from_bytes(self._esys.nv_read(handle, _COUNTER_SIZE).buffer, "big")

    def make_counter(self, index: int) -> int:
        """Makes the counter when absent, and returns its count.

        A counter starts above every count that this TPM ever reached (part 3, 31.8), so undefining
        an index and making it again does not bring an old count back.
        """
        if not self.defined(index):
            public = t.TPMS_NV_PUBLIC(
                nvIndex=index,
                nameAlg=tpm.TPM2_ALG.SHA256,
                attributes=_counter_attributes(),
                dataSize=_COUNTER_SIZE,
            )
            with _refusals("make a counter; has its owner set a password, or is it full?"):
                self._esys.nv_define_space(None, t.TPM2B_NV_PUBLIC(nvPublic=public))
        return self.counter(index) or self.increment(index)

    def increment(self, index: int) -> int:
        """Adds one to the counter and returns the new count; raises `StateUnknown` on failure."""
        try:
            self._esys.nv_increment(self._esys.tr_from_tpmpublic(index))
        except tss.TSS2_Exception as error:
            raise StateUnknown(
                f"the TPM could not count on ({error}); run the command again, and it will recover "
                "what holds"
            ) from None
        count = self.counter(index)
        if count is None:
            raise StateUnknown(f"the TPM's counter {index:#x} has gone while it was in use")
        return count

    def seal(self, index: int, limit: int, share: Secret) -> bytes:
        """Returns a blob from which this TPM gives the share while its counter is <= `limit`."""
        with _refusals("seal a share"):
            with self._session(tpm.TPM2_SE.TRIAL) as trial:
                self._limit(trial, index, limit)
                policy = self._esys.policy_get_digest(trial)
            data = t.TPM2B_SENSITIVE_DATA(buffer=bytes(len(share)))
            sensitive = t.TPM2B_SENSITIVE_CREATE(t.TPMS_SENSITIVE_CREATE(data=data))
            with _wiped(data.buffer), _wiped(sensitive.sensitive.data.buffer) as place:
                place[:] = share
                with self._session(tpm.TPM2_SE.HMAC) as session:
                    self._esys.trsess_set_attributes(
                        session, tpm.TPMA_SESSION.DECRYPT | tpm.TPMA_SESSION.CONTINUESESSION
                    )
                    private, public, *_ = self._esys.create(
                        self._parent, sensitive, _sealed(policy), session1=session
                    )
        return bytes(private.marshal()) + bytes(public.marshal())

    def unseal(self, index: int, limit: int, blob: bytes) -> Secret:
        """Returns the share of a blob; raises `AnchorFailure` when this TPM does not give it."""
        with _refusals("open a sealed share: the counter has moved on, or it is another TPM's"):
            private, used = t.TPM2B_PRIVATE.unmarshal(blob)
            public, _ = t.TPM2B_PUBLIC.unmarshal(blob[used:])
            sealed = self._esys.load(self._parent, private, public)
            with self._flushed(sealed), self._session(tpm.TPM2_SE.POLICY) as session:
                self._limit(session, index, limit)
                self._esys.trsess_set_attributes(
                    session, tpm.TPMA_SESSION.ENCRYPT | tpm.TPMA_SESSION.CONTINUESESSION
                )
                data = self._esys.unseal(sealed, session1=session)
        with _wiped(data.buffer) as place:
            return Secret(place)

    def _limit(self, session: Any, index: int, limit: int) -> None:  # noqa: ANN401
        handle = self._esys.tr_from_tpmpublic(index)
        operand = t.TPM2B_OPERAND(buffer=limit.to_bytes(_COUNTER_SIZE, "big"))
        self._esys.policy_nv(handle, handle, session, operand, tpm.TPM2_EO.UNSIGNED_LE)

    @contextlib.contextmanager
    def _session(self, kind: Any) -> Iterator[Any]:  # noqa: ANN401
        # Salted by the parent: who listens on the bus learns nothing of what is encrypted under it.
        cipher = t.TPMT_SYM_DEF(
            algorithm=tpm.TPM2_ALG.AES,
            keyBits=t.TPMU_SYM_KEY_BITS(aes=128),
            mode=t.TPMU_SYM_MODE(aes=tpm.TPM2_ALG.CFB),
        )
        salt = tpm.ESYS_TR.NONE if kind == tpm.TPM2_SE.TRIAL else self._parent  # nothing secret
        session = self._esys.start_auth_session(
            salt, tpm.ESYS_TR.NONE, kind, cipher, tpm.TPM2_ALG.SHA256
        )
        with self._flushed(session):
            yield session

    @contextlib.contextmanager
    def _flushed(self, handle: Any) -> Iterator[Any]:  # noqa: ANN401
        try:
            yield handle
        finally:
            self._esys.flush_context(handle)

    @property
    def _parent(self) -> Any:  # noqa: ANN401
        if self._loaded_parent is None:  # a slow act on a real chip, and to read a count needs none
            made = self._esys.create_primary(None, _parent())[0]
            self._loaded_parent = self._open.enter_context(self._flushed(made))
        return self._loaded_parent


@contextlib.contextmanager
def _refusals(act: str) -> Iterator[None]:
    try:
        yield
    except (tss.TSS2_Exception, RuntimeError) as error:
        raise AnchorFailure(f"the TPM did not {act} ({error})") from None


@contextlib.contextmanager
def _wiped(place: memoryview) -> Iterator[memoryview]:
    try:
        yield place
    finally:
        place[:] = bytes(len(place))


def _counter_attributes() -> Any:  # noqa: ANN401
    """A counter that its user reads and counts on without a password (part 2, 13.4)."""
    nv = tpm.TPMA_NV
    return nv(nv.AUTHREAD | nv.AUTHWRITE | nv.NO_DA | tpm.TPM2_NT.COUNTER << nv.TPM2_NT_SHIFT)


def _parent() -> Any:  # noqa: ANN401
    """A storage key of the owner hierarchy: the same at every call, until the TPM is cleared."""
    a = tpm.TPMA_OBJECT
    fixed = a.FIXEDTPM | a.FIXEDPARENT | a.SENSITIVEDATAORIGIN
    attributes = fixed | a.RESTRICTED | a.DECRYPT | a.USERWITHAUTH | a.NODA
    return t.TPM2B_PUBLIC.parse("ecc256:aes128cfb", objectAttributes=attributes)


def _sealed(policy: Any) -> Any:  # noqa: ANN401
    """A sealed object that no password opens, only the policy (part 1, 27.2)."""
    a = tpm.TPMA_OBJECT
    scheme = t.TPMT_KEYEDHASH_SCHEME(scheme=tpm.TPM2_ALG.NULL)
    return t.TPM2B_PUBLIC(
        publicArea=t.TPMT_PUBLIC(
            type=tpm.TPM2_ALG.KEYEDHASH,
            nameAlg=tpm.TPM2_ALG.SHA256,
            objectAttributes=a.FIXEDTPM | a.FIXEDPARENT | a.NODA,
            authPolicy=policy,
            parameters=t.TPMU_PUBLIC_PARMS(keyedHashDetail=t.TPMS_KEYEDHASH_PARMS(scheme=scheme)),
        )
    )
