# Builds the root file system of the pool. Runs in a mount namespace of its own: no mount outlives it.
# Arguments: root folder, suite, mirror, user and uid of those who submit jobs.
set -eu
root=$1 suite=$2 mirror=$3 user=$4 uid=$5
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

rm -rf --one-file-system "$root"
debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$root" "$mirror"

# No daemon may start while packages are installed.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -y -qq --no-install-recommends minicondor qemu-user-static libvulkan1 mesa-vulkan-drivers
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/*
chroot "$root" useradd --create-home --uid "$uid" --shell /bin/bash "$user"
