#!/bin/sh
# Starts every job of the pool. On a machine that emulates an old processor a program runs under qemu, so that an
# instruction which that processor lacks is a real illegal instruction (signal 4). Scripts run as they are. On the machine
# with the small disk, nothing is left of it for a job that wants it full; on that without a driver for Vulkan, none is
# found.
if grep -qi '^WantFullDisk *= *true' "$_CONDOR_JOB_AD" && grep -q '^DiskIsFull' "$_CONDOR_MACHINE_AD"; then
  cat /dev/zero >"$_CONDOR_SCRATCH_DIR/full" 2>/dev/null
fi
if grep -q '^VulkanIsMissing *= *true' "$_CONDOR_MACHINE_AD"; then
  export VK_DRIVER_FILES=/nowhere
fi
cpu=$(sed -n 's/^EmulatedCpu *= *"\(.*\)"$/\1/p' "$_CONDOR_MACHINE_AD" 2>/dev/null)
if [ -n "$cpu" ] && [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; then
  exec qemu-x86_64-static -cpu "$cpu" "$@"
fi
exec "$@"
