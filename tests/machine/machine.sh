#!/bin/sh
# Runs a command in a virtual machine with a kernel of Debian's and the files of this machine, on top of which all that
# is written goes to memory: `machine.sh COMMAND...`, as root, on x86-64. DISK is a file that is its disk /dev/vda, and
# DISK_RATE how many bytes a second that writes; CPUS is how many processors it has. It is emulated (ACCEL=kvm where that
# works), so everything is some fifteen times as slow as here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${CACHE:-/var/tmp/penstock-machine}

install_missing() {
    missing=""
    for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static depmod:kmod cpio:cpio \
        rpc.nfsd:nfs-kernel-server mount.nfs4:nfs-common mkfs.ext4:e2fsprogs ip:iproute2; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
    done
    [ -z "$missing" ] && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    apt-get install -y -qq --no-install-recommends $missing
}

fetch_kernel() {
    [ -e "$cache/kernel/fetched" ] && return
    rm -rf "$cache/kernel"
    mkdir -p "$cache/kernel"
    package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ { print $2; exit }')
    (cd "$cache" && apt-get download -qq "$package" && dpkg-deb -x "$package"_*.deb kernel && rm "$package"_*.deb)
    depmod -b "$cache/kernel" "$(ls "$cache/kernel/lib/modules")"
    touch "$cache/kernel/fetched"
}

# What the kernel begins with: only enough to reach the files of this machine.
build_start() {
    version=$(ls "$cache/kernel/lib/modules")
    root="$cache/start"
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/modules" "$root/proc" "$root/sys" "$root/dev" "$root/below" "$root/above" "$root/whole"
    cp "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    modprobe -d "$cache/kernel" -S "$version" -a --show-depends virtio_pci 9pnet_virtio 9p overlay |
        awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$cache/modules"
    while read -r module; do
        cp "$module" "$root/modules/"
        basename "$module" >>"$root/modules/order"
    done <"$cache/modules"
    cp "$here/init.sh" "$root/init"
    chmod +x "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$cache/start.gz"
}

install_missing
fetch_kernel
build_start

{
    echo "export PATH='$PATH' HOME='${HOME:-/root}' PATIENCE=20"
    echo "mkdir -p /lib/modules && mount --bind '$cache/kernel/lib/modules' /lib/modules"
    echo "cd '$PWD'"
    printf "'%s' " "$@"
    echo
} >"$cache/command"

log="$cache/log"
disk=${DISK:+-drive file=$DISK,if=virtio,format=raw,cache=unsafe${DISK_RATE:+,throttling.bps-write=$DISK_RATE}}
# shellcheck disable=SC2086  # a list of words
qemu-system-x86_64 -accel "${ACCEL:-tcg,thread=multi}" -cpu max -smp "${CPUS:-2}" -m 6G -nographic -no-reboot -nic none \
    -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap $disk \
    -kernel "$(ls "$cache"/kernel/boot/vmlinuz-*)" -initrd "$cache/start.gz" \
    -append "console=ttyS0 panic=-1 edd=off quiet command=$cache/command" </dev/null | tee "$log"
exit "$(sed -n 's/^the command ended with \([0-9]*\).*/\1/p' "$log" | tail -1 | grep . || echo 1)"
