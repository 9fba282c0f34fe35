#!/bin/sh
# In a virtual machine of one's own: has its disk at /data and lives there: `guest.sh PYTHON FILE-SYSTEM TOLD MODE`.
set -eu

modprobe -a virtio_blk "$2"
ip link set lo up
mkdir -p /data
mount -t "$2" /dev/vda /data
PYTHONPATH=.:tests exec "$1" tests/power/living.py /data "$3" "$4"
