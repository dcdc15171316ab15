# Completion of hmar, hmar-load and hmar-server for bash (and for zsh, after `autoload bashcompinit && bashcompinit`): options
# and subcommands as the program's own --help has them, then files.

# _hmar_words PROGRAM SUBCOMMAND...: its options and subcommands, one a line.
_hmar_words() {
  "$@" --help 2>/dev/null | sed -nE '
    s/^  (-[[:alnum:]],)?(--[[:alnum:]-]+).*/\2/p
    /^Subcommands:/,/^$/s/^  ([a-z][a-z-]*)( .*)?$/\1/p'
}

# _hmar_choices PROGRAM SUBCOMMAND... OPTION: what the option may be, where --help has {a,b} or a|b.
_hmar_choices() {
  local option=${!#}
  "${@:1:$#-1}" --help 2>/dev/null | sed -nE "
    s/^  (-[[:alnum:]],)?$option [A-Z]*:\{([a-z0-9,_-]+)\}.*/\2/p
    s/^  (-[[:alnum:]],)?$option ([a-z0-9]+(\|[a-z0-9]+)+)( .*)?$/\2/p" | tr ',|' '\n'
}

_hmar() {
  local current=$2 previous=$3 word
  local -a command=("$1")
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in generate | edit | models | health | key | new | watch | sheet) command+=("$word") ;; esac
  done
  [ "${1##*/}" = hmar ] || command=("$1")
  COMPREPLY=()
  if [[ $previous == --* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_hmar_choices "${command[@]}" "$previous")" -- "$current")
    [ ${#COMPREPLY[@]} -eq 0 ] || return 0
  fi
  mapfile -t COMPREPLY < <(compgen -W "$(_hmar_words "${command[@]}")" -- "$current")
}

complete -o default -F _hmar hmar hmar-load hmar-server
