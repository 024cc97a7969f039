"""What a campaign and its workers say to each other: typed messages over one socket each.

A message is a 4-byte little-endian length and that many bytes of MessagePack. A worker that
finds its socket closed ends; a campaign that finds one closed takes its worker to be dead.
"""

from __future__ import annotations

import socket
from struct import Struct
from typing import Final

import msgspec

from conformance.program.kernel_facts import KernelFacts
from conformance.program.program import Program
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.schedule import Lease
from fuzz.engine.statistics import Tally
from fuzz.findings.finding import Finding
from fuzz.guidance.seed_pool import Seed

LENGTH: Final = Struct("<I")
MESSAGE_BYTES_MAX: Final = 64 << 20  # a finding is some kB; more means a corrupted stream


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """First message to a worker. cpu: the one it pins itself to, None to stay free. folder:
    where it may leave temporary files; the campaign removes it."""

    options: CampaignOptions
    cpu: int | None
    folder: str


class Work(msgspec.Struct, frozen=True, tag="work"):
    """Programs to do, after those it has."""

    lease: Lease


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """Another worker has examined what shows as `origin`, and found it to be `identity`."""

    target: str
    origin: str
    identity: str


class Learn(msgspec.Struct, frozen=True, tag="learn"):
    """Another worker's program has earned something on a target."""

    target: str
    seed: Seed


class Corpus(msgspec.Struct, frozen=True, tag="corpus"):
    """Programs to run before any other."""

    programs: tuple[Program, ...]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Finish the batches that run, report, and end."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has opened its targets. executors: pids of their processes. facts: by target."""

    executors: tuple[int, ...]
    facts: dict[str, KernelFacts]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The first `count` programs of a lease are done, with these tallies by target."""

    lease: Lease
    count: int
    tallies: dict[str, Tally]


class Found(msgspec.Struct, frozen=True, tag="found"):
    """A finding that runs alone have confirmed. origin: its identity before it was shrunk."""

    finding: Finding
    origin: str


class Earned(msgspec.Struct, frozen=True, tag="earned"):
    """A program has earned something on a target."""

    target: str
    seed: Seed


class Reached(msgspec.Struct, frozen=True, tag="reached"):
    """What the programs on a target reached since this was said last: flat (address, how often).
    kcov: can the target's kernel tell? None: nothing has run there."""

    target: str
    kcov: bool | None
    places: tuple[int, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker cannot go on, and another start would not help."""

    message: str


FromCampaign = Begin | Work | Seen | Learn | Corpus | Stop
FromWorker = Ready | Done | Found | Earned | Reached | Failed


class Closed(Exception):
    """The other end is gone."""


class _Socket:
    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._encoder = msgspec.msgpack.Encoder()
        self._buffer = bytearray()

    def fileno(self) -> int:
        """For select()."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end. May be repeated."""
        self._end.close()

    def _send(self, message: FromCampaign | FromWorker) -> None:
        data = self._encoder.encode(message)
        try:
            self._end.sendall(LENGTH.pack(len(data)) + data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def _fill(self, wait: bool) -> bool:
        """Read what is there; False when there is nothing and wait is not set."""
        try:
            data = self._end.recv(1 << 18, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionResetError as error:
            raise Closed from error
        if not data:
            raise Closed
        self._buffer += data
        return True

    def _take(self) -> bytes | None:
        """The next whole message in the buffer."""
        buffer = self._buffer
        if len(buffer) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack_from(buffer)
        if size > MESSAGE_BYTES_MAX:
            raise Closed
        end = LENGTH.size + size
        if len(buffer) < end:
            return None
        data = bytes(buffer[LENGTH.size : end])
        del buffer[:end]
        return data


class WorkerEnd(_Socket):
    """The worker's end: sends FromWorker, receives FromCampaign."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self._decoder: msgspec.msgpack.Decoder[FromCampaign] = msgspec.msgpack.Decoder(FromCampaign)

    def send(self, message: FromWorker) -> None:
        """Send, waiting while the campaign is busy. Raises Closed."""
        self._send(message)

    def receive(self, wait: bool) -> FromCampaign | None:
        """The next message; None when there is none and wait is not set. Raises Closed."""
        while (data := self._take()) is None:
            if not self._fill(wait):
                return None
        return self._decoder.decode(data)


class CampaignEnd(_Socket):
    """The campaign's end: sends FromCampaign, receives FromWorker."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self._decoder: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
        self._unsent = bytearray()

    def send(self, message: FromCampaign) -> None:
        """Send as much as there is room for; flush() sends the rest. A worker that is sending
        itself must not be waited for. Raises Closed."""
        data = self._encoder.encode(message)
        self._unsent += LENGTH.pack(len(data)) + data
        self.flush()

    def flush(self) -> bool:
        """Send what is left; True when nothing is. Raises Closed."""
        while self._unsent:
            try:
                sent = self._end.send(self._unsent, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError) as error:
                raise Closed from error
            del self._unsent[:sent]
        return True

    def receive_all(self) -> tuple[list[FromWorker], bool]:
        """Every message that has arrived whole, and whether the worker is gone."""
        gone = False
        try:
            while self._fill(wait=False):
                pass
        except Closed:
            gone = True
        out: list[FromWorker] = []
        while (data := self._take()) is not None:
            out.append(self._decoder.decode(data))
        return out, gone
