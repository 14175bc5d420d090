/** What each kind is, in a sentence. */
export const ABOUT: Readonly<Record<string, string>> = {
  Node: 'One host of the network: its addresses, and the labels by which pools, peers and settings choose hosts.',
  IPPool: 'A range of addresses for workloads and tunnels, and how its packets get from host to host.',
  IPReservation: 'Addresses of pools that are not given out by themselves.',
  IPAMConfiguration: "Calico's settings of address management, which decide nothing where the store is etcd.",
  WorkloadEndpoint: 'One interface of one workload on one host: its addresses, its ports, and the profiles whose rules hold for it.',
  Tier: 'A group of policies that is evaluated as one.',
  Profile: 'Rules and labels of the endpoints that name it; the profile `kns.NAME` is the namespace NAME.',
  GlobalNetworkPolicy: 'Rules for workloads of all namespaces, and for hosts.',
  NetworkPolicy: 'Rules for workloads of one namespace.',
  StagedGlobalNetworkPolicy: 'A GlobalNetworkPolicy on trial: counted and reported, but not enforced.',
  StagedNetworkPolicy: 'A NetworkPolicy on trial: counted and reported, but not enforced.',
  StagedKubernetesNetworkPolicy: "A NetworkPolicy in Kubernetes' form on trial: counted and reported, but not enforced.",
  GlobalNetworkSet: 'Addresses that the rules of all policies can select by labels.',
  NetworkSet: 'Addresses that the rules of policies of one namespace can select by labels.',
  HostEndpoint: 'An interface of a host, or all of them, to which policies apply.',
  BGPConfiguration: 'BGP of the whole cluster (`default`) or of one host (`node.NAME`).',
  BGPPeer: 'BGP sessions of some hosts with a router, with other hosts or with workloads.',
  BGPFilter: 'Rules for the routes that BGP peers tell and are told; the first that matches decides.',
  CalicoNodeStatus: 'What one host tells of its BGP daemon, its sessions and its routes.',
  ClusterInformation: 'Which cluster this etcd holds. Hosts write it; there is only `default`.',
  FelixConfiguration:
    'Settings of the agents on the hosts: of all (`default`), of one (`node.NAME`), or of those that nodeSelector chooses.',
  KubeControllersConfiguration: 'Whether hosts make host endpoints for themselves; the rest is for controllers in Kubernetes.',
  Service:
    'A name for workloads that policies can use as a peer: which workloads, by labels, and which ports. Kubernetes has the kind too.',
}
