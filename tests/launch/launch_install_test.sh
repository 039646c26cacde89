#!/bin/bash
# An installed reel works from another folder and as a user without rights: it finds its table of devices and its job files, and
# its manual and completions are there.
# Usage: launch_install_test.sh REEL_MPIRUN REEL CMAKE BUILD
set -uo pipefail
cmake=$3 build=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
prefix=$folder/prefix said=$folder/said
fail() { echo "$1"; cat "$said"; exit 1; }

"$cmake" --install "$build" --prefix "$prefix" >"$said" 2>&1 || fail "it cannot be installed"
files=$(cd "$prefix" && find . -type f | sort)
for file in bin/reel bin/reel-mpirun share/reel/configs/devices.yaml share/reel/configs/quickstart.yaml \
    share/reel/cluster/mpirun.sbatch share/reel/cluster/srun.sbatch share/reel/cluster/mpijob.yaml \
    share/reel/cluster/worker-init share/reel/python/embed_prompt.py share/reel/python/requirements.txt share/man/man1/reel.1 \
    share/bash-completion/completions/reel share/zsh/site-functions/_reel share/doc/reel/README.md; do
    grep -qxF "./$file" <<<"$files" || fail "$file is not installed"
done

# Nobody's: a user who may write in one folder only.
mkdir -m 777 "$folder/work"
as=()
if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null || { echo "no setpriv"; exit 77; }
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod -R a-w "$prefix"
fi
cd "$folder/work" || exit 1
user() { HOME=$folder/work TMPDIR=$folder/work PATH=$prefix/bin:$PATH "${as[@]}" "$@" >"$said" 2>&1; }
user reel plan "$prefix/share/reel/configs/quickstart.yaml" --ranks 2 --device h100 || fail "reel plan does not find its devices"
user reel-mpirun -n 2 "$prefix/bin/reel" run "$prefix/share/reel/configs/quickstart.yaml" \
    --set output.latents=video.h5 --set output.log=video.jsonl --set video.frames=17 --set sampler.steps=2 ||
    fail "reel run fails"
[ -s video.h5 ] || fail "there is no output"
user timeout -s TERM -k 30 2 "$prefix/share/reel/cluster/worker-init" sleep 60 # TERM: it asks reel to notify the ranks
grep -qE "no rank of reel|told [0-9]+ ranks?" "$said" || fail "worker-init does not find reel"
user reel notify || fail "reel notify fails"

# The manual has a page a command; completions name commands, options and keys.
for command in run plan inspect compare calibrate notify; do
    grep -qx ".SH \"REEL ${command^^}\"" "$prefix/share/man/man1/reel.1" || fail "the manual has no page of reel $command"
done
if command -v man >/dev/null; then
    LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 man --warnings -E UTF-8 -l "$prefix/share/man/man1/reel.1" >"$said" \
        2>"$folder/warned" || fail "man does not read the manual"
    [ ! -s "$folder/warned" ] || { cat "$folder/warned"; fail "man warns of the manual"; }
    grep -q -- '--device-memory SIZE' "$said" || fail "the manual lacks an option"
fi
complete_words() {
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _reel; echo "${COMPREPLY[*]}"' \
        - "$prefix/share/bash-completion/completions/reel" "$prefix/bin/reel" "$@" >"$said"
}
complete_words "in" && grep -qx inspect "$said" || fail "the completion of a command"
complete_words plan "--ranks-" && grep -qx -- --ranks-per-node "$said" || fail "the completion of an option"
complete_words run job.yaml --set "sampler.st" && grep -qx "sampler.steps=" "$said" || fail "the completion of a key"
