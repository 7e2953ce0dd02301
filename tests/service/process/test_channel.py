"""A channel carries messages of any size, and neither end ever waits for the other."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from caveat.service.process.channel import Channel
from tests.service.serving import TIMEOUT, until

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Channel.pair()
    yield made
    for each in made:
        each.close()


def test_messages_of_any_size_come_in_their_order(pair: Pair) -> None:
    one, other = pair
    sent = [1, "a" * 10, b"x" * 2**21, {"a": [2.5]}, b"y" * 2**21, ()]
    for message in sent:
        one.send(message)
    assert one.unsent > 2**21  # they do not fit into the connection
    got: list[object] = []
    while len(got) < len(sent):
        one.flush()
        got += other.receive()
    assert (got, one.unsent, other.receive()) == (sent, 0, [])


def test_both_ends_send_at_once(pair: Pair) -> None:
    for each in pair:
        each.send(b"z" * 2**21)
    got: list[object] = []
    while len(got) < 2:
        for each in pair:
            each.flush()
            got += each.receive()


def test_what_was_sent_before_an_end_is_read_after_it(pair: Pair) -> None:
    one, other = pair
    other.send("never read")
    one.send("first")
    one.send("last")
    one.close()
    assert not other.ended
    assert other.receive() == ["first", "last"]
    assert other.ended
    assert other.receive() == []
    other.send("into the void")  # which is no error


def test_an_end_is_noticed_in_sending(pair: Pair) -> None:
    one, other = pair
    other.close()
    one.send("into the void")
    assert one.ended


@pytest.mark.parametrize("nonsense", [b"\xff" * 8, b"\0\0\0\4junk", b"\0\0\0\0"])
def test_nonsense_ends_it(nonsense: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with theirs:
        theirs.send(nonsense)
        assert channel.receive() == []
        assert channel.ended
        channel.send("never sent")
    channel.close()


def test_a_reader_that_is_stopped_holds_nobody_up() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", "import sys; sys.stdin.buffer.read(1)"]
    reader = subprocess.Popen(command, stdin=theirs.fileno())
    with reader, theirs:
        os.kill(reader.pid, signal.SIGSTOP)
        channel = Channel(ours)
        for _ in range(100):
            channel.send(b"x" * 2**20)  # six times as much as may wait
        assert channel.unsent <= 2**24 + 10
        reader.kill()
        reader.wait(TIMEOUT)
    until(lambda: bool(channel.receive() == [] and channel.ended))
    channel.close()
