#!/bin/sh
# Boot a machine: boot.sh IMAGE FOLDER NAMESPACE ID, in a control group and a mount namespace of its own. The root is the
# image, which stays unchanged, below the machine's own layer in FOLDER. Its mounts end with the machine.
set -eu
image=$1 folder=$2 namespace=$3 id=$4

# The container needs version 2 control groups at their usual place, also on a host that has mounted version 1 there.
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t overlay overlay -o "lowerdir=$image,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"

# The machine may set its own network's kernel settings. A boot may take its time: nothing waits for it to notify.
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
exec systemd-nspawn --quiet --boot --keep-unit --register=no --directory="$folder/root" --machine="$id" \
    --network-namespace-path="/run/netns/$namespace" --bind="$folder/by-id:/dev/disk/by-id" \
    --resolv-conf=off --timezone=off --link-journal=no --console=pipe
