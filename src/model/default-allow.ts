import { DEFAULT_ALLOW_PROFILE, type Profile } from './profile.ts'
import { API_VERSION } from './resource.ts'

/**
 * The profile that is always there and allows everything, both ways: who gives it to an endpoint changes nothing for it. It is in no
 * store; Calico's clients show it too, at revision 1.
 */
export const DEFAULT_ALLOW: Profile = {
  apiVersion: API_VERSION,
  kind: 'Profile',
  metadata: { name: DEFAULT_ALLOW_PROFILE, resourceVersion: '1' },
  spec: { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] },
}

/** Whether something is that profile, by what it is called. */
export function isDefaultAllow(kind: string, id: string): boolean {
  return kind === 'Profile' && id === DEFAULT_ALLOW_PROFILE
}
