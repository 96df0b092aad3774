# Ends processes when their owner is gone, however the owner went: `kill -9` included.
#
# Standard input is a pipe that the owner alone holds. A line `+ 71` puts a process in its charge, `- 71` takes it out
# again; the end of the pipe is the end of the owner. A stopped process is killed like any other.

# Whatever the owner itself had inherited is not ours to hold open.
exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
trap '' HUP INT QUIT TERM

charges=' '
while read -r sign pid; do
    case $sign in
        +) charges="$charges$pid " ;;
        -)
            left=' '
            for charge in $charges; do
                [ "$charge" = "$pid" ] || left="$left$charge "
            done
            charges=$left
            ;;
    esac
done

for charge in $charges; do
    kill -KILL "$charge" 2>/dev/null
done
