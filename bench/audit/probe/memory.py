"""Memory below the interpreter: heap, stack, libraries, mappings of every kind."""

from __future__ import annotations

import ctypes
import mmap
import threading
from pathlib import Path

from . import addresses as at
from .base import LENGTH, Channel, Secret, checked, libc, refuse

BLOCK = 1000
BLOCKS = 32
ORIGINAL = b"as it was before any request".ljust(LENGTH)
HUGE = 2 << 20
MADV_DONTNEED, MADV_HUGEPAGE = 4, 14
MREMAP_MAYMOVE = 1


class RequestData(Channel):
    """The request itself, anywhere in readable memory."""

    name, core, in_request = "request-data", True, True

    def plant(self, secret: Secret) -> None:
        pass  # to have come is enough

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret)


class HeapReferenced(Channel):
    """A block of the C heap that stays allocated."""

    name, core = "heap-referenced", True

    def plant(self, secret: Secret) -> None:
        at.put(libc.malloc(BLOCK), secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: m.label == "[heap]" or m.anonymous)


class HeapFreed(Channel):
    """A freed block, found in a fresh uninitialised allocation."""

    name, core = "heap-freed", True

    def plant(self, secret: Secret) -> None:
        blocks = [libc.malloc(BLOCK) for _ in range(BLOCKS)]
        for block in blocks:
            at.put(block, (secret.plain * (BLOCK // LENGTH))[:BLOCK])
        for block in blocks:
            libc.free(block)

    def look(self, secret: Secret, carried: object) -> str:
        blocks = [libc.malloc(BLOCK) for _ in range(4 * BLOCKS)]
        found = any(secret.seen_in(at.get(block, BLOCK)) for block in blocks)
        for block in blocks:
            libc.free(block)
        return "in an uninitialised block" if found else ""


class LibraryBss(Channel):
    """A variable of the C library (optarg)."""

    name, core = "library-variable", True

    def plant(self, secret: Secret) -> None:
        self.kept = ctypes.create_string_buffer(secret.plain)
        ctypes.c_void_p.in_dll(libc, "optarg").value = ctypes.addressof(self.kept)

    def look(self, secret: Secret, carried: object) -> str:
        address = ctypes.c_void_p.in_dll(libc, "optarg").value
        return "in optarg" if address and secret.seen_in(at.get(address, LENGTH)) else ""


class LibraryState(Channel):
    """A static buffer of the C library (the state of lrand48)."""

    name = "library-buffer"

    def plant(self, secret: Secret) -> None:
        libc.srand48(int(secret.name[:6], 16))

    def look(self, secret: Secret, carried: object) -> str:
        state = int(secret.name[:6], 16) << 16 | 0x330E
        known = []
        for _ in range(64):
            state = (state * 0x5DEECE66D + 0xB) & 0xFFFF_FFFF_FFFF
            known.append(state >> 17)
        libc.lrand48.restype = ctypes.c_long
        return "lrand48 goes on from another request's seed" if libc.lrand48() in known else ""


class StackBelow(Channel):
    """The stack below the stack pointer."""

    name, core = "stack-below", True

    def plant(self, secret: Secret) -> None:
        at.put(self._bottom(), secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: m.label == "[stack]")

    def _bottom(self) -> int:
        return next(m.start for m in at.mappings() if m.label == "[stack]") + 64


class ThreadStack(Channel):
    """The stack of a thread that has ended."""

    name = "thread-stack"

    def plant(self, secret: Secret) -> None:
        def write() -> None:
            kept = ctypes.create_string_buffer(secret.plain * 100)
            libc.getpid(kept)  # a call with the data on the thread's stack below it
            libc.qsort(kept, 100, LENGTH, _COMPARE)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: m.anonymous)


_COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda _a, _b: 0)


class PrivateFileMapping(Channel):
    """A private mapping of a file, written to."""

    name, core = "private-file-mapping", True

    def prepare(self) -> None:
        with Path(__file__).open("rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def plant(self, secret: Secret) -> None:
        self.map[:LENGTH] = secret.plain

    def look(self, secret: Secret, carried: object) -> str:
        return "in the mapping" if secret.seen_in(self.map[:LENGTH]) else ""


class AnonymousMapping(Channel):
    """A new mapping that is left behind."""

    name, core = "anonymous-mapping", True

    def plant(self, secret: Secret) -> None:
        at.put(at.anonymous(HUGE), secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: m.anonymous)


class ThreadMapping(Channel):
    """A mapping made by a second thread, which has ended."""

    name = "mapping-by-thread"

    def plant(self, secret: Secret) -> None:
        thread = threading.Thread(target=lambda: at.put(at.anonymous(at.PAGE), secret.plain))
        thread.start()
        thread.join()

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: m.anonymous)


class ExecutableMapping(Channel):
    """A mapping that may be run, as a just-in-time compiler makes."""

    name = "executable-mapping"

    def plant(self, secret: Secret) -> None:
        at.put(at.anonymous(at.PAGE, at.READ | at.WRITE | 4), secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: "x" in m.rights and m.anonymous)


class SharedAnonymous(Channel):
    """Shared anonymous memory, mapped before the first request."""

    name, core = "shared-anonymous", True

    def prepare(self) -> None:
        self.address = at.anonymous(at.PAGE, flags=at.SHARED)
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        at.put(self.address, secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return "in the mapping" if secret.seen_in(at.get(self.address, LENGTH)) else ""


class HugePage(Channel):
    """A region with huge pages."""

    name = "huge-page"

    def prepare(self) -> None:
        start = at.anonymous(3 * HUGE)
        self.address = -(-start // HUGE) * HUGE
        self.refusal = libc.madvise(self.address, 2 * HUGE, MADV_HUGEPAGE) and ctypes.get_errno()
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        if self.refusal:  # a kernel without huge pages
            refuse(self.refusal)
        at.put(self.address + HUGE // 2, secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return "in the region" if secret.seen_in(at.get(self.address + HUGE // 2, LENGTH)) else ""


class ReadOnlyRegion(Channel):
    """A read-only region made writable, written and protected again."""

    name, core = "mprotect", True

    def prepare(self) -> None:
        self.address = at.anonymous(at.PAGE)
        at.put(self.address, ORIGINAL)
        checked(libc.mprotect(self.address, at.PAGE, at.READ))

    def plant(self, secret: Secret) -> None:
        checked(libc.mprotect(self.address, at.PAGE, at.READ | at.WRITE))
        at.put(self.address, secret.plain)
        checked(libc.mprotect(self.address, at.PAGE, at.READ))

    def look(self, secret: Secret, carried: object) -> str:
        return "in the region" if secret.seen_in(at.get(self.address, LENGTH)) else ""


class RightsLeft(Channel):
    """A read-only region left writable."""

    name = "mprotect-left"

    def prepare(self) -> None:
        self.address = at.anonymous(3 * at.PAGE, rights=0) + at.PAGE
        checked(libc.mprotect(self.address, at.PAGE, at.READ))

    def plant(self, secret: Secret) -> None:
        checked(libc.mprotect(self.address, at.PAGE, at.READ | at.WRITE))

    def look(self, secret: Secret, carried: object) -> str:
        rights = [m.rights for m in at.mappings() if m.start <= self.address < m.end]
        return "" if rights == ["r--p"] else f"rights are {rights}"


class Moved(Channel):
    """A region moved and grown by mremap."""

    name = "mremap"

    def prepare(self) -> None:
        self.address = at.anonymous(3 * at.PAGE) + at.PAGE
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        at.put(self.address, secret.plain)
        if libc.mremap(self.address, at.PAGE, 64 * at.PAGE, MREMAP_MAYMOVE) == at.FAILED:
            checked(-1)

    def look(self, secret: Secret, carried: object) -> str:
        if at.get(self.address, LENGTH) != ORIGINAL:
            return "the region is gone or altered"
        return at.scan(secret, lambda m: m.anonymous)


class Remapped(Channel):
    """A region unmapped and mapped anew at the same address."""

    name = "munmap-mmap"

    def prepare(self) -> None:
        self.address = at.anonymous(at.PAGE)
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        checked(libc.munmap(self.address, at.PAGE))
        at.put(at.anonymous(at.PAGE, at=self.address), secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        found = at.get(self.address, LENGTH)
        if secret.seen_in(found):
            return "in the region"
        return "" if found == ORIGINAL else "the region lost its content"


class Unmapped(Channel):
    """A region that a request unmaps and later ones need."""

    name = "munmap"

    def prepare(self) -> None:
        self.address = at.anonymous(3 * at.PAGE) + at.PAGE
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        checked(libc.munmap(self.address, at.PAGE))

    def look(self, secret: Secret, carried: object) -> str:
        return "" if at.get(self.address, LENGTH) == ORIGINAL else "the region is gone"


class Discarded(Channel):
    """Content discarded by MADV_DONTNEED."""

    name, core = "madvise-dontneed", True

    def prepare(self) -> None:
        self.address = at.anonymous(at.PAGE)
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        checked(libc.madvise(self.address, at.PAGE, MADV_DONTNEED))

    def look(self, secret: Secret, carried: object) -> str:
        return "" if at.get(self.address, LENGTH) == ORIGINAL else "the region lost its content"


class BreakGrown(Channel):
    """The heap's end (brk), moved up, with data in what was gained."""

    name, core = "brk-grown", True

    def plant(self, secret: Secret) -> None:
        libc.sbrk.restype = ctypes.c_void_p
        libc.sbrk.argtypes = [ctypes.c_ssize_t]
        old = libc.sbrk(16 * at.PAGE)
        if old == at.FAILED:
            checked(-1)
        at.put(old + 8 * at.PAGE, secret.plain)

    def look(self, secret: Secret, carried: object) -> str:
        return at.scan(secret, lambda m: m.label == "[heap]")


class Locked(Channel):
    """Memory locked by mlock."""

    name = "mlock"

    def prepare(self) -> None:
        self.address = at.anonymous(at.PAGE)
        at.put(self.address, ORIGINAL)

    def plant(self, secret: Secret) -> None:
        checked(libc.mlock(ctypes.c_void_p(self.address), at.PAGE))

    def look(self, secret: Secret, carried: object) -> str:
        status = Path("/proc/self/status").read_text()
        locked = int(status.split("VmLck:")[1].split()[0])
        return f"{locked} kB are locked" if locked else ""
