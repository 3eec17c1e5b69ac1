"""What the server has counted when it is told to stop, it writes down first."""

import os
import signal
import threading

import pytest

from config.server import Server as Parent
from tests.serving.conftest import Database, Serve, Server, wait_until


def test_the_first_use_of_a_token_is_in_the_database_when_its_answer_arrives(
    server: Server, database: Database
) -> None:
    server.use(database.token_of("auditor"))

    assert database.uses_of("auditor") == 1


def test_sigterm_right_after_fifty_uses_loses_none(server: Server, database: Database) -> None:
    before = database.uses_of("owner")
    for _ in range(50):
        assert server.use(database.token_of("owner")).status == 404

    assert server.stop() == 0
    assert database.uses_of("owner") == before + 50


def test_sigterm_under_load_answers_what_it_has_begun_and_counts_what_it_has_answered(
    server: Server, database: Database
) -> None:
    token, answered, refused = database.token_of("member"), [], []
    under_way = threading.Event()

    def hammer() -> None:
        try:
            while True:
                answered.append(server.use(token).status)
                if len(answered) > 100:
                    under_way.set()
        except OSError as error:
            refused.append(error)

    clients = [threading.Thread(target=hammer) for _ in range(4)]
    for client in clients:
        client.start()
    under_way.wait(30)
    server.stop()
    for client in clients:
        client.join()

    assert set(answered) == {404}
    # A client may be cut off between the count and the answer, once each.
    assert len(answered) <= database.uses_of("member") <= len(answered) + len(clients)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_to_the_whole_group_ends_parent_and_workers(
    serve: Serve, database: Database, how: signal.Signals, times: int
) -> None:
    """As Ctrl-C sends it, or make, which forwards what the group has got already."""
    server = serve(database.url)
    for _ in range(times):
        os.killpg(server.process.pid, how)

    assert server.ended() == 0
    assert not server.listens()


def test_workers_do_not_outlive_a_parent_that_is_killed(
    server: Server,
) -> None:
    server.process.kill()
    server.process.wait()

    wait_until(lambda: not server.listens())


def test_a_second_signal_waits_for_nothing() -> None:
    """It may arrive while the main thread, woken by the first, holds the lock of the event it waited for."""
    told = Parent.__new__(Parent)  # granian's __init__ would set up logging, here for the whole suite
    told.interrupt_signal, told.main_loop_interrupt = False, threading.Event()
    told.signal_handler_interrupt()
    second = threading.Thread(target=told.signal_handler_interrupt, daemon=True)

    with told.main_loop_interrupt._cond:
        second.start()
        second.join(5)
        assert not second.is_alive()
