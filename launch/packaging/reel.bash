# bash completion of reel: commands, and what the program's own help names as options and keys.
_reel() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} reel=${COMP_WORDS[0]}
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$reel" --help 2>/dev/null | sed -nE 's/^  reel ([a-z]+) .*/\1/p') \
            --help --version" -- "$word")
    elif [ "$before" = --set ]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -S = -W "$("$reel" run --help 2>/dev/null | awk '
            /^The keys/ { keys = 1 }
            keys && /^[a-z_]+:$/ { section = $1; sub(":", ".", section) }
            keys && /^[a-z_]+ / { print $1 }
            keys && /^  [a-z_]+ / { print section $1 }')" -- "$word")
    elif [[ $word = -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$reel" "$command" --help 2>/dev/null | grep -oE -- '--?[a-z][a-z-]*' |
            sort -u) --help" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        compopt -o filenames
    fi
}
complete -F _reel reel
