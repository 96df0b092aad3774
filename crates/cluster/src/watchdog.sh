# Ends a private PostgreSQL when its owner is gone, however the owner went.
#
# $1: PostgreSQL's data folder. $2: the folder to remove when PostgreSQL is gone, or nothing.
# Standard input is a pipe that the owner alone holds. The owner writes the number of each postmaster that it
# starts, and an empty line when that one has ended; the end of the pipe is the end of the owner.

# Whatever the owner itself had inherited is not ours to hold open.
exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
trap '' HUP INT QUIT TERM

pid=
while read -r line; do pid=$line; done

# Whether the owner's postmaster runs. The number alone proves nothing: it may have been given to another process.
ours() {
    recorded=
    read -r recorded <"$1/postmaster.pid" || return 1
    [ "$recorded" = "$pid" ] && kill -0 "$pid"
}

pause() {
    # Fractions are no part of POSIX, but of every system that has PostgreSQL packages.
    sleep 0.1 || sleep 1
}

if [ -n "$pid" ]; then
    # A newborn postmaster has not recorded itself yet.
    left=50
    until ours "$1" || ! kill -0 "$pid" || [ "$left" -eq 0 ]; do
        pause
        left=$((left - 1))
    done
    # Fast shutdown, immediate shutdown, and what cannot be refused: ten seconds for each.
    for signal in INT QUIT KILL; do
        ours "$1" || break
        kill -"$signal" "$pid"
        left=100
        while [ "$left" -gt 0 ] && ours "$1"; do
            pause
            left=$((left - 1))
        done
    done
fi

if [ -n "$2" ]; then
    # The last processes of a cluster that was being made may still be writing.
    left=100
    until rm -rf -- "$2" || [ "$left" -eq 0 ]; do
        pause
        left=$((left - 1))
    done
fi
