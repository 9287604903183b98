# mailmount(1) in fish; made from the program's own table of options

set -g __mailmount_table '@TABLE@'

function __mailmount_rows -a where
    for row in (string split \n -- $__mailmount_table)
        set -l fields (string split '|' -- $row)
        test "$fields[1]" = $where; and echo $row
    end
end

function __mailmount_accounts
    set -l config $HOME/.config/mailmount/mailmount.conf
    set -q XDG_CONFIG_HOME; and set config $XDG_CONFIG_HOME/mailmount/mailmount.conf
    set -l given (string match -r -g -- '(?:^|,|-o| )config=([^, ]*)' (commandline -p))
    set -q given[1]; and set config (string replace -r '^~/' $HOME/ -- $given[-1])
    test -f $config -a -r $config; or return
    printf 'all\tall accounts\n'
    string match -r -g '^\s*\[(.*)\]\s*$' <$config | string replace -r '$' '\taccount'
end

# values that can follow NAME=
function __mailmount_values -a kind choices word
    switch $kind
        case choice
            string split ' ' -- $choices
        case file
            __fish_complete_path $word
        case dir
            __fish_complete_directories $word ''
        case user
            __fish_complete_users
        case group
            __fish_complete_groups
        case account
            __mailmount_accounts
    end
end

# after -o: NAME[=VALUE],...
function __mailmount_options
    set -l token (commandline -ct)
    set -l before (string replace -r '[^,]*$' '' -- $token)
    set -l word (string replace -r '.*,' '' -- $token)
    for row in (__mailmount_rows option)
        set -l fields (string split '|' -- $row)
        if not string match -q '*=*' -- $word
            set -l equals =
            test $fields[3] = none; and set equals ''
            printf '%s%s%s\t%s\n' $before $fields[2] "$equals" $fields[5]
        else if string match -q -- "$fields[2]=*" $word
            for value in (__mailmount_values $fields[3] "$fields[4]" (string replace -r '^[^=]*=' '' -- $word))
                printf '%s%s=%s\n' $before $fields[2] $value
            end
        end
    end
end

function __mailmount_no_source
    set -l words (commandline -opc)
    set -l given 0
    set -l skip 0
    for word in $words[2..]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $word
            contains -- $word $__mailmount_takers; and set skip 1
        else
            set given (math $given + 1)
        end
    end
    test $given = 0
end

complete -c mailmount -f
set -g __mailmount_takers
for row in (__mailmount_rows flag)
    set -l fields (string split '|' -- $row)
    set -l name (string replace -r '^--?' '' -- $fields[2])
    set -l form -l
    string match -q -- '--*' $fields[2]; or set form -s
    if test $fields[3] = none
        complete -c mailmount $form $name -d $fields[5]
        continue
    end
    set -a __mailmount_takers $fields[2]
    if test $fields[3] = options
        complete -c mailmount $form $name -x -a '(__mailmount_options)' -d $fields[5]
    else
        complete -c mailmount $form $name -x -a "(__mailmount_values $fields[3] '' (commandline -ct))" -d $fields[5]
    end
end
complete -c mailmount -n __mailmount_no_source -a '(__mailmount_accounts)'
complete -c mailmount -n 'not __mailmount_no_source' -a '(__fish_complete_directories)'
