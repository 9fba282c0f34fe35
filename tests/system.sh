#!/bin/sh
# Installs what the tests run against and Python's registry does not have: servers and clients from Debian, and Node.
set -eu

missing=""
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need redis-server redis-server
need curl curl
need openssl openssl
need unzip unzip
need wget wget
need aria2c aria2
need nginx nginx-light
need lighttpd lighttpd
need prometheus prometheus
need mkfs.xfs xfsprogs
need node nodejs
need npm npm
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
ldconfig -p | grep -q libfuse.so.2 || missing="$missing libfuse2"

[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "these packages are missing, and only root can install them: $missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of words
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 $missing
