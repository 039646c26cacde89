#!/bin/bash
# Every job file of configs/ is valid: with a model that does not exist, the missing model is all that reel
# complains about.
#     configs_test.sh REEL SOURCE
set -u
reel=$1 source=$2 count=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for job in "$source"/configs/*.yaml; do
    [ "${job##*/}" != devices.yaml ] || continue # this is not a job file
    said=$("$reel" run "$job" --set model.path="$folder/absent" --set prompt.embeds="$folder/prompt" \
        --set output.latents="$folder/latents.h5" --set output.log="$folder/log.jsonl" 2>&1)
    code=$?
    if [ $code != 4 ] || [[ $said != *"$folder/absent"* ]]; then
        echo "$job: exit code $code, expected 4 for a model that is not there: $said"
        exit 1
    fi
    count=$((count + 1))
done
echo "$count job files are in order"
[ $count -ge 13 ]
