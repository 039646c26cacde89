#!/bin/bash
# Reference cases on two hosts. Each host is a process tree with a hostname of its own, started by an agent
# instead of ssh. Ranks of different hosts share no memory and communicate by TCP. Arguments: reel-mpirun, a
# test program, its arguments.
set -euo pipefail
mpirun=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
namespaces=(--uts)
[ "$(id -u)" = 0 ] || namespaces=(--user --map-root-user --uts)
if ! unshare "${namespaces[@]}" hostname reel-host-a 2>/dev/null; then
    echo "this machine allows no namespaces: two hosts cannot be simulated"
    exit 77
fi
cat >"$folder/agent" <<EOF
#!/bin/bash
host=\$1
shift
exec unshare ${namespaces[*]} sh -c "hostname \$host; exec \$*"
EOF
chmod +x "$folder/agent"
"$mpirun" --host reel-host-a:2,reel-host-b:2 --mca plm_rsh_agent "$folder/agent" --mca btl_tcp_if_include lo \
    --mca mpi_yield_when_idle 1 -n 4 "$@"
