#!/bin/sh
# SPDX-License-Identifier: MIT
# What the guest does in the scripted session. Each RESULT line is compared
# with what the host computes; see test_debian.py.
result() {
    echo "RESULT $*"
}

result sha256 "$(sha256sum </data)"
result forks "$(/forks 1000)"
result pipes "$(seq 1 20000 | sort -rn | tail -n 5000 | sort -n | md5sum)"
for i in 1 2 3 4 5 6 7 8 9 10; do cat /data; done >/tmp/ten
result gzip "$(gzip -c /tmp/ten | gunzip -c | sha256sum)"
rm /tmp/ten
result compute "$(/compute 200)"
result uptime "$(cut -d. -f1 /proc/uptime)"
grep . /sys/devices/system/cpu/vulnerabilities/* | sed 's/^/VULNERABILITY /'
dmesg -r | sed 's/^/DMESG /'
result end
