#!/bin/sh
# The first process of the virtual machine: its root is what the host has, with memory on top.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=1048576,cache=loose root /below
mount -t tmpfs -o size=4G above /above
mkdir /above/files /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/files,workdir=/above/work whole /whole
for place in proc sys dev; do mount -o move "/$place" "/whole/$place"; done
mkdir -p /whole/dev/pts /whole/dev/shm
mount -t devpts pts /whole/dev/pts
mount -t tmpfs shm /whole/dev/shm
mount -t tmpfs run /whole/run
command=$(sed 's/.*command=\([^ ]*\).*/\1/' /whole/proc/cmdline)
chroot /whole /bin/sh "$command"
echo "the command ended with $?"
poweroff -f
