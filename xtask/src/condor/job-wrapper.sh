#!/bin/sh
# Starts every job of the pool. On the machine that emulates an old processor a program runs under qemu, so that an
# instruction which that processor lacks is a real illegal instruction (signal 4). Scripts run as they are.
cpu=$(sed -n 's/^EmulatedCpu *= *"\(.*\)"$/\1/p' "$_CONDOR_MACHINE_AD" 2>/dev/null)
if [ -n "$cpu" ] && [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; then
  exec qemu-x86_64-static -cpu "$cpu" "$@"
fi
exec "$@"
