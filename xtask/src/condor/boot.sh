# The first process of the pool's machine: its own processes, mounts and loopback network, gone when it ends.
# Arguments: root folder (shared, not written to), state folder, configuration, wrapper of every job, plug-in for osdf://.
set -eu
root=$1 state=$2 configuration=$3 wrapper=$4 plugin=$5
mnt=$state/mnt

# The old /proc still counts processes as the host does: this is the number to enter and to kill the pool by.
read -r pid _ </proc/self/stat
echo "$pid" >"$state/pid"

ip link set lo up
# The folder must be a mount point, or every job is held with errno 22; an overlay also keeps the root clean.
mount -t overlay overlay -o "lowerdir=$root,upperdir=$state/upper,workdir=$state/work" "$mnt" 2>/dev/null ||
  mount --bind "$root" "$mnt"
mount -t proc proc "$mnt/proc"
mount --rbind /dev "$mnt/dev"
mount -t tmpfs tmpfs "$mnt/dev/shm"
# Without control groups: jobs stay within the limits of whoever started the pool.
mount -t sysfs -o ro sysfs "$mnt/sys"

cp -L /etc/hosts "$mnt/etc/hosts"
hostname >"$mnt/etc/hostname"
install -m 644 "$configuration" "$mnt/etc/condor/config.d/90-pool.conf"
install -m 755 "$wrapper" "$mnt/usr/local/bin/job-wrapper"
install -m 755 "$plugin" "$mnt/usr/local/bin/osdf-plugin"
rm -rf "$mnt"/var/{spool,log,lib}/condor
chroot "$mnt" install -d -o condor -g condor /var/log/condor /var/spool/condor /var/lib/condor /var/lib/condor/execute \
  /run/condor /run/lock/condor /var/lib/condor/execute6
mount -t tmpfs -o size=96m,mode=755 tmpfs "$mnt/var/lib/condor/execute6"
chroot "$mnt" chown condor:condor /var/lib/condor/execute6
# HTCondor's plug-in for https would try again for minutes where a server hangs up or nobody listens.
export CONDOR_CURL_MAX_RETRY_ATTEMPTS=1
chroot "$mnt" /usr/sbin/condor_master -f &
wait $! || true
