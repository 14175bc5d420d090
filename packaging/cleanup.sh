#!/bin/sh
# Takes all of margay out of the kernel of this host, after the program itself is gone: needs only sh, ip and nft.
# `apt-get remove` leaves it at /var/lib/margay/cleanup.sh with the folders of this host, `apt-get purge` runs it with --purge, which
# also removes the files in those folders. Kernel parameters (forwarding) stay as they are; the rules for the next boot go with those here.
# Ends with 1, having done the rest, where something could not be removed.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
run=/run/margay
state=/var/lib/margay
failed=0

fail() {
	echo "margay: $*" >&2
	failed=1
}

# What we ask of the kernel, or nothing where this kernel has no IPv6.
show() {
	ip "$@" 2>/dev/null
}

# Routes of protocol 77 in every table, then rules of our priorities.
remove_routes() {
	family=$1
	[ -n "$(show "$family" route show table all proto 77)" ] || return 0
	ip "$family" route flush table all proto 77 >/dev/null 2>&1
	[ -z "$(show "$family" route show table all proto 77)" ] || fail "routes of protocol 77 are left: ip $family route show table all proto 77"
}

remove_rules() {
	family=$1
	show "$family" rule show | while IFS=: read -r priority rest; do
		[ "$priority" -ge 13100 ] && [ "$priority" -le 13199 ] || continue
		ip "$family" rule del priority "$priority"
	done
}

# Tunnels, workloads' interfaces, and what the daemon marked by its alias when it made it.
our_links() {
	show -o link show | while read -r index name rest; do
		name=${name%:}
		name=${name%%@*}
		case $name in
		margay.* | mgy*) echo "$name" ;;
		*) case $rest in *'alias margay netns='*) echo "$name" ;; esac ;;
		esac
	done
}

remove_links() {
	for link in $(our_links); do
		# The other end of a pair may have gone with the first, and a namespace with its last pin.
		ip link del dev "$link" 2>/dev/null || ! ip link show dev "$link" >/dev/null 2>&1 || fail "the interface $link could not be removed"
	done
}

# One mount for each workload, all on a mount of the folder; the same may lie on itself after a crash.
remove_pins() {
	for pin in "$run"/netns/* "$run/netns"; do
		while [ -e "$pin" ] && umount -l "$pin" 2>/dev/null; do :; done
		[ ! -f "$pin" ] || rm -f "$pin"
	done
	[ ! -d "$run/netns" ] || rmdir "$run/netns" || fail "a network namespace is still pinned below $run/netns"
}

# By name: the configuration may have put the folders where other things are.
remove_files() {
	rm -rf "$state/netns" "$state/etcd"
	for folder in "$run" "$state"; do
		rm -f "$folder/margay.sock" "$folder/etcd.env" "$folder/instance" "$folder/forwarding.json" "$folder/flows.json" "$folder/trials.json" "$folder/workload-addresses.json" "$folder/view.jsonl" "$folder"/*.new
		rmdir "$folder" 2>/dev/null
	done
}

# With the rules that the next boot would put there again.
remove_boot_rules() {
	rm -f "$state/boot.nft" || fail "$state/boot.nft could not be removed: the next boot would load its rules again"
}

# Last: no packet may pass a route or an interface of ours without its rules.
remove_rules_of_packets() {
	if ! command -v nft >/dev/null; then
		[ ! -e /proc/net/netfilter ] || fail 'nft is not here (apt-get install nftables): the tables inet margay and arp margay may be left until the next boot'
		return 0
	fi
	for table in 'inet margay' 'arp margay'; do
		# shellcheck disable=SC2086 # family and name
		nft list table $table >/dev/null 2>&1 || continue
		# shellcheck disable=SC2086
		nft delete table $table || fail "the nftables table $table could not be removed"
	done
}

if command -v ip >/dev/null; then
	for family in -4 -6; do
		remove_routes "$family"
		remove_rules "$family"
	done
	remove_links
else
	fail 'ip is not here (apt-get install iproute2): interfaces, routes and rules of margay are left until the next boot'
fi
remove_pins
remove_boot_rules
remove_rules_of_packets
if [ "${1:-}" = --purge ]; then remove_files; fi
exit "$failed"
