#!/bin/sh
# In a virtual machine of one's own: makes an NFS server and two clients of it, each with a network (and so a cache and
# a state) of its own, mounted at /mnt/a and /mnt/b, and runs what is to hold there: `guest.sh PYTHON [OPTIONS...]`.
set -eu

python=$1
shift

modprobe -a loop ext4 nfsd nfsv4 veth
ip link set lo up
mkdir -p /srv/volume /mnt/a /mnt/b /var/lib/nfs/v4recovery /run/rpc_pipefs
truncate -s 2G /dev/shm/disk
mkfs.ext4 -q /dev/shm/disk
mount -o loop /dev/shm/disk /srv/volume
mount -t nfsd nfsd /proc/fs/nfsd
echo 10 >/proc/fs/nfsd/nfsv4gracetime
echo 10 >/proc/fs/nfsd/nfsv4leasetime
exportfs -o rw,sync,fsid=0,no_root_squash,no_subtree_check,insecure "*:/srv/volume"
rpc.mountd --no-nfs-version 3
rpc.nfsd --no-nfs-version 3 --nfs-version 4.2 4

number=0
for host in a b; do
    number=$((number + 1))
    ip netns add "$host"
    ip link add "to-$host" type veth peer name eth0 netns "$host"
    ip addr add "10.99.$number.1/24" dev "to-$host"
    ip link set "to-$host" up
    ip -n "$host" addr add "10.99.$number.2/24" dev eth0
    ip -n "$host" link set eth0 up
    ip -n "$host" link set lo up
    nsenter --net="/run/netns/$host" mount -t nfs4 -o "vers=4.2,${NFS_OPTIONS:-hard}" "10.99.$number.1:/" "/mnt/$host"
done

status=0
# Two owners of a volume, each on a host of its own; and what the storage has to do, on NFS.
ELSEWHERE=/mnt/a:/mnt/b "$python" -m pytest -p no:cacheprovider --timeout 1200 --basetemp /mnt/a/tests "$@" \
    tests/integration/backends/test_fence.py tests/integration/backends/test_journal.py \
    tests/integration/backends/test_vfs_volume.py || status=1
"$python" -m pytest -p no:cacheprovider "$@" tests/nfs/nfs_*.py || status=1
exit $status
