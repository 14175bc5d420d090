/** The oldest Linux that margay is for. */
export const OLDEST = '5.14'

/**
 * What may be written to nf_tables without asking the kernel first, with a release of Linux that has it: message, number of the attribute
 * in linux/netfilter/nf_tables.h (`newSet 9.1`: the first in the ninth), `=` the value or one bit of it where that is a feature too.
 * What is newer than the oldest needs a check of what the kernel can do, and does not belong here.
 */
export const SINCE: Readonly<Record<string, readonly string[]>> = {
  '3.13': [
    ...['batch 16', 'batch 17', 'newTable', 'newTable 1', 'newTable 2', 'delChain', 'delChain 1', 'delChain 3', 'delSet', 'delSet 1'],
    ...[
      'delSet 2',
      'newChain',
      'newChain 1',
      'newChain 3',
      'newChain 4',
      'newChain 4.1',
      'newChain 4.2',
      'newChain 5=1',
      'newChain 7=filter',
    ],
    ...['newRule', 'newRule 1', 'newRule 2', 'newRule 4', 'newRule 6', 'delRule', 'delRule 1', 'delRule 2', 'delRule 3'],
    // Intervals, maps, and what they lead to: a verdict.
    ...['newSet', 'newSet 1', 'newSet 2', 'newSet 3', 'newSet 3=4', 'newSet 3=8', 'newSet 4', 'newSet 5', 'newSet 6=-256'],
    ...['newElement', 'newElement 1', 'newElement 2', 'newElement 3', 'newElement 3.1', 'newElement 3.1.1', 'newElement 3.1.1.1'],
    ...['newElement 3.1.2', 'newElement 3.1.2.2', 'newElement 3.1.2.2.1=-4', 'newElement 3.1.2.2.2', 'newElement 3.1.3=1'],
    ...['delElement', 'delElement 1', 'delElement 2', 'delElement 3', 'delElement 3.1', 'delElement 3.1.1', 'delElement 3.1.1.1'],
    ...['delElement 3.1.2', 'delElement 3.1.2.2', 'delElement 3.1.2.2.1=-4', 'delElement 3.1.2.2.2', 'delElement 3.1.3=1'],
    ...['bitwise', 'bitwise 1', 'bitwise 2', 'bitwise 3', 'bitwise 4', 'bitwise 4.1', 'bitwise 5', 'bitwise 5.1'],
    ...['cmp', 'cmp 1', 'cmp 2=0', 'cmp 2=1', 'cmp 3', 'cmp 3.1', 'counter', 'counter 1', 'counter 2', 'ct', 'ct 1', 'ct 2=0', 'ct 2=2'],
    ...['immediate', 'immediate 1', 'immediate 2', 'immediate 2.1', 'immediate 2.2', 'immediate 2.2.1=-3', 'immediate 2.2.1=-4'],
    ...['immediate 2.2.1=-5', 'immediate 2.2.1=0', 'immediate 2.2.1=1', 'immediate 2.2.2', 'limit', 'limit 1', 'limit 2'],
    ...['log', 'log 1', 'log 2', 'lookup', 'lookup 1', 'lookup 2', 'lookup 3', 'nat', 'nat 1=0', 'nat 2', 'nat 3', 'nat 5', 'nat 6'],
    // mark, iif, iifname, oifname, iiftype
    ...['meta', 'meta 1', 'meta 2=3', 'meta 2=4', 'meta 2=6', 'meta 2=7', 'meta 2=8'],
    ...['payload', 'payload 1', 'payload 2=0', 'payload 2=1', 'payload 2=2', 'payload 3', 'payload 4'],
  ],
  // nfproto, l4proto, a mark that is set, TCP's RST
  '3.14': ['meta 2=15', 'meta 2=16', 'meta 3', 'reject', 'reject 1=1', 'reject 2'],
  '3.15': ['newRule 7'],
  '3.16': ['newSet 9', 'newSet 9.1', 'newSet 10'],
  // The ICMP of either family.
  '3.18': ['masq', 'masq 1', 'masq 1=2', 'masq 1=16', 'nat 7', 'nat 7=2', 'nat 7=16', 'reject 1=2'],
  // Timeouts, and rules that write to a set.
  '4.1': ['newSet 3=16', 'newSet 3=32', 'newElement 3.1.4', 'delElement 3.1.4', 'dynset', 'dynset 1', 'dynset 3=1', 'dynset 4', 'dynset 6'],
  '4.3': ['limit 3'],
  '4.6': ['masq 2', 'masq 3', 'newSet 13'],
  '4.8': ['lookup 5', 'lookup 5=1'],
  '4.10': [
    ...[
      'fib',
      'fib 1',
      'fib 2=3',
      'fib 3',
      'fib 3=1',
      'fib 3=2',
      'notrack',
      'objref',
      'objref 1=1',
      'objref 2',
      'newObject',
      'newObject 1',
    ],
    ...[
      'newObject 2',
      'newObject 3=1',
      'newObject 4',
      'newObject 4.1',
      'newObject 4.2',
      'delObject',
      'delObject 1',
      'delObject 2',
      'delObject 3=1',
    ],
  ],
  // The generation on which a transaction rests.
  '4.12': ['batch 16 1'],
  // Of the family inet.
  '5.2': ['newChain 7=nat', 'newChain 7=route'],
  '5.10': ['newTable 6'],
}
