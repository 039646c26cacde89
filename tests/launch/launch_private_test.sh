#!/bin/bash
# Two hosts that do not share the folder of checkpoints: the error names the host, and nothing hangs. Hosts
# are as in launch_hosts_test.sh; the second has an empty folder at the same path. Arguments: reel-mpirun,
# reel.
set -uo pipefail
namespaces=(--uts --mount)
[ "$(id -u)" = 0 ] || namespaces=(--user --map-root-user --uts --mount)
if ! unshare "${namespaces[@]}" sh -c 'hostname reel-host-a && mount -t tmpfs none /mnt' 2>/dev/null; then
    echo "this machine allows no namespaces: two hosts cannot be simulated"
    exit 77
fi
source "$(dirname "$0")/launch_common.sh"
cat >"$folder/agent" <<END
#!/bin/bash
host=\$1
shift
hide=:
[ \$host = reel-host-a ] || hide="mount -t tmpfs none $cp"
exec unshare ${namespaces[*]} sh -c "hostname \$host; \$hide; exec \$*" agent "$folder/"
END
chmod +x "$folder/agent"
write_job 64 48
mpirun_arguments=(--host "reel-host-a:2,reel-host-b:2" --mca plm_rsh_agent "$folder/agent"
    --mca btl_tcp_if_include lo)
cause="rank [23] on host reel-host-b cannot open the checkpoint: No such file or directory, expected"

what="a folder that is not shared, stop"
from_begun
rm "$cp/checkpoint-000001.h5"
run 4 "$job" --set checkpoint.on_error=stop
expect 5 "$cause"
nothing_aside
[ "$(ls "$cp")" = lock ] || fail "left: $(ls "$cp")"

what="a folder that is not shared, continue"
from_begun
rm "$cp/checkpoint-000001.h5"
run 4 "$job"
expect 0
warned 6 "$cause"
finished

what="a checkpoint that the other host does not see"
from_begun
run 4 "$job"
expect 4 "none of its 1 checkpoints is whole"
grep -q "$cause" "$said" || fail "it does not say which host"
mpirun_arguments=()
resumes 1
