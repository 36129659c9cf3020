"""The guest image: Debian 12 with systemd, sshd and Docker, as one qcow2 file.

Two variants: `own` carries no kernel (QEMU boots ours) and neither udev nor dbus, which this machine
does not need and which would cost seconds of boot and noise at every container start; `stock` carries
Debian's own kernel and its initramfs, and stands in for a remote machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench.build.debian import Root, copy_in, copy_out, hook, mmdebstrap
from bench.build.step import Step, Work

Variant = Literal["own", "stock"]

FILES = Path(__file__).parent / "guest_files"
DISK_NAME = "guest.qcow2"
KEY_NAME = "id_ed25519"
HOST_KEY_NAME = "host_key.pub"
#: Size of the guest's root file system; the file holds only what is used.
DISK_SIZE = "16G"

PACKAGES = (
    "ca-certificates",
    "docker.io",
    "e2fsprogs",
    "iproute2",
    "iptables",
    "kmod",
    "openssh-server",
    "procps",
    "systemd-sysv",
)
#: AppArmor is on in Debian's kernel, and Docker then wants its parser.
STOCK_PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools", "zstd", "sudo", "apparmor")

#: Units that do nothing here but cost boot time.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "getty@tty1.service",
    "ldconfig.service",
    "serial-getty@ttyS0.service",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-machine-id-commit.service",
    "systemd-networkd.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
)
#: Without udev no device unit ever appears.
MASKED_OWN = (
    "dev-hugepages.mount",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-sysusers.service",
    "systemd-udevd.service",
)

#: Our kernel has iptables' own tables only; see kernel/configs/docker.config.
LEGACY_TABLES = 'chroot "$1" update-alternatives --set iptables /usr/sbin/iptables-legacy'

SET_UP = r"""
find "$1/root/.ssh" -exec chown root:root {} +
chmod 700 "$1/root/.ssh"; chmod 600 "$1/root/.ssh/authorized_keys"
rm -f "$1"/etc/ssh/ssh_host_*_key*
chroot "$1" ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
chroot "$1" systemctl enable testbed-network.service ssh.service docker.service
chroot "$1" sh -c 'mkdir -p /run/sshd && sshd -t'
chroot "$1" dpkg-query -W > "$1/packages.txt"
echo 'uninitialized' > "$1/etc/machine-id"
printf '/dev/vda / ext4 defaults,noatime 0 0\n' > "$1/etc/fstab"
rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/sources.list.d/*mmdebstrap*
rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*.log "$1"/var/cache/debconf/*-old
"""

#: The whole root becomes an ext4 file system without mounting anything; the copy leaves out what
#: mmdebstrap has mounted inside (/proc, /dev). No journal: every boot is of
#: a throw-away overlay, and containers' synchronous writes would pay for it.
MAKE_DISK = rf"""
PATH="$PATH:/usr/sbin:/sbin"; tmp="$(mktemp -d)"; trap 'rm -rf "$tmp"' EXIT; image="$tmp/image"
mkdir "$tmp/root"; chmod 755 "$tmp/root"
rm -f "$1/packages.txt"
cp -a -x "$1/." "$tmp/root"
mke2fs -q -t ext4 -O ^has_journal -m 0 -L root -U 5ab3c5cc-8c0e-4f2a-9d0e-7f2d0b5d5a11 \
  -E hash_seed=5ab3c5cc-8c0e-4f2a-9d0e-7f2d0b5d5a11,lazy_itable_init=1 -d "$tmp/root" "$image" {DISK_SIZE}
qemu-img convert -q -O qcow2 "$image" "$1/{DISK_NAME}"
"""


def _root(variant: Variant) -> Root:
    masked = MASKED + (MASKED_OWN if variant == "own" else ())
    mask = 'chroot "$1" systemctl mask ' + " ".join(masked)
    packages = PACKAGES + (STOCK_PACKAGES if variant == "stock" else ())
    tables = (hook(LEGACY_TABLES),) if variant == "own" else ()
    return Root("apt", packages, (hook(mask), *tables, hook(SET_UP)))


def key_step() -> Step:
    """The SSH key of this cache: made once, authorised in every guest that it builds."""

    def build(work: Work) -> None:
        key = Ed25519PrivateKey.generate()
        private = work.out / KEY_NAME
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (work.out / f"{KEY_NAME}.pub").write_bytes(public + b" rewind-bench\n")

    return Step("ssh-key", build, {"version": 1})


def guest_step(variant: Variant = "own", *, mirror: str = "") -> Step:
    """The guest image.

    The product holds guest.qcow2, host_key.pub, packages.txt, and for `stock` also vmlinuz and initrd.
    """
    root = _root(variant)

    def build(work: Work) -> None:
        key = work.products["key"].file(f"{KEY_NAME}.pub")
        files = [
            f"--customize-hook=sync-in {FILES} /",
            hook('mkdir -p "$1/root/.ssh"'),
            copy_in(key, "/root/.ssh/authorized_keys"),
        ]
        out = [
            copy_out("/etc/ssh/ssh_host_ed25519_key.pub", work.out / HOST_KEY_NAME),
            copy_out("/packages.txt", work.out / "packages.txt"),
        ]
        if variant == "stock":
            out += [copy_out("/vmlinuz", work.out / "vmlinuz"), copy_out("/initrd.img", work.out / "initrd")]
        out += [hook(MAKE_DISK), copy_out(f"/{DISK_NAME}", work.out / DISK_NAME)]
        own = Root(root.variant, root.packages, (*files, *root.options))
        mmdebstrap(work, own, "/dev/null", mirror=mirror, extra=out)

    inputs = {**root.inputs(mirror), "files": FILES, "disk": [MAKE_DISK, DISK_SIZE], "version": 1}
    return Step(f"guest-{variant}", build, inputs, {"key": key_step()})
