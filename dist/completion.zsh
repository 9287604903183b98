#compdef mailmount
# mailmount(1) in zsh; made from the program's own table of options

_mailmount_table()
{
    print -r -- '@TABLE@'
}

_mailmount_action() # KIND CHOICES
{
    case $1 in
    choice) REPLY="($2)" ;;
    file) REPLY='_files' ;;
    dir) REPLY='_path_files -/' ;;
    user) REPLY='_users' ;;
    group) REPLY='_groups' ;;
    account) REPLY='_mailmount_accounts' ;;
    options) REPLY='_mailmount_options' ;;
    *) REPLY=' ' ;;
    esac
}

_mailmount_accounts()
{
    local config=${XDG_CONFIG_HOME:-$HOME/.config}/mailmount/mailmount.conf word
    local -a accounts
    for word in $words; do
        [[ $word =~ '(^|,|-o)config=([^,]*)' ]] && config=${match[2]/#\~\//$HOME/}
    done
    [[ -f $config && -r $config ]] || return 1
    accounts=(all ${(f)"$(sed -n 's/^[[:space:]]*\[\(.*\)\][[:space:]]*$/\1/p' $config)"})
    _describe -t accounts account accounts
}

_mailmount_options()
{
    local -a specs
    specs=($option_specs)
    _values -s , option $specs
}

_mailmount()
{
    setopt localoptions extendedglob
    local line where name kind choices help REPLY
    local -a flag_specs option_specs
    for line in ${(f)"$(_mailmount_table)"}; do
        IFS='|' read -r where name kind choices help <<<$line
        help=${help//(#m)[\[\]:\\]/\\$MATCH}
        _mailmount_action $kind $choices
        if [[ $where == option ]]; then
            [[ $kind == none ]] && option_specs+=("${name}[$help]") ||
                option_specs+=("${name}[$help]:value:$REPLY")
        else
            [[ $kind == none ]] && flag_specs+=("${name}[$help]") ||
                flag_specs+=("*${name}[$help]:value:$REPLY")
        fi
    done
    _arguments -S $flag_specs '1:account or URL:_mailmount_accounts' '2:mount point:_path_files -/'
}

_mailmount "$@"
