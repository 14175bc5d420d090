/**
 * Numbers of the kernel's interface that more than one file here needs (linux/rtnetlink.h, linux/if_link.h,
 * linux/neighbour.h, linux/if.h); they never change.
 */

/** Address families. */
export const AF_UNSPEC = 0
export const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10

/** Message types: NEW, DEL and GET of each object follow one another. */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWRULE: 32,
  DELRULE: 33,
  GETRULE: 34,
  NEWNSID: 88,
  GETNSID: 90,
} as const

/** Error numbers that have a meaning of their own here. */
export const ERRNO = {
  ENOENT: 2,
  ESRCH: 3,
  EACCES: 13,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
} as const

/** Interface flags. */
export const IFF_UP = 1
export const IFF_LOOPBACK = 8

/** Sizes of the fixed bodies. */
export const IFINFO_BYTES = 16
export const IFADDR_BYTES = 8
export const RTMSG_BYTES = 12
export const NDMSG_BYTES = 12
export const RULE_BYTES = 12

/** State of a neighbour or FDB entry that only its maker takes away. */
export const NUD_PERMANENT = 0x80
