#!/bin/sh
# SPDX-License-Identifier: MIT
# What the guest does in the soak: every load in a process of its own, all at
# once, in slices of seconds so that address spaces come and go, until the host
# says stop on the console. `soak` (tests/soak) reads what this prints.
slice=15
export LC_ALL=C

check() { # name got expected
    [ "$2" = "$3" ] || echo "SOAK-ERROR $1: '$2', not '$3'"
}

# Text through the usual tools, many short processes, long argument lists.
compile_round() {
    folder=/tmp/compile.$1
    mkdir -p "$folder"
    for part in 1 2 3 4 5 6 7 8 9 10 11 12; do
        seq "$part" 17 3000 >"$folder/$part.c"
    done
    check tree "$(cat "$folder"/*.c | sort -n | sha256sum | cut -c1-16)" \
        "$TREE_SUM"
    check sed "$(seq 1 2000 | sed 's/7/x/g' | sort | md5sum | cut -c1-16)" \
        "$SED_SUM"
    check awk "$(seq 1 3000 | awk '{s += $1 * $1 % 97} END {print s}')" \
        "$AWK_SUM"
    tar -cf - -C "$folder" . | gzip -1 >"$folder/all.gz"
    mkdir -p "$folder/back"
    gunzip -c "$folder/all.gz" | tar -xf - -C "$folder/back"
    check tar "$(cat "$folder"/back/*.c | sha256sum)" \
        "$(cat "$folder"/*.c | sha256sum)"
    # shellcheck disable=SC2046
    check arguments "$(sh -c 'echo $#' sh $(seq 1 2500))" 2500
    check find "$(find "$folder" -name '*.c' | xargs -n 6 wc -l |
        grep -c total)" 4
    rm -rf "$folder"
}

compile() {
    rounds=0
    end=$(($(cut -d. -f1 /proc/uptime) + slice))
    while [ ! -e /tmp/stop ] && [ "$(cut -d. -f1 /proc/uptime)" -lt $end ]; do
        compile_round "$1"
        rounds=$((rounds + 1))
    done
    echo "SOAK compile rounds=$rounds"
}

again() { # load
    seed=0
    while [ ! -e /tmp/stop ]; do
        seed=$((seed + 1))
        if [ "$1" = compile ]; then
            compile $seed
        else
            /soak "$1" $slice $seed || echo "SOAK-ERROR $1: status $?"
        fi
    done
}

# What the guest takes for the time, for the host to compare.
tell_time() {
    while [ ! -e /tmp/stop ]; do
        echo "SOAK uptime $(cut -d' ' -f1 /proc/uptime)"
        sleep 5
    done
}

echo "SOAK begin"
tell_time &
for load in jit maps signals fpu threads forks pipes compile; do
    again $load &
done
read -r _
touch /tmp/stop
wait
dmesg -r | sed 's/^/DMESG /'
grep -E 'MemFree|Slab' /proc/meminfo | sed 's/^/MEMORY /'
echo "SOAK clock $(cat /sys/devices/system/clocksource/*/current_clocksource)"
echo "SOAK end"
