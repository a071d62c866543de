#!/bin/sh
# The floor: two network namespaces, a veth and two tcpdumps; wait until both listen; end them and remove all.
set -eu
a=bothends-a-$$ b=bothends-b-$$
logs=$(mktemp -d)
ip netns add "$a"; ip netns add "$b"
ip link add eth0 netns "$a" type veth peer name eth0 netns "$b"
ip -n "$a" address add 198.18.0.2/28 dev eth0; ip -n "$a" link set eth0 up
ip -n "$b" address add 198.18.0.3/28 dev eth0; ip -n "$b" link set eth0 up
mkfifo "$logs/a" "$logs/b"
ip netns exec "$a" tcpdump -i eth0 -U -w /dev/null 2>"$logs/a" & one=$!
ip netns exec "$b" tcpdump -i eth0 -U -w /dev/null 2>"$logs/b" & two=$!
read -r _ <"$logs/a"; read -r _ <"$logs/b"
kill -INT "$one" "$two"; wait
ip netns del "$a"; ip netns del "$b"
rm -r "$logs"
