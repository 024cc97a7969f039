"""What goes over the sockets comes out whole, or the other end is said to be gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.program.kernel_facts import KernelFacts
from fuzz.engine import messages as m
from fuzz.engine.budget import CampaignOptions
from fuzz.engine.schedule import Lease
from fuzz.engine.statistics import Tally
from fuzz.generate.programs import ProgramSource
from fuzz.guidance.seed_pool import Seed

OPTIONS = CampaignOptions(targets=("host",), seed=(1 << 64) - 1, workers=1)
FACTS = KernelFacts(release="6.18", advices=(0, 4))

SEED = Seed(ProgramSource(1).program(7), (3, 65535), ("rule",))

Pair = tuple[m.CampaignEnd, m.WorkerEnd, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield m.CampaignEnd(ours), m.WorkerEnd(theirs), ours


def test_every_message_comes_out_as_it_went_in(pair: Pair) -> None:
    campaign, worker, _ = pair
    down: list[m.FromCampaign] = [
        m.Begin(OPTIONS, None, "/tmp/x"),
        m.Work(Lease(64, 128)),
        m.Seen("host", "a/b", "c"),
        m.Learn("host", SEED),
        m.Corpus((SEED.program,)),
        m.Stop(),
    ]
    for message in down:
        campaign.send(message)
    assert [worker.receive(wait=False) for _ in down] == down
    assert worker.receive(wait=False) is None
    up: list[m.FromWorker] = [
        m.Ready((1, 2), {"host": FACTS}),
        m.Done(Lease(64, 128), 100, {"host": Tally(programs=100, verdicts={"conformant": 100})}),
        m.Earned("host", SEED),
        m.Reached("host", None, (0x60001005, 3)),
        m.Failed("no compiler"),
    ]
    for reply in up:
        worker.send(reply)
    assert campaign.receive_all() == (up, False)


@given(cuts=st.lists(st.integers(1, 200), max_size=6))
def test_a_message_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = m.WorkerEnd(theirs)
        whole, spare = socket.socketpair()
        with whole, spare:
            end = m.CampaignEnd(whole)
            end.send(m.Begin(OPTIONS, 3, "/tmp/y"))
            end.send(m.Stop())
            data = spare.recv(1 << 16)
        seen = []
        at = 0
        for size in [*cuts, len(data)]:
            ours.sendall(data[at : at + size])
            at += size
            while (message := worker.receive(wait=False)) is not None:
                seen.append(message)
        assert seen == [m.Begin(OPTIONS, 3, "/tmp/y"), m.Stop()]


def test_a_closed_socket_is_told(pair: Pair) -> None:
    campaign, worker, _ = pair
    worker.send(m.Failed("last words"))
    worker.close()
    assert campaign.receive_all() == ([m.Failed("last words")], True)
    with pytest.raises(m.Closed):
        campaign.send(m.Stop())


def test_a_campaign_that_is_gone_is_told(pair: Pair) -> None:
    campaign, worker, _ = pair
    campaign.close()
    with pytest.raises(m.Closed):
        worker.receive(wait=True)


def test_a_length_that_cannot_be_ends_the_talk(pair: Pair) -> None:
    _, worker, plain = pair
    plain.sendall(m.LENGTH.pack(m.MESSAGE_BYTES_MAX + 1))
    with pytest.raises(m.Closed):
        worker.receive(wait=True)


def test_a_campaign_never_waits_for_a_worker_that_does_not_listen(pair: Pair) -> None:
    """Both would wait for each other, if it is sending as well."""
    campaign, worker, _ = pair
    news = m.Corpus((SEED.program,) * 200)
    sent = 0
    while campaign.flush():
        campaign.send(news)
        sent += 1
        assert sent < 1000
    assert worker.receive(wait=False) == news
    got = 1
    while got < sent:
        campaign.flush()
        while worker.receive(wait=False) is not None:
            got += 1
    assert campaign.flush()
