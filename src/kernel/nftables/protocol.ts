/** The numbers of linux/netfilter/nf_tables.h and nfnetlink.h that we use. Integers in attributes are big-endian unless said. */

/** Message types of nf_tables, without the subsystem. */
export const MESSAGE = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  getChain: 4,
  delChain: 5,
  newRule: 6,
  getRule: 7,
  delRule: 8,
  newSet: 9,
  getSet: 10,
  delSet: 11,
  newElement: 12,
  getElement: 13,
  delElement: 14,
  newGeneration: 15,
  getGeneration: 16,
  newObject: 18,
  getObject: 19,
  delObject: 20,
} as const

/** NFNL_SUBSYS_NFTABLES: the high byte of a message's type. */
export const SUBSYSTEM = 10

/** NFNL_MSG_BATCH_BEGIN and _END: what stands between them is one transaction. */
export const BATCH_BEGIN = 0x10
export const BATCH_END = 0x11

/** NFNL_BATCH_GENID. */
export const BATCH_GENERATION = 1
/** struct nfgenmsg: family, version, resource. */
export const NFGENMSG_BYTES = 4

/** NFNLGRP_NFTABLES: every change by anybody, with the generation that it made. */
export const GROUP_NFTABLES = 7

/** NFPROTO_*: the family of a table, and what `meta nfproto` yields. */
export const NFPROTO = { inet: 1, ipv4: 2, ipv6: 10 } as const

export const TABLE = { name: 1, flags: 2, userData: 6 } as const
/** NFT_TABLE_F_DORMANT: the table is there and none of it is in force. */
export const TABLE_DORMANT = 1

export const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const
export const HOOK = { number: 1, priority: 2 } as const
export const HOOK_NUMBERS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const
export const POLICY_ACCEPT = 1

export const RULE = { table: 1, chain: 2, handle: 3, expressions: 4, position: 6, userData: 7 } as const

export const SET = { table: 1, name: 2, flags: 3, keyType: 4, keyLength: 5, dataType: 6, description: 9, id: 10, userData: 13 } as const
/** `dynamic`: rules add to it, too (NFT_SET_EVAL). */
export const SET_FLAG = { anonymous: 1, constant: 2, interval: 4, map: 8, timeout: 16, dynamic: 32 } as const
/** NFTA_SET_DESC_SIZE: how many elements a set may have. */
export const DESCRIPTION_SIZE = 1
/** How nft(8) names the type of a key (libnftables' datatypes); the kernel only stores it. */
export const KEY_TYPE = { family: 2, ipv4: 7, ipv6: 8, mac: 9, protocol: 12, port: 13, interfaceName: 41 } as const
/** For nft(8) in a set's user data: entry 0 of four bytes, the key's byte order is the CPU's (1). Without it names are shown empty. */
export const USER_DATA_CPU_ORDER = [0, 4, 1, 0, 0, 0] as const
/** Several types in one: each in six bits. */
export const KEY_TYPE_BITS = 6
/** NFT_DATA_VERDICT: what a map of verdicts leads to. */
export const DATA_VERDICT = 0xffff_ff00

export const ELEMENT_LIST = { table: 1, set: 2, elements: 3 } as const
/** Times are in milliseconds; `expiration` is what is left. */
export const ELEMENT = { key: 1, data: 2, flags: 3, timeout: 4, expiration: 5 } as const
/** NFT_SET_ELEM_INTERVAL_END: the first address behind an interval. */
export const ELEMENT_INTERVAL_END = 1

/** NFTA_LIST_ELEM, NFTA_DATA_VALUE, NFTA_DATA_VERDICT. */
export const LIST_ELEMENT = 1
export const DATA = { value: 1, verdict: 2 } as const
export const VERDICT = { code: 1, chain: 2 } as const
export const VERDICT_CODE = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const

export const EXPRESSION = { name: 1, attributes: 2 } as const
export const IMMEDIATE = { register: 1, value: 2 } as const
export const META = { destination: 1, key: 2, source: 3 } as const
export const META_KEY = { mark: 3, iif: 4, iifname: 6, oifname: 7, iiftype: 8, nfproto: 15, l4proto: 16 } as const
export const PAYLOAD = { destination: 1, base: 2, offset: 3, length: 4 } as const
export const PAYLOAD_BASE = { link: 0, network: 1, transport: 2 } as const
/** ARPHRD_ETHER (if_arp.h): the interface has MAC addresses. Host byte order. */
export const LINK_TYPE_ETHERNET = 1
export const COMPARE = { source: 1, operator: 2, value: 3 } as const
export const COMPARE_OPERATOR = { equal: 0, notEqual: 1 } as const
export const BITWISE = { source: 1, destination: 2, length: 3, mask: 4, xor: 5 } as const
export const LOOKUP = { set: 1, source: 2, destination: 3, flags: 5 } as const
export const LOOKUP_INVERTED = 1
export const DYNAMIC_SET = { set: 1, operation: 3, key: 4, timeout: 6 } as const
/** NFT_DYNSET_OP_UPDATE: adds the element, or begins its timeout anew. */
export const DYNAMIC_SET_UPDATE = 1
export const CT = { destination: 1, key: 2 } as const
export const CT_KEY_STATE = 0
export const CT_KEY_STATUS = 2
/** IPS_DST_NAT (nf_conntrack_common.h). Host byte order. */
export const CT_STATUS_DESTINATION = 32
/** NF_CT_STATE_BIT of each state, and the bits for invalid and untracked packets (nf_conntrack_common.h). Host byte order. */
export const CT_STATE_BITS = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const
export const FIB = { destination: 1, result: 2, flags: 3 } as const
export const FIB_RESULT_ADDRESS_TYPE = 3
export const FIB_FLAG = { saddr: 1, daddr: 2 } as const
/** RTN_LOCAL (rtnetlink.h): an address of this host. Host byte order. */
export const ADDRESS_TYPE_LOCAL = 2
export const MASQUERADE = { flags: 1, portMinimum: 2, portMaximum: 3 } as const
/** Type 0 is the source. */
export const NAT = { type: 1, family: 2, addressMinimum: 3, portMinimum: 5, portMaximum: 6, flags: 7 } as const
/** NF_NAT_RANGE_PROTO_SPECIFIED and _PROTO_RANDOM_FULLY. */
export const NAT_FLAG = { ports: 2, randomFully: 16 } as const
export const LOG = { group: 1, prefix: 2 } as const
export const REJECT = { type: 1, code: 2 } as const
/** NFT_REJECT_ICMPX_UNREACH with NFT_REJECT_ICMPX_PORT_UNREACH: the ICMP of the packet's family. */
export const REJECT_ICMPX = 2
/** NFT_REJECT_TCP_RST. */
export const REJECT_TCP_RESET = 1
export const REJECT_PORT_UNREACHABLE = 1
export const COUNTER = { bytes: 1, packets: 2 } as const
/** A named object; of its types (NFT_OBJECT_*) we use counters. */
export const OBJECT = { table: 1, name: 2, type: 3, content: 4 } as const
export const OBJECT_COUNTER = 1
export const OBJECT_REFERENCE = { type: 1, name: 2 } as const
/** NFT_LIMIT_PKTS is 0, the default. */
export const LIMIT = { rate: 1, seconds: 2, burst: 3 } as const

/** NFT_REG_VERDICT and the 16-byte registers NFT_REG_1 to 3. */
export const REGISTER = { verdict: 0, first: 1, second: 2, third: 3 } as const
/** NFT_REG32_00: the same memory as `first`, in words of four bytes. */
export const WORD_REGISTER = 8

export const GENERATION = { id: 1, processId: 2, processName: 3 } as const

/** The one table, in family inet, that holds all filtering and translation of ours. */
export const OUR_TABLE = 'margay'
