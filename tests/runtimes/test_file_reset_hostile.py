"""What a hostile container, or the service's own end, does to file resets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from actionloop.filereset import FileReset, FileResetError
from files_fixture import FakeContainer, Refused, Service, make_image

from bench.platforms.embedded.own_socket import OwnSockets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for all containers, whose socket's folder each of them has mounted."""
    running = Service(tmp_path_factory.mktemp("files") / "service")
    with running.stack:
        yield running


@pytest.fixture
def start(service, tmp_path):
    """start(code, *volumes): a container that has run `code` before its checkpoint."""
    made = []

    def started(code="pass", *volumes, checkpoint=True):
        folder = make_image(tmp_path / f"c{len(made)}")
        (folder / "service").symlink_to(service.folder)
        made.append(container := FakeContainer(folder, *volumes))
        container.do(code)
        if checkpoint:
            container.checkpoint()
            container.before = container.state()
        return container

    yield started
    for container in made:
        container.end()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("[open(f'/tmp/{n}', 'w').close() for n in range(30000)]", "more than 20000 entries"),
        (
            "os.chdir('/tmp')\nfor n in range(250): os.mkdir('d' * 200); os.chdir('d' * 200)\nos.chdir('/')",
            "deep",
        ),
        (
            "names['held'] = open('/usr/lib/a.so', 'r+'); names['held'].write('evil'); names['held'].flush()",
            "in use",
        ),
    ],
)
def test_too_much_to_put_back_retires_that_container_alone(start, harm, reason):
    bystander = start()
    hostile = start("globals()['names'] = globals()")
    hostile.do(harm)
    for _ in range(2):  # once refused is refused for good
        with pytest.raises(Refused, match=reason):
            hostile.reset()
    bystander.do("open('/tmp/x', 'w').close()")
    bystander.reset()
    assert bystander.state() == bystander.before


def test_a_library_that_is_held_by_its_reader_is_noticed(start):
    """The overlay goes on showing what was written, whatever the times are set to."""
    container = start(
        "globals()['f'] = open('/usr/lib/a.so'); globals()['m'] = mmap.mmap(f.fileno(), 0, prot=1)"
    )
    container.do(
        "s = os.stat('/usr/lib/a.so'); t = open('/usr/lib/a.so').read(); w = open('/usr/lib/a.so', 'w');"
        "w.write(t.swapcase()); w.close(); k = open('/usr/lib/a.so');"
        "globals()['k'] = k; os.utime('/usr/lib/a.so', ns=(s.st_atime_ns, s.st_mtime_ns))"
    )
    with pytest.raises(Refused, match="in use"):
        container.reset()


def test_the_service_survives_its_own_end(start, service):
    container = start("open('/tmp/kept', 'w').write('kept')")
    container.before = container.state()
    container.do(
        "open('/three', 'a').write('x'); open('/tmp/kept', 'a').write('x'); os.mkdir('/usr/lib/new')"
    )
    container.reset()
    container.do("open('/three', 'a').write('y'); open('/tmp/kept', 'w').write('tpek')")
    service.kill()
    service.start()
    container.reset()
    assert container.state() == container.before
    container.do("os.unlink('/tmp/kept'); open('/usr/lib/deep/b', 'w').close()")
    container.reset()
    assert container.state() == container.before


def test_records_of_containers_that_have_ended_are_removed(start, service):
    records = service.folder / "records"
    ended, killed = start(), start()
    numbers = {container.process.pid: container for container in (ended, killed)}
    for container in (ended, killed):
        container.do("result = os.getpid()")
    there = {path.stem.partition("-")[0] for path in records.iterdir()}
    assert {str(number) for number in numbers} <= there
    ended.end()
    service.kill()
    killed.end()
    service.start()
    deadline = time.monotonic() + 30
    while {str(number) for number in numbers} & {path.stem.partition("-")[0] for path in records.iterdir()}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reset_without_service_is_refused(start, service):
    container = start("actionloop.filereset.AWAY_S = 0.2")
    service.kill()
    with pytest.raises(Refused, match="does not answer"):
        container.reset()
    service.start()
    container.reset()


def test_one_checkpoint_for_each_container(start):
    container = start()
    container.do("open('/tmp/evil', 'w').close()")
    with pytest.raises(Refused, match="a checkpoint already"):
        container.do("actionloop.filereset.FileReset('/run/service/files').checkpoint()")
    assert "evil" not in str(container.before)
    with pytest.raises(Refused, match="another process"):
        container.do(FROM_A_CHILD.format(call="checkpoint"))
    container.reset()
    assert container.state() == container.before


#: A child process with a connection of its own; what it gets goes back through a pipe.
FROM_A_CHILD = """
read, write = os.pipe()
child = os.fork()
if child == 0:
    try:
        actionloop.filereset.FileReset('/run/service/files').{call}()
        os.write(write, b"done")
    except BaseException as error:
        os.write(write, str(error).encode())
    os._exit(0)
os.waitpid(child, 0)
said = os.read(read, 4096).decode()
os.close(read); os.close(write)
if said != "done": raise OSError(said)
"""


def test_only_the_process_of_the_checkpoint_may_reset(start):
    container = start()
    with pytest.raises(Refused, match="it has no checkpoint"):
        container.do(FROM_A_CHILD.format(call="reset"))


def test_an_answer_to_another_request_is_no_answer(start):
    """What a request asked for on the launcher's connection does not count for the launcher's reset."""
    container = start()
    container.do("files._connection.send(b'RWF1R' + bytes(16)); open('/tmp/late', 'w').close()")
    with pytest.raises(Refused, match="something else"):
        container.reset()


@pytest.mark.parametrize("harm", ["shutdown(2)", "send(b'RWF1')", "send(b'x' * 5000)", "setblocking(False)"])
def test_a_harmed_connection_is_replaced(start, harm):
    container = start()
    container.do(f"files._connection.{harm}; open('/tmp/x', 'w').close()")
    container.reset()
    assert container.state() == container.before


def test_a_flood_of_connections_leaves_others_alone(start):
    hostile, other = start(), start()
    hostile.do(
        "kept = []\n"
        "for _ in range(200):\n"
        "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "    s.connect('/run/service/files')\n"
        "    kept.append(s)\n"
        "globals()['kept'] = kept"
    )
    other.do("open('/tmp/x', 'w').close()")
    other.reset()
    assert other.state() == other.before


def test_volumes_cannot_be_put_back(start):
    with pytest.raises(Refused, match="/volume is a writable volume"):
        start("pass", "volume", checkpoint=False).checkpoint()


def test_a_process_outside_of_containers_is_refused(service):
    client = FileReset(str(service.folder / "socket" / "files"))
    with pytest.raises(FileResetError, match=r"is a writable volume|no overlay"):
        client.checkpoint()


def test_cost_follows_what_changed(start):
    """A millisecond for 20 entries on a quiet machine; the best of several, with room for a busy one."""
    container = start("os.makedirs('/proxy/a'); [open(f'/proxy/a/{n}', 'w').close() for n in range(12)]")
    best = {}
    for count in (0, 1, 20, 200):
        times = []
        for _ in range(20):
            container.do(f"[open(f'/tmp/{{n}}', 'w').write('x') for n in range({count})]")
            times.append(container.reset()["ns"])
        best[count] = min(times)
    print(best)
    assert best[20] < 3e6
    assert best[0] < best[20] < best[200]


def test_what_a_killed_service_left_half_made_goes_at_the_next_start(service, start):
    container = start()
    records = service.folder / "records"
    kept = sorted(records.iterdir())
    service.kill()
    for name in ("1-1.blob", "1-1.new", "1-1.json"):
        (records / name).write_text("half")
    service.start()
    assert sorted(records.iterdir()) == kept
    assert len(kept) == 2
    container.do("open('/tmp/x', 'w').close()")
    container.reset()
    assert container.state() == container.before


def test_a_socket_of_its_own(service):
    """Asked for on the control socket, there after a restart, gone when the container is."""
    sockets = OwnSockets(str(service.folder))
    (folder,) = map(Path, sockets.open("wsk0_1_guest_hello"))
    service.kill()
    service.start()
    client = FileReset(str(folder / "files"))
    with pytest.raises(FileResetError, match=r"is a writable volume|no overlay"):
        client.checkpoint()  # it answers
    sockets.close("wsk0_1_guest_hello")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["..", "a/b", "", "x" * 300, ".hidden"])
def test_names_of_sockets_are_names(service, name):
    with pytest.raises(OSError, match="made no socket"):
        OwnSockets(str(service.folder)).open(name)


def test_a_socket_that_the_service_was_not_there_to_close(service):
    """Goes with the end of the next container."""
    sockets = OwnSockets(str(service.folder))
    (first,), (second,) = (map(Path, sockets.open(name)) for name in ("first", "second"))
    service.kill()
    sockets.close("first")
    service.start()
    assert first.exists()
    sockets.close("second")
    assert not first.exists()
    assert not second.exists()
