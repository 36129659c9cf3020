"""The file reset service: whatever a request did to files, the next one finds them as they were."""

from __future__ import annotations

import pytest
from files_fixture import FakeContainer, Refused, Service, make_image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Files that exist before the checkpoint besides the image's: the action's own, and others.
PREPARE = """
os.makedirs("/proxy/action/1/bin")
open("/proxy/action/1/bin/main__.py", "w").write("print(1)\\n" * 50)
open("/proxy/action/1/bin/empty", "w").close()
os.symlink("main__.py", "/proxy/action/1/bin/alias")
os.mkfifo("/proxy/action/1/fifo")
os.chmod("/proxy/action/1/bin/empty", 0o604)
os.setxattr("/proxy/action/1/bin/main__.py", "user.kept", b"value")
open("/one", "a").write("by the import\\n")
os.unlink("/usr/lib/deep/b")
shutil.rmtree("/data"); os.mkdir("/data"); open("/data/own", "w").write("new")
open("/dev/shm/warm", "w").write("in memory")
os.utime("/proxy/action/1/bin/main__.py", (1, 2))
"""

HARMS = {
    "nothing": "pass",
    "new file": "open('/tmp/new', 'w').write('secret')",
    "new file in a new folder of the image": "open('/usr/lib/deep/deeper/new', 'w').write('secret')",
    "new tree": "os.makedirs('/tmp/a/b/c'); open('/tmp/a/b/c/d', 'w').write('x'); os.mkdir('/tmp/a/e')",
    "appended to the image's": "open('/three', 'a').write('more')",
    "truncated": "open('/three', 'w').close()",
    "same size and times": (
        "s = os.stat('/three'); t = open('/three').read(); open('/three', 'w').write(t.swapcase());"
        "os.utime('/three', ns=(s.st_atime_ns, s.st_mtime_ns))"
    ),
    "deleted": "os.unlink('/three')",
    "deleted and looked for": "os.unlink('/three'); os.path.exists('/three'); os.listdir('/')",
    "deleted and made again": "os.unlink('/three'); open('/three', 'w').write('other')",
    "deleted folder": "shutil.rmtree('/gone'); os.path.exists('/gone/below')",
    "folder made again": "shutil.rmtree('/gone'); os.mkdir('/gone'); open('/gone/x', 'w').write('y')",
    "folder by file": "shutil.rmtree('/usr/lib/deep'); open('/usr/lib/deep', 'w').write('no folder')",
    "file by folder": "os.unlink('/three'); os.makedirs('/three/sub/sub')",
    "file by link": "os.unlink('/three'); os.symlink('/etc/hosts', '/three')",
    "file by pipe": "os.unlink('/three'); os.mkfifo('/three')",
    "link changed": "os.unlink('/link'); os.symlink('/elsewhere', '/link')",
    "renamed": "os.rename('/three', '/tmp/four')",
    "exchanged": "os.rename('/three', '/t'); os.rename('/big', '/three'); os.rename('/t', '/big')",
    "renamed over": "os.rename('/big', '/three')",
    "mode": "os.chmod('/three', 0o4777); os.chmod('/usr', 0o700)",
    "owner": "os.chown('/three', 7, 8); os.chown('/usr/lib/deep', 9, 9)",
    "times": "os.utime('/three', (5, 6)); os.utime('/usr/lib', (7, 8)); os.utime('/', (9, 9))",
    "attribute": "os.setxattr('/three', 'user.new', b'secret'); os.removexattr('/three', 'user.note')",
    "attribute of a folder": "os.setxattr('/usr/lib/deep', 'user.new', b'secret')",
    "access list": (
        "e = lambda tag, bits, who=0xffffffff: tag.to_bytes(2, 'little') + bits.to_bytes(2, 'little')"
        " + who.to_bytes(4, 'little');"
        "acl = (2).to_bytes(4, 'little') + e(1, 6) + e(2, 7, 33) + e(4, 4) + e(16, 7) + e(32, 4);"
        "os.setxattr('/three', 'system.posix_acl_access', acl)"
    ),
    "hard link": "os.link('/three', '/tmp/other-name')",
    "hard link written": "os.link('/three', '/tmp/other'); open('/tmp/other', 'w').write('x')",
    "pipe": "os.mkfifo('/tmp/pipe')",
    "socket": "s = socket.socket(socket.AF_UNIX); s.bind('/tmp/socket'); s.close()",
    "device": "os.mknod('/tmp/null', 0o666 | stat.S_IFCHR, os.makedev(1, 3))",
    "whiteout of its own": "os.unlink('/pipe'); os.unlink('/link')",
    "sparse": "f = open('/tmp/sparse', 'wb'); f.truncate(1 << 40); f.close()",
    "long name": "open('/tmp/' + 'x' * 255, 'w').close()",
    "name without encoding": "open(b'/tmp/\\xff\\xfe', 'w').close()",
    "hidden by the image": "open('/two', 'w').write('under the whiteout')",
    "many files": "[open(f'/tmp/{n}', 'w').close() for n in range(2000)]",
    "deleted and held": "h = open('/tmp/held', 'w'); os.unlink('/tmp/held'); h.write('x'); h.close()",
    # what was made before the checkpoint
    "own changed": "open('/proxy/action/1/bin/main__.py', 'a').write('evil')",
    "own changed, same size and times": (
        "p = '/proxy/action/1/bin/main__.py'; s = os.stat(p); t = open(p).read();"
        "open(p, 'w').write(t.swapcase()); os.utime(p, ns=(s.st_atime_ns, s.st_mtime_ns))"
    ),
    "own deleted": "os.unlink('/proxy/action/1/bin/main__.py')",
    "own folder deleted": "shutil.rmtree('/proxy/action')",
    "own folder by link": "p = '/proxy/action'; os.rename(p, '/tmp/moved'); os.symlink('/tmp/moved', p)",
    "own folder moved and made again": (
        "os.rename('/proxy/action/1', '/tmp/moved'); os.mkdir('/proxy/action/1');"
        "open('/proxy/action/1/evil', 'w').write('x')"
    ),
    "above it all": "shutil.rmtree('/proxy'); os.symlink('/usr', '/proxy')",
    "own link": "p = '/proxy/action/1/bin/alias'; os.unlink(p); os.symlink('empty', p)",
    "own link's owner": "os.lchown('/proxy/action/1/bin/alias', 5, 5)",
    "own pipe by file": "os.unlink('/proxy/action/1/fifo'); open('/proxy/action/1/fifo', 'w').write('x')",
    "own attribute": "os.setxattr('/proxy/action/1/bin/main__.py', 'user.kept', b'other')",
    "own mode": "os.chmod('/proxy/action/1/bin/empty', 0o777); os.chmod('/proxy/action/1', 0o777)",
    "own hard link": "os.link('/proxy/action/1/bin/empty', '/tmp/e'); open('/tmp/e', 'w').write('x')",
    "own by mapping": (
        "f = open('/proxy/action/1/bin/main__.py', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[:4] = b'evil';"
        "m.close(); f.close()"
    ),
    "copied up before, changed": "open('/one', 'w').write('x')",
    "copied up before, deleted": "os.unlink('/one')",
    "deleted before, made": "open('/usr/lib/deep/b', 'w').write('back')",
    "its folder deleted": "shutil.rmtree('/usr/lib/deep')",
    "its folder made again": "shutil.rmtree('/usr/lib/deep'); os.makedirs('/usr/lib/deep/b')",
    "opaque folder": "shutil.rmtree('/data')",
    "opaque folder again": "shutil.rmtree('/data'); os.mkdir('/data'); open('/data/of-top', 'w').close()",
    # other file systems
    "shared memory": "open('/dev/shm/new', 'w').write('secret')",
    "shared memory changed": "open('/dev/shm/warm', 'w').write('other')",
    "shared memory by mapping": (
        "f = open('/dev/shm/warm', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[:2] = b'no'; m.close(); f.close()"
    ),
    "shared memory deleted": "os.unlink('/dev/shm/warm')",
    "mode of shared memory": "os.chmod('/dev/shm', 0o700)",
    "devices": "os.unlink('/dev/null'); open('/dev/null', 'w').write('x'); os.mkdir('/dev/d')",
    "message queue": "open('/dev/mqueue/queue', 'w').close()",
    "bind mount": "open('/etc/hosts', 'a').write('6.6.6.6 bank')",
    "bind mount's mode": "os.chmod('/etc/hosts', 0o777); os.utime('/etc/hosts', (1, 1))",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = make_image(tmp_path_factory.mktemp("container"))
    service = Service(folder / "service")
    with service.stack:
        yield folder, service


@pytest.fixture(scope="module")
def shared(place):
    """One container for all harms, so that each reset is also the ground of the next."""
    container = FakeContainer(place[0])
    container.do(PREPARE)
    container.checkpoint()
    container.before = container.state()
    yield container
    container.end()


@pytest.mark.parametrize("harm", HARMS)
def test_put_back(shared, harm):
    for _ in range(2):  # the second time in the tick of the first one's reset
        shared.do(HARMS[harm])
        shared.reset()
        assert shared.state() == shared.before


def test_all_harms_at_once_and_in_one_tick(shared):
    skipped = {"above it all", "own folder by link"}  # which leave others nothing to harm
    for name in [name for name in HARMS if name not in skipped] * 2:
        try:
            shared.do(HARMS[name])
        except Refused:  # an earlier one was in its way
            continue
    shared.reset()
    assert shared.state() == shared.before
    assert shared.reset()["entries"] == 0
