# mailmount(1) in bash; made from the program's own table of options

_mailmount_table='@TABLE@'

# _mailmount_rows WHERE: rows of it, without that word
_mailmount_rows()
{
    local row
    while IFS= read -r row; do
        [[ $row != "$1|"* ]] || printf '%s\n' "${row#*|}"
    done <<<"$_mailmount_table"
}

# _mailmount_kind WHERE NAME: sets kind and choices
_mailmount_kind()
{
    local name rest
    kind='' choices=''
    while IFS='|' read -r name rest; do
        [[ $name == "$2" ]] || continue
        IFS='|' read -r kind choices rest <<<"$rest"
        return 0
    done < <(_mailmount_rows "$1")
    return 1
}

# the words of the line up to the cursor, which bash has cut at = and : too
_mailmount_words()
{
    local line=$COMP_LINE rest i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        rest=${line#"${line%%[![:space:]]*}"}
        if ((i == 0)) || [[ $rest != "$line" || -z $line ]]; then
            words+=("${COMP_WORDS[i]}")
        else
            words[-1]+=${COMP_WORDS[i]}
        fi
        line=${rest#"${COMP_WORDS[i]}"}
    done
}

_mailmount_accounts()
{
    local config=${XDG_CONFIG_HOME:-$HOME/.config}/mailmount/mailmount.conf word
    for word in "${words[@]}"; do
        [[ $word =~ (^|,|-o)config=([^,]*) ]] && config=${BASH_REMATCH[2]/#\~\//$HOME/}
    done
    [[ -f $config && -r $config ]] || return 0
    echo all
    sed -n 's/^[[:space:]]*\[\(.*\)\][[:space:]]*$/\1/p' "$config"
}

# _mailmount_value KIND CHOICES PREFIX WORD: what can stand there, after PREFIX
_mailmount_value()
{
    local found value
    case $1 in
    choice) found=$(compgen -W "$2" -- "$4") ;;
    file) found=$(compgen -f -- "$4") ;;
    dir) found=$(compgen -d -- "$4") ;;
    user) found=$(compgen -u -- "$4") ;;
    group) found=$(compgen -g -- "$4") ;;
    account) found=$(_mailmount_accounts | while IFS= read -r value; do
        [[ $value != "$4"* ]] || printf '%q\n' "$value"; done) ;;
    *) return 0 ;;
    esac
    [[ $1 != @(file|dir) ]] || compopt -o filenames 2>/dev/null
    while IFS= read -r value; do
        [[ -z $value ]] || COMPREPLY+=("$3$value")
    done <<<"$found"
}

# after -o: NAME[=VALUE],...
_mailmount_options()
{
    local word=$1 done='' name kind choices rest
    compopt -o nospace 2>/dev/null
    [[ $word != *,* ]] || done=${word%,*},
    word=${word##*,}
    if [[ $word == *=* ]]; then
        _mailmount_kind option "${word%%=*}" || return 0
        _mailmount_value "$kind" "$choices" "$done${word%%=*}=" "${word#*=}"
        return
    fi
    while IFS='|' read -r name kind rest; do
        [[ $name == "$word"* ]] || continue
        [[ $kind == none ]] || name+==
        COMPREPLY+=("$done$name")
    done < <(_mailmount_rows option)
}

_mailmount()
{
    local words word before name kind choices given=0 i
    COMPREPLY=()
    _mailmount_words
    word=${words[-1]}
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        if [[ ${words[i]} != -* ]]; then
            ((given++))
        elif _mailmount_kind flag "${words[i]}" && [[ $kind != none && $kind != '' ]]; then
            ((i++))
        fi
    done
    before=''
    ((${#words[@]} < 3)) || before=${words[-2]}
    if [[ $before == -* ]] && _mailmount_kind flag "$before" && [[ $kind != none ]]; then
        if [[ $kind == options ]]; then
            _mailmount_options "$word"
        else
            _mailmount_value "$kind" "$choices" '' "$word"
        fi
    elif [[ $word == -o?* ]]; then
        _mailmount_options "${word#-o}"
        COMPREPLY=("${COMPREPLY[@]/#/-o}")
    elif [[ $word == -* ]]; then
        while IFS='|' read -r name _; do
            [[ $name != "$word"* ]] || COMPREPLY+=("$name")
        done < <(_mailmount_rows flag)
    elif ((given == 0)); then
        _mailmount_value account '' '' "$word"
    else
        _mailmount_value dir '' '' "$word"
    fi
    # bash puts in what comes after the last = or :
    local cut=${word%"${word##*[=:]}"}
    [[ -z $cut ]] || COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}

complete -F _mailmount mailmount
