#!/bin/sh
# In a virtual machine of one's own: has its disk at /data and lives there: `guest.sh PYTHON FILE-SYSTEM SCRIPT ARGS...`.
set -eu

python=$1 kind=$2 script=$3
shift 3
modprobe -a virtio_blk "$kind"
ip link set lo up
mkdir -p /data
mount -t "$kind" /dev/vda /data
PYTHONPATH=.:tests exec "$python" "tests/power/$script" /data "$@"
